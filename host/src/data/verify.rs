//! Checksums of files on disk against the published ones, and of the parts
//! that have none (unpacked archives) that they can be read whole.

use std::path::PathBuf;

use serde::Serialize;

use super::dataset::Split;
pub use super::digest::{Digests, digests};
use super::folders::DataFolders;
use super::own;
use super::set::{FileInfo, SetInfo};
use crate::data::record::FileRecord;
use crate::plan::DataPlan;
use crate::{Error, Result};

/// What was found of one published file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum FileState {
    /// Length and hashes are the published ones.
    Good,
    /// It is there and differs.
    Different {
        /// What was found.
        found: Digests,
    },
    /// It is not there.
    Missing,
    /// Only its unpacked content is there, for which no hash is published.
    Unpacked,
}

/// The check of a whole set.
#[derive(Debug)]
pub struct Verification {
    /// Folder that was checked; `None` for embedded and generated sets.
    pub folder: Option<PathBuf>,
    /// Each published file.
    pub files: Vec<(&'static FileInfo, FileState)>,
    /// Files of a user's own set, for which nothing is published.
    pub own: Vec<FileRecord>,
    /// What a user should know of the set.
    pub notes: Vec<String>,
    /// Samples read from the training and the test part.
    pub samples: [Result<usize>; 2],
}

impl Verification {
    /// Whether every check that can be made was passed.
    pub fn is_good(&self) -> bool {
        self.samples.iter().all(Result::is_ok)
            && self
                .files
                .iter()
                .all(|(_, s)| matches!(s, FileState::Good | FileState::Unpacked))
    }

    /// The first failed check as an error (exit code 3).
    ///
    /// # Errors
    /// That error.
    pub fn require_good(self, set: &SetInfo) -> Result<()> {
        // What is wrong with a file says more than that its checksum differs.
        let [train, test] = self.samples;
        train.and(test)?;
        let folder = self.folder.unwrap_or_default();
        for (file, state) in self.files {
            let path = folder.join(file.name);
            match state {
                FileState::Good | FileState::Unpacked => {}
                FileState::Missing => {
                    return Err(Error::data(format!("`{}` is missing", path.display()))
                        .hint(format!("`biorule data fetch {}` downloads it", set.name)));
                }
                FileState::Different { found } => {
                    let text = format!("`{}`: {}", path.display(), found.difference(file));
                    return Err(Error::data(text).hint(format!(
                        "`biorule data fetch {} --force` replaces it; a shortened copy trains, but its results are not comparable",
                        set.name
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Checks every file of the plan's set and reads both parts.
///
/// # Errors
/// A data error when the set is nowhere, or a file cannot be read at all.
pub fn verify(plan: &DataPlan, folders: &DataFolders) -> Result<Verification> {
    let set = plan.info()?;
    let mut notes = Vec::new();
    let samples = [Split::Train, Split::Test].map(|split| {
        let part = plan.part(split, folders)?;
        notes.extend_from_slice(part.notes());
        Ok(part.len())
    });
    notes.dedup();
    let mut found = Verification {
        folder: None,
        files: Vec::new(),
        own: Vec::new(),
        notes,
        samples,
    };
    if set.is_own() {
        if found.is_good() {
            found.own = own::load(plan, folders)?.files.clone();
        }
        found.folder = folders.named().first().cloned();
    }
    if !set.is_on_disk() {
        return Ok(found);
    }
    let folder = folders.require(set)?;
    let loaded = found.is_good();
    for file in set.files {
        let path = folder.join(file.name);
        let state = if path.is_file() {
            let found = digests(&path)?;
            if found.matches(file) {
                FileState::Good
            } else {
                FileState::Different { found }
            }
        } else if loaded {
            FileState::Unpacked
        } else {
            FileState::Missing
        };
        found.files.push((file, state));
    }
    found.folder = Some(folder);
    Ok(found)
}
