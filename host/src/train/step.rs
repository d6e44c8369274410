//! The kinds of step of a training phase: by local rules alone, or driven by the loss.

use candle_core::Tensor;

use super::criterion::Criterion;
use super::engine::{Engine, Step};
use super::optimizer::Optimizer;
use super::schedule::{is_rate, warmed};
use crate::Result;
use crate::nn::{Clock, Mode, Pass};
use crate::plan::{Drive, Moment, PhasePlan, SchedulePlan, Warmup};

pub use super::engine::StepInput;

/// Every listed local layer finds its changes in one pass with the weights from before, then all
/// are applied.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalStep;

impl Step for LocalStep {
    fn step(&mut self, engine: &mut Engine<'_>, batch: &StepInput) -> Result<Option<Tensor>> {
        let network = &mut engine.network;
        let mut pass = Pass::local(engine.clock.clone());
        pass.dropped = batch.dropped;
        if network.wants_target() {
            pass.target = Some(batch.answers.raw().clone());
        }
        network.forward_local(&mut pass, &batch.x, engine.first)?;
        network.apply_changes()?;
        network.end_step();
        Ok(None)
    }
}

/// Forward, loss, backward; local changes, where the mode has local rules learn too; optimiser.
#[derive(Clone, Debug)]
pub struct GradientStep {
    criterion: Criterion,
    rate: Rate,
}

/// Learning rate of a step.
#[derive(Clone, Debug)]
enum Rate {
    /// That of every group of tensors.
    Given(f64),
    /// Each group's own by this schedule, once a warm-up is over.
    By(SchedulePlan, Option<Warmup>),
}

impl GradientStep {
    /// Steps at the optimiser's own learning rate.
    pub fn new(criterion: impl Into<Criterion>) -> Self {
        Self {
            criterion: criterion.into(),
            rate: Rate::By(SchedulePlan::Constant, None),
        }
    }

    /// The steps of `phase`: its schedule and its warm-up.
    pub fn of(phase: &PhasePlan, criterion: impl Into<Criterion>) -> Self {
        Self {
            criterion: criterion.into(),
            rate: Rate::By(phase.schedule.clone(), phase.warmup()),
        }
    }

    /// Steps at the learning rate `rate`.
    pub fn at_rate(criterion: impl Into<Criterion>, rate: f64) -> Self {
        Self {
            criterion: criterion.into(),
            rate: Rate::Given(rate),
        }
    }

    /// The learning rate at `clock` of a group whose own is `base`.
    fn of_group(&self, base: f64, clock: &Clock) -> f64 {
        match &self.rate {
            Rate::Given(rate) => *rate,
            Rate::By(schedule, warmup) => {
                let at = Moment::at_batch(clock.step, clock.steps_per_epoch, clock.epochs);
                warmed(schedule, warmup.as_ref(), base, &at)
            }
        }
    }
}

impl Step for GradientStep {
    fn step(&mut self, engine: &mut Engine<'_>, batch: &StepInput) -> Result<Option<Tensor>> {
        let clock = engine.clock.clone();
        if let Rate::By(SchedulePlan::Formula { .. }, _) = self.rate {
            is_rate(
                "schedule",
                self.of_group(engine.optimizer.base_rate(), &clock),
            )?;
        }
        let passed = engine.pass(Pass::gradient(clock.clone()), batch, &self.criterion)?;
        engine.update(passed.gradients, &|base| self.of_group(base, &clock))?;
        Ok(Some(passed.sums))
    }

    fn rate(&self, engine: &Engine<'_>, clock: &Clock) -> Option<f64> {
        Some(self.of_group(engine.optimizer.base_rate(), clock))
    }
}

impl Engine<'_> {
    /// Prepares for the steps of `phase`: which blocks learn, the first of them, the optimiser and
    /// the kind of step. Layers go on counting their steps.
    ///
    /// # Errors
    /// The device has no room for the optimiser.
    pub fn begin(&mut self, phase: &PhasePlan, criterion: impl Into<Criterion>) -> Result<()> {
        self.network.set_mode(&Mode {
            blocks: phase.blocks.clone(),
            drive: Some(phase.drive),
        });
        self.first = self.network.first_active();
        self.optimizer = match phase.drive {
            Drive::Local => Optimizer::none(),
            Drive::Gradient | Drive::Both => Optimizer::of(phase, &self.network.tensors())?,
        };
        self.set_kind(match phase.drive {
            Drive::Local => Box::new(LocalStep),
            _ => Box::new(GradientStep::of(phase, criterion)),
        });
        Ok(())
    }
}
