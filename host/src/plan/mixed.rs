//! What a graph may hold besides plain blocks: mixed edges of a supernet, partial channels, drop
//! path, auxiliary heads, and blocks that only change a shape.

use serde::{Deserialize, Serialize};

use super::{BlockPlan, EdgePlan};

/// A weighted sum of candidates on one edge, `y = Σₖ pₖ·opₖ(x)` (Liu, Simonyan and Yang 2019,
/// DARTS, equation 2). The weights are row `row` of the table `table` of the mixture that the
/// network was given last, so that many edges can share a row; until then all are `1/K`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixedPlan {
    /// Table of weights, such as `normal` or `reduce`.
    pub table: String,
    /// Row of the table: its numbers belong to the candidates, in order.
    pub row: usize,
    /// At least one; all have the same output shape.
    pub candidates: Vec<CandidatePlan>,
    /// Keep only the input of each candidate in the forward pass and repeat its forward pass in
    /// the backward pass, one candidate at a time. Gradients are the same bits.
    #[serde(default)]
    pub recompute: bool,
}

/// One candidate of a mixed edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidatePlan {
    /// Name of the primitive, such as `sep_conv_3x3@feedback-alignment/fa`, for messages.
    pub name: String,
    /// Its modules, in order; none is the identity. Their names are unique in the whole network,
    /// as all names of blocks are.
    pub blocks: Vec<BlockPlan>,
}

/// A row of a table of the mixture that scales a whole edge (PC-DARTS's edge weights).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowPlan {
    /// Table of weights; its rows have one number each.
    pub table: String,
    /// Which row.
    pub row: usize,
}

/// Drops a whole edge for some samples (Larsson, Maire and Shakhnarovich 2017): in training, each
/// sample is multiplied by `Bernoulli(1 − p)/(1 − p)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropPathPlan {
    /// Probability `p`, 0 to below 1.
    pub p: f64,
    /// The probability grows with the epochs, `p·epoch/epochs`, as in DARTS; off: it is always `p`.
    #[serde(default)]
    pub ramp: bool,
}

impl DropPathPlan {
    /// The probability in epoch `epoch` (from 0) of `epochs`.
    #[must_use]
    pub fn at(&self, epoch: u64, epochs: u64) -> f64 {
        match self.ramp {
            true => self.p * epoch as f64 / epochs.max(1) as f64,
            false => self.p,
        }
    }
}

/// A block that has no layer and changes what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum TransformPlan {
    /// Zeros of the shape of every `stride`-th pixel along both axes (`none` of a search space).
    Zero {
        /// At least 1.
        stride: usize,
    },
    /// Leaves out the first `by` rows and columns: the second half of a factorised reduction.
    Shift {
        /// At least 1.
        by: usize,
    },
}

/// An auxiliary head: a side branch to further logits, run in training only. The block hands its
/// own output on unchanged; the loss is that of the network plus `weight` times that of the head
/// (Szegedy et al. 2015).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidePlan {
    /// Factor on the loss of the head.
    pub weight: f64,
    /// The head; its output is one number for each class.
    pub blocks: Vec<BlockPlan>,
}

impl EdgePlan {
    /// An edge from `source` through `blocks`.
    #[must_use]
    pub fn new(source: impl Into<String>, blocks: Vec<BlockPlan>) -> Self {
        Self {
            source: source.into(),
            blocks,
            mixed: None,
            partial: 1,
            weight: None,
            drop_path: None,
        }
    }

    /// An edge from `source` through a weighted sum of candidates.
    #[must_use]
    pub fn mixed(source: impl Into<String>, mixed: MixedPlan) -> Self {
        Self {
            mixed: Some(mixed),
            ..Self::new(source, Vec::new())
        }
    }

    /// The lists of blocks on this edge: its own, then those of its candidates.
    pub fn inside(&self) -> impl Iterator<Item = &[BlockPlan]> {
        let candidates = self.mixed.iter().flat_map(|m| &m.candidates);
        std::iter::once(self.blocks.as_slice()).chain(candidates.map(|c| c.blocks.as_slice()))
    }

    /// Rule layers on this edge.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.inside().flatten().map(BlockPlan::layers).sum()
    }
}

/// The default of [`EdgePlan::partial`].
pub(super) fn all_channels() -> usize {
    1
}
