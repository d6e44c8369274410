//! The engine: a network, the optimiser of its tensors and the time, moved on one step at a time.
//! What a step does is a [`Step`]; those of training are in `step`, others live where they are
//! needed (a search's step over weights and architecture, a rule's that sees a batch twice).

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;
use serde_json::Value;

use super::criterion::Criterion;
use super::optimizer::Optimizer;
use crate::data::Answers;
use crate::data::feed::Samples;
use crate::nn::{ArchitectureGradients, Clock, Network, Pass};
use crate::plan::PhasePlan;
use crate::{Error, Result};

/// What a step works on.
#[derive(Clone, Debug)]
pub struct StepInput {
    /// Output of the frozen prefix, `[B, …]`.
    pub x: Tensor,
    /// What is to be predicted, beside `x`.
    pub answers: Answers,
    /// Dropout was applied when the batch was gathered.
    pub dropped: bool,
}

/// A kind of step. It is told of the engine by each call and holds only what is its own.
pub trait Step: Send {
    /// One step on `batch`. The batch's sums, as [`Scored`](super::loss::Scored) has them, where
    /// there is a loss.
    ///
    /// # Errors
    /// Failures of rules and of the device.
    fn step(&mut self, engine: &mut Engine<'_>, batch: &StepInput) -> Result<Option<Tensor>>;

    /// The learning rate at `clock`, where an optimiser has one.
    fn rate(&self, engine: &Engine<'_>, clock: &Clock) -> Option<f64> {
        let _ = (engine, clock);
        None
    }

    /// Does a piece of what comes before an epoch, such as exploring architectures; whether it
    /// did. It is called until nothing is left; between two pieces a run may be stopped and go on
    /// later from [`Step::tensors`] and [`Step::state`].
    ///
    /// # Errors
    /// As for [`Step::step`].
    fn prepare(&mut self, engine: &mut Engine<'_>) -> Result<bool> {
        let _ = engine;
        Ok(false)
    }

    /// Does a piece of what comes after the last epoch of a phase, as [`Step::prepare`] does before
    /// each.
    ///
    /// # Errors
    /// As for [`Step::step`].
    fn conclude(&mut self, engine: &mut Engine<'_>) -> Result<bool> {
        let _ = engine;
        Ok(false)
    }

    /// An epoch has ended; what is to be reported of it goes into `metrics`.
    ///
    /// # Errors
    /// As for [`Step::step`].
    fn end_epoch(
        &mut self,
        engine: &mut Engine<'_>,
        metrics: &mut BTreeMap<String, f64>,
    ) -> Result<()> {
        let _ = (engine, metrics);
        Ok(())
    }

    /// Tensors of its own that a checkpoint needs, under names that start with a prefix of its own.
    fn tensors(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }

    /// What a checkpoint needs besides.
    fn state(&self) -> Value {
        Value::Null
    }

    /// Takes back what [`Step::tensors`] and [`Step::state`] gave.
    ///
    /// # Errors
    /// A usage error that names what is missing.
    fn load(
        &mut self,
        engine: &mut Engine<'_>,
        state: &Value,
        find: &dyn Fn(&str) -> Option<Tensor>,
    ) -> Result<()> {
        let _ = (engine, state, find);
        Ok(())
    }
}

/// Where kinds of step come from that are not a phase's usual one.
pub trait Steps: Sync {
    /// The kind of step of `phase` in `segment`, for an engine that is prepared for it and may be
    /// changed; `None` leaves the usual one. `samples` gives the samples of a name, as phases have
    /// them.
    ///
    /// # Errors
    /// What the kind of step refuses.
    fn kind<'s>(
        &'s self,
        segment: &str,
        phase: &PhasePlan,
        criterion: &Criterion,
        samples: &dyn Fn(&str) -> Result<&'s (dyn Samples + 's)>,
        engine: &mut Engine<'_>,
    ) -> Result<Option<Box<dyn Step + 's>>>;
}

/// A network under training.
pub struct Engine<'a> {
    /// The network.
    pub network: Network,
    /// What changes its tensors from gradients; of no tensor where local rules learn alone.
    pub optimizer: Optimizer,
    /// Where training stands.
    pub clock: Clock,
    /// The first block that a step runs: batches are the output of those before.
    pub first: usize,
    kind: Box<dyn Step + 'a>,
}

/// What a pass from a batch to gradients gives.
pub struct Passed {
    /// Output of the network, `[B, …]`.
    pub y: Tensor,
    /// Sums of the batch, as [`Scored`](super::loss::Scored) has them; without auxiliary heads.
    pub sums: Tensor,
    /// Gradients by full tensor name, as [`Optimizer::step`] takes them.
    pub gradients: Vec<(Arc<str>, Tensor)>,
    /// Gradients of the weights of candidates, where the pass wanted them.
    pub architecture: ArchitectureGradients,
}

impl<'a> Engine<'a> {
    /// `network` in its present mode, at the beginning, with no step to make yet.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            optimizer: Optimizer::none(),
            clock: Clock::default(),
            first: 0,
            kind: Box::new(Idle),
        }
    }

    /// The same with steps of this kind.
    #[must_use]
    pub fn with(mut self, kind: impl Step + 'a) -> Self {
        self.set_kind(Box::new(kind));
        self
    }

    /// Steps are of this kind from now on.
    pub fn set_kind(&mut self, kind: Box<dyn Step + 'a>) {
        self.kind = kind;
    }

    /// What a step does.
    pub fn kind(&self) -> &(dyn Step + 'a) {
        &*self.kind
    }

    /// One step on `batch`, at the time of `clock`; see [`Step::step`].
    ///
    /// # Errors
    /// As for [`Step::step`].
    pub fn step(&mut self, batch: &StepInput) -> Result<Option<Tensor>> {
        self.by_kind(|kind, engine| kind.step(engine, batch))
    }

    /// See [`Step::prepare`].
    ///
    /// # Errors
    /// As for [`Step::prepare`].
    pub fn prepare(&mut self) -> Result<bool> {
        self.by_kind(|kind, engine| kind.prepare(engine))
    }

    /// See [`Step::conclude`].
    ///
    /// # Errors
    /// As for [`Step::conclude`].
    pub fn conclude(&mut self) -> Result<bool> {
        self.by_kind(|kind, engine| kind.conclude(engine))
    }

    /// See [`Step::end_epoch`].
    ///
    /// # Errors
    /// As for [`Step::end_epoch`].
    pub fn end_epoch(&mut self, metrics: &mut BTreeMap<String, f64>) -> Result<()> {
        self.by_kind(|kind, engine| kind.end_epoch(engine, metrics))
    }

    /// The learning rate at `clock`, where an optimiser has one.
    pub fn rate(&self, clock: &Clock) -> Option<f64> {
        self.kind.rate(self, clock)
    }

    /// What a checkpoint needs besides the network: moments of the optimiser, and tensors of the
    /// kind of step.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut out = self.optimizer.tensors();
        out.extend(self.kind.tensors());
        out
    }

    /// Takes back what [`Engine::tensors`], [`Optimizer::steps`] and [`Step::state`] gave.
    ///
    /// # Errors
    /// A usage error that names what is missing.
    pub fn load(
        &mut self,
        steps: u64,
        state: &Value,
        find: &dyn Fn(&str) -> Option<Tensor>,
    ) -> Result<()> {
        self.optimizer.load(steps, find)?;
        self.by_kind(|kind, engine| kind.load(engine, state, find))
    }

    /// Calls `f` with the kind of step and the engine around it.
    fn by_kind<R>(&mut self, f: impl FnOnce(&mut dyn Step, &mut Self) -> Result<R>) -> Result<R> {
        let mut kind: Box<dyn Step + 'a> = std::mem::replace(&mut self.kind, Box::new(Idle));
        let done = f(&mut *kind, self);
        self.kind = kind;
        done
    }

    /// Forward through the blocks from `first` on, the loss with that of auxiliary heads, and back,
    /// in the pass that is given: [`Pass::gradient`], or one that wants other gradients or leaves
    /// statistics alone. Nothing is updated but what the pass lets change.
    ///
    /// # Errors
    /// Failures of rules and of the device.
    pub fn pass(
        &mut self,
        mut pass: Pass,
        batch: &StepInput,
        criterion: &Criterion,
    ) -> Result<Passed> {
        let network = &mut self.network;
        pass.dropped = batch.dropped;
        let taught = network.wants_target();
        if taught {
            pass.target = Some(batch.answers.raw().clone());
        }
        let blocks = self.first..network.len();
        let y = network.forward(&mut pass, &batch.x, blocks.clone())?;
        let flat = if y.rank() == 2 {
            y.clone()
        } else {
            y.flatten_from(1)?
        };
        let scored = criterion.score(&flat, &batch.answers)?;
        if taught {
            pass.losses = Some(criterion.each(&flat, &batch.answers)?);
        }
        for side in &pass.sides {
            let error = criterion.score(&side.logits, &batch.answers)?.grad;
            let error = error.affine(side.weight, 0.0)?;
            pass.side_errors.insert(side.name.clone(), error);
        }
        let grad = scored.grad.reshape(y.shape())?;
        pass.output_error = Some(scored.grad);
        network.backward(&mut pass, &grad, blocks)?;
        Ok(Passed {
            y,
            sums: scored.sums,
            gradients: pass.gradients,
            architecture: pass.architecture,
        })
    }

    /// Makes what a pass found count: changes of local rules, then `gradients` by the optimiser,
    /// each group at `rate` of its own learning rate; the step is over then.
    ///
    /// # Errors
    /// Changes and gradients that fit no tensor that learns, as plugin errors.
    pub fn update(
        &mut self,
        gradients: Vec<(Arc<str>, Tensor)>,
        rate: &dyn Fn(f64) -> f64,
    ) -> Result<()> {
        self.network.apply_changes()?;
        self.optimizer.step_at(gradients, rate)?;
        self.network.end_step();
        Ok(())
    }
}

/// No step: between phases.
struct Idle;

impl Step for Idle {
    fn step(&mut self, _: &mut Engine<'_>, _: &StepInput) -> Result<Option<Tensor>> {
        Err(Error::internal("a step outside of a phase"))
    }
}
