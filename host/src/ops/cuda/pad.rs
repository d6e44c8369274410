//! Borders of images and their adjoint.

use candle_core::Tensor;

use super::machine::{Arg, Machine};
use super::sizes::Sizes;
use super::source::Source;
use crate::Result;
use crate::ops::PadMode;
use crate::ops::cpu::pad::border;
use crate::ops::cpu::real::dims4;

fn prepare(
    dims: [usize; 2],
    padding: [usize; 4],
    mode: PadMode,
    input: [usize; 2],
) -> Result<(Arg, Sizes)> {
    let g = border(dims[1], padding, mode, input)?;
    let s = Sizes::new(&g, dims[0], input)?;
    Ok((s.arg(&g), s))
}

/// See [`crate::ops::conv::pad`].
pub fn forward(x: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let (arg, s) = prepare([b, c], padding, mode, [h, w])?;
    let m = Machine::of(x)?;
    let (x, y) = (m.input(x)?, m.output(b * c * s.pq())?);
    m.over(
        Source::Shape,
        "pad",
        [s.pq(), b * c],
        &[arg, x.arg(), y.arg()],
    )?;
    Ok(y.tensor(&[b, c, s.p, s.q]))
}

/// See [`crate::ops::conv::pad_backward`].
pub fn backward(grad: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    let [b, c, hp, wp] = dims4(grad)?;
    let [top, bottom, left, right] = padding;
    let (h, w) = (hp - top - bottom, wp - left - right);
    let (arg, s) = prepare([b, c], padding, mode, [h, w])?;
    let m = Machine::of(grad)?;
    let (grad, dx) = (m.input(grad)?, m.output(b * c * s.h * s.w)?);
    m.over(
        Source::Shape,
        "pad_backward",
        [h * w, b * c],
        &[arg, grad.arg(), dx.arg()],
    )?;
    Ok(dx.tensor(&[b, c, h, w]))
}
