//! What a run measures: numbers by name, of steps, of epochs and at the end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answers::{Answers, WinnersRecord};
use super::detail::{BestRecord, ClassRecord};
use crate::stop::StopCause;

/// Numbers by name, such as `train/loss`, `test/accuracy`, `conv1/radius`.
/// Accuracies are shares from 0 to 1.
pub type Metrics = BTreeMap<String, f64>;

/// One finished epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// `network`, or the baseline's name.
    pub segment: String,
    /// Name of the phase.
    pub phase: String,
    /// Finished epochs of the phase.
    pub epoch: u64,
    /// Epochs planned for the phase; 0 where a stop rule decides.
    pub epochs: u64,
    /// Finished epochs of the run, all phases and baselines together.
    pub total_epoch: u64,
    /// Finished steps of the segment.
    pub step: u64,
    /// Wall time of the epoch, seconds.
    pub seconds: f64,
    /// What was measured.
    pub metrics: Metrics,
}

/// Segment, phase and epoch, which an epoch has for its own.
pub(super) type Place = (String, String, u64);

impl EpochRecord {
    pub(super) fn place(&self) -> Place {
        (self.segment.clone(), self.phase.clone(), self.epoch)
    }
}

/// One finished step.
#[derive(Clone, Copy, Debug)]
pub struct StepRecord<'a> {
    /// Finished steps of the epoch.
    pub step: u64,
    /// Steps of an epoch.
    pub steps: u64,
    /// Loss and other numbers for the progress line.
    pub metrics: &'a [(String, f64)],
}

/// How a run ended, other than by an error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Why it stopped before its end; `None` where it finished.
    pub stopped: Option<StopCause>,
    /// Final numbers: `test/accuracy`, `random-weights/test/accuracy` ….
    pub results: Metrics,
    /// The scores of each class behind them, by `test`, `random-weights/test` ….
    pub classes: BTreeMap<String, Vec<ClassRecord>>,
    /// What the networks say to each test sample; empty for regression.
    pub answers: Answers,
    /// Who wins in local layers; absent where no layer is local, or nothing is to be drawn.
    pub winners: Option<WinnersRecord>,
    /// The best checkpoint, where there is one.
    pub best: Option<BestRecord>,
}

/// An epoch in a checkpoint. Numbers are kept as bits: JSON has no NaN, and its
/// reader may be off by a last digit, which a resumed run must not be.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    segment: String,
    phase: String,
    epoch: u64,
    epochs: u64,
    total_epoch: u64,
    step: u64,
    seconds: u64,
    metrics: BTreeMap<String, u64>,
}

impl From<&EpochRecord> for Saved {
    fn from(e: &EpochRecord) -> Self {
        let bits = |(name, x): (&String, &f64)| (name.clone(), x.to_bits());
        Self {
            segment: e.segment.clone(),
            phase: e.phase.clone(),
            epoch: e.epoch,
            epochs: e.epochs,
            total_epoch: e.total_epoch,
            step: e.step,
            seconds: e.seconds.to_bits(),
            metrics: e.metrics.iter().map(bits).collect(),
        }
    }
}

impl From<Saved> for EpochRecord {
    fn from(s: Saved) -> Self {
        let number = |(name, bits): (String, u64)| (name, f64::from_bits(bits));
        Self {
            segment: s.segment,
            phase: s.phase,
            epoch: s.epoch,
            epochs: s.epochs,
            total_epoch: s.total_epoch,
            step: s.step,
            seconds: f64::from_bits(s.seconds),
            metrics: s.metrics.into_iter().map(number).collect(),
        }
    }
}
