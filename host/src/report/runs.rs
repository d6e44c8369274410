//! Runs and experiments as a page sees them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::kind::Kind;
use super::table::{rules_inside, tables, word, words};
use crate::Result;
use crate::run::attacks::AttackRecord;
use crate::run::fields::FieldsRecord;
use crate::run::identity::RunRecord;
use crate::run::steps::StepRow;
use crate::run::{Answers, CheckpointStore, EpochRecord, WinnersRecord, listing};

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
    /// `fields.safetensors`, by block.
    pub fields: BTreeMap<String, FieldsRecord>,
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
        match listing::state(folder, record).as_str() {
            "running" => Self::Running,
            "interrupted" => Self::Killed,
            "finished" => Self::Finished,
            "stopped" => Self::Stopped,
            "pruned" => Self::Pruned,
            "diverged" => Self::Diverged,
            _ => Self::Failed,
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
}

impl Gathered {
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

    /// Whether a phase teaches the block `name` without labels.
    #[must_use]
    pub fn learns_alone(&self, name: &str) -> bool {
        let phases = self.phases_of(name);
        phases.iter().any(|p| word(p, "drive") == "local")
    }

    /// The rule of a block with its kind; of a block with others inside, their first.
    #[must_use]
    pub fn rule_of(&self, block: &toml::Table) -> Option<(String, Kind)> {
        let name = rules_inside(block).into_iter().next()?;
        let kind = Kind::of(&name, self.learns_alone(word(block, "name")));
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

    /// Seconds of all epochs.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|e| e.seconds).sum()
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

/// What `read` gives; a failure becomes a problem, with what is missing for it.
pub(super) fn or_tell<T: Default>(problems: &mut Vec<String>, missing: &str, read: Result<T>) -> T {
    read.unwrap_or_else(|e| {
        problems.push(format!("{}; {missing}", e.text));
        T::default()
    })
}
