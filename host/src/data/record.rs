//! Where the data of a run came from: files with their digests, for `run.json`.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A data set as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRecord {
    /// `data`, or the name in `extra_data`.
    pub name: String,
    /// The set, as in `data.set`.
    pub set: String,
    /// Where its files lie.
    pub folder: String,
    /// The files read.
    pub files: Vec<FileRecord>,
}

/// A file as it was. A folder of pictures is one entry: the length of all files, and a digest over
/// their names and contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its path.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// Refuses data whose content differs from that of the run's start. Where files lie does not
/// matter, what is in them does.
///
/// # Errors
/// Data error that names the first file that differs.
pub fn same_data(now: &[DataRecord], then: &[DataRecord]) -> Result<()> {
    let digests = |record: &DataRecord| -> Vec<String> {
        record.files.iter().map(|f| f.sha256.clone()).collect()
    };
    for (now, then) in now.iter().zip(then) {
        if digests(now) == digests(then) {
            continue;
        }
        let changed = now
            .files
            .iter()
            .find(|file| !then.files.iter().any(|f| f.sha256 == file.sha256));
        let what = changed.map_or_else(
            || format!("files of `{}`", now.set),
            |file| format!("`{}`", file.path),
        );
        return Err(Error::data(format!(
            "the data has changed since the run started: {what} is not what it was"
        ))
        .hint("bring the former files back, or start another run with another `--run-dir`"));
    }
    Ok(())
}
