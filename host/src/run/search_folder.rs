//! The folder of a search: its record, what was evaluated, and the lock.
//!
//! ```text
//! runs/<name>/<date>-<short id>/
//!   config.toml overrides.txt search.json evaluations.jsonl lock
//!   evaluations/<number>-<hash>/   a run's folder for each genotype that was trained
//!   final/<name>/                  those after the search
//!   genotype.json genotype.txt normal.svg reduce.svg front.csv
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::experiment::ExperimentRecord;
use super::extend::other_settings;
use super::folder::{Resume, stored_rows};
use super::identity::{self, ErrorRecord, PluginRecord};
use super::{Lock, atomic, clock};
use crate::config::shown;
use crate::search::plan::SearchPlan;
use crate::search::strategy::Origin;
use crate::{Error, Result};

/// Version of `search.json` and `evaluations.jsonl`.
pub const SCHEMA_VERSION: u64 = 1;

/// `search.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchRecord {
    /// Version of the file.
    pub schema_version: u64,
    /// Short id.
    pub id: String,
    /// Name of the experiment.
    pub name: String,
    /// Where it comes from and what was published of it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentRecord>,
    /// Command line of the last start.
    pub argv: Vec<String>,
    /// Version of the program at the last start.
    pub biorule: String,
    /// Seed of the search.
    pub seed: u64,
    /// The search.
    pub plan: SearchPlan,
    /// What may stand on an edge.
    pub candidates: Vec<String>,
    /// Architectures that can be derived, as a power of ten.
    pub size_log10: f64,
    /// Requests of the whole search.
    pub requests: u64,
    /// The device that networks are trained on; of a search in a table there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Plugins loaded.
    pub plugins: Vec<PluginRecord>,
    /// First start, universal time.
    pub started: String,
    /// Number of starts.
    pub starts: u64,
    /// End, universal time, where it has ended.
    #[serde(default)]
    pub ended: Option<String>,
    /// `running`, `stopped`, `finished`, `failed`.
    pub state: String,
    /// What went wrong, where it failed.
    #[serde(default)]
    pub error: Option<ErrorRecord>,
    /// What was found, where it has finished.
    #[serde(default)]
    pub found: Option<FoundRecord>,
    /// What it took so far.
    #[serde(default)]
    pub cost: CostRecord,
}

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundRecord {
    /// SHA-256 of the genotype's key.
    pub hash: String,
    /// The request that it was, where it was evaluated.
    pub number: Option<u64>,
    /// Its values, by objective.
    pub values: BTreeMap<String, Option<f64>>,
    /// How far the first objective is ahead of that of the best other genotype, and its request.
    pub lead: Option<(f64, u64)>,
    /// Requests of the non-dominated set.
    pub front: Vec<u64>,
    /// Trainings after the search.
    #[serde(default)]
    pub trained: Vec<TrainedRecord>,
}

/// A training after a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedRecord {
    /// Its name, also that of its folder below `final`.
    pub name: String,
    /// SHA-256 of the genotype's key.
    pub hash: String,
    /// Share of the test set that is right; absent where training diverged.
    pub test_accuracy: Option<f64>,
}

/// What evaluations took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CostRecord {
    /// Requests that were answered.
    pub evaluations: u64,
    /// Genotypes that were trained.
    pub trained: u64,
    /// Wall time of the epochs of evaluations.
    pub seconds: f64,
    /// Processes that searched, those that were stopped or killed among them.
    #[serde(default)]
    pub processes: u64,
    /// Their wall time, with all that they trained.
    #[serde(default)]
    pub process_seconds: f64,
    /// Their time of all processors, where the system tells it; of one that was killed until it wrote
    /// it down last.
    pub cpu_seconds: Option<f64>,
    /// Products that trainings executed, three for each of a forward pass of one sample, and attacks.
    pub multiply_adds: f64,
    /// Most memory of one of them, MiB.
    pub peak_memory_mib: Option<f64>,
    /// What the supernet took, which is in all of these but the numbers of evaluations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supernet: Option<Spent>,
}

/// A line of `evaluations.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// Number of the request.
    pub number: u64,
    /// Where the genotype comes from.
    pub origin: Origin,
    /// Share of a whole training that it is worth.
    pub share: f64,
    /// SHA-256 of the genotype's key.
    pub hash: String,
    /// The genotype, as its JSON form.
    pub genotype: Value,
    /// A value for each objective; null where there is none (the training diverged, or a bound on
    /// the network's size is missed and it was not trained).
    pub values: BTreeMap<String, Option<f64>>,
    /// The run's folder, below that of the search, where it was trained.
    pub folder: Option<String>,
    /// Why there is no accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The earlier request whose values these are: the same genotype, trained as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<u64>,
    /// What it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Spent>,
}

/// What an evaluation took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Wall time of its epochs.
    pub seconds: f64,
    /// Time of all processors, where one process trained it.
    pub cpu_seconds: Option<f64>,
    /// Products that its training and the attack on it executed.
    pub multiply_adds: f64,
    /// Most memory of the process, MiB.
    pub peak_memory_mib: Option<f64>,
}

impl CostRecord {
    /// Takes an evaluation in.
    pub fn add(&mut self, record: &EvaluationRecord) {
        self.evaluations += 1;
        let Some(spent) = &record.spent else { return };
        self.trained += 1;
        self.take(spent);
    }

    /// Takes the training of a supernet in.
    pub fn add_supernet(&mut self, spent: Spent) {
        self.supernet = Some(spent);
        self.take(&spent);
    }

    fn take(&mut self, spent: &Spent) {
        self.seconds += spent.seconds;
        self.multiply_adds += spent.multiply_adds;
        self.see_peak(spent.peak_memory_mib);
    }

    /// Takes a process in: wall time, time of processors, most memory.
    pub fn add_process(&mut self, (seconds, cpu, peak): (f64, Option<f64>, Option<f64>)) {
        self.processes += 1;
        self.process_seconds += seconds;
        if let Some(cpu) = cpu {
            *self.cpu_seconds.get_or_insert(0.0) += cpu;
        }
        self.see_peak(peak);
    }

    fn see_peak(&mut self, peak: Option<f64>) {
        if let Some(peak) = peak {
            let most = self.peak_memory_mib.get_or_insert(0.0);
            *most = most.max(peak);
        }
    }
}

/// A search's folder, locked by this process.
#[derive(Debug)]
pub struct SearchFolder {
    path: PathBuf,
    /// What it says of itself.
    pub record: SearchRecord,
    // Last field: freed after everything else is written.
    _lock: Lock,
}

impl SearchFolder {
    /// Enters the folder `path` for the search of `record`, whose configuration is the TOML text
    /// `config`: locks it, and makes it or checks that it is of the same configuration.
    ///
    /// # Errors
    /// [`crate::ExitCode::Locked`] where another process is in it; usage error where it holds another
    /// search or a run, or against `resume`; storage error for a record that is lost or damaged.
    pub fn enter(
        path: &Path,
        mut record: SearchRecord,
        config: &str,
        overrides: &[String],
        resume: Resume,
    ) -> Result<Self> {
        fs::create_dir_all(path).map_err(|e| atomic::failed(path, &e))?;
        let lock = Lock::acquire(&path.join("lock"))?;
        let shown = path.display();
        if path.join("run.json").exists() {
            return Err(
                Error::usage(format!("`{shown}` holds the run of a training"))
                    .hint("choose another `--run-dir`"),
            );
        }
        let known = path.join("search.json");
        if known.exists() {
            if resume == Resume::Never {
                return Err(Error::usage(format!("`{shown}` holds a search already"))
                    .hint("use `--resume auto`, or another `--run-dir`"));
            }
            let before = read_record(&known)?;
            same_configuration(path, config)?;
            record.id = before.id;
            record.started = before.started;
            record.starts = before.starts + 1;
            record.cost.supernet = before.cost.supernet;
        } else {
            if resume == Resume::Must {
                return Err(Error::usage(format!(
                    "`{shown}` holds no search to go on with"
                )));
            }
            if path.join("evaluations").exists() {
                return Err(Error::storage(format!(
                    "`{shown}` holds evaluations of a search, but its `search.json` is gone"
                ))
                .hint("put `search.json` back, or choose another `--run-dir`"));
            }
            atomic::write(&path.join("config.toml"), config.as_bytes())?;
            let words: String = overrides.iter().map(|o| format!("{o}\n")).collect();
            atomic::write(&path.join("overrides.txt"), words.as_bytes())?;
        }
        let folder = Self {
            path: path.to_owned(),
            record,
            _lock: lock,
        };
        folder.write()?;
        Ok(folder)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the record.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.record)
            .map_err(|e| Error::internal(format!("search.json: {e}")))?;
        atomic::write(
            &self.path.join("search.json"),
            format!("{text}\n").as_bytes(),
        )
    }

    /// Writes down that the search is in `state`, and why it failed.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn record_state(&mut self, state: &str, error: Option<&Error>) -> Result<()> {
        self.record.state = state.to_owned();
        self.record.ended = Some(clock::stamp(clock::now()));
        self.record.error = error.map(Into::into);
        self.write()
    }

    /// What `evaluations.jsonl` says; nothing where it is not there yet. It is a report of what the
    /// run folders hold: lines that cannot be read are made anew from these.
    #[must_use]
    pub fn evaluations(&self) -> Vec<EvaluationRecord> {
        let text = fs::read_to_string(self.path.join("evaluations.jsonl")).unwrap_or_default();
        let lines = text.lines().map(serde_json::from_str);
        lines.map_while(std::result::Result::ok).collect()
    }

    /// Writes `evaluations.jsonl`.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn write_evaluations(&self, records: &[EvaluationRecord]) -> Result<()> {
        let mut text = String::new();
        for record in records {
            let line = serde_json::to_string(record)
                .map_err(|e| Error::internal(format!("evaluations.jsonl: {e}")))?;
            text.push_str(&line);
            text.push('\n');
        }
        atomic::write(&self.path.join("evaluations.jsonl"), text.as_bytes())
    }

    /// Writes a file of the folder.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn write_file(&self, name: &str, text: &str) -> Result<()> {
        atomic::write(&self.path.join(name), text.as_bytes())
    }
}

impl SearchRecord {
    /// The record of a search that starts now; what it searches is filled in by the caller.
    #[must_use]
    pub fn new(name: &str, seed: u64, plan: SearchPlan) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            id: identity::new_id(),
            name: name.to_owned(),
            experiment: None,
            argv: std::env::args().collect(),
            biorule: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
            plan,
            candidates: Vec::new(),
            size_log10: 0.0,
            requests: 0,
            device: None,
            plugins: Vec::new(),
            started: clock::stamp(clock::now()),
            starts: 1,
            ended: None,
            state: "running".to_owned(),
            error: None,
            found: None,
            cost: CostRecord::default(),
        }
    }
}

/// Whether `path` holds a search.
#[must_use]
pub fn is_search(path: &Path) -> bool {
    path.join("search.json").is_file()
}

fn read_record(file: &Path) -> Result<SearchRecord> {
    let text = fs::read_to_string(file).map_err(|e| atomic::failed(file, &e))?;
    let record: SearchRecord = serde_json::from_str(&text).map_err(|e| damaged(file, &e))?;
    if record.schema_version > SCHEMA_VERSION {
        return Err(Error::storage(format!(
            "`{}` is of a newer version of the program ({})",
            file.display(),
            record.biorule
        ))
        .hint("take that version, or choose another `--run-dir`"));
    }
    Ok(record)
}

/// Refuses a search whose deciding settings differ from those that the folder was started with.
fn same_configuration(path: &Path, config: &str) -> Result<()> {
    let file = path.join("config.toml");
    let text = fs::read_to_string(&file).map_err(|e| atomic::failed(&file, &e))?;
    let theirs = stored_rows(&text).map_err(|e| damaged(&file, &e.text))?;
    let changes = shown::differences(&stored_rows(config)?, &theirs);
    match changes.is_empty() {
        true => Ok(()),
        false => {
            Err(other_settings(path, &changes)
                .hint("undo the change, or choose another `--run-dir`"))
        }
    }
}

fn damaged(file: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::storage(format!("`{}` is damaged: {e}", file.display()))
        .hint("put a good copy in its place, or choose another `--run-dir`")
}
