//! Nonlinearities and their derivatives.

use candle_core::Tensor;

use super::{cpu, on_device};
use crate::Result;
use crate::plan::ActivationPlan;

/// `f(u)`, shape of `u`: `[B, K]` or `[B, K, P, Q]`.
pub fn activate(kind: &ActivationPlan, u: &Tensor) -> Result<Tensor> {
    on_device!(u, "activate", cpu: cpu::activation::forward(kind, u), cuda: super::cuda::activation::forward(kind, u))
}

/// `grad ∘ f'`. `kept` is what [`keeps_input`] says: `u` or `f(u)`.
pub fn activate_backward(kind: &ActivationPlan, kept: &Tensor, grad: &Tensor) -> Result<Tensor> {
    on_device!(grad, "activate_backward", cpu: cpu::activation::backward(kind, kept, grad), cuda: super::cuda::activation::backward(kind, kept, grad))
}

/// Whether the derivative is computed from the input (true) or the output.
pub fn keeps_input(kind: &ActivationPlan) -> bool {
    matches!(
        kind,
        ActivationPlan::Triangle { .. } | ActivationPlan::Repu { .. }
    )
}
