//! Batch normalisation per channel over batch and positions: statistics,
//! the map itself, and its gradients for batch and for running statistics.

use candle_core::Tensor;

pub use super::args::{Affine, NormBackward, NormForward, NormGradients};
use super::{cpu, on_device};
use crate::Result;

/// Mean and biased variance of each channel, both `[C]`. `x: [B, C]` or `[B, C, H, W]`.
pub fn batch_statistics(x: &Tensor) -> Result<(Tensor, Tensor)> {
    on_device!(x, "batch_statistics", cpu: cpu::norm::statistics(x), cuda: super::cuda::norm::statistics(x))
}

/// `(x − mean)/sqrt(var + eps)`, times gain plus shift where given.
pub fn normalise(args: &NormForward<'_>) -> Result<Tensor> {
    on_device!(args.x, "normalise", cpu: cpu::norm::normalise(args), cuda: super::cuda::norm::normalise(args))
}

/// Gradients of [`normalise`].
pub fn normalise_backward(args: &NormBackward<'_>) -> Result<NormGradients> {
    on_device!(args.x, "normalise_backward", cpu: cpu::norm::backward(args), cuda: super::cuda::norm::backward(args))
}

/// `running ← (1 − momentum)·running + momentum·factor·fresh`, in place.
pub fn blend_in_place(running: &Tensor, fresh: &Tensor, momentum: f64, factor: f64) -> Result<()> {
    let next = ((running * (1.0 - momentum))? + (fresh * (momentum * factor))?)?;
    super::shape::copy_in_place(running, &next)
}
