//! One pass through a network: the tape, the clock, and what comes out besides
//! the output.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use candle_core::Tensor;

use super::mixture::ArchitectureGradients;
use super::rule::{Named, RuleCall};
use crate::ops::dropout::mix;
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
    /// Passes with gradients that the step has made before this one: the second pass of a step
    /// draws other numbers than the first.
    pub pass: u64,
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
            pass: self.pass,
            ..RuleCall::evaluation(self.seed)
        }
    }

    /// Key of what is drawn at this time for `place`; the first pass of a step has the key that
    /// a step of one pass has always had.
    pub fn key(&self, place: u64) -> u64 {
        match self.pass {
            0 => mix(&[self.seed, self.step, place]),
            pass => mix(&[self.seed, self.step, place, pass]),
        }
    }
}

/// What a pass with a backward pass asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Gradients of tensors that an optimiser changes.
    pub weights: bool,
    /// Gradients of the weights of candidates, on mixed edges.
    pub architecture: bool,
}

impl Wants {
    /// No gradients but that of the input, where the pass asks for it.
    pub const NOTHING: Self = Self {
        weights: false,
        architecture: false,
    };
    /// Those of the network's tensors.
    pub const WEIGHTS: Self = Self {
        weights: true,
        architecture: false,
    };
    /// Those of the candidates' weights; nothing is computed for the network's tensors.
    pub const ARCHITECTURE: Self = Self {
        weights: false,
        architecture: true,
    };
    /// Both.
    pub const ALL: Self = Self {
        weights: true,
        architecture: true,
    };

    /// Whether any is asked for.
    pub fn any(self) -> bool {
        self.weights || self.architecture
    }
}

/// Logits of an auxiliary head.
#[derive(Clone, Debug)]
pub struct Side {
    /// Name of the head's block.
    pub name: Arc<str>,
    /// Factor on its loss.
    pub weight: f64,
    /// `[B, outputs]`.
    pub logits: Tensor,
}

/// Uniform numbers in place of those that are keyed by seed and step, so that a pass can be
/// compared with one of another program.
pub trait Draws: Debug + Send + Sync {
    /// `n` numbers in [0, 1) for what stands at `name`.
    fn uniform(&self, name: &str, n: usize) -> Vec<f64>;
}

/// What one module kept on the tape.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// In the module's own order.
    pub tensors: Vec<Tensor>,
    /// What a rule kept, by name.
    pub named: Named,
    /// Sizes to restore.
    pub dims: Vec<usize>,
    /// What parts kept that ran side by side, each its own.
    pub parts: Vec<Vec<Kept>>,
}

/// One pass.
#[derive(Debug, Default)]
pub struct Pass {
    /// Where training stands.
    pub clock: Clock,
    /// Labels (`u32`, `[B]`) or target values `[B, O]` for rules that want the target; layers hand
    /// them on in one form (`nn::targets`).
    pub target: Option<Tensor>,
    /// The loss of each sample `[B]`, for the same rules on the way back.
    pub losses: Option<Tensor>,
    /// Gradient of the loss at the output, for direct rules.
    pub output_error: Option<Tensor>,
    /// Every rule's backward is replaced by exact back-propagation through its map.
    pub exact: bool,
    /// The first dropout was applied when the batch was gathered.
    pub dropped: bool,
    /// Local rules learn in this pass (off when only a gradient is wanted).
    pub local: bool,
    /// Norms in training mode move their running statistics in this pass.
    pub statistics: bool,
    /// Gradients that the backward pass is to give.
    pub wants: Wants,
    /// A forward pass is being repeated in a backward pass: whatever it changes was changed before.
    pub replay: bool,
    /// What runs now runs again in the backward pass, and keeps nothing until then.
    pub repeats: bool,
    /// Rules that learn in evaluation too do so in this pass (off when it only measures).
    pub in_evaluation: bool,
    /// Modules push what backward needs (within what learns).
    pub keep: bool,
    /// The current module's output is discarded.
    pub unread: bool,
    /// Something below the current module wants its gradient.
    pub below: bool,
    /// Gradients by full tensor name, filled by the backward pass.
    pub gradients: Vec<(Arc<str>, Tensor)>,
    /// Gradients of the weights of candidates, filled by the backward pass.
    pub architecture: ArchitectureGradients,
    /// Logits of auxiliary heads, filled by the forward pass.
    pub sides: Vec<Side>,
    /// The loss's gradient at the logits of each auxiliary head, its weight included.
    pub side_errors: BTreeMap<Arc<str>, Tensor>,
    /// Numbers for drop path in place of keyed ones.
    pub draws: Option<Arc<dyn Draws>>,
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
            local: true,
            statistics: true,
            ..Self::inference()
        }
    }

    /// A pass that will go back again, for the gradients of the network's tensors.
    pub fn gradient(clock: Clock) -> Self {
        Self {
            wants: Wants::WEIGHTS,
            keep: true,
            ..Self::local(clock)
        }
    }

    /// Forward and backward without changing anything.
    pub fn measuring(clock: Clock) -> Self {
        Self {
            local: false,
            statistics: false,
            in_evaluation: false,
            ..Self::gradient(clock)
        }
    }

    /// A forward pass in the present mode that changes nothing, whatever the mode: training mode
    /// normalises by batch statistics and moves none.
    pub fn forward_only(clock: Clock) -> Self {
        Self {
            clock,
            ..Self::default()
        }
    }

    /// The same, for other gradients.
    #[must_use]
    pub fn wanting(mut self, wants: Wants) -> Self {
        self.wants = wants;
        self.keep = true;
        self
    }

    /// The same, also for the gradient with respect to the network's input.
    #[must_use]
    pub fn wanting_input(mut self) -> Self {
        self.keep = true;
        self.below = true;
        self
    }

    /// A pass of its own for a part that runs beside others, with `tape` to take back from; what
    /// comes of it goes to this one by [`Pass::join`], in an order that does not depend on threads.
    #[must_use]
    pub fn fork(&self, tape: Vec<Kept>) -> Self {
        Self {
            clock: self.clock.clone(),
            target: self.target.clone(),
            losses: self.losses.clone(),
            output_error: self.output_error.clone(),
            side_errors: self.side_errors.clone(),
            draws: self.draws.clone(),
            gradients: Vec::new(),
            architecture: ArchitectureGradients::default(),
            sides: Vec::new(),
            tape,
            ..*self
        }
    }

    /// Takes over what came of a part; what it kept.
    pub fn join(&mut self, part: Self) -> Vec<Kept> {
        self.gradients.extend(part.gradients);
        self.architecture.extend(part.architecture);
        self.sides.extend(part.sides);
        self.dropped &= part.dropped;
        part.tape
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
