//! Derivation by perturbation (Wang et al. 2021, DARTS-PT): once the supernet has learned, the
//! candidate of an edge stays whose absence costs most accuracy, edge by edge, and between two
//! decisions the supernet learns for some epochs with what was decided.
//!
//! As in the released program (ruocwang/darts-pt), accuracy is that on the samples of the
//! architecture, by the statistics of each batch; a candidate that is left out leaves a gap in the
//! mixture, the others keep their weights; one edge of each kind of cell is decided on in turn; the
//! learning rate of the epochs between begins at a tenth and falls by half a cosine.

use serde_json::{Value, json};

use super::plan::PerturbPlan;
use super::tables::Relaxed;
use crate::data::feed::Samples;
use crate::nn::{Clock, Tables};
use crate::search::derive::{Question, decisions, perturbation};
use crate::search::evaluate::one_shot;
use crate::search::space::Space;
use crate::train::Engine;
use crate::{Error, Result};

/// Called with the number of a question, the question and the accuracy that answers it.
pub type OnAnswer = dyn Fn(u64, &Question, f64) -> Result<()> + Send + Sync;

/// A derivation under way.
pub struct Perturbation<'a> {
    pub(super) plan: PerturbPlan,
    pub(super) seed: u64,
    /// What accuracy is measured on.
    pub(super) samples: &'a dyn Samples,
    pub(super) answers: Vec<f64>,
    /// Who wants the answers.
    pub(super) on_answer: Option<&'a OnAnswer>,
}

impl PerturbPlan {
    /// Epochs of the whole training in `space`.
    #[must_use]
    pub fn epochs(&self, space: &Space) -> u64 {
        self.after + self.tuning(space)
    }

    /// Epochs between the first decision and the last.
    fn tuning(&self, space: &Space) -> u64 {
        self.tune * decisions(space).saturating_sub(1)
    }

    /// Whether `epoch` lies behind the first decision.
    #[must_use]
    pub fn is_tuning(&self, epoch: u64) -> bool {
        epoch >= self.after
    }

    /// The learning rate of the weights at `clock`, behind the first decision.
    #[must_use]
    pub fn rate(&self, clock: &Clock, space: &Space) -> f64 {
        let done = clock.epoch.saturating_sub(self.after) as f64;
        let all = self.tuning(space).max(1) as f64;
        let cosine = (1.0 + (std::f64::consts::PI * (done / all).min(1.0)).cos()) / 2.0;
        self.lr_floor + (self.lr - self.lr_floor) * cosine
    }

    /// `clock` as the epochs before the first decision see it: they know of no others.
    #[must_use]
    pub fn before(&self, clock: &Clock) -> Clock {
        Clock {
            epochs: self.after,
            ..clock.clone()
        }
    }
}

impl Perturbation<'_> {
    /// Answers one question that is due at the time of `engine`, which is in training mode; whether
    /// there was one.
    ///
    /// # Errors
    /// Failures of data, rules and device; those of whoever wants the answer.
    pub(super) fn piece(
        &mut self,
        engine: &mut Engine<'_>,
        relaxed: &mut Relaxed,
        alphas: &Tables,
    ) -> Result<bool> {
        let (known, question) = perturbation(relaxed.space(), self.seed, &self.answers)?;
        let due = self.plan.after + known.decisions * self.plan.tune;
        relaxed.decide(known);
        let Some(question) = question.filter(|_| engine.clock.epoch >= due) else {
            return Ok(false);
        };
        let mut mixture = relaxed.mixture(alphas);
        let (kind, row) = match question {
            Question::Without { kind, row, .. } | Question::WithoutEdge { kind, row } => {
                (kind, row)
            }
        };
        let weights = mixture
            .tables
            .get_mut(kind)
            .and_then(|rows| rows.get_mut(row))
            .ok_or_else(|| Error::internal("a question of another space"))?;
        match question {
            Question::Without { candidate, .. } => weights[candidate] = 0.0,
            Question::WithoutEdge { .. } => weights.fill(0.0),
        }
        let accuracy = one_shot::accuracy(&mut engine.network, self.samples, &mixture)?;
        if let Some(tell) = self.on_answer {
            tell(self.answers.len() as u64, &question, accuracy)?;
        }
        self.answers.push(accuracy);
        relaxed.decide(perturbation(relaxed.space(), self.seed, &self.answers)?.0);
        Ok(true)
    }

    /// The answers so far, for a checkpoint.
    pub(super) fn state(&self) -> Value {
        json!(self.answers.iter().map(|a| a.to_bits()).collect::<Vec<_>>())
    }

    /// Takes back what [`Self::state`] gave.
    pub(super) fn load(&mut self, state: &Value, relaxed: &mut Relaxed) -> Result<()> {
        let bits = state.as_array().into_iter().flatten();
        self.answers = bits.filter_map(Value::as_u64).map(f64::from_bits).collect();
        relaxed.decide(perturbation(relaxed.space(), self.seed, &self.answers)?.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::space::sets;

    #[test]
    fn epochs_between_decisions_begin_at_a_tenth_and_end_at_the_floor() {
        let space = sets::named("darts").expect("a space");
        let plan = PerturbPlan {
            after: 50,
            tune: 5,
            lr: 0.0025,
            lr_floor: 0.001,
        };
        // 14 edges and 3 nodes of each of two cells in turn.
        assert_eq!(plan.epochs(&space), 50 + 16 * 5);
        let rate = |epoch| {
            let clock = Clock {
                epoch,
                ..Clock::default()
            };
            plan.rate(&clock, &space)
        };
        assert!((rate(50) - 0.0025).abs() < 1e-15);
        assert!((rate(90) - 0.00175).abs() < 1e-15);
        assert!((rate(130) - 0.001).abs() < 1e-15);
        assert!(!plan.is_tuning(49) && plan.is_tuning(50));
        let none = PerturbPlan { tune: 0, ..plan };
        assert_eq!(none.epochs(&space), 50);
    }
}
