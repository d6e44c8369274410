//! Rules that break their contract or lie (`tests/specimens/zoo`): which check catches each, and what
//! `train` does with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use biorule_tests::plugins::{Ran, Run, plugin_folder, specimen};
use biorule_tests::processes::{over, signal, until};
use serde_json::Value;

/// Verdict and detail of each check of `zoo/RULE`, with these further arguments.
fn checked(rule: &str, arguments: &[&str]) -> (Ran, BTreeMap<String, (String, String)>) {
    let zoo = specimen("zoo").display().to_string();
    let ran = Run::new(["rules", "check", "--json"])
        .arguments(&["--rule", &format!("zoo/{rule}"), &zoo])
        .arguments(arguments)
        .finish();
    let report: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}\n{}", ran.stdout, ran.stderr));
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().expect("findings").iter();
    let all = findings.map(|f| {
        let seen = (text(&f["verdict"]), text(&f["detail"]));
        (text(&f["check"]), seen)
    });
    (ran.clone(), all.collect())
}

#[test]
fn a_rule_without_a_defect_passes_all_checks() {
    let (ran, verdicts) = checked("good", &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let bad = |(_, (verdict, _)): &(&String, &(String, String))| {
        verdict != "passed" && verdict != "skipped"
    };
    assert_eq!(verdicts.iter().find(bad), None);
    for check in [
        "schema", "tensors", "steps", "layers", "threads", "inputs", "configs", "memory",
    ] {
        assert_eq!(verdicts[check].0, "passed", "{check}");
    }
}

#[test]
fn each_defect_is_caught_by_the_check_of_its_name() {
    let caught = [
        ("default", "schema", "failed", "default of `size`"),
        ("twice", "tensors", "failed", "`weight` twice"),
        ("huge", "tensors", "failed", "`trace`"),
        (
            "negative",
            "tensors",
            "failed",
            "negative standard deviation",
        ),
        ("name", "tensors", "failed", "the ta/.x"),
        (
            "metrics-panic",
            "metrics",
            "failed",
            "panicked in `metrics`",
        ),
        (
            "metrics-nan",
            "metrics",
            "failed",
            "`size` of layer 0 is NaN",
        ),
        ("owner", "roles", "failed", "`Role::Weight`"),
        ("leak", "leaks", "failed", "not given back"),
        ("exit", "steps", "crashed", "ended the process in `learn`"),
        ("abort", "steps", "crashed", "ended the process in `learn`"),
        ("hidden", "deterministic", "failed", "differ"),
        ("hidden", "instances", "failed", "another network"),
        ("taught", "unsupervised", "failed", "other labels"),
        ("rate", "zero-rate", "failed", "at rate 0"),
        ("gradient", "input-gradient", "failed", "slope"),
        ("stride", "layers", "failed", "stride 2"),
        ("one", "batch-one", "failed", "NaN"),
        ("input", "inputs", "failed", "NaN"),
        ("config", "configs", "failed", "size = 50"),
        ("memory", "memory", "failed", "KiB more"),
        ("types", "types", "failed", "between f32 and f64"),
    ];
    for (rule, check, verdict, words) in caught {
        let (ran, verdicts) = checked(rule, &["--only", check]);
        let (found, detail) = &verdicts[check];
        assert_eq!(
            (found.as_str(), ran.code),
            (verdict, Some(4)),
            "{rule}: {detail}"
        );
        assert!(
            detail.contains(words),
            "{rule}: `{words}` missing in: {detail}"
        );
        assert!(
            ran.stderr.contains(&format!("`{check}` of `zoo/{rule}`")),
            "{}",
            ran.stderr
        );
        assert!(
            !ran.stderr.contains("findings"),
            "the report is on standard output alone"
        );
    }
}

#[test]
fn what_ends_the_first_step_is_told_once() {
    let (ran, verdicts) = checked("twice", &[]);
    let failed: Vec<&String> = verdicts
        .iter()
        .filter(|(_, v)| v.0 == "failed")
        .map(|(name, _)| name)
        .collect();
    assert_eq!(failed, ["tensors"], "{}", ran.stdout);
    assert!(
        verdicts["steps"].1.contains("not run: `tensors`"),
        "{:?}",
        verdicts["steps"]
    );
    let (_, verdicts) = checked("hang", &["--seconds", "2"]);
    assert_eq!(verdicts["steps"].0, "timedout");
    assert_eq!(verdicts["memory"].0, "skipped");
}

#[test]
fn groups_seeds_and_junit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.xml");
    let (ran, verdicts) = checked(
        "config",
        &[
            "--only",
            "robustness,claims",
            "--seed",
            "7",
            "--junit",
            &file.display().to_string(),
        ],
    );
    assert_eq!(ran.code, Some(4));
    assert!(
        verdicts["configs"].1.contains("of seed 7"),
        "{:?}",
        verdicts["configs"]
    );
    assert!(verdicts.contains_key("local") && !verdicts.contains_key("steps"));
    let junit = std::fs::read_to_string(&file).unwrap();
    for words in [
        "<testsuite name=\"zoo/config\"",
        "<failure message=",
        "name=\"configs\"",
        "<skipped",
    ] {
        assert!(junit.contains(words), "`{words}` missing in: {junit}");
    }
    let listed = Run::new(["rules", "check", "--list"]).stdout();
    assert!(
        listed.contains("robustness") && listed.contains("zero-rate"),
        "{listed}"
    );
    let zoo = specimen("zoo");
    let ran = Run::new(["rules", "check", "--only", "claim"])
        .arguments(&[&zoo])
        .finish();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("did you mean `claims`?"),
        "{}",
        ran.stderr
    );
}

/// A folder with a configuration whose hidden block learns by `zoo/RULE`.
fn experiment(rule: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "name = \"t\"\ndata = \"digits\"\n[[blocks]]\nname = \"hidden\"\nflatten = true\nlayer = \"dense\"\n\
         out = 12\nrule = \"zoo/{rule}\"\n[[blocks]]\nname = \"out\"\nlayer = \"dense\"\nout = \"classes\"\n\
         rule = \"backprop\"\n[training]\nmode = \"successive\"\nlocal.epochs = 1\ngradient.epochs = 1\n"
    );
    std::fs::write(folder.path().join("c.toml"), config).unwrap();
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    std::fs::copy(specimen("zoo"), plugins.join("libzoo.so")).unwrap();
    folder
}

const TRAIN: [&str; 6] = ["train", "c.toml", "--run-dir", "r", "--plugins", "plugins"];

#[test]
fn training_ends_with_rule_layer_and_call() {
    let ends = [
        ("good", Some(0), ""),
        ("twice", Some(4), "declares the state tensor `weight` twice"),
        ("huge", Some(2), "`trace`"),
        ("negative", Some(4), "negative standard deviation"),
        ("name", Some(4), "the ta/.x"),
        ("metrics-panic", Some(4), "panicked in `metrics`"),
        (
            "exit",
            Some(4),
            "ended the process in `learn` for layer `hidden`",
        ),
        (
            "abort",
            None,
            "ended the process in `learn` for layer `hidden`",
        ),
    ];
    for (rule, code, words) in ends {
        let folder = experiment(rule);
        let ran = Run::new(TRAIN).dir(folder.path()).finish();
        assert_eq!(ran.code, code, "{rule}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{rule}: {}", ran.stderr);
        if code != Some(0) {
            assert!(
                ran.stderr.contains(&format!("zoo/{rule}")),
                "{rule}: {}",
                ran.stderr
            );
        }
        let crash = folder.path().join("r/crash.txt");
        let ended_itself = ["exit", "abort"].contains(&rule);
        assert_eq!(crash.exists(), ended_itself, "{rule}");
        if ended_itself {
            let told = std::fs::read_to_string(&crash).unwrap();
            assert!(
                told.contains(&format!("zoo/{rule}")) && told.contains("`hidden`"),
                "{told}"
            );
            let again = Run::new(TRAIN).dir(folder.path()).finish();
            assert!(
                again.stderr.contains("the start before this one broke off"),
                "{}",
                again.stderr
            );
        }
    }
}

#[test]
fn a_call_that_never_ends_is_named_and_the_second_signal_ends_it() {
    let folder = experiment("hang");
    let mut command = Run::new(TRAIN)
        .dir(folder.path())
        .env("BIORULE_RULE_SECONDS", "1")
        .command();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (send, lines) = std::sync::mpsc::channel();
    let err = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        use std::io::BufRead as _;
        for line in std::io::BufReader::new(err).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let patience = Duration::from_secs(120);
    let wait = |words: &str| loop {
        let line = lines
            .recv_timeout(patience)
            .unwrap_or_else(|_| panic!("`{words}` is not told"));
        if line.contains(words) {
            return line;
        }
    };
    let told = wait("has been in `learn` for layer `hidden` for");
    assert!(
        told.contains("`zoo/hang`") && told.contains("libzoo.so"),
        "{told}"
    );
    let terminate = || assert!(signal("TERM", child.id()));
    terminate();
    wait("stopping after this step");
    terminate();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
}

#[test]
fn a_library_that_is_overwritten_kills_no_run_and_another_build_is_noticed() {
    let folder = experiment("good");
    let library = folder.path().join("plugins/libzoo.so");
    let first = Run::new(TRAIN)
        .dir(folder.path())
        .arguments(&["--set", "training.local.epochs=3"]);
    // Under way: what is written into the file in place is not what runs.
    let mut child = first.sets(&["training.gradient.epochs=40"]).start();
    let mark = folder.path().join("r/checkpoints/last.safetensors");
    until("a checkpoint", 240, || mark.exists() || over(&mut child));
    let other = plugin_folder().join("libbiorule_krotov.so");
    overwrite(&other, &library);
    assert_eq!(
        child.wait().unwrap().code(),
        Some(0),
        "the run goes on with its own copy"
    );

    // Another build of the same rules: a byte more at the end of the file.
    let mut bytes = std::fs::read(specimen("zoo")).unwrap();
    bytes.push(0);
    std::fs::write(&library, bytes).unwrap();
    let longer = || {
        Run::new(TRAIN).dir(folder.path()).arguments(&[
            "--set",
            "training.local.epochs=3",
            "--set",
            "training.gradient.epochs=41",
        ])
    };
    let refused = longer().finish();
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    for words in [
        "`zoo/good`",
        "another build of `libzoo`",
        "--accept-plugins",
    ] {
        assert!(
            refused.stderr.contains(words),
            "`{words}` missing in: {}",
            refused.stderr
        );
    }
    let accepted = longer().arguments(&["--accept-plugins"]).finish();
    assert_eq!(accepted.code, Some(0), "{}", accepted.stderr);
    assert!(
        accepted.stderr.contains("another build"),
        "{}",
        accepted.stderr
    );
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("r/run.json")).unwrap())
            .unwrap();
    assert_eq!(record["earlier_plugins"][0]["name"], "libzoo");
    assert_eq!(
        record["rules"][0]["params"]["lr"], 0.01,
        "defaults are written down"
    );
    let plugin = record["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["name"] == "libzoo")
        .unwrap();
    assert_eq!(plugin["package"]["name"], "specimen-zoo");
    let shown = Run::new(["runs", "show", "r"]).dir(folder.path()).stdout();
    assert!(
        shown.contains("specimen-zoo") && shown.contains("lr=0.01"),
        "{shown}"
    );
}

/// Writes `from` into the existing file `to`, as `cp` does: the same file, other bytes.
fn overwrite(from: &Path, to: &Path) {
    let done = Command::new("cp").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}
