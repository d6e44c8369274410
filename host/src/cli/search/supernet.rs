//! Strategies that train one supernet: an ordinary run in `supernet`, whose steps are those of the
//! strategy, so that it goes on after any interruption as any run does. After each epoch the
//! architecture parameters are written down; the genotype is derived from the last.

use std::path::Path;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::Host;
use super::task::Search;
use biorule_plugin_api::sdk::Credit;

use crate::config::{Resolved, SearchConfig};
use crate::nn::Tables;
use crate::plan::{Drive, GradientClip, OptimizerPlan, SchedulePlan};
use crate::run::{SearchFolder, atomic, folder};
use crate::search::derive::{self, Question};
use crate::search::plan::SupernetPlan;
use crate::search::relaxed::{self, RelaxedPlan, Searcher};
use crate::search::{Genotype, Size, Space};
use crate::{Error, Result};

/// Architecture parameters after an epoch: a line of `alphas.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    /// Finished epochs.
    epoch: u64,
    /// By kind of cell: a row for each place, a number for each candidate.
    alphas: Tables,
}

/// The answers of a derivation by perturbation.
const PERTURBATION: &str = "perturbation.jsonl";

/// An answer: a line of `perturbation.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answered {
    /// From 0.
    number: u64,
    /// Kind of cell.
    cell: String,
    /// Which edge, among all that there may be.
    edge: usize,
    /// The candidate that was left out; absent: the whole edge.
    candidate: Option<usize>,
    /// Of the supernet without it.
    accuracy: f64,
}

impl Answered {
    fn new(number: u64, question: &Question, accuracy: f64) -> Self {
        let (cell, edge, candidate) = match *question {
            Question::Without {
                kind,
                row,
                candidate,
            } => (kind, row, Some(candidate)),
            Question::WithoutEdge { kind, row } => (kind, row, None),
        };
        Self {
            number,
            cell: cell.to_owned(),
            edge,
            candidate,
            accuracy,
        }
    }
}

impl Search<'_> {
    /// Trains the supernet, or goes on with it, and derives a genotype.
    ///
    /// # Errors
    /// Those of a training; [`crate::ExitCode::Stopped`] on request.
    pub(super) fn supernet(
        &self,
        folder: &SearchFolder,
        (relaxed, plan): (&RelaxedPlan, &SupernetPlan),
    ) -> Result<Genotype> {
        let root = folder.path();
        let file = root.join("alphas.jsonl");
        let space = space_of(&self.scene.space, plan)?;
        let place = root.join("supernet");
        if !folder::has_ended(&place) {
            let resolved = supernet_run(self.config, &*self.host, &space, relaxed, plan)?;
            self.note(&format!(
                "supernet: {} epochs of {} cells of {} channels, {} candidates an edge",
                plan.epochs,
                plan.cells,
                plan.channels,
                space.candidates.len()
            ));
            let (written, answered) = (file.clone(), root.join(PERTURBATION));
            let searcher = Searcher {
                plan: relaxed.clone(),
                space: space.clone(),
                seed: self.scene.seed,
                on_epoch: Some(Box::new(move |epoch, alphas: &Tables| {
                    append(&written, epoch, alphas)
                })),
                on_answer: Some(Box::new(move |number, question: &Question, accuracy| {
                    let answer = Answered::new(number, question, accuracy);
                    append_line(&answered, &answer, |line: &Answered| line.number < number)
                })),
            };
            self.run_one(resolved, &place, root, Some(Rc::new(searcher)))?;
        }
        let mut genotype = match &relaxed.perturb {
            None => relaxed::derived(relaxed, &space, &last_alphas(root)?)?,
            Some(_) => {
                let answers = lines::<Answered>(&root.join(PERTURBATION))?;
                let answers: Vec<f64> = answers.iter().map(|line| line.accuracy).collect();
                let (known, _) = derive::perturbation(&space, self.scene.seed, &answers)?;
                known.genotype(&space)?
            }
        };
        genotype.name.clone_from(&self.config.name);
        Ok(genotype)
    }
}

/// How the supernet of `config` is trained.
pub(super) fn supernet_run(
    config: &SearchConfig,
    host: &dyn Host,
    space: &Space,
    relaxed: &RelaxedPlan,
    plan: &SupernetPlan,
) -> Result<Resolved> {
    let mut resolved = config.supernet(host)?;
    let size = Size {
        auxiliary: None,
        drop_path: None,
        channels: plan.channels,
        cells: plan.cells,
        ..config.size.clone()
    };
    let blocks =
        relaxed::blocks(relaxed, space, &size).map_err(|e| e.within("`search.supernet`"))?;
    let is_local = |rule: &&str| {
        host.rule(rule)
            .is_ok_and(|schema| schema.credit == Credit::Local || schema.also_local)
    };
    let local = space.rules().iter().any(is_local);
    let run = &mut resolved.plan;
    let last = run.phases.pop();
    let mut phase = last.ok_or_else(|| Error::internal("a training without phases"))?;
    phase.name = "supernet".to_owned();
    phase.blocks = blocks.iter().map(|block| block.name.clone()).collect();
    phase.drive = if local { Drive::Both } else { Drive::Gradient };
    phase.data.clone_from(&plan.weights);
    let epochs = relaxed.perturb.map_or(plan.epochs, |p| p.epochs(space));
    (phase.epochs, phase.batch) = (epochs, plan.batch);
    phase.optimizer = OptimizerPlan::Sgd {
        lr: plan.lr,
        momentum: plan.momentum,
        weight_decay: plan.weight_decay,
        decoupled_decay: 0.0,
    };
    phase.groups = Vec::new();
    phase.schedule = SchedulePlan::Cosine {
        floor: plan.lr_floor,
    };
    phase.gradient_clip = GradientClip::Norm { norm: plan.clip };
    (phase.warmup_epochs, phase.warmup_steps) = (0, 0);
    (phase.stop, phase.class_weights) = (None, None);
    phase.label_smoothing = 0.0;
    run.phases = vec![phase];
    run.blocks = blocks;
    run.baselines = Vec::new();
    run.init = None;
    // What stands there is the network of some genotype.
    resolved.shown.retain(|(key, _)| key != "blocks");
    Ok(resolved)
}

/// `space` with the partial channels of `plan`.
pub(super) fn space_of(space: &Space, plan: &SupernetPlan) -> Result<Space> {
    let mut space = space.clone();
    if let Some(partial) = plan.partial {
        space.partial = usize::try_from(partial).unwrap_or(usize::MAX).max(1);
    }
    space.check()?;
    Ok(space)
}

/// Writes the line of `epoch` behind those of the epochs before; a line that a killed run wrote for
/// it is replaced.
fn append(file: &Path, epoch: u64, alphas: &Tables) -> Result<()> {
    let line = Line {
        epoch,
        alphas: alphas.clone(),
    };
    append_line(file, &line, |line| line.epoch < epoch)
}

/// Writes `line` behind those of `file` that `stay`.
fn append_line<T: Serialize + DeserializeOwned>(
    file: &Path,
    line: &T,
    stays: impl Fn(&T) -> bool,
) -> Result<()> {
    let mut before: Vec<T> = match file.exists() {
        true => lines(file)?,
        false => Vec::new(),
    };
    before.retain(stays);
    let mut text = String::new();
    for line in before.iter().chain([line]) {
        let line = serde_json::to_string(line);
        let line = line.map_err(|e| Error::internal(format!("{}: {e}", file.display())))?;
        text.push_str(&line);
        text.push('\n');
    }
    atomic::write(file, text.as_bytes())
}

/// The architecture parameters after the last epoch of the supernet of the search in `root`.
///
/// # Errors
/// Storage error where there are none.
pub(super) fn last_alphas(root: &Path) -> Result<Tables> {
    let file = root.join("alphas.jsonl");
    let last = lines::<Line>(&file)?.pop().ok_or_else(|| {
        Error::storage(format!("`{}` has no line", file.display()))
            .hint("remove the folder of the search, and search again")
    })?;
    Ok(last.alphas)
}

fn lines<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::storage_io(file, &e))?;
    let lines = text.lines().map(|line| {
        serde_json::from_str(line).map_err(|e| {
            Error::storage(format!("`{}` cannot be read: {e}", file.display()))
                .hint("remove the folder of the search, and search again")
        })
    });
    lines.collect()
}
