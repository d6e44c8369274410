//! Small networks on the embedded digits, trained by the binary in a folder of their own.

use std::path::Path;

use serde_json::Value;

use crate::Result;
use crate::plugins::{Ran, Run};

/// A hidden layer of `rule` and a read-out, on the digits.
pub fn network(rule: &str, more: &str) -> String {
    format!(
        "name = \"x\"\ndata = {{ set = \"digits\" }}\ndevice = \"cpu\"\n\
         [[blocks]]\nname = \"hidden\"\nnorm = \"batch\"\nlayer = \"dense\"\nout = 24\n\
         rule = \"{rule}\"\nactivation = \"relu\"\n\
         [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\nrule = \"backprop\"\n\
         {more}\n"
    )
}

/// A phase, in order of `[[phases]]`.
pub fn phase(name: &str, blocks: &str, drive: &str, more: &str) -> String {
    format!(
        "[[phases]]\nname = \"{name}\"\nblocks = {blocks}\ndrive = \"{drive}\"\nbatch = 25\n{more}\n"
    )
}

/// Both blocks of [`network`], as a list of a configuration.
pub const BOTH: &str = "[\"hidden\", \"readout\"]";

/// Trains `text` in `dir`; the run's folder is `run`.
///
/// # Errors
/// The file cannot be written.
pub fn train(dir: &Path, text: &str, more: &[&str]) -> Result<Ran> {
    std::fs::write(dir.join("x.toml"), text)?;
    let fixed = ["train", "x.toml", "--run-dir", "run", "--quiet"];
    Ok(Run::new(fixed.iter().chain(more).copied())
        .dir(dir)
        .finish())
}

/// Trains in a folder of its own, which must succeed; the folder goes with the first of the pair.
///
/// # Errors
/// No folder.
///
/// # Panics
/// It ends with another code than 0.
pub fn trained(text: &str, more: &[&str]) -> Result<(tempfile::TempDir, Ran)> {
    let home = tempfile::tempdir()?;
    let ran = train(home.path(), text, more)?;
    assert_eq!(ran.code, Some(0), "{text}\n{}", ran.stderr);
    Ok((home, ran))
}

/// `run.json` of the run in `home`.
///
/// # Errors
/// It is not there, or not JSON.
pub fn record(home: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(home.join("run/run.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// What `eval --json` says of the run in `home`.
///
/// # Errors
/// It is not JSON.
pub fn eval(home: &Path, more: &[&str]) -> Result<Value> {
    let text = Run::new(["eval", "run", "--json"])
        .arguments(more)
        .dir(home)
        .stdout();
    Ok(serde_json::from_str(&text)?)
}

/// A column of `metrics.csv`, epochs without it left out.
///
/// # Errors
/// There is no such file or column.
pub fn column(home: &Path, name: &str) -> Result<Vec<f64>> {
    let text = std::fs::read_to_string(home.join("run/metrics.csv"))?;
    let mut rows = text.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let head = rows.next().ok_or("no head")?;
    let at = head
        .iter()
        .position(|h| *h == name)
        .ok_or("no such column")?;
    Ok(rows.filter_map(|row| row[at].parse().ok()).collect())
}
