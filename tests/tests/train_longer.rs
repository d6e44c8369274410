//! More epochs in the same folder end with the bits of a run of that length, or are refused with
//! the reason; the weights of one run are where another starts.

use std::path::Path;

use biorule_tests::Result;
use biorule_tests::plugins::{Ran, Run};
use biorule_tests::runs::{self, metrics, record, tensors, weights};

const NET: &str = r#"
name = "net"
data = "digits"
device = "cpu"
baselines = ["linear-pixels"]
output = { log_every = 3 }

[[blocks]]
name = "features"
layer = "dense"
out = 24
rule = { name = "softhebb", lr = 0.02 }
activation = "triangle(0.7)"

[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
dropout = 0.2

[training.gradient]
epochs = 2
optimizer = { kind = "adam", lr = 0.01 }
"#;

const EPOCHS: &str = "training.gradient.epochs";

fn home() -> Result<tempfile::TempDir> {
    runs::home("net.toml", NET)
}

fn train(home: &Path, run: &str, sets: &[&str]) -> Ran {
    Run::new(["train", "net.toml", "--quiet", "--run-dir", run])
        .sets(sets)
        .dir(home)
        .finish()
}

fn trained(home: &Path, run: &str, sets: &[&str]) {
    let ran = train(home, run, sets);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

fn same(home: &Path, a: &str, b: &str) {
    assert_eq!(metrics(&home.join(a)), metrics(&home.join(b)));
    for name in ["last", "best"] {
        let file = |run: &str| {
            home.join(run)
                .join(format!("checkpoints/{name}.safetensors"))
        };
        assert!(tensors(&file(a)) == tensors(&file(b)), "`{name}` differs");
    }
    assert_eq!(
        record(&home.join(a))["results"],
        record(&home.join(b))["results"]
    );
}

#[test]
fn a_finished_run_goes_on_to_the_bits_of_a_longer_one() -> Result<()> {
    let home = home()?;
    let home = home.path();
    let seeds = |run: &str, epochs: u64| {
        let epochs = format!("{EPOCHS}={epochs}");
        trained(home, run, &["seeds=[0, 1]", &epochs]);
    };
    seeds("grown", 2);
    let first = record(&home.join("grown/seed-0"));
    seeds("grown", 3);
    seeds("grown", 5);
    seeds("whole", 5);
    for seed in ["seed-0", "seed-1"] {
        same(home, &format!("grown/{seed}"), &format!("whole/{seed}"));
    }
    let now = record(&home.join("grown/seed-0"));
    let steps = &now["extended"];
    assert_eq!(steps[0]["phases"][0]["from"], 2);
    assert_eq!(steps[1]["phases"][0]["to"], 5);
    assert_eq!(steps[0]["results"], first["results"]);
    assert_eq!(steps[0]["config_hash"], first["config_hash"]);
    assert_ne!(now["config_hash"], first["config_hash"]);
    // The longer configuration is the folder's now: nothing is left to do, and the shorter is another.
    seeds("grown", 5);
    let shorter = train(home, "grown", &["seeds=[0, 1]"]);
    assert_eq!(shorter.code, Some(2), "{}", shorter.stderr);
    assert!(
        shorter
            .stderr
            .contains("`phases.readout.epochs` (2 now, 5 in the folder)"),
        "{}",
        shorter.stderr
    );
    same(home, "grown/seed-0", "whole/seed-0");
    Ok(())
}

/// What would have been otherwise from the start is no longer run but another one.
#[test]
fn what_depends_on_the_number_of_epochs_is_refused_with_the_reason() -> Result<()> {
    let home = home()?;
    let home = home.path();
    let grown = format!("{EPOCHS}=4");
    let cosine = "training.gradient.schedule=cosine";
    let linear = "blocks.features.rule.rate=linear";
    let longer_features = "training.local.epochs=4";
    let rare = "training.gradient.evaluate_every=3";
    let local_only =
        "phases=[{ name = \"features\", blocks = [\"features\"], drive = \"local\", epochs = 2 }]";
    let no_baseline = "baselines=[]";
    for (run, always, change, why) in [
        ("cosine", vec![cosine], grown.as_str(), "`schedule`"),
        (
            "under",
            vec![],
            longer_features,
            "phase `readout` has been trained on top of it",
        ),
        ("rare", vec![rare], &grown, "`evaluate_every` is 3"),
        (
            "rule",
            vec![no_baseline, linear, local_only],
            "phases.features.epochs=4",
            "depend on the number of epochs",
        ),
    ] {
        trained(home, run, &always);
        let before = weights(&home.join(run));
        let ran = train(home, run, &[always.as_slice(), &[change]].concat());
        assert_eq!(ran.code, Some(2), "{run}: {}", ran.stderr);
        assert!(ran.stderr.contains(why), "{run}: {}", ran.stderr);
        assert!(ran.stderr.contains("--init-from"), "{run}: {}", ran.stderr);
        // The folder is as it was, and the former command still has nothing to do.
        assert!(before == weights(&home.join(run)));
        trained(home, run, &always);
    }
    // Beside other changes more epochs are no way in.
    trained(home, "both", &[]);
    let ran = train(
        home,
        "both",
        &[&grown, "training.gradient.optimizer.lr=0.02"],
    );
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`phases.readout.optimizer.lr`"),
        "{}",
        ran.stderr
    );
    // A rate that is no function of the number of epochs does not hinder.
    let steady = [
        "blocks.features.rule.rate=constant",
        no_baseline,
        local_only,
    ];
    trained(home, "steady", &steady);
    trained(
        home,
        "steady",
        &[&steady[..], &["phases.features.epochs=4"]].concat(),
    );
    trained(
        home,
        "steady-whole",
        &[&steady[..], &["phases.features.epochs=4"]].concat(),
    );
    assert!(weights(&home.join("steady")) == weights(&home.join("steady-whole")));
    Ok(())
}

#[test]
fn weights_are_taken_by_block_and_the_rest_is_new() -> Result<()> {
    let home = home()?;
    let home = home.path();
    trained(home, "source", &["baselines=[]"]);
    let source = weights(&home.join("source"));
    let start = |run: &str, more: &[&str]| {
        // One step of a rate that moves nothing shows what the run started with.
        let still = [
            "baselines=[]",
            "training.gradient.optimizer.lr=0.0",
            "blocks.features.rule.lr=0.0",
        ];
        let fixed = [
            "train",
            "net.toml",
            "--run-dir",
            run,
            "--init-from",
            "source",
        ];
        Run::new(fixed).sets(&still).sets(more).dir(home).finish()
    };
    let feature = "blocks.features.layer.weight";
    let readout = "blocks.readout.layer.weight";
    let all = start("all", &[]);
    assert_eq!(all.code, Some(0), "{}", all.stderr);
    let taken = weights(&home.join("all"));
    for name in [feature, readout, "blocks.readout.layer.bias"] {
        assert!(taken[name] == source[name], "`{name}` is taken");
    }
    let digest = record(&home.join("all"))["init"]["sha256"]
        .as_str()
        .map(str::len);
    assert_eq!(digest, Some(64));

    // Another number of classes: the read-out is new, the features are taken.
    let other = start(
        "other",
        &["data={ set = \"gabor\", options = { size = 8, train = 200, test = 100 } }"],
    );
    assert_eq!(other.code, Some(0), "{}", other.stderr);
    assert!(
        other
            .stderr
            .contains("new: `readout` (1 tensor) (shape [8, 24] here, [10, 24] in the file)"),
        "{}",
        other.stderr
    );
    assert!(weights(&home.join("other"))[feature] == source[feature]);
    // Selected blocks only.
    let one = start("one", &["init_blocks=[\"readout\"]"]);
    assert_eq!(one.code, Some(0), "{}", one.stderr);
    let one = weights(&home.join("one"));
    assert!(one[readout] == source[readout] && one[feature] != source[feature]);

    // Another width is refused before anything is trained, and so is a file that is not there.
    let wide = start("wide", &["blocks.features.out=25"]);
    assert_eq!(wide.code, Some(2), "{}", wide.stderr);
    assert!(
        wide.stderr
            .contains("`blocks.features.layer.weight` does not fit"),
        "{}",
        wide.stderr
    );
    assert!(!home.join("wide/checkpoints/last.safetensors").exists());
    std::fs::rename(home.join("source"), home.join("moved"))?;
    let gone = start("gone", &[]);
    assert_eq!(gone.code, Some(2), "{}", gone.stderr);
    assert!(gone.stderr.contains("is not there"), "{}", gone.stderr);
    // A run that has begun does not need it any more.
    assert_eq!(start("all", &[]).code, Some(0));
    Ok(())
}
