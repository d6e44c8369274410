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

use super::experiment::ExperimentRecord;
use super::extend::{self, Extension};
use super::identity::{
    self, DataRecord, DeviceRecord, Extended, InitRecord, PluginRecord, RunRecord, ShapeRecord,
};
use super::rule_use::RuleUse;
use super::rules_used;
use super::{CheckpointStore, Lock, answers, atomic, clock};
use crate::config::DEFAULT;
use crate::config::shown::{self, Change, Row};
use crate::config::{DataShape, PluginInfo, Resolved, RunPlan, shapes};
use crate::{Error, ExitCode, Result};

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
    extension: Option<Extension>,
    overrides: Vec<String>,
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
        if path.join("search.json").exists() {
            return Err(
                Error::usage(format!("`{}` holds a search", path.display())).hint(
                    "choose another `--run-dir`; `--genotype` with this folder trains what it found",
                ),
            );
        }
        let known = path.join("run.json");
        let checkpoints = CheckpointStore::new(&path.join("checkpoints"));
        let mut extension = None;
        let mut record = if known.exists() {
            if resume == Resume::Never {
                return Err(
                    Error::usage(format!("`{}` holds a run already", path.display()))
                        .hint("use `--resume auto`, or another `--run-dir`"),
                );
            }
            let mut record = RunRecord::read(&known)?;
            let changes = changes(path, resolved)?;
            if !changes.is_empty() {
                let Some(phases) = extend::longer(&changes, &resolved.plan) else {
                    return Err(extend::other_configuration(path, &changes));
                };
                let found = extend::extension(phases, &resolved.plan, &record, &checkpoints)
                    .map_err(|e| e.within(format_args!("run folder `{}`", path.display())))?;
                extension = Some(found);
            }
            record.starts += 1;
            record.argv = std::env::args().collect();
            if !is_over(&record) {
                record.ended = None;
                record.exit_reason = None;
                record.error = None;
            }
            record
        } else {
            if resume == Resume::Must {
                return Err(Error::usage(format!(
                    "`{}` holds no run to go on with",
                    path.display()
                )));
            }
            if checkpoints.holds_any() {
                let text = format!(
                    "`{}` holds checkpoints of a run, but its `run.json` is gone",
                    path.display()
                );
                return Err(Error::storage(text)
                    .hint("put `run.json` back, or choose another `--run-dir`; `--init-from` takes over weights"));
            }
            let id = identity::new_id();
            let seed = resolved.plan.seeds.first().copied().unwrap_or(0);
            write_configuration(path, resolved, overrides)?;
            RunRecord::new(&id, &resolved.plan.name, seed, &resolved.hash())
        };
        // What was published may have been corrected since the run began.
        let before = record.experiment.take();
        record.experiment =
            ExperimentRecord::of(resolved.plan.experiment.as_ref(), resolved.from.as_ref());
        if let (Some(now), Some(before), None) = (&mut record.experiment, before, &resolved.from) {
            // Its own `config.toml` goes on with it.
            (now.name, now.changed) = (before.name, before.changed);
        }
        checkpoints.make()?;
        if extension.is_none() {
            record.write(&known)?;
        }
        Ok(Self {
            path: path.to_owned(),
            resolved: resolved.clone(),
            record,
            checkpoints,
            extension,
            overrides: overrides.to_vec(),
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

    /// How it differs from the plan it was started with, where [`Self::extend`] is to be called
    /// before anything else.
    #[must_use]
    pub fn extension(&self) -> Option<&Extension> {
        self.extension.as_ref()
    }

    /// Makes the folder that of the longer run. A kill in between leaves the former run, or one
    /// that the same command takes up.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn extend(&mut self) -> Result<()> {
        let Some(extension) = self.extension.take() else {
            return Ok(());
        };
        if let Some(path) = &extension.back_to {
            self.checkpoints.go_back(path)?;
        }
        let record = &mut self.record;
        let hash = self.resolved.hash();
        record.extended.push(Extended {
            at: clock::stamp(clock::now()),
            phases: extension.phases,
            config_hash: std::mem::replace(&mut record.config_hash, hash),
            exit_reason: record.exit_reason.take(),
            results: std::mem::take(&mut record.results),
        });
        record.ended = None;
        record.error = None;
        // Of the shorter run; the longer one writes its own at its end.
        for file in [answers::ANSWERS, answers::WINNERS] {
            let path = self.path.join(file);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(atomic::failed(&path, &e));
                }
                _ => {}
            }
        }
        let record = &self.record;
        record.write(&self.path.join("run.json"))?;
        write_configuration(&self.path, &self.resolved, &self.overrides)
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
    /// Storage error where the disk refuses.
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

    /// Holds the libraries that `rules` come from against those that the run began with. Returns what
    /// to tell where others are accepted.
    ///
    /// # Errors
    /// Plugin error where a run that has computed something would go on with other ones.
    pub fn same_rules(&self, rules: &[RuleUse], accept: bool) -> Result<Vec<String>> {
        if !self.checkpoints.holds_any() {
            return Ok(Vec::new());
        }
        rules_used::judge(rules_used::differences(&self.record, rules), accept)
            .map_err(|e| e.within(format_args!("run folder `{}`", self.path.display())))
    }

    /// The file that is written where a rule ends the process.
    #[must_use]
    pub fn crash_path(&self) -> PathBuf {
        self.path.join("crash.txt")
    }

    /// What the last start said as a rule ended its process, where that is how it ended; told once.
    #[must_use]
    pub fn take_crash(&self) -> Option<String> {
        let text = fs::read_to_string(self.crash_path()).ok()?;
        let _ = fs::remove_file(self.crash_path());
        Some(format!(
            "the start before this one broke off: {}",
            text.trim()
        ))
    }

    /// Writes down device, machine and plugins in use. Returns what to tell where the run goes on
    /// from a checkpoint of another device or machine, so that not all its bits are those of a run that
    /// stays on one; the same move is told once.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn record_use(
        &mut self,
        device: &DeviceRecord,
        plugins: &[PluginInfo],
        rules: Vec<RuleUse>,
    ) -> Result<Vec<String>> {
        let here = identity::host_record();
        let mut moves = Vec::new();
        let before = &self.record.device;
        if !before.is_empty() && *before != device.name {
            moves.push(format!(
                "this run was computed on `{before}` and goes on on `{}`: from here all results differ in \
                 their last bits from those of a run that stays on one",
                device.name
            ));
        } else if device.name == "cpu" {
            moves.extend(self.record.host.moved_to(&here));
        }
        if !self.checkpoints.last_path().exists() {
            // All of it is computed here.
            moves.clear();
        }
        if self.record.host != here {
            let before = std::mem::replace(&mut self.record.host, here);
            if !self.record.earlier_hosts.contains(&before) {
                self.record.earlier_hosts.push(before);
            }
        }
        self.record.threads = Some(crate::threads::count());
        let device = device.clone();
        self.record.device = device.name;
        self.record.no_gpu = device.no_gpu;
        self.record.tf32 = device.tf32;
        let plugins: Vec<PluginRecord> = plugins.iter().map(PluginRecord::from).collect();
        for before in std::mem::replace(&mut self.record.plugins, plugins) {
            let used = rules.iter().any(|rule| rule.plugin == before.name);
            let is_new = !self.record.plugins.contains(&before);
            if used && is_new && !self.record.earlier_plugins.contains(&before) {
                self.record.earlier_plugins.push(before);
            }
        }
        self.record.rules = rules;
        // A run that goes on does not need the file of its initial weights any more.
        if let Some(init) = self
            .resolved
            .plan
            .init
            .as_ref()
            .filter(|_| !self.checkpoints.holds_any())
        {
            let file = super::initial::locate(&init.from)?;
            self.record.init = Some(InitRecord::of(&file)?);
        }
        self.record.write(&self.path.join("run.json"))?;
        Ok(moves)
    }

    /// Takes the shapes of the network's blocks on samples of `data` into the record, which the next
    /// write makes durable.
    ///
    /// # Errors
    /// Usage error where blocks do not fit each other.
    pub fn note_shapes(&mut self, data: &DataShape) -> Result<()> {
        let shapes = shapes::propagate(&self.resolved.plan.blocks, data)?;
        let record = |shape: shapes::BlockShape| ShapeRecord {
            block: shape.name,
            input: shape.input,
            output: shape.output,
        };
        self.record.shapes = shapes.into_iter().map(record).collect();
        Ok(())
    }

    /// Takes warnings into the record, which the next write makes durable; each text once.
    pub fn note_warnings<'a>(&mut self, warnings: impl IntoIterator<Item = &'a str>) {
        for text in warnings {
            if !self.record.warnings.iter().any(|known| known == text) {
                self.record.warnings.push(text.to_owned());
            }
        }
    }

    /// Writes down the files that data comes from. A run that goes on has to find what it started
    /// with.
    ///
    /// # Errors
    /// Data error where the content of a file is another one than at the start; internal error where
    /// the disk refuses.
    pub fn record_data(&mut self, data: Vec<DataRecord>) -> Result<()> {
        if self.record.starts > 1 && !self.record.data.is_empty() {
            identity::same_data(&data, &self.record.data)
                .map_err(|e| e.within(format!("run folder `{}`", self.path.display())))?;
        }
        self.record.data = data;
        self.record.write(&self.path.join("run.json"))
    }

    /// Writes down what the results hold beside their numbers: answers and winners at once, in files
    /// of their own, the rest together with the end of the run.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn record_details(&mut self, outcome: &super::Outcome) -> Result<()> {
        self.record.classes.clone_from(&outcome.classes);
        self.record.best.clone_from(&outcome.best);
        if !outcome.answers.taken.is_empty() {
            outcome.answers.write(&self.path.join(answers::ANSWERS))?;
        }
        match &outcome.winners {
            Some(winners) => winners.write(&self.path.join(answers::WINNERS)),
            None => Ok(()),
        }
    }

    /// Writes down how the run ended; what was cached goes.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn record_end(&mut self, reason: &str, results: &super::Metrics) -> Result<()> {
        let _ = fs::remove_dir_all(self.path.join("cache"));
        self.record.ended = Some(clock::stamp(clock::now()));
        let peak = identity::peak_memory();
        let before = self.record.peak_memory_mib;
        self.record.peak_memory_mib = peak.into_iter().chain(before).reduce(f64::max);
        self.record.exit_reason = Some(reason.to_owned());
        self.record.results.clone_from(results);
        self.record.write(&self.path.join("run.json"))
    }

    /// Writes down that the run failed, and why.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn record_failure(&mut self, error: &Error) -> Result<()> {
        let reason = match error.code {
            ExitCode::Diverged => "diverged",
            _ => "failed",
        };
        self.record.error = Some(error.into());
        self.record_end(reason, &super::Metrics::new())
    }
}

/// The configuration and what was typed.
fn write_configuration(path: &Path, resolved: &Resolved, overrides: &[String]) -> Result<()> {
    let config = resolved.to_toml(false);
    atomic::write(&path.join("config.toml"), config.as_bytes())?;
    let words: String = overrides.iter().map(|o| format!("{o}\n")).collect();
    atomic::write(&path.join("overrides.txt"), words.as_bytes())
}

/// Whether `path` holds a run, begun or ended.
#[must_use]
pub fn is_run(path: &Path) -> bool {
    path.join("run.json").is_file()
}

/// Whether `path` holds a run that has ended for good.
#[must_use]
pub fn has_ended(path: &Path) -> bool {
    RunRecord::read(&path.join("run.json")).is_ok_and(|record| is_over(&record))
}

fn is_over(record: &RunRecord) -> bool {
    let reason = record.exit_reason.as_deref();
    matches!(reason, Some("finished" | "pruned" | "diverged"))
}

/// The settings that decide results and differ from those that the folder was started with.
fn changes(path: &Path, resolved: &Resolved) -> Result<Vec<Change>> {
    let file = path.join("config.toml");
    let text = fs::read_to_string(&file).map_err(|e| atomic::failed(&file, &e))?;
    let theirs = stored_rows(&text).map_err(|e| damaged(&file, &e))?;
    // Through text, as the stored one went.
    let ours = stored_rows(&resolved.to_toml(false))?;
    let rows = resolved.rows();
    // A setting that an earlier version did not have and nobody sets is as it was then.
    let is_new = |change: &Change| {
        let row = rows.iter().find(|(path, ..)| *path == change.path);
        change.theirs.is_none() && row.is_some_and(|(_, _, origin)| origin == DEFAULT)
    };
    let mut all = shown::differences(&ours, &theirs);
    all.retain(|change| !is_new(change));
    Ok(all)
}

fn damaged(file: &Path, e: &Error) -> Error {
    Error::storage(format!("`{}` is damaged: {}", file.display(), e.text))
        .hint("put a good copy in its place, or choose another `--run-dir`")
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
/// Storage error where the disk refuses.
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

/// Beginning of the name of a folder that is being removed.
pub const REMOVED: &str = ".removed-";

/// All folders below `runs` that hold a run, oldest first, with their records.
#[must_use]
pub fn find(runs: &Path) -> Vec<(PathBuf, RunRecord)> {
    let mut found = Vec::new();
    search(runs, 4, &mut found);
    found.sort_by(|a, b| (&a.1.started, &a.0).cmp(&(&b.1.started, &b.0)));
    found
}

fn search(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, RunRecord)>) {
    match RunRecord::read(&folder.join("run.json")) {
        Ok(record) => {
            found.push((folder.to_owned(), record));
            return;
        }
        // Not a run's folder.
        Err(e) if e.code == ExitCode::Usage => {}
        Err(e) => tracing::warn!("{}", e.text),
    }
    if depth > 0 {
        let below = below(folder);
        below.iter().for_each(|f| search(f, depth - 1, found));
    }
}

/// The folders in `folder` by name, but for those that are being removed.
#[must_use]
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let stays = |entry: &fs::DirEntry| {
        let is_removed = entry.file_name().to_string_lossy().starts_with(REMOVED);
        entry.file_type().is_ok_and(|t| t.is_dir()) && !is_removed
    };
    let mut found: Vec<PathBuf> = entries.flatten().filter(stays).map(|e| e.path()).collect();
    found.sort();
    found
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
