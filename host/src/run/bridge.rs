//! Between the trainer and the run folder: what the trainer reports becomes
//! events, metrics and checkpoints, in the order that keeps a kill harmless.
//! The trainer reports an epoch, then saves; people hear of the epoch when its
//! checkpoint is on the disk.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::Tensor;
use serde_json::Value;

use super::detail::{BestRecord, ClassRecord};
use super::measured::{EpochRecord, Outcome, StepRecord};
use super::reporter::Reporter;
use super::{Answers, CheckpointStore, Metrics, RunFolder};
use crate::nn::network::BlockMetrics;
use crate::stop::{StopCause, StopFlag};
use crate::train::init::Initial;
use crate::train::{self, EpochEvent, PhaseEvent, Progress, StepEvent};
use crate::{Error, Result};

/// A run folder, a reporter and a stop flag as the trainer sees them.
pub struct Bridge<'a> {
    checkpoints: CheckpointStore,
    scratch: PathBuf,
    reporter: &'a mut Reporter,
    stop: &'a StopFlag,
    every: Option<Duration>,
    saved: Instant,
    pending: Option<EpochRecord>,
    total_epoch: u64,
    logged: Vec<(String, f64)>,
    failure: Option<crate::Error>,
}

impl<'a> Bridge<'a> {
    /// The bridge for one run, and the checkpoint it goes on from.
    ///
    /// # Errors
    /// Data error for checkpoints that cannot be read; storage error where the
    /// disk refuses.
    pub fn open(
        folder: &RunFolder,
        reporter: &'a mut Reporter,
        stop: &'a StopFlag,
    ) -> Result<(Self, Option<train::Checkpoint>)> {
        let checkpoints = folder.checkpoints().clone();
        let resume = match checkpoints.load_last()? {
            Some(checkpoint) => {
                if let Some(text) = &checkpoint.instead {
                    reporter.warn("checkpoint", text, None)?;
                }
                reporter.restore(&checkpoint.state)?;
                Some(train::Checkpoint {
                    state: checkpoint.state["trainer"].clone(),
                    tensors: checkpoint.tensors,
                })
            }
            None => {
                if reporter.has_reported() {
                    let path = folder.path().display();
                    let text = format!(
                        "run folder `{path}`: its checkpoints are gone, though it has finished epochs"
                    );
                    return Err(Error::storage(text).hint(
                        "put `checkpoints/last.safetensors` back, or choose another `--run-dir`",
                    ));
                }
                reporter.start_over()?;
                None
            }
        };
        let total_epoch = reporter.history().len() as u64;
        reporter.start(resume.as_ref().map(|_| total_epoch))?;
        let seconds = folder.plan().output.checkpoint_seconds;
        let bridge = Self {
            checkpoints,
            scratch: folder.cache_path()?,
            reporter,
            stop,
            every: (seconds > 0).then(|| Duration::from_secs(seconds)),
            saved: Instant::now(),
            pending: None,
            total_epoch,
            logged: Vec::new(),
            failure: None,
        };
        Ok((bridge, resume))
    }

    /// What the run came to, after the trainer returned; `class_name` names the classes.
    ///
    /// # Errors
    /// A failure to report that could not be told in time.
    pub fn finish(
        mut self,
        outcome: &train::Outcome,
        class_name: impl Fn(u32) -> String,
    ) -> Result<Outcome> {
        if let Some(e) = self.failure.take() {
            return Err(e);
        }
        let (mut results, mut classes) = (Metrics::new(), BTreeMap::new());
        let mut answers = Answers::default();
        for result in &outcome.results {
            let scores = result.scores();
            let prefix = match result.segment.as_str() {
                "network" => String::new(),
                name => format!("{name}/"),
            };
            results.extend(scores.named(&format!("{prefix}test")));
            if !result.classes.is_empty() {
                let records = ClassRecord::all(&result.classes, &class_name);
                classes.insert(format!("{prefix}test"), records);
            }
            if !result.taken.is_empty() {
                answers
                    .taken
                    .insert(result.segment.clone(), result.taken.clone());
            }
        }
        let stopped = outcome
            .stopped
            .then(|| self.stop.cause().unwrap_or(StopCause::Signal));
        Ok(Outcome {
            stopped,
            results,
            classes,
            answers,
            winners: None,
            best: outcome.best.as_ref().map(BestRecord::from),
        })
    }

    /// Keeps the first failure for a call that can tell it.
    fn keep(&mut self, result: Result<()>) {
        if let Err(e) = result {
            self.failure.get_or_insert(e);
        }
    }
}

impl Progress for Bridge<'_> {
    fn phase(&mut self, event: &PhaseEvent<'_>) {
        let of = (event.index, event.phases);
        let told = (self.reporter).phase(event.segment, event.phase, of, event.epochs);
        self.keep(told);
    }

    fn warn(&mut self, code: &str, text: &str, hint: Option<&str>) {
        let told = self.reporter.warn(code, text, hint);
        self.keep(told);
    }

    fn step(&mut self, event: &StepEvent) {
        self.reporter.step(&StepRecord {
            step: event.step,
            steps: event.steps_per_epoch,
            metrics: &self.logged,
        });
    }

    fn rules(&mut self, step: u64, metrics: &[BlockMetrics]) {
        self.logged = metrics
            .iter()
            .flat_map(|(block, numbers)| {
                let name = move |(name, x): &(String, f64)| (format!("{block}/{name}"), *x);
                numbers.iter().map(name)
            })
            .collect();
        let told = self.reporter.rules(step, &self.logged);
        self.keep(told);
    }

    fn epoch(&mut self, event: &EpochEvent<'_>) -> Result<()> {
        self.total_epoch += 1;
        self.pending = Some(EpochRecord {
            segment: event.segment.to_owned(),
            phase: event.phase.to_owned(),
            epoch: event.epoch,
            epochs: event.epochs,
            total_epoch: self.total_epoch,
            step: event.step,
            seconds: event.seconds,
            metrics: event.metrics.clone(),
        });
        self.failure.take().map_or(Ok(()), Err)
    }

    fn checkpoint_due(&mut self) -> bool {
        let asked = self.stop.take_checkpoint();
        asked
            || self
                .every
                .is_some_and(|every| self.saved.elapsed() >= every)
    }

    fn checkpoint(
        &mut self,
        tensors: &[(String, Tensor)],
        state: &Value,
        best: bool,
    ) -> Result<()> {
        let mut all = self.reporter.state_with(self.pending.as_ref())?;
        all["trainer"] = state.clone();
        let state = all;
        self.checkpoints.save(tensors, &state, best)?;
        self.saved = Instant::now();
        let path = self.checkpoints.last_path();
        self.reporter.checkpoint(&path, self.total_epoch)?;
        match self.pending.take() {
            Some(record) => self.reporter.epoch(record),
            None => Ok(()),
        }
    }

    fn initial_weights(&self, from: &Path) -> Result<(PathBuf, HashMap<String, Tensor>)> {
        super::initial::read(from)
    }

    fn initialised(&mut self, initial: &Initial) -> Result<()> {
        self.reporter.initialised(initial)
    }

    fn phases_done(&mut self) -> Result<()> {
        self.checkpoints.keep_final_state()
    }

    fn should_stop(&self) -> bool {
        self.stop.stopped()
    }

    fn stop_flag(&self) -> StopFlag {
        self.stop.clone()
    }

    fn scratch(&self) -> Option<&Path> {
        Some(&self.scratch)
    }
}
