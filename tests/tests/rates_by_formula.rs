//! Rates by formula in the real program: the same training as with the schedule that they spell
//! out, and a refusal before anything is trained where they give no rate.

use std::path::Path;

use biorule_tests::Result;
use biorule_tests::plugins::{Ran, Run};
use biorule_tests::runs::weights;

/// A Krotov layer and a read-out on the first 400 digits, 25 steps an epoch.
const CONFIG: &str = r#"
data = { set = "digits", limit_train = 400, limit_test = 100 }
device = "cpu"
[[blocks]]
name = "features"
layer = "dense"
out = 16
rule = "krotov"
activation = "relu"
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training.local]
epochs = 2
batch = 16
[training.gradient]
epochs = 3
batch = 16
optimizer = { kind = "sgd", lr = 0.1 }
"#;

fn train(dir: &Path, run: &str, sets: &[&str]) -> Result<Ran> {
    std::fs::write(dir.join("net.toml"), CONFIG)?;
    let fixed = ["train", "net.toml", "--quiet", "--run-dir", run];
    Ok(Run::new(fixed).sets(sets).dir(dir).finish())
}

#[test]
fn a_formula_trains_as_the_schedule_that_it_spells_out() -> Result<()> {
    let home = tempfile::tempdir()?;
    let plain = [
        "training.local.local_rate={ kind = \"linear\", start = 0.04 }",
        "training.gradient.schedule={ kind = \"steps\", epochs = [1, 2], gamma = 0.5 }",
    ];
    let formula = [
        "training.local.local_rate=0.04*(1 - floor(b/steps)/epochs)",
        "training.gradient.schedule=0.5^epoch",
    ];
    let other = ["training.local.local_rate=0.02/(1+b)"];
    for (run, sets) in [
        ("plain", &plain[..]),
        ("formula", &formula),
        ("other", &other),
    ] {
        let ran = train(home.path(), run, sets)?;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    }
    let tensors = weights(&home.path().join("plain"));
    assert!(tensors == weights(&home.path().join("formula")));
    assert!(tensors != weights(&home.path().join("other")));
    Ok(())
}

/// Warnings of a run are its training's; an evaluation says only what its own flags ask for.
#[test]
fn an_evaluation_does_not_repeat_what_training_said() -> Result<()> {
    let home = tempfile::tempdir()?;
    let ran = train(home.path(), "run", &["training.gradient.schedule=softhebb"])?;
    assert_eq!(ran.stderr.matches("warning: ").count(), 1, "{}", ran.stderr);
    let eval = |more: &[&str]| {
        let words = ["eval", "run"].iter().chain(more).copied();
        Run::new(words).dir(home.path()).finish()
    };
    assert_eq!(eval(&[]).stderr, "");
    let own = eval(&["--set", "data.augment.noise=0.5"]).stderr;
    assert!(own.contains("`data.augment.noise` (from `--set "), "{own}");
    Ok(())
}

#[test]
fn a_formula_without_a_rate_at_some_batch_is_refused_before_the_first() -> Result<()> {
    let home = tempfile::tempdir()?;
    // 2 epochs of 25 batches, then 3 of them.
    for (set, place) in [
        ("training.local.local_rate=0.1/(49-b)", "is inf at b = 49"),
        (
            "training.gradient.schedule=sqrt(73-b)",
            "not a number at b = 74",
        ),
        ("training.gradient.schedule=1-b/steps", "is -0.04"),
    ] {
        let ran = train(home.path(), "refused", &[set])?;
        assert_eq!(ran.code, Some(2), "{set}: {}", ran.stderr);
        assert!(ran.stderr.contains(place), "{set}: {}", ran.stderr);
        let folder = home.path().join("refused");
        assert!(
            !folder.join("checkpoints/last.safetensors").exists(),
            "{set}"
        );
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}
