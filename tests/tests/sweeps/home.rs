//! Studies that every test here starts from, in a folder of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use biorule_tests::plugins::{Ran, Run};
use biorule_tests::runs;
use biorule_tests::searching::json;
use serde_json::Value;

/// What every study here starts from: a trial takes a moment.
pub const BASE: &str = r#"
data = { set = "digits", validation = 100, limit_train = 200, limit_test = 50 }

[[blocks]]
name = "hidden"
flatten = true
layer = "dense"
out = 16
rule = "feedback-alignment/fa"
activation = "relu"

[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"

[training.gradient]
epochs = 3
batch = 20
optimizer = { kind = "sgd", lr = 0.05 }

[output]
tensorboard = false
"#;

pub const OBJECTIVE: &str = r#"
[[objectives]]
metric = "validation/accuracy"
direction = "max"
"#;

pub const PARAMETERS: &str = r#"
[parameters.lr]
paths = "training.gradient.optimizer.lr"
low = 1e-3
high = 1.0
log = true

[parameters.rule]
paths = "blocks.hidden.rule"
choices = ["backprop", "feedback-alignment/fa", "krotov"]

[parameters.delta]
paths = "blocks.hidden.rule.delta"
low = 0.0
high = 0.4
when = { rule = "krotov" }
"#;

pub struct Home {
    pub folder: tempfile::TempDir,
}

impl Home {
    /// With the study `top` beside its base.
    pub fn new(top: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("base.toml"), BASE).expect("written");
        let home = Self { folder };
        home.study("study.toml", top);
        home
    }

    /// The study of these settings with the usual objective and parameters.
    pub fn usual(top: &str) -> Self {
        Self::new(&format!(
            "base = \"base.toml\"\n{top}\n{OBJECTIVE}{PARAMETERS}"
        ))
    }

    pub fn study(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn sweep(&self, dir: &str, more: &[&str]) -> Run {
        Run::new([
            "sweep",
            "study.toml",
            "--study-dir",
            dir,
            "--plain",
            "--threads",
            "1",
        ])
        .dir(self.folder.path())
        .arguments(more)
    }

    pub fn done(&self, dir: &str, more: &[&str]) -> Ran {
        self.sweep(dir, more).done()
    }

    pub fn verb(&self, words: &[&str]) -> Ran {
        Run::new(["sweep"])
            .arguments(words)
            .dir(self.folder.path())
            .finish()
    }

    /// All trials of the study in `dir`.
    pub fn table(&self, dir: &str) -> Vec<Value> {
        let ran = self.verb(&["table", dir, "--json"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).expect("JSON")
    }

    pub fn csv(&self, dir: &str) -> String {
        std::fs::read_to_string(self.path(dir).join("trials.csv")).expect("a table")
    }

    /// What a study that is refused says.
    pub fn refused(&self, more: &[&str]) -> String {
        let ran = self.sweep("refused", more).finish();
        assert_eq!(
            ran.code,
            Some(2),
            "{more:?}: {}\n{}",
            ran.stdout,
            ran.stderr
        );
        assert!(ran.stderr.contains("hint: "), "{more:?}: {}", ran.stderr);
        assert!(
            !self.path("refused").join("trials").exists(),
            "something was made"
        );
        ran.stderr
    }
}

/// The weights of every finished run of the study, by trial and seed.
pub fn weights(dir: &Path) -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for trial in std::fs::read_dir(dir.join("trials")).expect("trials") {
        let trial = trial.expect("an entry").path();
        for run in std::fs::read_dir(&trial).expect("runs") {
            let run = run.expect("an entry").path();
            let record = run.join("run.json");
            if !record.is_file() || json(&record)["exit_reason"] != "finished" {
                continue;
            }
            let name = run.strip_prefix(dir).expect("inside").display().to_string();
            all.insert(name, runs::weights(&run));
        }
    }
    all
}
