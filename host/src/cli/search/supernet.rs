//! Strategies that train one supernet: an ordinary run in `supernet`, whose steps are those of the
//! strategy, so that it goes on after any interruption as any run does. After each epoch the
//! architecture parameters are written down; the genotype is derived from the last.

use std::path::Path;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::task::Search;
use super::training::{Line, last_alphas, lines, supernet_run};
use crate::nn::Tables;
use crate::run::{SearchFolder, atomic, folder};
use crate::search::Genotype;
use crate::search::derive::{self, Question};
use crate::search::plan::SupernetPlan;
use crate::search::relaxed::{self, RelaxedPlan, Searcher};
use crate::{Error, Result};

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
        let space = plan.space(&self.scene.space)?;
        let place = root.join("supernet");
        if !folder::has_ended(&place) {
            let resolved = supernet_run(self.config, &*self.host, &space, relaxed, plan)?;
            self.note(&format!(
                "supernet: {} epochs of {} cells of {} channels, {} candidates an edge",
                resolved.plan.phases.first().map_or(0, |phase| phase.epochs),
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
