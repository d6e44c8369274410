//! Pooling with any window, stride and padding, and its gradients.

use candle_core::Tensor;

use super::{Window, cpu, on_device};
use crate::Result;

/// Largest value of each window, padding counting as −∞. `x: [B, C, H, W]`;
/// returns `y: [B, C, P, Q]` and, for the backward pass, the position of each
/// maximum in its plane (`u32`, shape of `y`; the first on ties).
pub fn max_pool(window: &Window, x: &Tensor) -> Result<(Tensor, Tensor)> {
    on_device!(x, "max_pool", cpu: cpu::pool::max_forward(window, x), cuda: super::cuda::pool::max_forward(window, x))
}

/// The output of [`max_pool`] alone, where no backward pass will follow.
pub fn max_pool_alone(window: &Window, x: &Tensor) -> Result<Tensor> {
    on_device!(x, "max_pool", cpu: cpu::pool::max_forward_alone(window, x), cuda: Ok(super::cuda::pool::max_forward(window, x)?.0))
}

/// Gradient of [`max_pool`] from the positions it returned; `input = [H, W]`.
pub fn max_pool_backward(
    window: &Window,
    grad: &Tensor,
    positions: &Tensor,
    input: [usize; 2],
) -> Result<Tensor> {
    let (p, q) = window.out_size(input[0], input[1])?;
    if grad.dims().get(2..) != Some(&[p, q]) {
        return Err(crate::Error::internal(format!(
            "a pooling gradient of shape {:?} for outputs of {p}x{q}",
            grad.dims()
        )));
    }
    on_device!(grad, "max_pool_backward", cpu: cpu::pool::max_backward(grad, positions, input), cuda: super::cuda::pool::max_backward(window, grad, positions, input))
}

/// Mean of each window of `x: [B, C, H, W]`: of all its pixels with the padding as zeros, or
/// without `include_pad` of those inside the image. Returns `[B, C, P, Q]`.
pub fn avg_pool(window: &Window, include_pad: bool, x: &Tensor) -> Result<Tensor> {
    on_device!(x, "avg_pool", cpu: cpu::pool::avg_forward(window, include_pad, x), cuda: super::cuda::pool::avg_forward(window, include_pad, x))
}

/// Gradient of [`avg_pool`]; `input = [H, W]`.
pub fn avg_pool_backward(
    window: &Window,
    include_pad: bool,
    grad: &Tensor,
    input: [usize; 2],
) -> Result<Tensor> {
    on_device!(grad, "avg_pool_backward", cpu: cpu::pool::avg_backward(window, include_pad, grad, input), cuda: super::cuda::pool::avg_backward(window, include_pad, grad, input))
}
