//! Transforms of a whole sample.

use candle_core::Tensor;

use super::machine::{Machine, int};
use super::source::Source;
use crate::Result;
use crate::ops::cpu::real::dims4;

/// See [`crate::ops::shape::divide_by_max`].
pub fn divide_by_max(x: &Tensor) -> Result<Tensor> {
    let (dims, b) = (x.dims().to_vec(), x.dim(0)?);
    let n = x.elem_count() / b.max(1);
    let m = Machine::of(x)?;
    let (x, y) = (m.input(x)?, m.output(b * n)?);
    m.reduce(
        Source::Shape,
        "divide_by_max",
        [b, 1],
        &[int(n), x.arg(), y.arg()],
    )?;
    Ok(y.tensor(&dims))
}

/// See [`crate::ops::shape::divide_by_max_backward`].
pub fn divide_by_max_backward(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (dims, b) = (x.dims().to_vec(), x.dim(0)?);
    let n = x.elem_count() / b.max(1);
    let m = Machine::of(x)?;
    let (x, grad, dx) = (m.input(x)?, m.input(grad)?, m.output(b * n)?);
    let args = [int(n), x.arg(), grad.arg(), dx.arg()];
    m.reduce(Source::Shape, "divide_by_max_backward", [b, 1], &args)?;
    Ok(dx.tensor(&dims))
}

/// See [`crate::ops::shape::subsample_pad`].
pub fn subsample_pad(x: &Tensor, channels: usize) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let (p, q, before) = (h.div_ceil(2), w.div_ceil(2), (channels - c) / 2);
    let m = Machine::of(x)?;
    let (x, y) = (m.input(x)?, m.output(b * channels * p * q)?);
    let sizes = [b, c, h, w, channels, p, q, before].map(int);
    let args: Vec<_> = sizes.into_iter().chain([x.arg(), y.arg()]).collect();
    m.over(Source::Shape, "subsample_pad", [p * q, b * channels], &args)?;
    Ok(y.tensor(&[b, channels, p, q]))
}

/// See [`crate::ops::shape::subsample_pad_backward`].
pub fn subsample_pad_backward(grad: &Tensor, [c, h, w]: [usize; 3]) -> Result<Tensor> {
    let [b, channels, p, q] = dims4(grad)?;
    let before = (channels - c) / 2;
    let m = Machine::of(grad)?;
    let (grad, dx) = (m.input(grad)?, m.output(b * c * h * w)?);
    let sizes = [b, c, h, w, channels, p, q, before].map(int);
    let args: Vec<_> = sizes.into_iter().chain([grad.arg(), dx.arg()]).collect();
    m.over(
        Source::Shape,
        "subsample_pad_backward",
        [h * w, b * c],
        &args,
    )?;
    Ok(dx.tensor(&[b, c, h, w]))
}
