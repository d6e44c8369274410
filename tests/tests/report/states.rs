//! Runs in every state: of earlier versions, damaged, ended early, still going on.

use std::fs;
use std::process::Stdio;

use biorule_tests::Result;
use biorule_tests::page::text;
use biorule_tests::plugins::Run;
use biorule_tests::processes::{over, signal, until};
use biorule_tests::runs::record;
use serde_json::Value;

use crate::home::{done, holds, home, page, says, train, write};

#[test]
fn folders_of_earlier_versions_give_a_page_that_says_what_is_missing() -> Result<()> {
    let home = home()?;
    let home = home.path();
    done(&train(home, "r", &[]));
    let run = home.join("r");
    for file in ["answers.csv", "winners.json", "steps.jsonl"] {
        fs::remove_file(run.join(file))?;
    }
    let mut json = record(&run);
    for key in ["peak_memory_mib", "shapes"] {
        json.as_object_mut().unwrap().remove(key);
    }
    json["git"] = Value::Null;
    write(&run, &json)?;
    let said = text(&page(home, &["r"])?);
    says(
        &said,
        &[
            "answers image by image",
            "who wins in local layers",
            "radii between epochs",
            "peak memory",
            "the commit of the program",
        ],
    );
    // What is damaged is named, and the rest is shown.
    fs::write(run.join("metrics.csv"), "a,b\n1,2\n")?;
    fs::write(run.join("answers.csv"), "label,network\n1,x\n")?;
    fs::write(run.join("config.toml"), "name =")?;
    fs::write(run.join("checkpoints/last.safetensors"), "none")?;
    fs::remove_file(run.join("checkpoints/previous.safetensors"))?;
    let said = text(&page(home, &["r"])?);
    says(
        &said,
        &[
            "metrics.csv",
            "x is no class",
            "plan and network are not shown",
            "weights are not shown",
        ],
    );
    Ok(())
}

#[test]
fn every_state_of_a_run_has_its_page() -> Result<()> {
    let home = home()?;
    let home = home.path();
    done(&train(home, "r", &[]));
    let run = home.join("r");
    let whole = record(&run);
    let state = |reason: Option<&str>| -> Result<String> {
        let mut json = whole.clone();
        json["exit_reason"] = reason.into();
        json["results"] = serde_json::json!({});
        write(&run, &json)?;
        Ok(text(&page(home, &["r"])?))
    };
    for (reason, words) in [
        (None, "× killed after random-weights, phase"),
        (Some("stopped"), "× stopped after"),
        (Some("pruned"), "× pruned after"),
        (Some("failed"), "▼ failed after"),
    ] {
        let said = state(reason)?;
        assert!(said.contains(words), "no `{words}` in {said}");
        assert!(said.contains("right on test samples so far"), "{said}");
    }
    // Before its first epoch.
    fs::remove_file(run.join("metrics.csv"))?;
    fs::remove_dir_all(run.join("checkpoints"))?;
    fs::remove_file(run.join("answers.csv"))?;
    let said = state(None)?;
    assert!(said.contains("No epoch has ended yet"), "{said}");

    let wild = [
        "--set",
        "phases.readout.optimizer.lr=1e30",
        "--set",
        "training.gradient.optimizer.lr=1e30",
    ];
    let ran = train(home, "d", &wild[2..]);
    assert_eq!(ran.code, Some(5), "{}", ran.stderr);
    let said = text(&page(home, &["d"])?);
    let error = record(&home.join("d"))["error"]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    let tail = &error.replace('`', "")[1..];
    assert!(
        said.contains("▼ diverged") && said.contains(tail) && said.contains("Hint: "),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_page_follows_a_run_that_goes_on() -> Result<()> {
    let home = home()?;
    let home = home.path();
    let mut training = Run::new([
        "train",
        "n.toml",
        "--run-dir",
        "r",
        "--set",
        "training.gradient.epochs=100000",
    ])
    .dir(home)
    .start();
    until("an epoch", 120, || home.join("r/metrics.csv").exists());
    let said = text(&page(home, &["r"]).expect("a page"));
    assert!(
        said.contains("… running after phase") && said.contains("no verdict yet"),
        "{said}"
    );
    let mut watching = Run::new(["report", "r", "-o", "w.html", "--watch", "--every", "1"])
        .dir(home)
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    until("a page", 120, || home.join("w.html").exists());
    assert!(!over(&mut watching), "it goes on while the run does");
    assert!(signal("INT", training.id()));
    assert_eq!(training.wait()?.code(), Some(75));
    let output = watching.wait_with_output()?;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let html = fs::read_to_string(home.join("w.html"))?;
    holds(&html);
    assert!(text(&html).contains("× stopped after"));
    Ok(())
}
