//! Convolution maps on CPU tensors: the kernels crate behind Candle's storage.

use biorule_kernels::{Conv, PadMode as Mode, conv};
use candle_core::Tensor;

use super::real::{by_dtype, dims4, read, tensor, unwritten};
use crate::Result;
use crate::ops::{ConvGeometry, PadMode};

/// The geometry as the kernels know it.
pub fn kernel_geometry(g: &ConvGeometry) -> Conv {
    Conv {
        channels: g.in_channels,
        out: g.out_channels,
        kernel: g.kernel,
        stride: g.stride,
        dilation: g.dilation,
        padding: g.padding,
        pad_mode: kernel_mode(g.mode),
        groups: g.groups,
    }
}

/// The padding mode as the kernels know it.
pub fn kernel_mode(mode: PadMode) -> Mode {
    match mode {
        PadMode::Zeros => Mode::Zeros,
        PadMode::Reflect => Mode::Reflect,
        PadMode::Replicate => Mode::Replicate,
        PadMode::Circular => Mode::Circular,
    }
}

/// See [`crate::ops::conv::conv_forward`].
pub fn forward(g: &ConvGeometry, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let [b, _, h, wd] = dims4(x)?;
    let [p, q] = g.output([h, wd])?;
    check("weight", w, &g.weight_dims())?;
    by_dtype!(x, T => {
        let mut y = unwritten::<T>(b * g.out_channels * p * q);
        let geometry = kernel_geometry(g);
        read::<T, _>(x, |x| read::<T, _>(w, |w| conv::forward(&geometry, b, h, wd, x, w, &mut y)))??;
        tensor(y, &[b, g.out_channels, p, q])
    })
}

/// See [`crate::ops::conv::conv_input_grad`].
pub fn input_grad(
    g: &ConvGeometry,
    grad: &Tensor,
    w: &Tensor,
    input: [usize; 2],
) -> Result<Tensor> {
    let [b, ..] = dims4(grad)?;
    let [h, wd] = input;
    let [p, q] = g.output(input)?;
    check("weight", w, &g.weight_dims())?;
    check("error", grad, &[b, g.out_channels, p, q])?;
    by_dtype!(grad, T => {
        let mut dx = unwritten::<T>(b * g.in_channels * h * wd);
        let geometry = kernel_geometry(g);
        read::<T, _>(grad, |dy| read::<T, _>(w, |w| conv::input_grad(&geometry, b, h, wd, dy, w, &mut dx)))??;
        tensor(dx, &[b, g.in_channels, h, wd])
    })
}

/// See [`crate::ops::conv::conv_weight_grad`].
pub fn weight_grad(g: &ConvGeometry, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let [b, _, h, wd] = dims4(x)?;
    let [p, q] = g.output([h, wd])?;
    check("error", grad, &[b, g.out_channels, p, q])?;
    by_dtype!(x, T => {
        let dims = g.weight_dims();
        let mut dw = unwritten::<T>(dims.iter().product());
        let geometry = kernel_geometry(g);
        read::<T, _>(x, |x| read::<T, _>(grad, |dy| conv::weight_grad(&geometry, b, h, wd, x, dy, &mut dw)))??;
        tensor(dw, &dims)
    })
}

/// The kernels take slices: a wrong shape must not reach them.
fn check(what: &str, t: &Tensor, dims: &[usize]) -> Result<()> {
    if t.elem_count() == dims.iter().product::<usize>() && t.dims().first() == dims.first() {
        return Ok(());
    }
    Err(crate::Error::internal(format!(
        "{what} of shape {:?} where {dims:?} is expected",
        t.dims()
    )))
}
