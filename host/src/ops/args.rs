//! Arguments and results that an operation and its two sides, `cpu` and `cuda`, share.

use candle_core::Tensor;

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

/// Arguments of [`normalise`](super::norm::normalise). `x: [B, C]` or `[B, C, H, W]`.
#[derive(Clone, Copy)]
pub struct NormForward<'a> {
    /// Input.
    pub x: &'a Tensor,
    /// `[C]`.
    pub mean: &'a Tensor,
    /// Biased variance, `[C]`.
    pub var: &'a Tensor,
    /// Added to the variance.
    pub eps: f64,
    /// Gain and shift, where there are.
    pub affine: Option<&'a Affine>,
}

/// Arguments of [`normalise_backward`](super::norm::normalise_backward).
#[derive(Clone, Copy)]
pub struct NormBackward<'a> {
    /// Input of the forward pass.
    pub x: &'a Tensor,
    /// Gradient at the output, shape of `x`.
    pub grad: &'a Tensor,
    /// `[C]`.
    pub mean: &'a Tensor,
    /// Biased variance, `[C]`.
    pub var: &'a Tensor,
    /// Added to the variance.
    pub eps: f64,
    /// `[C]`, where there is one.
    pub gain: Option<&'a Tensor>,
    /// Mean and variance are those of `x` itself and carry gradient (training); without they are
    /// constants.
    pub through_statistics: bool,
    /// Whether the gradient at the input is asked for.
    pub want_x: bool,
}
