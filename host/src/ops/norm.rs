//! Batch normalisation per channel over batch and positions: statistics,
//! the map itself, and its gradients for batch and for running statistics.

use candle_core::Tensor;

use super::{cpu, on_device};
use crate::Result;

/// Gradients of a normalisation.
pub struct NormGradients {
    /// With respect to the input, if asked for; shape of the input.
    pub x: Option<Tensor>,
    /// With respect to the gain, `[C]`: `Σ g·x̂`.
    pub gain: Tensor,
    /// With respect to the shift, `[C]`: `Σ g`.
    pub shift: Tensor,
}

/// What a normalisation divides by and adds.
#[derive(Clone)]
pub struct Affine {
    /// `[C]`.
    pub gain: Tensor,
    /// `[C]`.
    pub shift: Tensor,
}

/// Mean and biased variance of each channel, both `[C]`. `x: [B, C]` or `[B, C, H, W]`.
pub fn batch_statistics(x: &Tensor) -> Result<(Tensor, Tensor)> {
    on_device!(x, "batch_statistics", cpu: cpu::norm::statistics(x), cuda: super::cuda::norm::statistics(x))
}

/// `(x − mean)/sqrt(var + eps)`, times gain plus shift where given.
pub fn normalise(
    x: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    affine: Option<&Affine>,
) -> Result<Tensor> {
    on_device!(x, "normalise", cpu: cpu::norm::normalise(x, mean, var, eps, affine), cuda: super::cuda::norm::normalise(x, mean, var, eps, affine))
}

/// Gradients of [`normalise`]. With `through_statistics` the mean and variance
/// are those of `x` itself and carry gradient (training); without they are constants.
#[allow(clippy::too_many_arguments)]
pub fn normalise_backward(
    x: &Tensor,
    grad: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    gain: Option<&Tensor>,
    through_statistics: bool,
    want_x: bool,
) -> Result<NormGradients> {
    on_device!(x, "normalise_backward", cpu: cpu::norm::backward(
        x, grad, mean, var, eps, gain, through_statistics, want_x
    ), cuda: super::cuda::norm::backward(
        x, grad, mean, var, eps, gain, through_statistics, want_x
    ))
}

/// `running ← (1 − momentum)·running + momentum·factor·fresh`, in place.
pub fn blend_in_place(running: &Tensor, fresh: &Tensor, momentum: f64, factor: f64) -> Result<()> {
    let next = ((running * (1.0 - momentum))? + (fresh * (momentum * factor))?)?;
    super::shape::copy_in_place(running, &next)
}
