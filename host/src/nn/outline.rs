//! What a network will hold and what it asks of a batch, found without making a tensor: the
//! same walk over the blocks as the network's own, each rule bound and asked for its state.

use super::build::{Builder, InputShape};
use super::rule::{Role, RuleSource, StateOutline};
use crate::Result;
use crate::plan::BlockPlan;
use candle_core::DType;

/// A network before it is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Its modules, input first.
    pub parts: Vec<Part>,
}

/// One module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Position of the outer block that it is in.
    pub block: usize,
    /// Names of the blocks that it is in, outermost first.
    pub names: Vec<String>,
    /// What it is.
    pub kind: PartKind,
    /// Shape of a sample at its output: `[K]` or `[K, P, Q]`.
    pub output: Vec<usize>,
    /// Tensors that it holds.
    pub state: Vec<StateOutline>,
    /// Samples that a batch needs at least while it learns.
    pub least_batch: usize,
    /// Numbers in a copy of one sample that it makes while it works: its padded input.
    pub copy: u128,
    /// It keeps nothing for the backward pass, which repeats it.
    pub repeated: bool,
}

/// What a module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Batch normalisation: moves its statistics in every phase that lists its block.
    Norm,
    /// A layer with its rule.
    Layer {
        /// The rule's name.
        rule: String,
        /// Its changes come from `learn`, in a local phase.
        local: bool,
        /// Its changes come from the error.
        error_driven: bool,
        /// It may change in evaluation too.
        in_evaluation: bool,
        /// Hyperparameters that it does not read.
        unread: Vec<String>,
    },
    /// Anything that holds nothing.
    Transform,
}

impl Part {
    /// Whether a phase that lists `blocks` lists this.
    #[must_use]
    pub fn is_listed(&self, blocks: &[String]) -> bool {
        self.names.iter().any(|name| blocks.contains(name))
    }

    /// Numbers in its output for one sample.
    #[must_use]
    pub fn outputs(&self) -> u128 {
        elements(&self.output)
    }

    /// Numbers in its state, of those tensors that `count`.
    #[must_use]
    pub fn held(&self, count: impl Fn(Role) -> bool) -> u128 {
        let counted = self.state.iter().filter(|s| count(s.role));
        counted
            .map(|s| elements(&s.shape))
            .fold(0, u128::saturating_add)
    }
}

/// Numbers in a tensor of this shape.
#[must_use]
pub fn elements(shape: &[usize]) -> u128 {
    shape
        .iter()
        .fold(1, |n: u128, &d| n.saturating_mul(d as u128))
}

impl Outline {
    /// That of `blocks` on samples of `input`.
    ///
    /// # Errors
    /// As for [`Network::build`](super::Network::build).
    pub fn of(
        blocks: &[BlockPlan],
        input: &InputShape,
        rules: &dyn RuleSource,
        dtype: DType,
    ) -> Result<Self> {
        Builder::outline(blocks, input, rules, dtype)
    }
}
