//! Transforms of a whole sample: scaling by its maximum or length, the
//! parameter-free shortcut of residual networks, and copies in place.

use candle_core::Tensor;

use super::{cpu, on_device};
use crate::Result;

/// Each sample divided by its largest value; a sample whose largest value is 0
/// stays as it is.
pub fn divide_by_max(x: &Tensor) -> Result<Tensor> {
    on_device!(x, "divide_by_max", cpu: cpu::shape::divide_by_max(x), cuda: super::cuda::shape::divide_by_max(x))
}

/// Gradient of [`divide_by_max`], through the maximum.
pub fn divide_by_max_backward(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    on_device!(x, "divide_by_max_backward", cpu: cpu::shape::divide_by_max_backward(x, grad), cuda: super::cuda::shape::divide_by_max_backward(x, grad))
}

/// `length · x / max(‖x‖₂, 1e-12)` along axis 1.
pub fn scale_to_length(x: &Tensor, length: f64) -> Result<Tensor> {
    let norm = x.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(1e-12)?;
    Ok((x.broadcast_div(&norm)? * length)?)
}

/// Gradient of [`scale_to_length`]: `length/‖x‖·(g − x·(x·g)/‖x‖²)`.
pub fn scale_to_length_backward(x: &Tensor, grad: &Tensor, length: f64) -> Result<Tensor> {
    let norm = x.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(1e-12)?;
    let along = (x * grad)?.sum_keepdim(1)?.broadcast_div(&norm.sqr()?)?;
    let across = (grad - x.broadcast_mul(&along)?)?;
    Ok((across.broadcast_div(&norm)? * length)?)
}

/// Every second pixel, zero channels added in equal parts before and after
/// (shortcut A of CIFAR `ResNets`, He et al. 2016). `[B, C, H, W]` to
/// `[B, channels, ⌈H/2⌉, ⌈W/2⌉]`.
pub fn subsample_pad(x: &Tensor, channels: usize) -> Result<Tensor> {
    on_device!(x, "subsample_pad", cpu: cpu::shape::subsample_pad(x, channels), cuda: super::cuda::shape::subsample_pad(x, channels))
}

/// Gradient of [`subsample_pad`]; `input = [C, H, W]`.
pub fn subsample_pad_backward(grad: &Tensor, input: [usize; 3]) -> Result<Tensor> {
    on_device!(grad, "subsample_pad_backward", cpu: cpu::shape::subsample_pad_backward(grad, input), cuda: super::cuda::shape::subsample_pad_backward(grad, input))
}

/// Overwrites `to` with `from` (same shape and type); every tensor that shares
/// the storage of `to` sees it.
pub fn copy_in_place(to: &Tensor, from: &Tensor) -> Result<()> {
    if to.dims() != from.dims() || to.dtype() != from.dtype() {
        return Err(crate::Error::internal(format!(
            "a tensor {:?} {:?} cannot take the place of {:?} {:?}",
            from.dtype(),
            from.dims(),
            to.dtype(),
            to.dims()
        )));
    }
    let n = to.elem_count();
    let from = from.to_device(to.device())?.contiguous()?;
    let shared = std::ptr::eq(&*to.storage_and_layout().0, &*from.storage_and_layout().0);
    let from = if shared { from.copy()? } else { from };
    Ok(to.reshape(n)?.slice_set(&from.reshape(n)?, 0, 0)?)
}
