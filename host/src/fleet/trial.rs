//! What a fleet is given and what it gives back.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::Value;

use crate::Error;

/// A run to be done by a child.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What people read, such as `softhebb, seed 3`.
    pub label: String,
    /// Its run folder.
    pub folder: PathBuf,
    /// The command line behind `biorule`: `train a.toml --seed 3`. Folder, threads, events and how
    /// the child stops are added.
    pub words: Vec<OsString>,
    /// Environment variables on top of those of this process.
    pub variables: Vec<(String, String)>,
    /// Epochs of all its phases, baselines included; 0 where that is not known.
    pub epochs: u64,
    /// Hash that its configuration has to have, where its folder is new: the child reads the files
    /// again, and somebody may have changed them.
    pub config_hash: Option<String>,
}

impl Trial {
    /// One that is `words`, in `folder`.
    pub fn new(label: impl Into<String>, folder: PathBuf, words: Vec<OsString>) -> Self {
        Self {
            label: label.into(),
            folder,
            words,
            variables: Vec::new(),
            epochs: 0,
            config_hash: None,
        }
    }
}

/// How children are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Children at a time, 1 at least.
    pub jobs: usize,
    /// Threads of each; `None` where its own configuration says how many.
    pub threads: Option<usize>,
    /// Value of `--resume` at the first start; a trial that is started again goes on.
    pub resume: &'static str,
}

/// Threads for each of `jobs` children where all together have `threads`.
#[must_use]
pub fn share(threads: usize, jobs: usize) -> usize {
    (threads / jobs.max(1)).max(1)
}

/// What is told while trials run.
#[derive(Debug)]
pub enum Told<'a> {
    /// A trial starts; `starts` is 2 where its first process was killed.
    Started {
        /// Its number.
        number: usize,
        /// The trial.
        trial: &'a Trial,
        /// Starts, this one included.
        starts: u32,
    },
    /// An event of its run (docs/run-folder.md).
    Event {
        /// Its number.
        number: usize,
        /// The event.
        event: &'a Value,
    },
    /// A line that its process wrote to standard error.
    Line {
        /// Its number.
        number: usize,
        /// The line.
        line: &'a str,
    },
    /// Its process died and another one goes on.
    Again {
        /// Its number.
        number: usize,
        /// Why it died.
        why: &'a Error,
    },
    /// Some time has passed.
    Tick,
}

/// A trial that is over.
#[derive(Debug)]
pub struct Ended {
    /// Its number, as [`super::Fleet::add`] gave it.
    pub number: usize,
    /// The trial.
    pub trial: Trial,
    /// What became of it.
    pub outcome: Outcome,
    /// Seconds from its first start here.
    pub seconds: f64,
    /// Starts.
    pub starts: u32,
}

/// What became of a trial.
#[derive(Debug)]
pub enum Outcome {
    /// It is done.
    Done {
        /// Its results.
        results: BTreeMap<String, f64>,
        /// `finished` or `pruned`.
        reason: String,
    },
    /// It was asked to stop; the same command goes on from its checkpoint.
    Stopped,
    /// It failed; its class is the exit code.
    Failed(Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_shared_out_and_each_has_one() {
        assert_eq!(share(8, 2), 4);
        assert_eq!(share(8, 3), 2);
        assert_eq!(share(2, 8), 1);
        assert_eq!(share(4, 0), 4);
    }
}
