//! What the original is called with, and where it finds a name in its file.

use serde_json::{Map, Value};

use crate::text::nearest;
use crate::{Error, Result};

/// What `multi_layer.py` is called with.
#[derive(Clone, Debug)]
pub struct Call {
    /// Name of the network.
    pub preset: String,
    /// Data set of local phases.
    pub unsupervised: String,
    /// Data set of phases with labels, and of the test.
    pub supervised: String,
    /// `successive`, `consecutive` or `simultaneous`.
    pub mode: String,
    /// Only these blocks are trained; empty: all.
    pub blocks: Vec<u64>,
    /// Seed of the run; absent: those of the data sets.
    pub seed: Option<u64>,
    /// Part of the training samples takes the place of the test set.
    pub validation: bool,
}

/// The table `name` in `all`.
pub(super) fn find<'a>(all: &'a Value, name: &str, what: &str) -> Result<&'a Map<String, Value>> {
    let Some(all) = all.as_object() else {
        return Err(Error::usage("it is not SoftHebb's `presets.json`")
            .hint("that has the sections `model`, `layer` and `dataset`"));
    };
    all.get(name).and_then(Value::as_object).ok_or_else(|| {
        let e = Error::usage(format!("the file has no {what} `{name}`"));
        match nearest(name, all.keys().map(String::as_str)) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e.hint(format!(
                "it has `{}`",
                all.keys().cloned().collect::<Vec<_>>().join("`, `")
            )),
        }
    })
}
