//! What disk, rights and limits refuse ends with exit code 7, the path and what to do, wherever it
//! is met, and the run goes on once it is put right.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use biorule_tests::Result;
use biorule_tests::plugins::{Ran, Run};
use biorule_tests::processes::{signal, until_by};
use biorule_tests::runs::{self, weights};

const NET: &str = r#"
name = "net"
data = "digits"
device = "cpu"

[[blocks]]
name = "hidden"
layer = "dense"
out = 64
rule = "backprop"
activation = "relu"

[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"

[training.gradient]
epochs = 3
"#;

fn home() -> Result<tempfile::TempDir> {
    runs::home("net.toml", NET)
}

fn train(home: &Path, run: &str) -> Run {
    Run::new(["train", "net.toml", "--quiet", "--run-dir", run]).dir(home)
}

fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(7), "{}\n{}", ran.stdout, ran.stderr);
    for word in words.iter().chain(&["hint: "]) {
        assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
    }
}

#[test]
fn paths_and_limits_that_refuse_are_named() -> Result<()> {
    let home = home()?;
    let home = home.path();
    fs::write(home.join("file"), "")?;
    refused(
        &train(home, "file/run").finish(),
        &["`file/run`", "a part of the path is a file"],
    );
    refused(&train(home, "file").finish(), &["`file", "hint"]);
    let long = "n".repeat(300);
    refused(&train(home, &long).finish(), &["too long"]);
    // 8 blocks of 512 bytes hold a record, and no checkpoint.
    refused(
        &train(home, "small").limit("-f 16").finish(),
        &["next.safetensors", "ulimit -f"],
    );
    assert_eq!(
        train(home, "small").finish().code,
        Some(0),
        "there is room now"
    );
    // Reports and results on a full disk.
    let full = || File::options().write(true).open("/dev/full");
    let output = train(home, "told").command().stdout(full()?).output()?;
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = train(home, "untold").command().stderr(full()?).output()?;
    assert_eq!(
        output.status.code(),
        Some(0),
        "a log that is full ends nothing"
    );
    Ok(())
}

#[test]
fn a_folder_that_lacks_or_holds_damaged_files_is_neither_trained_over_nor_a_defect() -> Result<()> {
    let home = home()?;
    let home = home.path();
    assert_eq!(train(home, "whole").finish().code, Some(0));
    let copy = |name: &str| -> Result<std::path::PathBuf> {
        let to = home.join(name);
        fs::create_dir_all(to.join("checkpoints"))?;
        for file in ["run.json", "config.toml", "checkpoints/last.safetensors"] {
            fs::copy(home.join("whole").join(file), to.join(file))?;
        }
        Ok(to)
    };
    for (i, file) in ["run.json", "config.toml"].into_iter().enumerate() {
        let folder = copy(&format!("lacks{i}"))?;
        fs::remove_file(folder.join(file))?;
        refused(&train(home, &format!("lacks{i}")).finish(), &[file]);
        let folder = copy(&format!("damaged{i}"))?;
        fs::write(folder.join(file), "{ \"cut")?;
        refused(
            &train(home, &format!("damaged{i}")).finish(),
            &[file, "damaged"],
        );
    }
    let folder = copy("torn")?;
    let checkpoint = folder.join("checkpoints/last.safetensors");
    let bytes = fs::read(&checkpoint)?;
    fs::write(&checkpoint, &bytes[..bytes.len() / 2])?;
    refused(
        &Run::new(["eval", "torn"]).dir(home).finish(),
        &["last.safetensors"],
    );
    Ok(())
}

/// A long training of which `ready` says when to act.
fn long(home: &Path, run: &str, sets: &[&str], ready: impl Fn() -> bool) -> std::process::Child {
    let mut child = train(home, run)
        .sets(sets)
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    until_by(&mut child, "it is under way", 120, ready);
    child
}

#[test]
fn a_folder_removed_during_the_run_is_named() -> Result<()> {
    let home = home()?;
    let home = home.path();
    let folder = home.join("run");
    let there = folder.join("checkpoints/last.safetensors");
    let child = long(home, "run", &["training.gradient.epochs=100000"], || {
        there.exists()
    });
    while folder.exists() {
        // The run may be making a file while its folder is emptied.
        let _ = fs::remove_dir_all(&folder);
    }
    let output = child.wait_with_output()?;
    let ran = Ran {
        code: output.status.code(),
        stdout: String::new(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    refused(&ran, &["`run/", "removed or renamed"]);
    Ok(())
}

/// SIGINT between seeds and experiments, in evaluation and in the first step of all: the run can
/// be taken up, and a list is not begun further.
#[test]
fn an_interrupt_ends_a_list_where_it_is() -> Result<()> {
    let home = home()?;
    let home = home.path();
    let there = home.join("run/seed-0/checkpoints/last.safetensors");
    let sets = [
        "seeds=[0, 1, 2]",
        "training.gradient.epochs=40",
        "training.gradient.batch=500",
    ];
    let child = long(home, "run", &sets, || there.exists());
    assert!(signal("INT", child.id()));
    let code = child.wait_with_output()?.status.code();
    assert_eq!(code, Some(75));
    assert!(!home.join("run/seed-2").exists(), "no further seed begins");
    let done = train(home, "run").sets(&sets).finish();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let whole = train(home, "whole").sets(&sets).finish();
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);
    for seed in ["seed-0", "seed-1", "seed-2"] {
        let weights = |run: &str| weights(&home.join(run).join(seed));
        assert!(weights("run") == weights("whole"), "{seed} differs");
    }
    Ok(())
}
