//! When a phase ends before its epochs do (krotov_hebbian.md section 4).

use serde::{Deserialize, Serialize};

use crate::nn::network::BlockMetrics;
use crate::plan::StopPlan;

/// What a stop rule has seen; part of a checkpoint. Values as bits, so that
/// they survive text exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopState {
    best: u64,
    last: u64,
    /// Batches since the metric last fell (or stayed level).
    waited: u64,
}

impl Default for StopState {
    fn default() -> Self {
        Self {
            best: f64::INFINITY.to_bits(),
            last: f64::INFINITY.to_bits(),
            waited: 0,
        }
    }
}

impl StopState {
    /// Takes in the metric after a batch.
    pub fn see(&mut self, plan: &StopPlan, metrics: &[BlockMetrics]) {
        let Some(value) = largest(plan, metrics) else {
            return;
        };
        self.last = value.to_bits();
        if value <= f64::from_bits(self.best) {
            self.best = value.to_bits();
            self.waited = 0;
        } else {
            self.waited += 1;
        }
    }

    /// Whether patience has run out; asked before each epoch.
    pub fn out_of_patience(&self, plan: &StopPlan, steps_per_epoch: u64) -> bool {
        plan.patience
            .is_some_and(|p| self.waited as f64 >= p * steps_per_epoch as f64 && self.waited > 0)
    }

    /// Whether the metric is below the threshold; asked after each epoch.
    pub fn converged(&self, plan: &StopPlan) -> bool {
        plan.threshold
            .is_some_and(|t| f64::from_bits(self.last).abs() < t)
    }
}

/// The largest value of the metric over the layers.
fn largest(plan: &StopPlan, metrics: &[BlockMetrics]) -> Option<f64> {
    metrics
        .iter()
        .flat_map(|(_, values)| values)
        .filter(|(name, _)| *name == plan.metric)
        .map(|(_, value)| *value)
        .reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> StopPlan {
        StopPlan {
            metric: "convergence".into(),
            threshold: Some(0.01),
            patience: Some(1.0),
        }
    }

    fn metrics(a: f64, b: f64) -> Vec<BlockMetrics> {
        let one = |v| vec![("convergence".to_owned(), v), ("radius".to_owned(), 0.0)];
        vec![("a".into(), one(a)), ("b".into(), one(b))]
    }

    #[test]
    fn the_largest_layer_counts_and_level_is_no_failure() {
        let mut state = StopState::default();
        state.see(&plan(), &metrics(0.5, 0.002));
        assert!(!state.converged(&plan()));
        for _ in 0..3 {
            state.see(&plan(), &metrics(0.5, 0.1));
        }
        assert!(!state.out_of_patience(&plan(), 3));
        for _ in 0..3 {
            state.see(&plan(), &metrics(0.6, 0.1));
        }
        assert!(state.out_of_patience(&plan(), 3));
        state.see(&plan(), &metrics(0.009, 0.001));
        assert!(state.converged(&plan()) && !state.out_of_patience(&plan(), 3));
    }
}
