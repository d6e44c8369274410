//! Parts of a graph that hold no blocks: rows of a mixture, drop path, changes of shape.

use serde::{Deserialize, Serialize};

use super::define::{kinds, settings};

/// A row of a table of the mixture that scales a whole edge (PC-DARTS's edge weights).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowPlan {
    /// Table of weights; its rows have one number each.
    pub table: String,
    /// Which row.
    pub row: usize,
}

settings! {
    /// Drops a whole edge for some samples (Larsson, Maire and Shakhnarovich 2017): in training, each
    /// sample is multiplied by `Bernoulli(1 − p)/(1 − p)`.
    pub struct DropPathPlan at "blocks[].graph[].from[].drop_path" {
        /// probability that a sample loses what the edge brings, in training; the others are scaled by
        /// 1/(1 − p)
        p: f64, range 0.0 => 0.999_999, source "Larsson et al. 2017";
        /// the probability grows with the epochs, from 0 to `p`; off: it is `p` from the start
        #[serde(default)]
        ramp: bool = true, source "Liu et al. 2019; BioNAS: off";
    }
}

impl Copy for DropPathPlan {}

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

kinds! {
    /// A block that has no layer and changes what it is given.
    pub enum TransformPlan at "blocks[].transform", "zeros in place of the value, or the map without its first rows and columns" {
        /// Zeros of the shape of every `stride`-th pixel along both axes (`none` of a search space).
        Zero = "zero" {
            /// zero: every N pixels along both axes
            stride: usize = 1, range 1.0 => f64::INFINITY;
        }
        /// Leaves out the first `by` rows and columns: the second half of a factorised reduction.
        Shift = "shift" {
            /// shift: rows and columns left out
            by: usize = 1, range 1.0 => f64::INFINITY;
        }
    }
}

impl Copy for TransformPlan {}
