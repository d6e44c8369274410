//! What run folders hold, read for a page. Nothing is written, nothing is trained; what cannot be
//! read is said on the page, and the rest is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::kind::Kind;
use crate::probe::Probed;
use crate::run::attacks::{self, AttackRecord};
use crate::run::folder::stored_rows;
use crate::run::identity::RunRecord;
use crate::run::search_folder::{EvaluationRecord, SearchRecord};
use crate::run::{Checkpoint, CheckpointStore, EpochRecord, MetricsCsv, lock, steps};
use crate::{Error, ExitCode, Result};

/// Everything that a page is made of.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Experiments in the order in which they were named.
    pub experiments: Vec<Experiment>,
    /// Searches.
    pub searches: Vec<Search>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// Runs of one configuration, a seed each.
#[derive(Debug)]
pub struct Experiment {
    /// Its name, told apart from others of the same name.
    pub name: String,
    /// Its runs, by seed.
    pub runs: Vec<Run>,
}

/// One run's folder.
#[derive(Debug)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// `run.json`.
    pub record: RunRecord,
    /// What it is doing.
    pub state: State,
    /// `config.toml`.
    pub config: toml::Table,
    /// Its settings as a flat list that decide results.
    pub settings: BTreeMap<String, String>,
    /// `metrics.csv`.
    pub epochs: Vec<EpochRecord>,
    /// `steps.jsonl`.
    pub steps: Vec<steps::StepRow>,
    /// `attacks/`.
    pub attacks: Vec<AttackRecord>,
    /// Weights of the network's layers, of the first run of an experiment.
    pub weights: Vec<Weights>,
    /// Bytes of the last checkpoint.
    pub bytes: Option<u64>,
    /// What its network does with its data.
    pub probed: Option<Probed>,
    /// What could not be read, and why something is not shown.
    pub problems: Vec<String>,
}

/// Weights of a layer.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Its block.
    pub block: String,
    /// `[K, D]` or `[K, C, R, S]`.
    pub dims: Vec<usize>,
    /// The weights, row-major.
    pub values: Vec<f32>,
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A process holds its folder.
    Running,
    /// Neither running nor ended: it was killed.
    Killed,
    /// Stopped after a checkpoint.
    Stopped,
    /// At its end.
    Finished,
    /// Stopped for good by whoever started it.
    Pruned,
    /// Diverged, or failed.
    Failed,
}

impl State {
    /// Of the run in `folder`.
    #[must_use]
    pub fn of(folder: &Path, record: &RunRecord) -> Self {
        match record.exit_reason.as_deref() {
            Some("finished") => Self::Finished,
            Some("stopped") => Self::Stopped,
            Some("pruned") => Self::Pruned,
            Some(_) => Self::Failed,
            None if lock::is_held(&folder.join("lock")) => Self::Running,
            None => Self::Killed,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Pruned => "pruned",
            Self::Failed => "failed",
        }
    }
}

/// A search's folder.
#[derive(Debug)]
pub struct Search {
    /// The folder.
    pub folder: PathBuf,
    /// `search.json`.
    pub record: SearchRecord,
    /// `evaluations.jsonl`.
    pub evaluations: Vec<EvaluationRecord>,
    /// Drawings of cells, by name.
    pub cells: Vec<(String, String)>,
    /// A process holds the folder.
    pub running: bool,
}

/// Folders below a named one are looked through to this depth.
const DEPTH: usize = 4;

/// Reads the runs and searches at `paths` or below them.
///
/// # Errors
/// Usage error for a path that holds none; storage error where all there is cannot be read.
pub fn gather(paths: &[PathBuf]) -> Result<Gathered> {
    let mut found = Gathered::default();
    let (mut runs, mut seen) = (Vec::new(), BTreeSet::new());
    for path in paths {
        if !path.exists() {
            return Err(Error::usage(format!("`{}` is not there", path.display()))
                .hint("`biorule runs list` lists runs"));
        }
        let mut here = Walk::default();
        here.walk(path, DEPTH);
        if here.runs.is_empty() && here.searches.is_empty() {
            return Err(match here.problems.into_iter().next() {
                Some(e) => e,
                None => Error::usage(format!("`{}` holds no run", path.display()))
                    .hint("give a run's folder, a search's, or one that holds such; `biorule runs list` lists runs"),
            });
        }
        found.problems.extend(here.problems.iter().map(|e| e.text.clone()));
        let fresh = |folder: &PathBuf| folder.canonicalize().unwrap_or_else(|_| folder.clone());
        runs.extend(here.runs.into_iter().filter(|(f, _)| seen.insert(fresh(f))));
        let searches = here.searches.into_iter().filter(|f| seen.insert(fresh(f)));
        for folder in searches {
            match search(&folder) {
                Ok(search) => found.searches.push(search),
                Err(e) => found.problems.push(e.text),
            }
        }
    }
    for (folder, record) in runs {
        found.add(run(folder, record));
    }
    found.name_apart();
    for experiment in &mut found.experiments {
        experiment.runs.sort_by_key(|run| run.record.seed);
        if let Some(first) = experiment.runs.first_mut() {
            first.read_weights();
        }
    }
    if found.experiments.is_empty() && found.searches.is_empty() {
        let text = found.problems.join("; ");
        return Err(Error::storage(text).hint("put a good copy in its place"));
    }
    Ok(found)
}

#[derive(Default)]
struct Walk {
    runs: Vec<(PathBuf, RunRecord)>,
    searches: Vec<PathBuf>,
    problems: Vec<Error>,
}

impl Walk {
    fn walk(&mut self, folder: &Path, depth: usize) {
        if folder.join("search.json").is_file() {
            return self.searches.push(folder.to_owned());
        }
        match RunRecord::read(&folder.join("run.json")) {
            Ok(record) => return self.runs.push((folder.to_owned(), record)),
            // Not a run's folder.
            Err(e) if e.code == ExitCode::Usage => {}
            Err(e) => return self.problems.push(e),
        }
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        let mut below: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()))
            .map(|entry| entry.path())
            .collect();
        below.sort();
        if depth > 0 {
            below.iter().for_each(|folder| self.walk(folder, depth - 1));
        }
    }
}

fn search(folder: &Path) -> Result<Search> {
    let file = folder.join("search.json");
    let text = std::fs::read_to_string(&file).map_err(|e| Error::storage_io(&file, &e))?;
    let record = serde_json::from_str(&text)
        .map_err(|e| Error::storage(format!("`{}` is damaged: {e}", file.display())))?;
    let lines = std::fs::read_to_string(folder.join("evaluations.jsonl")).unwrap_or_default();
    let cells = ["normal", "reduce", "cell"].into_iter().filter_map(|name| {
        let text = std::fs::read_to_string(folder.join(format!("{name}.svg"))).ok()?;
        Some((name.to_owned(), text))
    });
    Ok(Search {
        record,
        evaluations: lines.lines().filter_map(|l| serde_json::from_str(l).ok()).collect(),
        cells: cells.collect(),
        running: lock::is_held(&folder.join("lock")),
        folder: folder.to_owned(),
    })
}

fn run(folder: PathBuf, record: RunRecord) -> Run {
    let mut problems = Vec::new();
    let file = folder.join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let config: toml::Table = toml::from_str(&text).unwrap_or_default();
    if config.is_empty() {
        problems.push("config.toml cannot be read, so neither plan nor network are shown".to_owned());
    }
    let rows = stored_rows(&text).unwrap_or_default();
    let deciding = crate::config::shown::deciding(&rows).into_iter();
    let mut settings: BTreeMap<String, String> = deciding.collect();
    for free in ["seeds", "name", "device"] {
        settings.remove(free);
    }
    settings.retain(|name, _| !name.starts_with("experiment"));
    let epochs = MetricsCsv::read(&folder.join("metrics.csv")).unwrap_or_else(|e| {
        problems.push(format!("metrics.csv cannot be read, so there are no curves: {}", e.text));
        Vec::new()
    });
    let bytes = std::fs::metadata(folder.join("checkpoints/last.safetensors"));
    let state = State::of(&folder, &record);
    Run {
        state,
        config,
        settings,
        epochs,
        steps: steps::read(&folder.join("steps.jsonl")),
        attacks: attacks::of_run(&folder).into_iter().map(|(_, a)| a).collect(),
        weights: Vec::new(),
        bytes: bytes.ok().map(|m| m.len()),
        probed: None,
        problems,
        folder,
        record,
    }
}

impl Gathered {
    /// Puts a run to those of the same name and settings.
    fn add(&mut self, run: Run) {
        let same = |e: &&mut Experiment| {
            let first = &e.runs[0];
            first.record.name == run.record.name && first.settings == run.settings
        };
        match self.experiments.iter_mut().find(same) {
            Some(experiment) => experiment.runs.push(run),
            None => self.experiments.push(Experiment {
                name: run.record.name.clone(),
                runs: vec![run],
            }),
        }
    }

    /// Experiments of one name get the first setting in which they differ behind it.
    fn name_apart(&mut self) {
        let names: Vec<String> = self.experiments.iter().map(|e| e.name.clone()).collect();
        for i in 0..names.len() {
            let alike: Vec<usize> = (0..names.len()).filter(|j| names[*j] == names[i]).collect();
            if alike.len() < 2 {
                continue;
            }
            let of = |j: usize| &self.experiments[j].runs[0].settings;
            let keys: BTreeSet<&String> = alike.iter().flat_map(|j| of(*j).keys()).collect();
            let distinct = |key: &&&String| {
                let values: BTreeSet<_> = alike.iter().map(|j| of(*j).get(**key)).collect();
                values.len() == alike.len()
            };
            let told = keys.iter().find(distinct).map(|key| {
                let short = key.rsplit('.').next().unwrap_or(key);
                let value = of(i).get(*key).map_or("–", |v| v.trim_matches('"'));
                format!("{} ({short} {value})", names[i])
            });
            let place = alike.iter().position(|j| *j == i).unwrap_or(0) + 1;
            self.experiments[i].name = told.unwrap_or_else(|| format!("{} ({place})", names[i]));
        }
    }

    /// Every run.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.experiments.iter().flat_map(|e| &e.runs)
    }

    /// Whether all runs and searches have ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.runs().all(|r| r.state != State::Running) && self.searches.iter().all(|s| !s.running)
    }
}

impl Run {
    /// Reads the weights of the network from the last checkpoint.
    fn read_weights(&mut self) {
        let store = CheckpointStore::new(&self.folder.join("checkpoints"));
        match store.load_last() {
            Ok(Some(checkpoint)) => self.weights = weights(&checkpoint),
            Ok(None) => {}
            Err(e) => self.problems.push(format!("the last checkpoint cannot be read, so no weights are shown: {}", e.text)),
        }
    }

    /// The blocks of the configuration.
    #[must_use]
    pub fn blocks(&self) -> Vec<&toml::Table> {
        tables(self.config.get("blocks"))
    }

    /// Its phases.
    #[must_use]
    pub fn phases(&self) -> Vec<&toml::Table> {
        tables(self.config.get("phases"))
    }

    /// Phases that train the block `name`.
    pub fn phases_of<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a toml::Table> {
        let lists = move |phase: &&toml::Table| {
            let blocks = phase.get("blocks").and_then(toml::Value::as_array);
            blocks.is_some_and(|list| list.iter().any(|b| b.as_str() == Some(name)))
        };
        let all: Vec<&toml::Table> = self.phases().into_iter().filter(lists).collect();
        all.into_iter()
    }

    /// The rule of a block with its kind.
    #[must_use]
    pub fn rule_of(&self, block: &toml::Table) -> Option<(String, Kind)> {
        let name = block.get("rule")?.get("name")?.as_str()?;
        let own = block.get("name").and_then(toml::Value::as_str).unwrap_or_default();
        let is_local = self.phases_of(own).any(|p| word(p, "drive") == "local");
        Some((name.to_owned(), Kind::of(name, is_local)))
    }

    /// The kind that stands for the whole network: that of its first layer.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let blocks = self.blocks();
        let mut rules = blocks.iter().filter_map(|b| self.rule_of(b));
        match rules.next() {
            // Untrained features with a read-out are a baseline.
            Some(_) if self.is_untrained() => Kind::None,
            Some((_, kind)) => kind,
            None => Kind::None,
        }
    }

    /// Whether the first layer never learns.
    fn is_untrained(&self) -> bool {
        let blocks = self.blocks();
        let layered: Vec<&str> = blocks.iter().filter(|b| b.contains_key("rule")).map(|b| word(b, "name")).collect();
        match layered.as_slice() {
            [first, _, ..] => !self.phases().is_empty() && self.phases_of(first).next().is_none(),
            _ => false,
        }
    }

    /// A result.
    #[must_use]
    pub fn result(&self, name: &str) -> Option<f64> {
        self.record.results.get(name).copied().filter(|x| x.is_finite())
    }

    /// Test samples behind the results.
    #[must_use]
    pub fn samples(&self) -> Option<u64> {
        let classes = self.record.classes.get("test");
        let recorded = classes.map(|all| all.iter().map(|c| c.samples).sum());
        recorded.or_else(|| self.probed.as_ref().map(|p| p.samples as u64)).filter(|n| *n > 0)
    }

    /// Which class was taken for which, with the names of the classes.
    #[must_use]
    pub fn confusion(&self) -> Option<(Vec<String>, Vec<Vec<u64>>)> {
        let names = |n: usize| match self.record.classes.get("test") {
            Some(classes) if classes.len() == n => classes.iter().map(|c| c.class.clone()).collect(),
            _ => (0..n).map(|i| i.to_string()).collect(),
        };
        if let Some(rows) = self.record.confusion.get("test") {
            return Some((names(rows.len()), rows.clone()));
        }
        let probed = self.probed.as_ref()?;
        let rows = probed.confusion();
        (!rows.is_empty()).then(|| (probed.classes.clone(), rows))
    }
}

/// The entries of a list of tables.
fn tables(value: Option<&toml::Value>) -> Vec<&toml::Table> {
    let list = value.and_then(toml::Value::as_array);
    list.into_iter().flatten().filter_map(toml::Value::as_table).collect()
}

/// A text of a table; empty where there is none.
#[must_use]
pub fn word<'a>(table: &'a toml::Table, key: &str) -> &'a str {
    table.get(key).and_then(toml::Value::as_str).unwrap_or_default()
}

/// A number of a table.
#[must_use]
pub fn value(table: &toml::Table, key: &str) -> Option<f64> {
    let value = table.get(key)?;
    value.as_float().or_else(|| value.as_integer().map(|i| i as f64))
}

fn weights(checkpoint: &Checkpoint) -> Vec<Weights> {
    let read = |t: &Tensor| -> Option<Vec<f32>> {
        let t = t.to_device(&Device::Cpu).ok()?.to_dtype(DType::F32).ok()?;
        t.flatten_all().ok()?.to_vec1().ok()
    };
    let found = checkpoint.tensors.iter().filter_map(|(name, tensor)| {
        let block = name.strip_prefix("blocks.")?.strip_suffix(".layer.weight")?;
        Some(Weights {
            block: block.to_owned(),
            dims: tensor.dims().to_vec(),
            values: read(tensor)?,
        })
    });
    let mut all: Vec<Weights> = found.collect();
    all.sort_by(|a, b| a.block.cmp(&b.block));
    all
}

impl Weights {
    /// Units of the layer.
    #[must_use]
    pub fn units(&self) -> usize {
        self.dims.first().copied().unwrap_or(0)
    }

    /// Weights of a unit.
    #[must_use]
    pub fn each(&self) -> usize {
        self.dims.iter().skip(1).product()
    }

    /// Length of each unit's weight vector.
    #[must_use]
    pub fn radii(&self) -> Vec<f32> {
        let length = |unit: &[f32]| unit.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt() as f32;
        self.values.chunks(self.each().max(1)).map(length).collect()
    }
}
