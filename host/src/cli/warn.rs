//! Warnings on standard error.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// What a user should know, on standard error, each text once.
pub(super) fn warn<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) {
    texts.into_iter().for_each(|text| warn_once(text.as_ref()));
}

/// Prints `warning: text`, once however often it is found.
pub(super) fn warn_once(text: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(text.to_owned()) {
        tell!("warning: {text}");
    }
}
