//! A folder to work in, with a plugin folder `p` and a cache of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use biorule_tests::plugins::{Ran, Run, specimen};
use serde_json::Value;
use tempfile::TempDir;

pub struct Home(TempDir);

/// A file of the plugin folder that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub path: String,
    pub error: String,
    pub hint: String,
}

impl Home {
    pub fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(home.plugins()).unwrap();
        home
    }
    pub fn path(&self) -> &Path {
        self.0.path()
    }
    pub fn plugins(&self) -> PathBuf {
        self.path().join("p")
    }
    /// `biorule ARGUMENTS` in this folder.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::new(arguments.iter().copied())
            .dir(self.path())
            .env("XDG_CACHE_HOME", self.path().join("cache"))
    }
    /// What `rules list` says of the plugin folder: the names of the rules, and what was refused.
    pub fn listed(&self) -> (Vec<String>, Vec<Refused>) {
        read(
            &self
                .run(&["rules", "list", "--json", "--plugins", "p"])
                .stdout(),
        )
    }
    /// Writes a configuration whose one layer learns by `rule`, and trains it with the plugin
    /// folder.
    pub fn train(&self, rule: &str) -> Ran {
        let text = format!(
            "name = \"t\"\ndevice = \"cpu\"\ndata = {{ set = \"digits\", limit_train = 40, limit_test = 20 }}\n\
             [[blocks]]\nname = \"out\"\nlayer = \"dense\"\nout = \"classes\"\nrule = \"{rule}\"\n\
             [training.gradient]\nepochs = 1\nbatch = 20\n"
        );
        std::fs::write(self.path().join("c.toml"), text).unwrap();
        let folder = format!("run-{rule}");
        self.run(&[
            "train",
            "c.toml",
            "--quiet",
            "--plugins",
            "p",
            "--run-dir",
            &folder,
        ])
        .finish()
    }
    /// Compiles C source to the library `p/NAME`.
    pub fn compile(&self, name: &str, flags: &[&str], source: &str) {
        let file = self.path().join("source.c");
        std::fs::write(&file, source).unwrap();
        let done = Command::new("cc")
            .args(flags)
            .arg("-o")
            .arg(self.plugins().join(name))
            .arg(&file)
            .status()
            .unwrap();
        assert!(done.success());
    }
}

/// The rules and the refused files in the output of `rules list --json`.
pub fn read(json: &str) -> (Vec<String>, Vec<Refused>) {
    let json: Value = serde_json::from_str(json).unwrap();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    let list = |key: &str| json[key].as_array().unwrap().clone();
    let rules = list("rules").iter().map(|r| text(&r["name"])).collect();
    let refused = list("refused");
    let refused = refused.iter().map(|r| Refused {
        path: text(&r["path"]),
        error: text(&r["error"]),
        hint: text(&r["hint"]),
    });
    (rules, refused.collect())
}

/// A real plugin that is not beside the binary, with the rule `specimen`.
pub fn whole() -> Vec<u8> {
    std::fs::read(specimen("modes")).unwrap()
}
