//! A study's folder.
//!
//! ```text
//! study.toml            the study without layers, as it was started
//! added.jsonl           what `sweep add` added
//! lock                  of the driver
//! trials/000007/
//!   trial.json          the values of its parameters
//!   config.toml         the configuration of its runs
//!   seed-0/             the run folder of one seed
//!   failed.json         where it cannot be trained: why
//! trials.csv            a report; never read
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::config::shown::{decides, differing};
use crate::config::study::{Counted, StudyConfig};
use crate::run::folder::stored_rows;
use crate::run::identity::ErrorRecord;
use crate::run::{Lock, atomic};
use crate::{Error, Result};

/// `trial.json`: what a trial is. Written before it starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Its number, from 0.
    pub number: u64,
    /// Who chose its values: a sampler, or `added`.
    pub by: String,
    /// Values of its active parameters.
    pub params: Map<String, Json>,
    /// Its seeds.
    pub seeds: Vec<u64>,
    /// What is counted of its plan.
    pub counted: Counted,
}

/// Values of trials that were added with them, by number.
pub type Given = BTreeMap<u64, Map<String, Json>>;

/// A line of `added.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Added {
    /// More trials.
    Trials(u64),
    /// One more trial, with these values.
    Params(Map<String, Json>),
}

/// A study's folder.
#[derive(Debug)]
pub struct StudyFolder {
    path: PathBuf,
    /// Of the one that runs trials, held as long as this is.
    _lock: Option<Lock>,
}

impl StudyFolder {
    /// Enters `path` to run `config` there: makes it, or checks that it holds the same study.
    ///
    /// # Errors
    /// [`crate::ExitCode::Locked`] where another process runs it; usage error for another study, with
    /// what differs.
    pub fn enter(path: &Path, config: &StudyConfig) -> Result<Self> {
        for foreign in ["run.json", "search.json"] {
            if path.join(foreign).exists() {
                let text = format!("`{}` holds a run or a search, not a study", path.display());
                return Err(Error::usage(text).hint("choose another `--study-dir`"));
            }
        }
        fs::create_dir_all(path.join("trials")).map_err(|e| atomic::failed(path, &e))?;
        let lock = Lock::acquire(&path.join("lock")).map_err(|mut e| {
            e.text = e.text.replace("run folder", "study");
            e.hint = e.hint.map(|_| {
                "its trials are run there already: wait for it to end, or choose another `--study-dir`".to_owned()
            });
            e
        })?;
        let folder = Self {
            path: path.to_owned(),
            _lock: Some(lock),
        };
        let file = folder.study_file();
        let text = config.normal().to_string();
        if !file.exists() {
            atomic::write(&file, text.as_bytes())?;
            return Ok(folder);
        }
        let before = fs::read_to_string(&file).map_err(|e| atomic::failed(&file, &e))?;
        let changes = changes(&text, &before).map_err(|e| damaged(&file, &e))?;
        if changes.is_empty() {
            return Ok(folder);
        }
        let shown: Vec<&str> = changes.iter().take(5).map(String::as_str).collect();
        let more = match changes.len() {
            n if n > 5 => format!(" and {} more", n - 5),
            _ => String::new(),
        };
        let e = Error::usage(format!(
            "study `{}` was started with other settings: {}{more}",
            path.display(),
            shown.join(", ")
        ));
        Err(match changes.iter().all(|c| c.starts_with("`trials`")) {
            true => e.hint(format!(
                "`biorule sweep add {} --trials N` adds trials to it",
                path.display()
            )),
            false => e.hint(format!(
                "put them back, or choose another `--study-dir`; `biorule sweep {}` goes on as it was started",
                file.display()
            )),
        })
    }

    /// Looks at `path` without running anything.
    ///
    /// # Errors
    /// Usage error where there is no study.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Self {
            path: path.to_owned(),
            _lock: None,
        };
        if !folder.study_file().is_file() {
            return Err(Error::usage(format!("`{}` holds no study", path.display()))
                .hint("give the folder that `biorule sweep STUDY.toml --study-dir DIR` made"));
        }
        Ok(folder)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The study without layers.
    #[must_use]
    pub fn study_file(&self) -> PathBuf {
        self.path.join("study.toml")
    }

    /// The folder of trial `number`.
    #[must_use]
    pub fn trial(&self, number: u64) -> PathBuf {
        self.path.join("trials").join(format!("{number:06}"))
    }

    /// The run folder of one seed of a trial.
    #[must_use]
    pub fn run(&self, number: u64, seed: u64) -> PathBuf {
        self.trial(number).join(format!("seed-{seed}"))
    }

    /// The configuration of a trial's runs.
    #[must_use]
    pub fn config(&self, number: u64) -> PathBuf {
        self.trial(number).join("config.toml")
    }

    /// What trial `number` is; `None` where nobody has chosen it yet.
    ///
    /// # Errors
    /// Storage error for a damaged file.
    pub fn record(&self, number: u64) -> Result<Option<TrialRecord>> {
        read(&self.trial(number).join("trial.json"))
    }

    /// Why trial `number` cannot be trained.
    ///
    /// # Errors
    /// Storage error for a damaged file.
    pub fn failure(&self, number: u64) -> Result<Option<ErrorRecord>> {
        read(&self.trial(number).join("failed.json"))
    }

    /// Writes down what a trial is, with the configuration of its runs; the record comes last, so that
    /// a trial with one has both.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn put(&self, record: &TrialRecord, config: Option<&str>) -> Result<()> {
        let folder = self.trial(record.number);
        fs::create_dir_all(&folder).map_err(|e| atomic::failed(&folder, &e))?;
        if let Some(config) = config {
            atomic::write(&self.config(record.number), config.as_bytes())?;
        }
        write(&folder.join("trial.json"), record)
    }

    /// Writes down that a trial cannot be trained.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn put_failure(&self, number: u64, error: &Error) -> Result<()> {
        write(
            &self.trial(number).join("failed.json"),
            &ErrorRecord::from(error),
        )
    }

    /// What was added, in order.
    ///
    /// # Errors
    /// Storage error for a damaged file.
    pub fn added(&self) -> Result<Vec<Added>> {
        let file = self.path.join("added.jsonl");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(atomic::failed(&file, &e)),
        };
        // A kill may have left half a line; it was never told as added.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().map(|line| {
            let broken = |e: serde_json::Error| damaged(&file, &Error::storage(e.to_string()));
            serde_json::from_str(line).map_err(broken)
        });
        lines.collect()
    }

    /// Adds to the study.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn add(&self, more: &[Added]) -> Result<()> {
        let file = self.path.join("added.jsonl");
        let before = self.added()?;
        let mut text = String::new();
        for one in before.iter().chain(more) {
            text.push_str(&serde_json::to_string(one).unwrap_or_default());
            text.push('\n');
        }
        atomic::write_with(&file, |f| f.write_all(text.as_bytes()))
    }

    /// How many trials there are to be, of which `own` come from the study itself; and the values of
    /// those that were added with values.
    ///
    /// # Errors
    /// Storage error for a damaged file.
    pub fn total(&self, own: u64) -> Result<(u64, Given)> {
        let mut total = own;
        let mut given = BTreeMap::new();
        for one in self.added()? {
            match one {
                Added::Trials(more) => total += more,
                Added::Params(params) => {
                    given.insert(total, params);
                    total += 1;
                }
            }
        }
        Ok((total, given))
    }
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> Result<Option<T>> {
    let Some(bytes) = atomic::read(file)? else {
        return Ok(None);
    };
    let broken = |e: serde_json::Error| damaged(file, &Error::storage(e.to_string()));
    serde_json::from_slice(&bytes).map(Some).map_err(broken)
}

fn write(file: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::internal(format!("`{}`: {e}", file.display())))?;
    atomic::write(file, format!("{text}\n").as_bytes())
}

fn damaged(file: &Path, e: &Error) -> Error {
    Error::storage(format!("`{}` is damaged: {}", file.display(), e.text))
        .hint("put a good copy in its place; a trial whose folder is removed is run anew")
}

/// The settings in which two normal forms of studies differ and that decide something.
fn changes(now: &str, before: &str) -> Result<Vec<String>> {
    let free = |path: &str| {
        let of_config = path.strip_prefix("config.");
        of_config.is_some_and(|path| !decides(path) || path == "name")
    };
    let rows = |text: &str| -> Result<Vec<(String, String)>> {
        let rows = stored_rows(text)?.into_iter().filter(|(p, ..)| !free(p));
        Ok(rows
            .map(|(path, value, _)| (path, value.to_string()))
            .collect())
    };
    let mut all = differing(&rows(now)?, &rows(before)?);
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_and_what_decides_nothing_is_none() {
        let before = "trials = 4\n[config]\nthreads = 1\n[config.data]\nset = \"digits\"\n";
        let now = "trials = 5\n[config]\nthreads = 2\n[config.data]\nset = \"mnist\"\n";
        let all = changes(now, before).unwrap();
        assert_eq!(
            all,
            [
                "`config.data.set` (\"mnist\" now, \"digits\" in the folder)",
                "`trials` (5 now, 4 in the folder)"
            ]
        );
        assert!(changes(before, before).unwrap().is_empty());
    }

    #[test]
    fn added_trials_come_after_those_that_were_there() {
        let home = tempfile::tempdir().unwrap();
        let folder = StudyFolder {
            path: home.path().to_owned(),
            _lock: None,
        };
        assert_eq!(folder.total(4).unwrap().0, 4);
        let one = Map::from_iter([("x".to_owned(), Json::from(2))]);
        folder
            .add(&[Added::Trials(2), Added::Params(one.clone())])
            .unwrap();
        folder.add(&[Added::Trials(1)]).unwrap();
        let (total, given) = folder.total(4).unwrap();
        assert_eq!(total, 8);
        assert_eq!(given, BTreeMap::from([(6, one)]));
        // Half a line of a kill.
        let file = home.path().join("added.jsonl");
        let mut text = fs::read_to_string(&file).unwrap();
        text.push_str("{\"tri");
        fs::write(&file, text).unwrap();
        assert_eq!(folder.total(4).unwrap().0, 8);
    }
}
