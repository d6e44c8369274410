//! One pass through a network: the tape, the clock, and what comes out besides
//! the output.

use std::sync::Arc;

use candle_core::Tensor;

use super::rule::{Named, RuleCall};
use crate::{Error, Result};

/// Where training stands; the same for every layer of a pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clock {
    /// Finished epochs of the phase.
    pub epoch: u64,
    /// Epochs of the phase; 0 where a stop rule ends it.
    pub epochs: u64,
    /// Steps done in the phase; keys dropout.
    pub step: u64,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
    /// Samples in a full step.
    pub batch: usize,
    /// Training samples in an epoch.
    pub samples: usize,
    /// Seed of dropout.
    pub seed: u64,
    /// Rate for local rules, where the phase sets one.
    pub local_rate: Option<f64>,
}

impl Clock {
    /// What a rule is told at this time, outside learning.
    pub fn call(&self) -> RuleCall {
        RuleCall {
            epoch: self.epoch,
            epochs: self.epochs,
            steps_per_epoch: self.steps_per_epoch,
            batch: self.batch as u64,
            samples: self.samples as u64,
            rate: self.local_rate,
            ..RuleCall::evaluation(self.seed)
        }
    }
}

/// What one module kept on the tape.
#[derive(Debug, Default)]
pub struct Kept {
    /// In the module's own order.
    pub tensors: Vec<Tensor>,
    /// What a rule kept, by name.
    pub named: Named,
    /// Sizes to restore.
    pub dims: Vec<usize>,
}

/// One pass.
#[derive(Debug, Default)]
pub struct Pass {
    /// Where training stands.
    pub clock: Clock,
    /// Labels (`u32`, `[B]`) or target values `[B, O]` for supervised local rules.
    pub target: Option<Tensor>,
    /// Gradient of the loss at the output, for direct rules.
    pub output_error: Option<Tensor>,
    /// Every rule's backward is replaced by exact back-propagation through its map.
    pub exact: bool,
    /// The first dropout was applied when the batch was gathered.
    pub dropped: bool,
    /// Local rules learn in this pass (off when only a gradient is wanted).
    pub learn: bool,
    /// Rules that learn in evaluation too do so in this pass (off when it only measures).
    pub in_evaluation: bool,
    /// Modules push what backward needs (within what learns).
    pub keep: bool,
    /// Nobody reads the output of the module at work.
    pub unread: bool,
    /// Something below the current module wants its gradient.
    pub below: bool,
    /// Gradients by full tensor name, filled by the backward pass.
    pub gradients: Vec<(Arc<str>, Tensor)>,
    tape: Vec<Kept>,
}

impl Pass {
    /// A pass that only computes outputs.
    pub fn inference() -> Self {
        Self {
            in_evaluation: true,
            ..Self::default()
        }
    }

    /// A pass in which local rules learn.
    pub fn local(clock: Clock) -> Self {
        Self {
            clock,
            learn: true,
            ..Self::inference()
        }
    }

    /// A pass that will go back again.
    pub fn gradient(clock: Clock) -> Self {
        Self {
            clock,
            learn: true,
            keep: true,
            ..Self::inference()
        }
    }

    /// A pass that goes there and back and changes nothing.
    pub fn measuring(clock: Clock) -> Self {
        Self {
            learn: false,
            in_evaluation: false,
            ..Self::gradient(clock)
        }
    }

    /// The same, also for the gradient with respect to the network's input.
    #[must_use]
    pub fn wanting_input(mut self) -> Self {
        self.keep = true;
        self.below = true;
        self
    }

    /// Pushes what a module keeps; nothing unless this pass keeps.
    pub fn push(&mut self, kept: impl FnOnce() -> Kept) {
        if self.keep {
            self.tape.push(kept());
        }
    }

    /// Takes back what the module now going backward pushed.
    pub fn pop(&mut self) -> Result<Kept> {
        self.tape
            .pop()
            .ok_or_else(|| Error::internal("the backward pass ran past what the forward pass kept"))
    }

    /// Entries on the tape.
    pub fn depth(&self) -> usize {
        self.tape.len()
    }
}
