//! The three maps of a convolution: forward, input gradient for any weight,
//! and correlation (weight gradient), for every stride, dilation, group count
//! and padding mode. The input gradient is the exact adjoint of the forward
//! map, border included.

use candle_core::Tensor;

use super::{ConvGeometry, cpu, on_device};
use crate::Result;

/// `y = conv(pad(x), w)`. `x: [B, C, H, W]`, `w: [K, C/groups, R, S]`, `y: [B, K, P, Q]`.
pub fn conv_forward(g: &ConvGeometry, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    on_device!(x, "conv_forward", cpu: cpu::conv::forward(g, x, w), cuda: super::cuda::conv::forward(g, x, w))
}

/// Gradient with respect to the input, through weight `w` (which need not be
/// the forward weight). `grad: [B, K, P, Q]`, result `[B, C, H, W]` with `input = [H, W]`.
pub fn conv_input_grad(
    g: &ConvGeometry,
    grad: &Tensor,
    w: &Tensor,
    input: [usize; 2],
) -> Result<Tensor> {
    on_device!(grad, "conv_input_grad", cpu: cpu::conv::input_grad(g, grad, w, input), cuda: super::cuda::conv::input_grad(g, grad, w, input))
}

/// `correlate(x, y)`: gradient with respect to the weight.
/// `x: [B, C, H, W]`, `grad: [B, K, P, Q]`, result `[K, C/groups, R, S]`.
pub fn conv_weight_grad(g: &ConvGeometry, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    on_device!(x, "conv_weight_grad", cpu: cpu::conv::weight_grad(g, x, grad), cuda: super::cuda::conv::weight_grad(g, x, grad))
}

/// Input with its border, `padding = [top, bottom, left, right]`.
pub fn pad(x: &Tensor, padding: [usize; 4], mode: super::PadMode) -> Result<Tensor> {
    on_device!(x, "pad", cpu: cpu::pad::forward(x, padding, mode), cuda: super::cuda::pad::forward(x, padding, mode))
}

/// Adjoint of [`pad`]: adds the border's gradient to the pixels it was read from.
pub fn pad_backward(grad: &Tensor, padding: [usize; 4], mode: super::PadMode) -> Result<Tensor> {
    on_device!(grad, "pad_backward", cpu: cpu::pad::backward(grad, padding, mode), cuda: super::cuda::pad::backward(grad, padding, mode))
}
