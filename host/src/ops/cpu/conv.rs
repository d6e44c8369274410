//! The convolution maps on the kernels crate.

use biorule_kernels::{Conv, conv};
use candle_core::Tensor;

use super::real::{Real, by_dtype, dims4, filled, read};
use crate::Result;
use crate::ops::{ConvGeometry, PadMode};

/// The geometry as the kernels call it.
pub fn geometry(g: &ConvGeometry) -> Conv {
    Conv {
        channels: g.in_channels,
        out: g.out_channels,
        kernel: g.kernel,
        stride: g.stride,
        dilation: g.dilation,
        padding: g.padding,
        pad_mode: mode(g.mode),
        groups: g.groups,
    }
}

/// The padding mode as the kernels call it.
pub fn mode(mode: PadMode) -> biorule_kernels::PadMode {
    match mode {
        PadMode::Zeros => biorule_kernels::PadMode::Zeros,
        PadMode::Reflect => biorule_kernels::PadMode::Reflect,
        PadMode::Replicate => biorule_kernels::PadMode::Replicate,
        PadMode::Circular => biorule_kernels::PadMode::Circular,
    }
}

/// See [`crate::ops::conv::conv_forward`].
pub fn forward(g: &ConvGeometry, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    by_dtype!(x, T => forward_typed::<T>(g, x, w))
}

fn forward_typed<T: Real>(g: &ConvGeometry, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let [b, _, h, wd] = dims4(x)?;
    let [p, q] = g.output([h, wd])?;
    read::<T, _>(x, |x| {
        read::<T, _>(w, |w| {
            filled::<T>(&[b, g.out_channels, p, q], |y| {
                conv::forward(&geometry(g), b, h, wd, x, w, y);
            })
        })
    })??
}

/// See [`crate::ops::conv::conv_input_grad`].
pub fn input_grad(
    g: &ConvGeometry,
    grad: &Tensor,
    w: &Tensor,
    input: [usize; 2],
) -> Result<Tensor> {
    by_dtype!(grad, T => input_grad_typed::<T>(g, grad, w, input))
}

fn input_grad_typed<T: Real>(
    g: &ConvGeometry,
    grad: &Tensor,
    w: &Tensor,
    [h, wd]: [usize; 2],
) -> Result<Tensor> {
    let [b, ..] = dims4(grad)?;
    read::<T, _>(grad, |grad| {
        read::<T, _>(w, |w| {
            filled::<T>(&[b, g.in_channels, h, wd], |dx| {
                conv::input_grad(&geometry(g), b, h, wd, grad, w, dx);
            })
        })
    })??
}

/// See [`crate::ops::conv::conv_weight_grad`].
pub fn weight_grad(g: &ConvGeometry, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    by_dtype!(x, T => weight_grad_typed::<T>(g, x, grad))
}

fn weight_grad_typed<T: Real>(g: &ConvGeometry, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let [b, _, h, wd] = dims4(x)?;
    read::<T, _>(x, |x| {
        read::<T, _>(grad, |grad| {
            filled::<T>(&g.weight_dims(), |dw| {
                conv::weight_grad(&geometry(g), b, h, wd, x, grad, dw);
            })
        })
    })??
}
