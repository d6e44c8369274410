//! What the host's fused competitive step gives back.

use super::tensor::Tensor;

/// What a competitive step yields.
#[derive(Debug)]
pub struct Competed {
    /// Pre-activations `[B, K, P, Q]` or `[B, K]`, after `pre_triangle`.
    pub u: Tensor,
    /// `correlate(x, y)`, shaped as the weight.
    pub correlation: Tensor,
    /// `Σ y·u` per unit, `[K]`.
    pub yu: Tensor,
    /// `Σ y` per unit, `[K]`.
    pub y_sum: Tensor,
}
