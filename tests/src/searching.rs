//! Searches with the real binary: a folder with a configuration, what a search leaves there, kills.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::plugins::{Ran, Run};

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
        done(self.search(name, more), more)
    }
}

/// Runs what ends well; `what` is said where it does not.
///
/// # Panics
/// It does not.
pub fn done(run: Run, what: &[&str]) -> Ran {
    let ran = run.finish();
    let Ran { stdout, stderr, .. } = &ran;
    assert_eq!(ran.code, Some(0), "{what:?}: {stdout}\n{stderr}");
    ran
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
    let mut child = run
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let count = || std::fs::read_to_string(file).map_or(0, |text| text.lines().count());
    let until = Instant::now() + Duration::from_secs(120);
    while count() < least {
        let ended = child.try_wait().expect("a child");
        assert_eq!(ended, None, "it ended before line {least}");
        assert!(Instant::now() < until, "no line {least} in two minutes");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("killed before it was over");
    child.wait().expect("a child");
}
