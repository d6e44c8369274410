//! The guides of `docs/rules`: their own commands and files, in an empty folder, to the end.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use biorule_test_environment::{Need, skip};
use biorule_tests::plugins::{forget_own_package, plugin_folder};
use biorule_tests::repository;

/// A block of a guide.
enum Step {
    /// Commands, one a line.
    Shell(String),
    /// A file and its text.
    Write(String, String),
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else {
            continue;
        };
        let text: String = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .flat_map(|line| [line, "\n"])
            .collect();
        match kind.split_once(" file=") {
            Some((_, file)) => steps.push(Step::Write(file.to_owned(), text)),
            None if kind == "sh" => steps.push(Step::Shell(text)),
            None => panic!("a block of kind `{kind}` that nobody runs"),
        }
    }
    steps
}

#[test]
fn the_first_rule_is_made_checked_and_trained_by_the_guide_alone() {
    if std::env::var_os("BIORULE_TEST_PLUGINS").is_some() {
        return skip(Need::Build, "without Cargo no crate can be built");
    }
    // The same target folder each time, so that Cargo builds the interface once.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guides");
    std::fs::create_dir_all(kept.join("target")).unwrap();
    let lock = File::create(kept.join("lock")).unwrap();
    lock.lock().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(repository().join("docs/rules/first-rule.md")).unwrap();
    let mut folder = empty.path().to_path_buf();
    let steps = steps(&page);
    assert!(steps.len() > 7, "the guide has its blocks");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cargo = Path::new(env!("CARGO")).parent().unwrap().to_path_buf();
    let path = std::env::join_paths(
        [plugin_folder().to_path_buf(), cargo]
            .into_iter()
            .chain(std::env::split_paths(&path)),
    )
    .unwrap();
    for step in steps {
        let commands = match step {
            Step::Write(file, text) => {
                std::fs::write(folder.join(file), text).unwrap();
                continue;
            }
            Step::Shell(commands) => commands,
        };
        for command in commands.lines() {
            if let Some(into) = command.strip_prefix("cd ") {
                folder = folder.join(into);
                continue;
            }
            let started = Instant::now();
            let mut shell = Command::new("sh");
            forget_own_package(&mut shell);
            for (name, _) in std::env::vars_os() {
                if name.to_string_lossy().starts_with("BIORULE") {
                    shell.env_remove(name);
                }
            }
            let done = shell
                .args(["-ec", command])
                .current_dir(&folder)
                .env("PATH", &path)
                .env("CARGO_NET_OFFLINE", "1")
                // `target/debug` of the guide is that of the crate itself.
                .env_remove("CARGO_TARGET_DIR")
                .env("BIORULE_PLUGIN_STORE", empty.path().join("store"))
                .output()
                .unwrap();
            let told = [done.stdout, done.stderr].concat();
            let told = String::from_utf8_lossy(&told);
            assert!(done.status.success(), "`{command}`: {told}");
            println!("{:>6.1} s  {command}", started.elapsed().as_secs_f64());
            if command.starts_with("biorule rules new") {
                // What was built for this guide before.
                let target = folder.join("my-rule/target");
                std::os::unix::fs::symlink(kept.join("target"), target).unwrap();
            }
        }
    }
    for run in ["runs/oja", "runs/bcm", "runs/locked"] {
        let record = std::fs::read_to_string(folder.join(run).join("run.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let accuracy = record["results"]["test/accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.8, "{run}: {accuracy}");
        assert_eq!(
            record["plugins"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|p| p["package"]["name"] == "my-rule")
                .count(),
            1,
            "{run}"
        );
    }
}
