//! Wishes at the edges of what makes sense: each is carried out, or refused with its reason and the
//! documented exit code.

use std::path::Path;

use biorule_tests::plugins::Run;

const NETWORK: &str = r#"name = "edges"
data = { set = "digits", limit_train = 200, limit_test = 50 }
device = "cpu"
[[blocks]]
name = "features"
layer = "conv"
kernel = 3
out = 4
rule = "krotov"
activation = "relu"
pool = "max 2"
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training.gradient]
epochs = 1
"#;

/// `train` of [`NETWORK`] in `home` with these arguments: exit code, standard error.
fn train(home: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    std::fs::write(home.join("n.toml"), NETWORK).expect("a file");
    let mut all = vec!["train", "n.toml"];
    all.extend(arguments);
    let done = Run::new(all).dir(home).finish();
    (done.code, done.stderr)
}

/// Refused with exit code 2 and these words, and no run folder is left.
fn refused(arguments: &[&str], words: &str) {
    let home = tempfile::tempdir().expect("a folder");
    let all = [arguments, &["--run-dir", "r"]].concat();
    let (code, stderr) = train(home.path(), &all);
    assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
    assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    assert!(!home.path().join("r/run.json").exists());
}

#[test]
fn a_pool_that_steps_beyond_the_map_has_one_window() {
    let home = tempfile::tempdir().expect("a folder");
    for kind in ["max", "avg"] {
        for stride in ["100", "9223372036854775807"] {
            let pool = format!("blocks.features.pool={{kind=\"{kind}\",kernel=2,stride={stride}}}");
            let folder = format!("{kind}-{stride}");
            let (code, stderr) = train(home.path(), &["--set", &pool, "--run-dir", &folder]);
            assert_eq!(code, Some(0), "{pool}: {stderr}");
        }
    }
}

#[test]
fn phases_that_cannot_end_are_refused() {
    let endless = ["--set", "training.local.epochs=0", "--set"];
    for stop in [
        "training.local.stop={metric=\"convergence\",threshold=-1}",
        "training.local.stop={metric=\"convergence\",threshold=0.0}",
        "training.local.stop={metric=\"convergence\",patience=1e300}",
    ] {
        refused(&[&endless[..], &[stop]].concat(), "the phase never ends");
    }
}

#[test]
fn a_key_of_thousands_of_parts_is_refused() {
    let key = "a.".repeat(20_000) + "a=1";
    refused(&["--set", &key], "a key of 20001 parts");
}

#[test]
fn threads_from_the_environment_have_the_limit_of_the_setting() {
    let home = tempfile::tempdir().expect("a folder");
    let done = Run::new(["doctor"])
        .dir(home.path())
        .env("RAYON_NUM_THREADS", "100000000")
        .finish();
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(
        done.stderr.contains("`RAYON_NUM_THREADS` is 100000000"),
        "{}",
        done.stderr
    );
}

#[test]
fn one_run_and_several_seeds_share_no_folder() {
    let home = tempfile::tempdir().expect("a folder");
    let go = |arguments: &[&str]| train(home.path(), arguments);
    let (code, stderr) = go(&["--run-dir", "many", "--set", "seeds=[1,2]"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stderr) = go(&["--run-dir", "many", "--seed", "1"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("holds the runs of several seeds"),
        "{stderr}"
    );
    let (code, stderr) = go(&["--run-dir", "many/seed-1", "--seed", "1"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stderr) = go(&["--run-dir", "many/seed-1", "--set", "seeds=[1,2]"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("holds one run"), "{stderr}");
}

/// A run that has finished epochs and lost its checkpoints is not begun anew in silence.
#[test]
fn checkpoints_that_are_gone_are_told() {
    let home = tempfile::tempdir().expect("a folder");
    let (code, stderr) = train(home.path(), &["--run-dir", "r"]);
    assert_eq!(code, Some(0), "{stderr}");
    // As a stopped run leaves it.
    let record = home.path().join("r/run.json");
    let text = std::fs::read_to_string(&record).expect("run.json");
    let mut json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    json["exit_reason"] = "stopped".into();
    std::fs::write(&record, json.to_string()).expect("run.json");
    for file in std::fs::read_dir(home.path().join("r/checkpoints")).expect("checkpoints") {
        std::fs::remove_file(file.expect("a file").path()).expect("removed");
    }
    let (code, stderr) = train(home.path(), &["--run-dir", "r"]);
    assert_eq!(code, Some(7), "{stderr}");
    assert!(stderr.contains("its checkpoints are gone"), "{stderr}");
    let done = Run::new(["eval", "r"]).dir(home.path()).finish();
    assert_eq!(done.code, Some(7), "{}", done.stderr);
}

/// What a rule makes inside a step is not in the sum over the plan: `[10⁶, 576]` values here.
#[cfg(target_os = "linux")]
#[test]
fn a_tensor_of_a_rule_that_does_not_fit_is_an_error_of_the_rule() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("n.toml"), NETWORK).expect("a file");
    let rule = "blocks.readout.rule={name=\"weight-mirror\",samples=1000000}";
    let ran = Run::new(["train", "n.toml", "--run-dir", "r", "--set", rule])
        .arguments(&["--set", "blocks.features.out=64"])
        .dir(home.path())
        .limit("-v 4000000")
        .finish();
    let stderr = &ran.stderr;
    assert_eq!(ran.code, Some(4), "{stderr}");
    let words = "a tensor of shape [1000000, 576] needs";
    assert!(stderr.contains(words), "{stderr}");
}

#[cfg(unix)]
#[test]
fn a_configuration_without_an_end_is_refused() {
    let ran = Run::new(["train", "/dev/zero"]).finish();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let words = "`/dev/zero` has more than 16777216 bytes";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
}
