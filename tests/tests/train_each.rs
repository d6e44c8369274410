//! `biorule train --each`: an experiment for each file and one table in the end.

use std::path::Path;

use biorule_tests::Result;
use biorule_tests::plugins::{Ran, Run};

/// A read-out on the digits, one epoch at this rate; the rule comes from the top of the file.
fn config(dir: &Path, file: &str, name: &str, lr: f64) -> Result<()> {
    let text = format!(
        "name = \"{name}\"\ndata = \"digits\"\ndevice = \"cpu\"\nrule = \"backprop\"\n\
         [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\n\
         [training.gradient]\nepochs = 1\noptimizer = {{ kind = \"sgd\", lr = {lr:?} }}\n"
    );
    Ok(std::fs::write(dir.join(file), text)?)
}

fn train(dir: &Path, more: &[&str]) -> Ran {
    let fixed = [
        "train",
        "--each",
        "a.toml",
        "b.toml",
        "--run-dir",
        "all",
        "--quiet",
    ];
    Run::new(fixed.iter().chain(more).copied())
        .dir(dir)
        .finish()
}

#[test]
fn each_file_is_an_experiment_and_the_better_comes_first() -> Result<()> {
    let home = tempfile::tempdir()?;
    config(home.path(), "a.toml", "slow", 1e-5)?;
    config(home.path(), "b.toml", "fast", 0.1)?;
    let ran = train(home.path(), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let place = |text: &str| {
        let found = ran.stdout.rfind(text);
        found.unwrap_or_else(|| panic!("no `{text}` in\n{}", ran.stdout))
    };
    assert!(place("experiment") < place(" fast ") && place(" fast ") < place(" slow "));
    for name in ["slow", "fast"] {
        assert!(
            home.path()
                .join("all")
                .join(name)
                .join("run.json")
                .is_file()
        );
    }
    // The same command has nothing left to do and says the same; `runs compare` too.
    let again = train(home.path(), &[]);
    let table = |text: &str| text[text.rfind(" experiment").unwrap_or(0)..].to_owned();
    assert_eq!(table(&ran.stdout), table(&again.stdout));
    let compared = Run::new(["runs", "compare", "all"])
        .dir(home.path())
        .stdout();
    assert_eq!(table(&ran.stdout), table(&compared));
    Ok(())
}

#[test]
fn experiments_need_names_of_their_own() -> Result<()> {
    let home = tempfile::tempdir()?;
    config(home.path(), "a.toml", "same", 0.1)?;
    config(home.path(), "b.toml", "same", 0.1)?;
    let ran = train(home.path(), &[]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("two of the files are named `same`"),
        "{}",
        ran.stderr
    );
    assert!(!home.path().join("all").exists());
    Ok(())
}

/// One that diverges is told and compared with the others, which go on; the exit code says so.
#[test]
fn an_experiment_that_diverges_does_not_stop_the_others() -> Result<()> {
    let home = tempfile::tempdir()?;
    config(home.path(), "a.toml", "wild", 1e38)?;
    config(home.path(), "b.toml", "tame", 0.1)?;
    let ran = train(home.path(), &[]);
    assert_eq!(ran.code, Some(5), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("wild: "), "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let row = |name: &str| lines.iter().rfind(|l| l.contains(name)).copied();
    assert!(
        row(" tame ").is_some_and(|l| l.contains('%')),
        "{}",
        ran.stdout
    );
    assert!(
        row(" wild ").is_some_and(|l| l.contains('-')),
        "{}",
        ran.stdout
    );
    Ok(())
}

/// Whatever ends one experiment, before or in training, the others run and the table says why.
#[test]
fn one_failure_of_any_class_does_not_end_the_list() -> Result<()> {
    for (code, line) in [
        (2, "nonsense = 1"),
        (3, "data.root = \"nowhere\"\ndata.set = \"mnist\""),
        (4, "blocks.readout.rule = \"no-such-rule\""),
        (6, ""),
        (7, ""),
    ] {
        let home = tempfile::tempdir()?;
        let dir = home.path();
        config(dir, "a.toml", "first", 0.1)?;
        config(dir, "b.toml", "last", 0.1)?;
        config(dir, "bad.toml", "bad", 0.1)?;
        std::fs::create_dir(dir.join("all"))?;
        let mut held = None;
        match code {
            6 => {
                std::fs::create_dir(dir.join("all/bad"))?;
                let lock = dir.join("all/bad/lock");
                held = Some(biorule::run::Lock::acquire(&lock)?);
            }
            7 => std::fs::write(dir.join("all/bad"), "in the way")?,
            _ => {
                let text = std::fs::read_to_string(dir.join("bad.toml"))?;
                let text = match code {
                    3 => text.replace("data = \"digits\"", line),
                    4 => text.replace("rule = \"backprop\"", "rule = \"no-such-rule\""),
                    _ => format!("{line}\n{text}"),
                };
                std::fs::write(dir.join("bad.toml"), text)?;
            }
        }
        let files = [
            "train",
            "--each",
            "bad.toml",
            "a.toml",
            "b.toml",
            "--run-dir",
            "all",
            "-q",
        ];
        let ran = Run::new(files).dir(dir).env("HOME", dir).finish();
        drop(held);
        assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains("1 of 3 experiments failed: `bad`"),
            "{}",
            ran.stderr
        );
        let table = &ran.stdout[ran.stdout.rfind(" experiment").unwrap_or(0)..];
        for name in [" first ", " last ", " bad "] {
            assert!(table.contains(name), "no `{name}` in\n{table}");
        }
        let text = std::fs::read_to_string(dir.join("all/summary.json"))?;
        let summary: serde_json::Value = serde_json::from_str(&text)?;
        let all = summary["experiments"].as_array().expect("a list");
        let failed: Vec<_> = all
            .iter()
            .filter(|e| e["failed"][0]["code"] == code)
            .collect();
        assert_eq!((all.len(), failed.len()), (3, 1), "{summary}");
        assert_eq!(failed[0]["name"], "bad");
    }
    Ok(())
}

/// A seed that fails leaves the summary of the others, and says which it was.
#[test]
fn one_seed_that_fails_does_not_take_the_others_along() -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = home.path();
    config(dir, "a.toml", "net", 0.1)?;
    std::fs::create_dir(dir.join("run"))?;
    std::fs::write(dir.join("run/seed-1"), "in the way")?;
    let words = [
        "train",
        "a.toml",
        "--run-dir",
        "run",
        "-q",
        "--set",
        "seeds=[0, 1, 2]",
    ];
    let ran = Run::new(words).dir(dir).finish();
    assert_eq!(ran.code, Some(7), "{}", ran.stderr);
    assert!(ran.stderr.contains("net, seed 1: "), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("1 of 3 seeds failed: `1`"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stdout.contains("seed 0") && ran.stdout.contains("seed 2"),
        "{}",
        ran.stdout
    );
    let text = std::fs::read_to_string(dir.join("run/summary.json"))?;
    let summary: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!(summary["seeds"], serde_json::json!([0, 2]));
    assert_eq!(summary["failed"][0]["seed"], 1);
    // One that diverges is in the summary with its reason.
    std::fs::remove_file(dir.join("run/seed-1"))?;
    assert_eq!(Run::new(words).dir(dir).finish().code, Some(0));
    let text = std::fs::read_to_string(dir.join("run/summary.json"))?;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text)?["seeds"],
        serde_json::json!([0, 1, 2])
    );
    config(dir, "b.toml", "wild", 1e38)?;
    let wild = [
        "train",
        "b.toml",
        "--run-dir",
        "wild",
        "-q",
        "--set",
        "seeds=[0, 1]",
    ];
    assert_eq!(Run::new(wild).dir(dir).finish().code, Some(5));
    let text = std::fs::read_to_string(dir.join("wild/summary.json"))?;
    let summary: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!(
        summary["failed"].as_array().map(Vec::len),
        Some(2),
        "{summary}"
    );
    assert_eq!(summary["failed"][1]["code"], 5);
    Ok(())
}
