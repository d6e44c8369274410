//! Runs with the real binary: a folder with a configuration, what a run leaves in its own.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::Value;

use crate::Result;
use crate::searching::json;

/// A folder that goes away with the test, with the configuration `text` in its file `name`.
///
/// # Errors
/// The disk refuses.
pub fn home(name: &str, text: &str) -> Result<tempfile::TempDir> {
    let home = tempfile::tempdir()?;
    std::fs::write(home.path().join(name), text)?;
    Ok(home)
}

/// Every tensor of a checkpoint, as bytes, by name.
///
/// # Panics
/// It is none.
pub fn tensors(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let all = file.tensors().into_iter();
    all.map(|(name, t)| (name, t.data().to_vec())).collect()
}

/// [`tensors`] of the last checkpoint of `run`.
///
/// # Panics
/// There is none.
pub fn weights(run: &Path) -> BTreeMap<String, Vec<u8>> {
    tensors(&run.join("checkpoints/last.safetensors"))
}

/// `run.json` of `run`.
///
/// # Panics
/// There is none.
pub fn record(run: &Path) -> Value {
    json(&run.join("run.json"))
}

/// Rows of `metrics.csv` of `run`, without the column of seconds.
///
/// # Panics
/// There is none.
pub fn metrics(run: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(run.join("metrics.csv")).expect("metrics.csv");
    let rows = text.lines().map(|line| line.split(',').map(str::to_owned));
    let mut rows: Vec<Vec<String>> = rows.map(Iterator::collect).collect();
    let seconds = rows[0].iter().position(|name| name == "seconds");
    let seconds = seconds.expect("a column of seconds");
    for row in &mut rows {
        row.remove(seconds);
    }
    rows
}
