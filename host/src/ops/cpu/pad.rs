//! Borders of images and their adjoint, on the kernels crate.

use biorule_kernels::pad;
use candle_core::Tensor;

use super::real::{Real, by_dtype, dims4, filled, read};
use crate::Result;
use crate::ops::{Conv, PadMode};

/// A border as the geometry of a convolution of single pixels, on images of `[H, W]`.
///
/// # Errors
/// A usage error for a border that copies pixels which are not there.
pub fn border(
    channels: usize,
    padding: [usize; 4],
    pad_mode: PadMode,
    [h, w]: [usize; 2],
) -> Result<Conv> {
    let border = Conv {
        padding,
        pad_mode,
        ..Conv::square(channels, channels, 1)
    };
    border.out_size(h, w)?;
    Ok(border)
}

/// `x: [B, C, H, W]` to `[B, C, H + top + bottom, W + left + right]`.
pub fn forward(x: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    by_dtype!(x, T => forward_typed::<T>(x, padding, mode))
}

fn forward_typed<T: Real>(x: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let [top, bottom, left, right] = padding;
    read::<T, _>(x, |x| {
        filled::<T>(&[b, c, h + top + bottom, w + left + right], |y| {
            pad::pad(mode, padding, b * c, h, w, x, y);
        })
    })?
}

/// `grad: [B, C, H + top + bottom, W + left + right]` to `[B, C, H, W]`.
pub fn backward(grad: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    by_dtype!(grad, T => backward_typed::<T>(grad, padding, mode))
}

fn backward_typed<T: Real>(grad: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    let [b, c, hp, wp] = dims4(grad)?;
    let [top, bottom, left, right] = padding;
    let (h, w) = (hp - top - bottom, wp - left - right);
    read::<T, _>(grad, |grad| {
        filled::<T>(&[b, c, h, w], |dx| {
            pad::unpad_grad(mode, padding, b * c, h, w, grad, dx);
        })
    })?
}
