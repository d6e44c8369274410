//! A run's folder: what is in it, how it is entered, and how it is found.
//!
//! ```text
//! runs/<name>/<date>-<short id>/   one start of `train` without --run-dir
//!   config.toml overrides.txt run.json events.jsonl metrics.csv lock
//!   checkpoints/{last,best,previous}.safetensors, state.json
//!   tb/events.out.tfevents.*
//! runs/<name>/latest               link to the newest
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use super::identity::{self, DeviceRecord, PluginRecord, RunRecord};
use super::{CheckpointStore, Lock, atomic, clock};
use crate::config::shown::{self, Row};
use crate::config::{PluginInfo, Resolved, RunPlan};
use crate::{Error, Result};

/// What to do with a folder that holds a run already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Resume {
    /// Go on where there is something to go on from.
    #[default]
    Auto,
    /// Refuse a folder that holds a run.
    Never,
    /// Refuse a folder that holds none.
    Must,
}

/// A run's folder, locked by this process.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    resolved: Resolved,
    record: RunRecord,
    checkpoints: CheckpointStore,
    // Last field: freed after everything else is written.
    _lock: Lock,
}

impl RunFolder {
    /// Enters the folder `path` for the run `resolved` of one seed: locks it,
    /// and makes it or checks that it is of the same configuration.
    ///
    /// # Errors
    /// [`crate::ExitCode::Locked`] where another process is in it; usage error
    /// where it holds another configuration, or against `resume`.
    pub fn enter(
        path: &Path,
        resolved: &Resolved,
        overrides: &[String],
        resume: Resume,
    ) -> Result<Self> {
        fs::create_dir_all(path).map_err(|e| atomic::failed(path, &e))?;
        let lock = Lock::acquire(&path.join("lock"))?;
        let known = path.join("run.json");
        let record = if known.exists() {
            if resume == Resume::Never {
                return Err(
                    Error::usage(format!("`{}` holds a run already", path.display()))
                        .hint("use `--resume auto`, or another `--run-dir`"),
                );
            }
            same_configuration(path, resolved)?;
            let mut record = RunRecord::read(&known)?;
            record.starts += 1;
            record.argv = std::env::args().collect();
            if !is_over(&record) {
                record.ended = None;
                record.exit_reason = None;
            }
            record
        } else {
            if resume == Resume::Must {
                return Err(Error::usage(format!(
                    "`{}` holds no run to go on with",
                    path.display()
                )));
            }
            let id = identity::new_id();
            let seed = resolved.plan.seeds.first().copied().unwrap_or(0);
            let config = resolved.to_toml(false);
            atomic::write(&path.join("config.toml"), config.as_bytes())?;
            let words: String = overrides.iter().map(|o| format!("{o}\n")).collect();
            atomic::write(&path.join("overrides.txt"), words.as_bytes())?;
            RunRecord::new(&id, &resolved.plan.name, seed, &resolved.hash())
        };
        record.write(&known)?;
        Ok(Self {
            path: path.to_owned(),
            resolved: resolved.clone(),
            record,
            checkpoints: CheckpointStore::open(&path.join("checkpoints"))?,
            _lock: lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The plan it runs.
    #[must_use]
    pub fn plan(&self) -> &RunPlan {
        &self.resolved.plan
    }

    /// What it says of itself.
    #[must_use]
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// Its checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> &CheckpointStore {
        &self.checkpoints
    }

    /// Its event file.
    #[must_use]
    pub fn events_path(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// A folder in it for features too large for memory, made where missing;
    /// nothing in it outlives the run.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn cache_path(&self) -> Result<PathBuf> {
        let path = self.path.join("cache");
        fs::create_dir_all(&path).map_err(|e| atomic::failed(&path, &e))?;
        Ok(path)
    }

    /// Whether the run in it has ended for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        is_over(&self.record)
    }

    /// Writes down the device and the plugins in use.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn record_use(&mut self, device: &DeviceRecord, plugins: &[PluginInfo]) -> Result<()> {
        let device = device.clone();
        self.record.device = device.name;
        self.record.no_gpu = device.no_gpu;
        self.record.tf32 = device.tf32;
        self.record.plugins = plugins.iter().map(PluginRecord::from).collect();
        self.record.write(&self.path.join("run.json"))
    }

    /// Writes down what the results hold beside their numbers, together with the end of the run.
    pub fn record_details(&mut self, outcome: &super::Outcome) {
        self.record.classes.clone_from(&outcome.classes);
        self.record.best.clone_from(&outcome.best);
    }

    /// Writes down how the run ended; what was cached goes.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn record_end(&mut self, reason: &str, results: &super::Metrics) -> Result<()> {
        let _ = fs::remove_dir_all(self.path.join("cache"));
        self.record.ended = Some(clock::stamp(clock::now()));
        self.record.exit_reason = Some(reason.to_owned());
        self.record.results.clone_from(results);
        self.record.write(&self.path.join("run.json"))
    }
}

fn is_over(record: &RunRecord) -> bool {
    let reason = record.exit_reason.as_deref();
    matches!(reason, Some("finished" | "pruned" | "diverged"))
}

/// Refuses to go on with other settings than the folder was started with.
fn same_configuration(path: &Path, resolved: &Resolved) -> Result<()> {
    let file = path.join("config.toml");
    let text = fs::read_to_string(&file).map_err(|e| atomic::failed(&file, &e))?;
    let theirs = stored_rows(&text).map_err(|e| e.within(file.display()))?;
    // Through text, as the stored one went.
    let ours = stored_rows(&resolved.to_toml(false))?;
    let differences = shown::differences(&ours, &theirs);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "run folder `{}` was started with another configuration: {}",
        path.display(),
        differences.join(", ")
    ))
    .hint("undo the change, or choose another `--run-dir`"))
}

/// The settings of a stored configuration as a flat list.
///
/// # Errors
/// Usage error for a text that is no TOML.
pub fn stored_rows(text: &str) -> Result<Vec<Row>> {
    let table: toml::Table =
        toml::from_str(text).map_err(|e| Error::usage(format!("no TOML: {e}")))?;
    let mut rows = Vec::new();
    flatten("", &toml::Value::Table(table), &mut rows);
    Ok(rows)
}

fn flatten(path: &str, value: &toml::Value, rows: &mut Vec<Row>) {
    let join = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        toml::Value::Table(t) => t.iter().for_each(|(k, v)| flatten(&join(k), v, rows)),
        toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
            for (i, item) in list.iter().enumerate() {
                let name = item.get("name").and_then(toml::Value::as_str);
                flatten(&join(name.unwrap_or(&i.to_string())), item, rows);
            }
        }
        leaf => rows.push((path.to_owned(), leaf.clone(), String::new())),
    }
}

/// A new folder's path under `runs`, not made yet: `runs/<name>/<date>-<id>`.
#[must_use]
pub fn fresh_path(runs: &Path, name: &str) -> PathBuf {
    let date = clock::compact(clock::now());
    runs.join(name)
        .join(format!("{date}-{}", identity::new_id()))
}

/// Makes `runs/<name>/latest` point to `path`, a folder beside it.
///
/// # Errors
/// Internal error where the disk refuses.
pub fn link_latest(path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let link = parent.join("latest");
    let temporary = parent.join(format!(
        "latest-{}{}",
        identity::new_id(),
        atomic::TEMPORARY
    ));
    symlink(Path::new(name), &temporary)
        .and_then(|()| atomic::replace(&temporary, &link))
        .map_err(|e| atomic::failed(&link, &e))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Systems without symbolic links get a file that holds the name.
#[cfg(not(unix))]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    fs::write(link, target.to_string_lossy().as_bytes())
}

/// All folders below `runs` that hold a run, oldest first, with their records.
#[must_use]
pub fn find(runs: &Path) -> Vec<(PathBuf, RunRecord)> {
    let mut found = Vec::new();
    search(runs, 4, &mut found);
    found.sort_by(|a, b| (&a.1.started, &a.0).cmp(&(&b.1.started, &b.0)));
    found
}

fn search(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, RunRecord)>) {
    if let Ok(record) = RunRecord::read(&folder.join("run.json")) {
        found.push((folder.to_owned(), record));
        return;
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
        if is_folder && depth > 0 {
            search(&entry.path(), depth - 1, found);
        }
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
