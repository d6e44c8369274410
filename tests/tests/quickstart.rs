//! `biorule quickstart`, as a newcomer runs it.

use std::path::Path;

use biorule_tests::plugins::{Ran, Run};
use biorule_tests::processes::{signal, until_by};

const EXPERIMENTS: [&str; 11] = [
    "backprop",
    "fa",
    "usf",
    "brsf",
    "frsf",
    "kolen-pollack",
    "dfa",
    "softhebb",
    "krotov",
    "mixture",
    "random",
];

fn quickstart(home: &Path, more: &[&str]) -> Ran {
    Run::new(["quickstart", "--device", "cpu"])
        .arguments(more)
        .dir(home)
        .finish()
}

/// Accuracy in percent and the word for the angle, from the row of `experiment`.
fn row(text: &str, experiment: &str) -> (f64, String) {
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(Into::into).collect() };
    let row = text
        .lines()
        .map(words)
        .find(|w| w.first().is_some_and(|w| w == experiment))
        .unwrap_or_else(|| panic!("no row `{experiment}` in\n{text}"));
    let percent = row.iter().position(|w| w == "%").expect("an accuracy");
    (row[percent - 1].parse().unwrap(), row[percent + 1].clone())
}

#[test]
fn the_last_screen_compares_the_rules_and_the_runs_are_ordinary_ones() {
    let home = tempfile::tempdir().unwrap();
    let ran = quickstart(home.path(), &["--run-dir", "all"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let angle = |experiment: &str| {
        let word = row(&ran.stdout, experiment).1;
        word.trim_end_matches('°').parse::<f64>().ok()
    };
    // What is known of them: the true gradient has no angle to itself, random feedback has a
    // large one that alignment brings below a right angle, local rules and frozen ones have none.
    assert_eq!(angle("backprop"), Some(0.0));
    for experiment in ["fa", "usf", "brsf", "frsf", "kolen-pollack", "dfa"] {
        let angle = angle(experiment).unwrap_or_else(|| panic!("{experiment} has no angle"));
        assert!((1.0..90.0).contains(&angle), "{experiment}: {angle}");
    }
    assert!(angle("usf") < angle("fa"), "signs are nearer than chance");
    for experiment in ["softhebb", "krotov", "mixture", "random"] {
        assert_eq!(angle(experiment), None, "{experiment}");
    }
    let (frozen, _) = row(&ran.stdout, "random");
    for experiment in EXPERIMENTS {
        let (accuracy, _) = row(&ran.stdout, experiment);
        assert!(
            experiment == "random" || accuracy > frozen + 5.0,
            "{experiment}: {accuracy} %, random weights {frozen} %\n{}",
            ran.stdout
        );
        let folder = home.path().join("all").join(experiment);
        assert!(folder.join("run.json").is_file(), "{experiment}");
        assert!(ran.stderr.contains(experiment), "a line when it is done");
    }
    assert!(ran.stdout.contains("run folders: all/"), "{}", ran.stdout);

    // Ordinary runs: evaluated, compared, and of the configurations in `configs/quickstart`.
    let eval = Run::new(["eval", "all/fa"]).dir(home.path()).stdout();
    let (accuracy, _) = row(&ran.stdout, "fa");
    assert!(eval.contains(&format!("{accuracy:.2} %")), "{eval}");
    let compared = Run::new(["runs", "compare", "all"]).dir(home.path());
    assert!(compared.stdout().contains("kolen-pollack"));
    let file = biorule_tests::repository().join("configs/quickstart/mixture.toml");
    let again = Run::new(["train", "--device", "cpu", "--run-dir", "all/mixture"])
        .arguments(&[file])
        .dir(home.path())
        .finish();
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(
        again.stderr.contains("nothing left to do"),
        "{}",
        again.stderr
    );

    // The same command says the same; another seed in the same folder is refused.
    let again = quickstart(home.path(), &["--run-dir", "all", "--quiet"]);
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (Some(0), ran.stdout.as_str())
    );
    assert!(again.stderr.is_empty(), "{}", again.stderr);
    let other = quickstart(home.path(), &["--run-dir", "all", "--seed", "3"]);
    assert_eq!(other.code, Some(2), "{}", other.stderr);
}

/// Ctrl-C in the middle; the same command goes on and comes to the same numbers.
#[cfg(unix)]
#[test]
fn a_stopped_quickstart_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut child = Run::new(["quickstart", "--device", "cpu", "--run-dir", "all"])
        .dir(home.path())
        .command()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // As soon as the second experiment is under way.
    let second = home.path().join("all/fa/run.json");
    until_by(&mut child, "the second begins", 240, || second.exists());
    assert!(signal("INT", child.id()));
    let stopped = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&stopped.stderr);
    assert_eq!(stopped.status.code(), Some(75), "{stderr}");
    assert!(stderr.contains("with `--run-dir all` goes on"), "{stderr}");
    let on = quickstart(home.path(), &["--run-dir", "all"]);
    assert_eq!(on.code, Some(0), "{}", on.stderr);
    let whole = quickstart(home.path(), &["--run-dir", "whole"]);
    for experiment in EXPERIMENTS {
        assert_eq!(row(&on.stdout, experiment), row(&whole.stdout, experiment));
    }
}
