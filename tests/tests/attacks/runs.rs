//! A network trained by the binary, and `biorule attack` on it.

use std::fs;
use std::path::{Path, PathBuf};

use biorule_tests::plugins::Run;
use serde_json::Value;

pub const CONFIG: &str = r#"
name = "attacked"
seeds = [1]
data = { set = "digits", normalize = "standard" }

[[blocks]]
name = "hidden"
flatten = true
layer = "dense"
out = 48
bias = true
rule = "feedback-alignment/fa"
activation = "relu"

[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
bias = true
rule = "backprop"

[training]
mode = "end-to-end"

[training.gradient]
epochs = 6
batch = 32
optimizer = { kind = "adam", lr = 0.002 }
"#;

/// A network trained by the binary in `home/run`.
pub fn trained(home: &Path) -> PathBuf {
    let config = home.join("attacked.toml");
    fs::write(&config, CONFIG).expect("written");
    let run = home.join("run");
    Run::new(["train", "-q"])
        .arguments(&[config.as_path(), Path::new("--run-dir"), run.as_path()])
        .stdout();
    run
}

pub fn attacked(run: &Path, further: &[&str]) -> Value {
    let ran = Run::new(["attack"])
        .arguments(&[run])
        .arguments(&["--json", "-q"])
        .arguments(further)
        .finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("JSON")
}
