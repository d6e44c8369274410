//! What run folders hold, read for a page. Nothing is written, nothing is trained; what cannot be
//! read is said on the page, and the rest is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::kind::Kind;
use crate::run::answers;
use crate::run::attacks::{self, AttackRecord};
use crate::run::folder::stored_rows;
use crate::run::identity::RunRecord;
use crate::run::steps::{self, StepRow};
use crate::run::{Answers, CheckpointStore, EpochRecord, MetricsCsv, WinnersRecord, lock};
use crate::{Error, ExitCode, Result};

/// Everything that a page is made of.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Experiments in the order in which they were named.
    pub experiments: Vec<Experiment>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// Runs of one configuration, a seed each.
#[derive(Debug)]
pub struct Experiment {
    /// Its name, told apart from others of the same name.
    pub name: String,
    /// The name without what all names begin with, for drawings and tables.
    pub short: String,
    /// Its runs, by seed; at least one.
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
    /// Its settings that decide results, as a flat list.
    pub settings: BTreeMap<String, String>,
    /// `metrics.csv`.
    pub epochs: Vec<EpochRecord>,
    /// `steps.jsonl`.
    pub steps: Vec<StepRow>,
    /// `attacks/`.
    pub attacks: Vec<AttackRecord>,
    /// `answers.csv`.
    pub answers: Option<Answers>,
    /// `winners.json`.
    pub winners: Option<WinnersRecord>,
    /// Weights of the network's layers, of the first run of an experiment.
    pub weights: Vec<Weights>,
    /// Bytes of the last checkpoint.
    pub bytes: Option<u64>,
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
    /// It has diverged.
    Diverged,
    /// It ended with an error.
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
            Some("diverged") => Self::Diverged,
            Some(_) => Self::Failed,
            None if lock::is_held(&folder.join("lock")) => Self::Running,
            None => Self::Killed,
        }
    }

    /// The word for it, with its mark: no state is told by colour alone.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "… running",
            Self::Killed => "× killed",
            Self::Stopped => "× stopped",
            Self::Finished => "✓ finished",
            Self::Pruned => "× pruned",
            Self::Diverged => "▼ diverged",
            Self::Failed => "▼ failed",
        }
    }

    /// Whether the run gave no result because of an error.
    #[must_use]
    pub fn has_failed(self) -> bool {
        matches!(self, Self::Diverged | Self::Failed)
    }
}

/// Folders below a named one are looked through to this depth.
const DEPTH: usize = 4;

/// Reads the runs at `paths` or below them. A path that is not there is a name below `runs`.
///
/// # Errors
/// Usage error for a path that holds none, or holds a search; storage error where all there is cannot
/// be read.
pub fn gather(paths: &[PathBuf]) -> Result<Gathered> {
    let mut found = Gathered::default();
    let mut seen = BTreeSet::new();
    for path in paths {
        let place = located(path)?;
        let mut here = Walk::default();
        here.walk(&place, DEPTH);
        if let (true, Some(search)) = (here.runs.is_empty(), here.searches.first()) {
            let text = format!(
                "`{}` holds a search, and a report is of runs",
                search.display()
            );
            return Err(Error::usage(text).hint(format!(
                "give the runs after it (`{0}/final`) or its evaluations (`{0}/evaluations/NUMBER-HASH`)",
                search.display()
            )));
        }
        if here.runs.is_empty() {
            return Err(match here.problems.into_iter().next() {
                Some(e) => e,
                None => Error::usage(format!("`{}` holds no run", place.display()))
                    .hint("give a run's folder, or one that holds runs (`biorule runs list`)"),
            });
        }
        found
            .problems
            .extend(here.problems.iter().map(|e| e.text.clone()));
        for (folder, record) in here.runs {
            let own = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            if seen.insert(own) {
                found.add(run(folder, record));
            }
        }
    }
    found.name_apart();
    for experiment in &mut found.experiments {
        experiment.runs.sort_by_key(|run| run.record.seed);
        experiment.runs[0].read_weights();
    }
    Ok(found)
}

/// What `path` names: itself, or a folder of that name below `runs`.
fn located(path: &Path) -> Result<PathBuf> {
    if path.is_file() {
        let text = format!("`{}` is a file, and a run is a folder", path.display());
        return Err(Error::usage(text).hint("`biorule runs list` lists runs"));
    }
    let named = Path::new("runs").join(path);
    match () {
        () if path.exists() => Ok(path.to_owned()),
        () if path.is_relative() && named.exists() => Ok(named),
        () => Err(Error::usage(format!("`{}` is not there", path.display()))
            .hint("`biorule runs list` lists runs")),
    }
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

/// What `read` gives; a failure becomes a problem, with what is missing for it.
fn or_tell<T: Default>(problems: &mut Vec<String>, missing: &str, read: Result<T>) -> T {
    read.unwrap_or_else(|e| {
        problems.push(format!("{}; {missing}", e.text));
        T::default()
    })
}

/// The run in `folder`, without its weights.
#[must_use]
pub fn run(folder: PathBuf, record: RunRecord) -> Run {
    let mut problems = Vec::new();
    let file = folder.join("config.toml");
    let read = std::fs::read_to_string(&file).map_err(|e| Error::storage_io(&file, &e));
    let parsed = read.and_then(|text| {
        let table = toml::from_str::<toml::Table>(&text);
        let table =
            table.map_err(|e| Error::storage(format!("`{}`: {}", file.display(), e.message())))?;
        Ok((table, text))
    });
    let (config, text) = or_tell(&mut problems, "plan and network are not shown", parsed);
    let rows = stored_rows(&text).unwrap_or_default();
    let mut settings: BTreeMap<String, String> = (rows.into_iter())
        .map(|(path, value, _)| (path, value.to_string()))
        .collect();
    settings.retain(|name, _| {
        let free = [
            "seeds",
            "name",
            "device",
            "plugin_folders",
            "threads",
            "gpu_memory_share",
        ];
        let top = name.split('.').next().unwrap_or_default();
        !free.contains(&name.as_str()) && top != "experiment" && top != "output"
    });
    let (metrics, steps) = (folder.join("metrics.csv"), folder.join("steps.jsonl"));
    let (answers, winners) = (folder.join(answers::ANSWERS), folder.join(answers::WINNERS));
    let bytes = std::fs::metadata(folder.join("checkpoints/last.safetensors"));
    Run {
        state: State::of(&folder, &record),
        config,
        settings,
        epochs: or_tell(
            &mut problems,
            "there are no curves",
            MetricsCsv::read(&metrics),
        ),
        steps: or_tell(
            &mut problems,
            "radii by step are missing",
            steps::read(&steps),
        ),
        answers: or_tell(
            &mut problems,
            "mistakes are missing",
            Answers::read(&answers),
        ),
        winners: or_tell(
            &mut problems,
            "winners are missing",
            WinnersRecord::read(&winners),
        ),
        attacks: attacks::of_run(&folder)
            .into_iter()
            .map(|(_, a)| a)
            .collect(),
        weights: Vec::new(),
        bytes: bytes.ok().map(|m| m.len()),
        problems,
        folder,
        record,
    }
}

impl Gathered {
    /// Puts a run to those of the same name and settings but another seed.
    fn add(&mut self, run: Run) {
        let same = |e: &&mut Experiment| {
            let first = &e.runs[0];
            let fresh = e.runs.iter().all(|r| r.record.seed != run.record.seed);
            first.record.name == run.record.name && first.settings == run.settings && fresh
        };
        match self.experiments.iter_mut().find(same) {
            Some(experiment) => experiment.runs.push(run),
            None => self.experiments.push(Experiment {
                name: run.record.name.clone(),
                short: String::new(),
                runs: vec![run],
            }),
        }
    }

    /// Experiments of one name get the first setting in which all of them differ behind it, or
    /// their runs' ids.
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
            let id = &self.experiments[i].runs[0].record.id;
            let name = told.unwrap_or_else(|| format!("{} ({id})", names[i]));
            self.experiments[i].name = name;
        }
        let names: Vec<String> = self.experiments.iter().map(|e| e.name.clone()).collect();
        let shared = shared_start(&names);
        for (experiment, name) in self.experiments.iter_mut().zip(names) {
            experiment.short = name[shared..].to_owned();
        }
    }

    /// Every run.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.experiments.iter().flat_map(|e| &e.runs)
    }

    /// Whether no run is under way.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.runs().all(|r| r.state != State::Running)
    }
}

/// Bytes of what all of several names begin with, to the end of a word.
fn shared_start(names: &[String]) -> usize {
    let [first, rest @ ..] = names else {
        return 0;
    };
    let ends = first
        .char_indices()
        .filter(|(_, c)| "-_/ ".contains(*c))
        .map(|(i, c)| i + c.len_utf8());
    let shared = |end: &usize| {
        rest.iter()
            .all(|n| n.len() > *end && n.starts_with(&first[..*end]))
    };
    match rest.is_empty() {
        true => 0,
        false => ends.take_while(shared).last().unwrap_or(0),
    }
}

impl Experiment {
    /// Its first seed's run, which stands for it where one has to.
    #[must_use]
    pub fn first(&self) -> &Run {
        &self.runs[0]
    }

    /// A result of each finished seed.
    #[must_use]
    pub fn results(&self, name: &str) -> Vec<f64> {
        self.runs
            .iter()
            .filter_map(|run| run.result(name))
            .collect()
    }
}

impl Run {
    /// Reads the weights of the network from the last checkpoint.
    pub fn read_weights(&mut self) {
        let store = CheckpointStore::new(&self.folder.join("checkpoints"));
        let read = store.load_last();
        let missing = "weights are not shown";
        let Some(checkpoint) = or_tell(&mut self.problems, missing, read) else {
            return;
        };
        let values = |t: &Tensor| -> Option<Vec<f32>> {
            let t = t.to_device(&Device::Cpu).ok()?.to_dtype(DType::F32).ok()?;
            t.flatten_all().ok()?.to_vec1().ok()
        };
        let found = checkpoint.tensors.iter().filter_map(|(name, tensor)| {
            let block = name
                .strip_prefix("blocks.")?
                .strip_suffix(".layer.weight")?;
            Some(Weights {
                block: block.to_owned(),
                dims: tensor.dims().to_vec(),
                values: values(tensor)?,
            })
        });
        self.weights = found.collect();
        self.weights.sort_by(|a, b| a.block.cmp(&b.block));
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

    /// A phase by its name.
    #[must_use]
    pub fn phase(&self, name: &str) -> Option<&toml::Table> {
        self.phases().into_iter().find(|p| word(p, "name") == name)
    }

    /// Phases that train the block `name`.
    #[must_use]
    pub fn phases_of(&self, name: &str) -> Vec<&toml::Table> {
        let lists = |phase: &&toml::Table| words(phase, "blocks").contains(&name);
        self.phases().into_iter().filter(lists).collect()
    }

    /// The rule of a block with its kind; of a block with others inside, their first.
    #[must_use]
    pub fn rule_of(&self, block: &toml::Table) -> Option<(String, Kind)> {
        let name = rules_inside(block).into_iter().next()?;
        let is_local = self
            .phases_of(word(block, "name"))
            .iter()
            .any(|p| word(p, "drive") == "local");
        let kind = Kind::of(&name, is_local);
        Some((name, kind))
    }

    /// The kind that stands for the whole network: that of its first layer.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let blocks = self.blocks();
        let layered: Vec<_> = blocks
            .iter()
            .filter(|b| !rules_inside(b).is_empty())
            .collect();
        match layered.as_slice() {
            [] => Kind::None,
            // Untrained features with a read-out are a baseline.
            [first, _, ..] if self.phases_of(word(first, "name")).is_empty() => Kind::None,
            [first, ..] => self.rule_of(first).map_or(Kind::None, |(_, kind)| kind),
        }
    }

    /// Weights of the block `name`.
    #[must_use]
    pub fn weights_of(&self, name: &str) -> Option<&Weights> {
        self.weights.iter().find(|w| w.block == name)
    }

    /// A result.
    #[must_use]
    pub fn result(&self, name: &str) -> Option<f64> {
        self.record
            .results
            .get(name)
            .copied()
            .filter(|x| x.is_finite())
    }

    /// Test samples behind the results.
    #[must_use]
    pub fn samples(&self) -> Option<u64> {
        let classes = self.record.classes.get("test");
        let recorded = classes.map(|all| all.iter().map(|c| c.samples).sum());
        recorded
            .or_else(|| self.answers.as_ref().map(|a| a.labels.len() as u64))
            .filter(|n| *n > 0)
    }

    /// Names of the classes.
    #[must_use]
    pub fn classes(&self) -> Vec<String> {
        let all = self.record.classes.values().next();
        all.into_iter().flatten().map(|c| c.class.clone()).collect()
    }

    /// Whether answers are values and no classes.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        let losses: Vec<&str> = self.phases().iter().map(|p| word(p, "loss")).collect();
        let by_loss = losses.last().is_some_and(|loss| *loss == "mse");
        self.record.classes.is_empty() && self.result("test/accuracy").is_none() && by_loss
    }
}

/// The rules of a block and of those inside it, each once, in their order.
#[must_use]
pub fn rules_inside(block: &toml::Table) -> Vec<String> {
    fn collect(value: &toml::Value, out: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => table.iter().for_each(|(key, value)| match value {
                toml::Value::Table(rule) if key == "rule" => {
                    let name = word(rule, "name").to_owned();
                    if !name.is_empty() && !out.contains(&name) {
                        out.push(name);
                    }
                }
                value => collect(value, out),
            }),
            toml::Value::Array(list) => list.iter().for_each(|v| collect(v, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    collect(&toml::Value::Table(block.clone()), &mut out);
    out
}

/// The entries of a list of tables.
fn tables(value: Option<&toml::Value>) -> Vec<&toml::Table> {
    let list = value.and_then(toml::Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(toml::Value::as_table)
        .collect()
}

/// A text of a table; empty where there is none.
#[must_use]
pub fn word<'a>(table: &'a toml::Table, key: &str) -> &'a str {
    table
        .get(key)
        .and_then(toml::Value::as_str)
        .unwrap_or_default()
}

/// A list of texts of a table.
#[must_use]
pub fn words<'a>(table: &'a toml::Table, key: &str) -> Vec<&'a str> {
    let list = table.get(key).and_then(toml::Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(toml::Value::as_str)
        .collect()
}

/// A number of a table.
#[must_use]
pub fn value(table: &toml::Table, key: &str) -> Option<f64> {
    let value = table.get(key)?;
    value
        .as_float()
        .or_else(|| value.as_integer().map(|i| i as f64))
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
    pub fn radii(&self) -> Vec<f64> {
        let length = |unit: &[f32]| {
            unit.iter()
                .map(|w| f64::from(*w).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        self.values.chunks(self.each().max(1)).map(length).collect()
    }
}
