//! Runs side by side, each a process of its own: `train --seeds --jobs` and `train --each --jobs`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use biorule_tests::Result;
use biorule_tests::plugins::{Ran, Run};
use biorule_tests::processes::{signal, until};
use biorule_tests::runs::{record, weights};
use biorule_tests::searching::json;

/// A small network on the digits; `epochs` of them make it as long as a test needs.
fn config(dir: &Path, file: &str, name: &str, lr: f64, epochs: u32) -> Result<()> {
    let text = format!(
        "name = \"{name}\"\ndata = \"digits\"\ndevice = \"cpu\"\nrule = \"backprop\"\n\
         output.checkpoint_seconds = 0\n\
         [[blocks]]\nlayer = \"dense\"\nout = 16\nactivation = \"relu\"\n\
         [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\n\
         [training.gradient]\nepochs = {epochs}\nbatch = 32\noptimizer = {{ kind = \"sgd\", lr = {lr:?} }}\n"
    );
    Ok(std::fs::write(dir.join(file), text)?)
}

fn train(dir: &Path, words: &[&str]) -> Run {
    Run::new(["train"]).arguments(words).dir(dir)
}

fn finish(dir: &Path, words: &[&str]) -> Ran {
    train(dir, words).finish()
}

/// Results of a run, and the bytes of its weights.
fn result(run: &Path) -> (serde_json::Value, BTreeMap<String, Vec<u8>>) {
    (record(run)["results"].clone(), weights(run))
}

/// The processes that were started with the folder `path` on their command line.
fn alive(path: &Path) -> Vec<u32> {
    let name = path.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(number) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&format!("{name}/seed-")) {
            found.push(number);
        }
    }
    found
}

/// Starts a training and waits until each of `runs` runs has reported an epoch.
fn started(run: Run, runs: usize) -> Child {
    let mut child = run
        .arguments(&["--events", "jsonl"])
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < runs {
        let line = lines.next().expect("it goes on").expect("a line");
        let event: serde_json::Value = serde_json::from_str(&line).expect("an event");
        if event["event"] == "epoch" {
            seen.insert(event["seed"].to_string());
        }
    }
    std::thread::spawn(move || lines.count());
    child
}

#[test]
fn seeds_side_by_side_are_those_of_one_after_the_other() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path();
    config(dir, "a.toml", "net", 0.1, 2)?;
    let one = finish(dir, &["a.toml", "--run-dir", "one", "--seeds", "3", "-q"]);
    assert_eq!(one.code, Some(0), "{}", one.stderr);
    let words = [
        "a.toml",
        "--run-dir",
        "two",
        "--seeds",
        "0,1,2",
        "--jobs",
        "2",
    ];
    let two = finish(dir, &words);
    assert_eq!(two.code, Some(0), "{}", two.stderr);
    for seed in 0..3 {
        let name = format!("seed-{seed}");
        assert_eq!(
            result(&dir.join("one").join(&name)),
            result(&dir.join("two").join(&name))
        );
        assert!(
            two.stderr
                .contains(&format!("net, seed {seed}: done after")),
            "{}",
            two.stderr
        );
    }
    let summary = json(&dir.join("two/summary.json"));
    assert_eq!(summary, json(&dir.join("one/summary.json")));
    assert_eq!(summary["seeds"], serde_json::json!([0, 1, 2]));
    let table = |text: &str| text.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(table(&one.stdout), table(&two.stdout));
    // Each had its share of the threads.
    let threads = json(&dir.join("two/seed-0/run.json"))["threads"].clone();
    let cores = std::thread::available_parallelism()?.get();
    assert_eq!(threads, (cores / 2).max(1));
    // Done already; one more seed is trained.
    let again = finish(
        dir,
        &[
            "a.toml",
            "--run-dir",
            "two",
            "--seeds",
            "4",
            "--jobs",
            "4",
            "-q",
        ],
    );
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let summary = json(&dir.join("two/summary.json"));
    assert_eq!(summary["seeds"], serde_json::json!([0, 1, 2, 3]));
    assert_eq!(json(&dir.join("two/seed-0/run.json"))["starts"], 2);
    Ok(())
}

#[test]
fn wrong_wishes_are_refused_and_idle_ones_told() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path();
    config(dir, "a.toml", "net", 0.1, 1)?;
    for (words, told) in [
        (&["--seeds", "0"][..], "expected 1 or more seeds"),
        (&["--seeds", "a,b"], "expected a whole number"),
        (&["--seeds", "1,1"], "one or more different numbers"),
        (&["--seeds", "2", "--seed", "1"], "cannot be used with"),
        (&["--jobs", "0"], "0 is not in 1..=1024"),
    ] {
        let ran = finish(dir, &[&["a.toml", "--run-dir", "r"], words].concat());
        assert_eq!(ran.code, Some(2), "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{words:?}: {}", ran.stderr);
        assert!(!dir.join("r").exists(), "{words:?}");
    }
    let ran = finish(dir, &["a.toml", "--run-dir", "r", "--jobs", "3", "-q"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`--jobs` has no effect"),
        "{}",
        ran.stderr
    );
    Ok(())
}

#[test]
fn one_that_fails_takes_no_other_along() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path();
    config(dir, "a.toml", "tame", 0.1, 1)?;
    config(dir, "b.toml", "wild", 1e38, 1)?;
    let words = ["--each", "a.toml", "b.toml", "nowhere.toml"];
    let more = ["--run-dir", "all", "--seeds", "2", "--jobs", "3", "-q"];
    let ran = finish(dir, &[&words[..], &more].concat());
    // The first on the list that fails gives the code.
    assert_eq!(ran.code, Some(5), "{}\n{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr
            .contains("2 of 3 experiments failed: `wild`, `nowhere`"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("wild, seed 1: "), "{}", ran.stderr);
    let all = json(&dir.join("all/summary.json"))["experiments"].clone();
    assert_eq!(all[0]["seeds"], serde_json::json!([0, 1]));
    assert_eq!(all[1]["failed"][0]["code"], 5);
    assert_eq!(all[1]["failed"][1]["seed"], 1);
    assert_eq!(all[2]["failed"][0]["code"], 2);
    let wild = json(&dir.join("all/wild/summary.json"));
    assert_eq!(wild["failed"].as_array().map(Vec::len), Some(2));
    // The same command ends in the same way, and trains nothing.
    let again = finish(dir, &[&words[..], &more].concat());
    assert_eq!(again.code, ran.code, "{}", again.stderr);
    assert!(
        again.stdout.contains("diverged earlier"),
        "{}",
        again.stdout
    );
    Ok(())
}

#[test]
fn a_request_to_stop_leaves_checkpoints_and_the_same_command_goes_on() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path();
    config(dir, "a.toml", "net", 0.1, 120)?;
    let whole = finish(dir, &["a.toml", "--run-dir", "whole", "--seeds", "2", "-q"]);
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);
    let pieces = dir.join("pieces");
    let folder = pieces.to_string_lossy().into_owned();
    let words = [
        "a.toml",
        "--run-dir",
        &folder,
        "--seeds",
        "2",
        "--jobs",
        "2",
    ];
    // By a signal; then killed, when children see the end of their input; then a child is killed.
    let mut child = started(train(dir, &words), 2);
    assert!(signal("TERM", child.id()));
    assert_eq!(child.wait().expect("it ends").code(), Some(75));
    assert!(alive(&pieces).is_empty());
    assert_eq!(
        json(&pieces.join("seed-0/run.json"))["exit_reason"],
        "stopped"
    );
    let mut child = started(train(dir, &words), 2);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    until("no child outlives it", 120, || alive(&pieces).is_empty());
    let mut child = started(train(dir, &words), 2);
    let one = alive(&pieces);
    assert_eq!(one.len(), 2);
    assert!(signal("KILL", one[0]));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    for seed in ["seed-0", "seed-1"] {
        assert_eq!(
            result(&dir.join("whole").join(seed)),
            result(&pieces.join(seed))
        );
    }
    assert_eq!(
        json(&dir.join("whole/summary.json")),
        json(&pieces.join("summary.json"))
    );
    Ok(())
}

/// A run whose process is killed again and again ends as a failure that says so.
#[test]
fn one_that_is_killed_twice_has_failed() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path();
    config(dir, "a.toml", "net", 0.1, 100_000)?;
    config(dir, "b.toml", "short", 0.1, 1)?;
    let all = dir.join("all");
    let folder = all.to_string_lossy().into_owned();
    let words = [
        "--each",
        "a.toml",
        "b.toml",
        "--run-dir",
        &folder,
        "--jobs",
        "2",
    ];
    let child = train(dir, &words)
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let net = format!("{folder}/net");
    let running = || {
        let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        numbers
            .filter_map(|entry| {
                let number = entry.file_name().to_string_lossy().parse::<u32>().ok()?;
                let line = std::fs::read(entry.path().join("cmdline")).ok()?;
                String::from_utf8_lossy(&line)
                    .contains(&net)
                    .then_some(number)
            })
            .next()
    };
    let mut killed = 0;
    until("two processes of it are killed", 120, || {
        if let Some(number) = running()
            && number != killed
        {
            assert!(signal("KILL", number));
            let last = std::mem::replace(&mut killed, number);
            return last != 0;
        }
        false
    });
    let output = child.wait_with_output()?;
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(101), "{stderr}");
    assert!(stderr.contains("it is started once more"), "{stderr}");
    assert!(stdout.contains("killed by SIGKILL"), "{stdout}");
    let summary = json(&all.join("summary.json"))["experiments"].clone();
    assert_eq!(summary[0]["failed"][0]["code"], 101);
    assert_eq!(summary[1]["seeds"], serde_json::json!([0]));
    Ok(())
}
