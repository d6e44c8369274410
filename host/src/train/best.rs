//! Which checkpoint is the best: the one after the epoch with the best value of one metric.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::run::Trainer;
use super::state::Saved;
use crate::plan::EpochMetric;
use crate::plan::metric::Measure;
use crate::plan::{ClassWeights, Direction, Loss, PhasePlan};

/// The best epoch so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Best {
    /// What it is the best by, such as `validation/accuracy`.
    pub metric: String,
    /// Its phase; empty where an older program wrote the checkpoint.
    pub phase: String,
    /// Finished epochs of the phase.
    pub epoch: u64,
    /// The metric's value, as bits.
    value: u64,
}

impl Best {
    /// The metric's value.
    #[must_use]
    pub fn value(&self) -> f64 {
        f64::from_bits(self.value)
    }

    /// What a checkpoint knows. Older ones have a held-out accuracy alone.
    pub(super) fn of(saved: &Saved, usual: EpochMetric) -> Option<Self> {
        let older = |value| Self {
            metric: usual.to_string(),
            phase: String::new(),
            epoch: 0,
            value,
        };
        saved.chosen.clone().or_else(|| saved.best.map(older))
    }

    /// The value as bits, where older programs look for it.
    pub(super) fn bits(&self) -> u64 {
        self.value
    }
}

impl Trainer<'_> {
    /// The metric that decides.
    pub(super) fn best_metric(&self) -> EpochMetric {
        let named = self.plan.output.best.as_deref();
        named.and_then(EpochMetric::parse).unwrap_or_else(|| {
            EpochMetric::usual(self.data.validation.is_some(), self.data.test.classes())
        })
    }

    /// Whether the epoch of `phase` that has just ended, with these metrics, is the best of the
    /// network. A loss is compared only between phases that have the same one.
    pub(super) fn is_best(&mut self, phase: &PhasePlan, metrics: &BTreeMap<String, f64>) -> bool {
        let metric = self.best_metric();
        let name = metric.to_string();
        let comparable = metric.measure != Measure::Loss || self.has_loss_of_result(phase);
        let value = metrics.get(&name).copied().filter(|x| x.is_finite());
        let (Some(value), true) = (value, comparable && self.position.segment == 0) else {
            return false;
        };
        let former = self.best.as_ref().filter(|b| b.metric == name);
        let better = former.is_none_or(|b| match metric.direction() {
            Direction::Min => value < b.value(),
            Direction::Max => value > b.value(),
        });
        if better {
            self.best = Some(Best {
                metric: name,
                phase: phase.name.clone(),
                epoch: self.position.epoch,
                value: value.to_bits(),
            });
        }
        better
    }

    /// Whether an evaluation in `phase` has the loss of the result.
    pub(super) fn has_loss_of_result(&self, phase: &PhasePlan) -> bool {
        let result = self.segment.result_phase();
        result.is_some_and(|r| self.loss_of(r) == self.loss_of(phase))
    }

    /// What [`Criterion::of`](super::criterion::Criterion::of) makes of a phase.
    fn loss_of<'p>(&self, phase: &'p PhasePlan) -> (Loss, Option<(&'p ClassWeights, &'p str)>) {
        let weights = phase
            .class_weights
            .as_ref()
            .map(|w| (w, phase.data.as_str()));
        (phase.loss_on(self.data.test.classes()), weights)
    }
}
