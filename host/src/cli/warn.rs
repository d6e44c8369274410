//! Warnings on standard error.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// What a user should know, on standard error, each text once.
pub(super) fn warn<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) {
    texts.into_iter().for_each(|text| warn_once(text.as_ref()));
}

/// Prints `warning: text`, once however often it is found.
pub(super) fn warn_once(text: &str) {
    if is_new(text) {
        tell!("warning: {text}");
    }
}

/// Whether a warning was not told before; from now on it counts as told.
pub(super) fn is_new(text: &str) -> bool {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.insert(text.to_owned())
}
