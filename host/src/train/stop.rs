//! When a phase ends before its epochs do: by a metric of the epochs, as early stopping on the
//! validation loss, or by one that learning rules report (BioPyTorch, `bio_train`).

use serde::{Deserialize, Serialize};

use crate::nn::network::BlockMetrics;
use crate::plan::{Direction, StopPlan};

/// What a stop rule has seen; part of a checkpoint. Values as bits, so that they survive text
/// exactly; those of a metric that gets better upwards with the sign turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopState {
    best: u64,
    last: u64,
    /// Evaluations, or for metrics of rules batches, since the metric last became better (of
    /// rules: or stayed level).
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
    /// Takes in what the rules of the phase's layers, those in `blocks`, report after a batch.
    pub fn see_rules(&mut self, plan: &StopPlan, blocks: &[&str], metrics: &[BlockMetrics]) {
        if let Some(value) = of_rules(plan, blocks, metrics) {
            self.see(plan, value);
        }
    }

    /// Takes in a value of the metric.
    pub fn see(&mut self, plan: &StopPlan, value: f64) {
        let value = turned(plan, value);
        self.last = value.to_bits();
        let best = f64::from_bits(self.best);
        let better = match plan.min_delta {
            Some(delta) => value < best - delta,
            None if plan.epoch_metric().is_some() => value < best,
            None => value <= best,
        };
        if better {
            self.best = value.to_bits();
            self.waited = 0;
        } else {
            self.waited += 1;
        }
    }

    /// Whether the phase is over, asked between epochs.
    pub fn is_over(&self, plan: &StopPlan, steps_per_epoch: u64) -> bool {
        self.out_of_patience(plan, steps_per_epoch) || self.converged(plan)
    }

    fn out_of_patience(&self, plan: &StopPlan, steps_per_epoch: u64) -> bool {
        let each = match plan.epoch_metric() {
            Some(_) => 1.0,
            None => steps_per_epoch as f64,
        };
        plan.patience
            .is_some_and(|p| self.waited as f64 >= p * each && self.waited > 0)
    }

    fn converged(&self, plan: &StopPlan) -> bool {
        let last = f64::from_bits(self.last);
        let Some(threshold) = plan.threshold else {
            return false;
        };
        match (plan.epoch_metric(), plan.mode) {
            (None, None) => last.abs() < threshold,
            _ => last <= turned(plan, threshold),
        }
    }
}

/// `value` so that smaller is better.
fn turned(plan: &StopPlan, value: f64) -> f64 {
    match plan.direction() {
        Direction::Min => value,
        Direction::Max => -value,
    }
}

/// The worst value of the metric over the layers in `blocks`; NaN only where all are.
fn of_rules(plan: &StopPlan, blocks: &[&str], metrics: &[BlockMetrics]) -> Option<f64> {
    let worst = match plan.direction() {
        Direction::Min => f64::max,
        Direction::Max => f64::min,
    };
    metrics
        .iter()
        .filter(|(block, _)| blocks.contains(&block.as_str()))
        .flat_map(|(block, values)| values.iter().map(move |(name, x)| (block, name, x)))
        .filter(|(block, name, _)| {
            **name == plan.metric || plan.metric == format!("{block}/{name}")
        })
        .map(|(_, _, value)| *value)
        .reduce(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: [&str; 2] = ["a", "b"];

    fn plan(metric: &str) -> StopPlan {
        StopPlan {
            metric: metric.into(),
            threshold: Some(0.01),
            patience: Some(1.0),
            mode: None,
            min_delta: None,
        }
    }

    fn metrics(a: f64, b: f64) -> Vec<BlockMetrics> {
        let one = |v| vec![("convergence".to_owned(), v), ("radius".to_owned(), 0.0)];
        vec![("a".into(), one(a)), ("b".into(), one(b))]
    }

    #[test]
    fn the_largest_layer_counts_and_level_is_no_failure() {
        let (plan, mut state) = (plan("convergence"), StopState::default());
        state.see_rules(&plan, &LAYERS, &metrics(0.5, 0.002));
        assert!(!state.converged(&plan));
        for _ in 0..3 {
            state.see_rules(&plan, &LAYERS, &metrics(0.5, 0.1));
        }
        assert!(!state.out_of_patience(&plan, 3));
        for _ in 0..3 {
            state.see_rules(&plan, &LAYERS, &metrics(0.6, 0.1));
        }
        assert!(state.out_of_patience(&plan, 3));
        state.see_rules(&plan, &LAYERS, &metrics(0.009, 0.001));
        assert!(state.converged(&plan) && !state.out_of_patience(&plan, 3));
    }

    #[test]
    fn layers_of_other_phases_do_not_count() {
        let (plan, mut state) = (plan("convergence"), StopState::default());
        state.see_rules(&plan, &["b"], &metrics(0.5, 0.002));
        assert!(state.is_over(&plan, 3));
        let one = StopPlan {
            metric: "b/convergence".into(),
            ..plan
        };
        let mut state = StopState::default();
        state.see_rules(&one, &LAYERS, &metrics(0.5, 0.002));
        assert!(state.is_over(&one, 3));
    }

    /// Runs out after `patience` evaluations in a row without a gain, and not before.
    #[test]
    fn patience_counts_evaluations_and_level_is_no_gain() {
        let mut plan = StopPlan {
            threshold: None,
            patience: Some(2.0),
            ..plan("validation/loss")
        };
        let over = |plan: &StopPlan, values: &[f64]| {
            let mut state = StopState::default();
            values
                .iter()
                .map(|v| {
                    state.see(plan, *v);
                    state.is_over(plan, 100)
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            over(&plan, &[0.5, 0.6, 0.4, 0.4, 0.41]),
            [false, false, false, false, true]
        );
        // NaN is no gain.
        assert_eq!(
            over(&plan, &[0.5, f64::NAN, f64::NAN]),
            [false, false, true]
        );
        plan.min_delta = Some(0.1);
        assert_eq!(over(&plan, &[0.5, 0.45, 0.41]), [false, false, true]);
        plan.min_delta = None;
        plan.metric = "validation/accuracy".into();
        assert_eq!(
            over(&plan, &[0.5, 0.6, 0.6, 0.5]),
            [false, false, false, true]
        );
        plan.mode = Some(Direction::Min);
        assert_eq!(over(&plan, &[0.5, 0.6, 0.6]), [false, false, true]);
    }

    #[test]
    fn a_threshold_is_reached_from_the_worse_side() {
        let reached = |metric: &str, threshold, value| {
            let plan = StopPlan {
                threshold: Some(threshold),
                patience: None,
                ..plan(metric)
            };
            let mut state = StopState::default();
            assert!(!state.is_over(&plan, 1));
            state.see(&plan, value);
            state.is_over(&plan, 1)
        };
        assert!(reached("test/accuracy", 1.0, 1.0) && !reached("test/accuracy", 0.9, 0.8));
        assert!(reached("train/loss", 0.1, 0.1) && !reached("train/loss", 0.1, 0.2));
    }
}
