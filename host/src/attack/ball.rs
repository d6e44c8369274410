//! Norms of a perturbation: the ball it stays in, the direction that climbs fastest in it, and how
//! far it reaches. Batches are `[B, …]`; each sample has a ball of its own.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::Result;

/// How the size of a perturbation is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// The largest change of one value.
    #[default]
    Linf,
    /// The Euclidean length.
    L2,
}

/// Kept out of divisions by the length of a perturbation or a gradient.
const TINY: f64 = 1e-12;

/// Lengths `[B, 1, …]` of the samples of `t`.
fn lengths(t: &Tensor) -> Result<Tensor> {
    let squares = t.sqr()?.flatten_from(1)?.sum(1)?;
    Ok(squares.sqrt()?.reshape(per_sample(t))?)
}

impl Norm {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linf => "linf",
            Self::L2 => "l2",
        }
    }

    /// `moved` brought back to within `epsilon` of `pixels`, and then to [0, 1].
    ///
    /// # Errors
    /// The device refuses.
    pub fn project(self, pixels: &Tensor, moved: &Tensor, epsilon: f64) -> Result<Tensor> {
        let delta = (moved - pixels)?;
        let delta = match self {
            Self::Linf => delta.clamp(-epsilon, epsilon)?,
            Self::L2 => {
                let factor = (lengths(&delta)? + TINY)?.recip()?;
                let factor = (factor * epsilon)?.minimum(1.0)?;
                delta.broadcast_mul(&factor)?
            }
        };
        Ok((pixels + delta)?.clamp(0.0, 1.0)?)
    }

    /// The step of size 1 that follows `gradient` furthest: its signs, or itself at length 1. A
    /// gradient of zeros gives no step.
    ///
    /// # Errors
    /// The device refuses.
    pub fn ascent(self, gradient: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Linf => gradient.sign()?,
            // First to size 1, so that the squares of small gradients do not vanish.
            Self::L2 => {
                let flat = gradient.abs()?.flatten_from(1)?;
                let largest = (flat.max_keepdim(1)? + f64::from(f32::MIN_POSITIVE))?;
                let largest = largest.reshape(per_sample(gradient))?;
                let sized = gradient.broadcast_div(&largest)?;
                sized.broadcast_div(&(lengths(&sized)? + TINY)?)?
            }
        })
    }

    /// The size of each sample's perturbation.
    ///
    /// # Errors
    /// The device refuses.
    pub fn sizes(self, pixels: &Tensor, moved: &Tensor) -> Result<Vec<f64>> {
        let delta = (moved - pixels)?.to_dtype(DType::F64)?;
        let sizes = match self {
            Self::Linf => delta.abs()?.flatten_from(1)?.max(1)?,
            Self::L2 => lengths(&delta)?.flatten_all()?,
        };
        Ok(sizes.to_vec1()?)
    }
}

/// `[B, 1, …]`: one number for each sample of `t`.
fn per_sample(t: &Tensor) -> Vec<usize> {
    let mut shape = vec![1; t.rank()];
    shape[0] = t.dims()[0];
    shape
}
