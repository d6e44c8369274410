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
