//! Searches with the real binary: a folder with a configuration, what a search leaves there, kills.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::plugins::{Ran, Run};
use crate::processes::until_by;

/// A folder with the configuration `search.toml`.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// One with this configuration.
    ///
    /// # Panics
    /// The disk refuses.
    pub fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("search.toml"), config).expect("written");
        Self { folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What is called `name` in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `biorule VERB` of the configuration in the folder `name`, with further arguments.
    pub fn run(&self, verb: &str, name: &str, more: &[&str]) -> Run {
        Run::new([verb, "search.toml", "--run-dir", name])
            .dir(self.folder())
            .arguments(more)
    }

    /// `biorule search`, as [`Home::run`].
    pub fn search(&self, name: &str, more: &[&str]) -> Run {
        self.run("search", name, more)
    }

    /// A search that ends well.
    ///
    /// # Panics
    /// It does not.
    pub fn done(&self, name: &str, more: &[&str]) -> Ran {
        self.search(name, more).done()
    }
}

/// The JSON in `path`.
///
/// # Panics
/// There is none.
pub fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

/// The lines of `path`, each JSON.
///
/// # Panics
/// They are not.
pub fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a file");
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|line| line.expect("JSON")).collect()
}

/// The evaluations of the search in `folder`, without what they took.
///
/// # Panics
/// There are none.
pub fn evaluations(folder: &Path) -> Vec<Value> {
    let mut all = lines(&folder.join("evaluations.jsonl"));
    for line in &mut all {
        line.as_object_mut().expect("an object").remove("spent");
    }
    all
}

/// Starts a search and kills it once `file` has so many lines.
///
/// # Panics
/// It ends before, or takes two minutes.
pub fn kill_at(run: Run, file: &Path, least: usize) {
    let mut child = run.start();
    let count = || std::fs::read_to_string(file).map_or(0, |text| text.lines().count());
    let what = format!("line {least} of {}", file.display());
    until_by(&mut child, &what, 120, || count() >= least);
    child.kill().expect("killed before it was over");
    child.wait().expect("a child");
}
