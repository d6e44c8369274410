//! `biorule runs find`, `tag` and `prune`, and paired comparisons.

use std::path::Path;

use biorule_tests::Result;
use biorule_tests::plugins::{Ran, Run, call};
use biorule_tests::searching::json;
use serde_json::Value;

/// A read-out on the digits by one rule.
fn config(dir: &Path, name: &str, rule: &str, lr: f64) -> Result<()> {
    let text = format!(
        "name = \"{name}\"\ndata = \"digits\"\ndevice = \"cpu\"\nrule = \"{rule}\"\n\
         [[blocks]]\nlayer = \"dense\"\nout = 16\nactivation = \"relu\"\n\
         [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\n\
         [training.gradient]\nepochs = 1\nbatch = 16\noptimizer = {{ kind = \"sgd\", lr = {lr:?} }}\n"
    );
    Ok(std::fs::write(dir.join(format!("{name}.toml")), text)?)
}

fn well(dir: &Path, words: &[&str]) -> Ran {
    Run::new(words).dir(dir).done()
}

/// Folders that `runs find` prints.
fn found(dir: &Path, words: &[&str]) -> Vec<String> {
    let ran = well(dir, &[&["runs", "find", "--paths"], words].concat());
    ran.stdout.lines().map(str::to_owned).collect()
}

/// Runs of two rules with two seeds each, and one that diverges.
fn home() -> Result<tempfile::TempDir> {
    let home = tempfile::tempdir()?;
    let dir = home.path();
    config(dir, "bp", "backprop", 0.1)?;
    config(dir, "fa", "feedback-alignment/fa", 0.1)?;
    config(dir, "wild", "backprop", 1e38)?;
    for name in ["bp", "fa"] {
        let folder = format!("runs/{name}/first");
        let file = format!("{name}.toml");
        well(
            dir,
            &["train", &file, "--seeds", "2", "--run-dir", &folder, "-q"],
        );
    }
    let wild = call(dir, &["train", "wild.toml", "-q"]);
    assert_eq!(wild.code, Some(5), "{}", wild.stderr);
    Ok(home)
}

#[test]
fn runs_are_found_by_what_they_are() -> Result<()> {
    let home = home()?;
    let dir = home.path();
    let bp = ["runs/bp/first/seed-0", "runs/bp/first/seed-1"];
    let fa = ["runs/fa/first/seed-0", "runs/fa/first/seed-1"];
    assert_eq!(found(dir, &["--rule", "feedback-alignment"]), fa);
    assert_eq!(found(dir, &["--experiment", "bp"]), bp);
    assert_eq!(found(dir, &["--data", "digits"]).len(), 5);
    assert_eq!(found(dir, &["--data", "mnist"]).len(), 0);
    assert_eq!(found(dir, &["--seed", "1", "FIRST"]), [bp[1], fa[1]]);
    assert_eq!(found(dir, &["--state", "diverged"]).len(), 1);
    assert_eq!(found(dir, &["--where", "test/accuracy >= 0%"]).len(), 4);
    assert_eq!(found(dir, &["--where", "test/accuracy > 1"]).len(), 0);
    // Of several seeds the folder above stands for all.
    well(dir, &["runs", "tag", "runs/fa/first", "paper", "figure-3"]);
    assert_eq!(found(dir, &["--tag", "paper", "--tag", "figure-3"]), fa);
    well(dir, &["runs", "tag", fa[0], "paper", "--remove"]);
    assert_eq!(found(dir, &["--tag", "paper"]), [fa[1]]);
    let listed = well(dir, &["runs", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout)?;
    let all = listed.as_array().expect("a list");
    assert!(
        all.iter()
            .all(|run| run["disk_bytes"].as_u64() > Some(1000))
    );
    let tagged = all
        .iter()
        .find(|run| run["folder"] == fa[1])
        .expect("the run");
    assert_eq!(tagged["tags"], serde_json::json!(["figure-3", "paper"]));
    let shown = well(dir, &["runs", "show", fa[1]]).stdout;
    assert!(
        shown.contains("tags      figure-3, paper") && shown.contains("disk      "),
        "{shown}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_refused() -> Result<()> {
    let home = home()?;
    let dir = home.path();
    for (words, told) in [
        (
            &["runs", "find", "--state", "finshed"][..],
            "did you mean `finished`?",
        ),
        (
            &["runs", "find", "--where", "test/acuracy > 0"],
            "did you mean `test/accuracy`?",
        ),
        (
            &["runs", "find", "--where", "test/accuracy"],
            "expected a result",
        ),
        (&["runs", "find", "--in", "nowhere"], "is no folder"),
        (&["runs", "tag", "runs/bp", "x"], "is no run"),
        (&["runs", "tag", "runs/bp/first", "a b"], "cannot be a tag"),
        (
            &["runs", "tag", "runs/bp/first", "x", "--remove"],
            "has no tag `x`",
        ),
        (
            &["runs", "tag", "runs/bp/first", "--remove"],
            "names no tag",
        ),
        (&["runs", "prune"], "nothing says which runs go"),
        (&["runs", "prune", "--older-than", "soon"], "such as `30d`"),
        (
            &["runs", "prune", "--all", "--failed"],
            "cannot be used with",
        ),
        (
            &["runs", "compare", "runs", "--against", "ba"],
            "no experiment there is named `ba`",
        ),
    ] {
        let ran = call(dir, words);
        assert_eq!(ran.code, Some(2), "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{words:?}: {}", ran.stderr);
    }
    Ok(())
}

#[test]
fn pruning_shows_first_and_keeps_what_matters() -> Result<()> {
    let home = home()?;
    let dir = home.path();
    well(dir, &["runs", "tag", "runs/fa/first/seed-0", "paper"]);
    let dry = well(dir, &["runs", "prune", "--failed"]);
    assert!(dry.stderr.contains("1 runs would go"), "{}", dry.stderr);
    assert_eq!(found(dir, &[]).len(), 5);
    well(dir, &["runs", "prune", "--failed", "--yes"]);
    assert_eq!(found(dir, &[]).len(), 4);
    // The only run of its experiment: the link to the latest and the folder go with it.
    assert!(!dir.join("runs/wild").exists());
    // Young runs stay; so does the one with a tag, and one that runs.
    well(dir, &["runs", "prune", "--older-than", "1h", "--yes"]);
    assert_eq!(found(dir, &[]).len(), 4);
    let held = biorule::run::Lock::acquire(&dir.join("runs/bp/first/seed-0/lock"))?;
    let text = std::fs::read_to_string(dir.join("runs/bp/first/seed-0/run.json"))?;
    let mut record: Value = serde_json::from_str(&text)?;
    record["exit_reason"] = Value::Null;
    std::fs::write(
        dir.join("runs/bp/first/seed-0/run.json"),
        record.to_string(),
    )?;
    let ran = well(dir, &["runs", "prune", "--all", "--yes", "--json"]);
    let told: Value = serde_json::from_str(&ran.stdout)?;
    let why: Vec<&Value> = (told["runs"].as_array().expect("a list").iter())
        .map(|run| &run["stays_because"])
        .collect();
    assert!(why.contains(&&Value::from("it runs")) && why.contains(&&Value::from("it has a tag")));
    assert_eq!(
        found(dir, &[]),
        ["runs/bp/first/seed-0", "runs/fa/first/seed-0"]
    );
    drop(held);
    // The latest of each experiment.
    for _ in 0..2 {
        well(dir, &["train", "bp.toml", "-q"]);
    }
    well(dir, &["runs", "prune", "--keep-last", "1", "--yes"]);
    let left = found(dir, &["--experiment", "bp"]);
    assert_eq!(left.len(), 1);
    assert!(dir.join("runs/bp/latest/run.json").is_file());
    // Checkpoints alone: results stay.
    let before = json(&dir.join(&left[0]).join("run.json"))["results"].clone();
    well(dir, &["runs", "prune", "--all", "--checkpoints", "--yes"]);
    assert!(!dir.join(&left[0]).join("checkpoints").exists());
    assert_eq!(
        json(&dir.join(&left[0]).join("run.json"))["results"],
        before
    );
    assert!(dir.join("runs/fa/first/seed-0/checkpoints").is_dir());
    Ok(())
}

#[test]
fn experiments_with_the_same_seeds_are_compared_in_pairs() -> Result<()> {
    let home = home()?;
    let dir = home.path();
    let text = well(dir, &["runs", "compare", "runs", "--against", "fa"]).stdout;
    assert!(
        text.contains("± is the standard deviation over seeds"),
        "{text}"
    );
    assert!(text.contains("each minus `fa`, seeds paired"), "{text}");
    let ran = well(
        dir,
        &["runs", "compare", "runs", "--against", "fa", "--json"],
    );
    let all: Value = serde_json::from_str(&ran.stdout)?;
    let group = |name: &str| {
        let all = all.as_array().expect("a list").iter();
        all.clone()
            .find(|group| group["name"] == name)
            .expect("it")
            .clone()
    };
    let values = |name: &str| -> Vec<f64> {
        let group = group(name);
        let results = group["results"].as_array().expect("a list").clone();
        let one = results
            .iter()
            .find(|r| r["name"] == "test/accuracy")
            .expect("it");
        serde_json::from_value(one["values"].clone()).expect("numbers")
    };
    let paired = group("bp")["paired"].clone();
    assert_eq!(paired["against"], "fa");
    let differences = paired["differences"].as_array().expect("a list").clone();
    let of = differences
        .iter()
        .find(|d| d["name"] == "test/accuracy")
        .expect("it");
    let (bp, fa) = (values("bp"), values("fa"));
    let mean = (bp[0] - fa[0] + bp[1] - fa[1]) / 2.0;
    assert!((of["mean"].as_f64().expect("a number") - mean).abs() < 1e-12);
    assert_eq!(of["seeds"], serde_json::json!([0, 1]));
    assert!(group("fa").get("paired").is_none());
    Ok(())
}

/// A seed of a phase's own: its order is the same under all seeds of the run, weights are not.
#[test]
fn a_phase_with_a_seed_of_its_own_has_one_order_under_all_seeds() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path();
    config(dir, "bp", "backprop", 0.1)?;
    let result = |name: &str, more: &[&str]| {
        let words = ["train", "bp.toml", "-q", "--run-dir", name];
        well(dir, &[&words, more].concat());
        json(&dir.join(name).join("run.json"))["results"].clone()
    };
    let own = ["--set", "training.gradient.seed=0"];
    // Under the same seed it changes nothing; under another the order stays and weights differ.
    assert_eq!(
        result("a", &["--seed", "0"]),
        result("b", &[&own[..], &["--seed", "0"]].concat())
    );
    let one = result("c", &[&own[..], &["--seed", "1"]].concat());
    assert_ne!(one, result("d", &["--seed", "1"]));
    assert_ne!(one, result("a", &[]));
    Ok(())
}
