//! The three maps of a convolution: forward, input gradient for any weight,
//! and correlation (weight gradient), for every stride, dilation, group count
//! and padding mode. The input gradient is the exact adjoint of the forward
//! map, border included.

use candle_core::Tensor;

use super::{Conv, PadMode, cpu, on_device};
use crate::Result;

/// `y = conv(pad(x), w)`. `x: [B, C, H, W]`, `w: [K, C/groups, R, S]`, `y: [B, K, P, Q]`.
pub fn conv_forward(g: &Conv, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    on_device!(x, "conv_forward", cpu: cpu::conv::forward(g, x, w), cuda: super::cuda::conv::forward(g, x, w))
}

/// Gradient with respect to the input, through weight `w` (which need not be
/// the forward weight). `grad: [B, K, P, Q]`, result `[B, C, H, W]` with `input = [H, W]`.
pub fn conv_input_grad(g: &Conv, grad: &Tensor, w: &Tensor, input: [usize; 2]) -> Result<Tensor> {
    on_device!(grad, "conv_input_grad", cpu: cpu::conv::input_grad(g, grad, w, input), cuda: super::cuda::conv::input_grad(g, grad, w, input))
}

/// `correlate(x, y)`: gradient with respect to the weight.
/// `x: [B, C, H, W]`, `grad: [B, K, P, Q]`, result `[K, C/groups, R, S]`.
pub fn conv_weight_grad(g: &Conv, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    on_device!(x, "conv_weight_grad", cpu: cpu::conv::weight_grad(g, x, grad), cuda: super::cuda::conv::weight_grad(g, x, grad))
}

/// Input with its border, `padding = [top, bottom, left, right]`.
///
/// # Errors
/// A usage error for a border that copies pixels which are not there.
pub fn pad(x: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    let (_, c, h, w) = x.dims4()?;
    cpu::pad::border(c, padding, mode, [h, w])?;
    on_device!(x, "pad", cpu: cpu::pad::forward(x, padding, mode), cuda: super::cuda::pad::forward(x, padding, mode))
}

/// Adjoint of [`pad`]: adds the border's gradient to the pixels it was read from.
///
/// # Errors
/// As for [`pad`].
pub fn pad_backward(grad: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    let (_, c, h, w) = grad.dims4()?;
    let [top, bottom, left, right] = padding;
    let inside = [
        h.saturating_sub(top.saturating_add(bottom)),
        w.saturating_sub(left.saturating_add(right)),
    ];
    cpu::pad::border(c, padding, mode, inside)?;
    on_device!(grad, "pad_backward", cpu: cpu::pad::backward(grad, padding, mode), cuda: super::cuda::pad::backward(grad, padding, mode))
}

/// All windows of `x: [B, C, H, W]` under the kernel, `[B, P·Q, groups·D]`, groups one after the other.
pub fn patches(g: &Conv, x: &Tensor) -> Result<Tensor> {
    let x = pad(x, g.padding, g.pad_mode)?;
    let (b, _, h, w) = x.dims4()?;
    let flat = g.without_padding();
    let (p, q) = flat.out_size(h, w)?;
    let (device, taps) = (x.device(), g.kernel[0] * g.kernel[1]);
    // Index of each tap of each position in the flattened image.
    let index: Vec<u32> = (0..taps)
        .flat_map(|tap| {
            let (r, s) = (
                tap / g.kernel[1] * g.dilation[0],
                tap % g.kernel[1] * g.dilation[1],
            );
            (0..p * q)
                .map(move |at| ((at / q * g.stride[0] + r) * w + at % q * g.stride[1] + s) as u32)
        })
        .collect();
    let index = Tensor::from_vec(index, taps * p * q, device)?;
    let windows = x.flatten_from(2)?.contiguous()?.index_select(&index, 2)?;
    Ok(windows
        .reshape((b, g.channels * taps, p * q))?
        .transpose(1, 2)?
        .contiguous()?)
}
