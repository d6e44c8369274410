//! Pooling with any window, and its gradients, gathered pixel by pixel so that
//! the result does not depend on the order of threads.

use candle_core::{DType, Tensor};

use super::machine::{Arg, Machine, int, ints};
use super::source::Source;
use crate::Result;
use crate::ops::Window;
use crate::ops::cpu::real::dims4;

/// The kernels' struct `Window`, and `[H·W, P·Q]`.
fn window(g: &Window, planes: usize, [h, w]: [usize; 2]) -> Result<(Arg, [usize; 2], [usize; 2])> {
    let (p, q) = g.out_size(h, w)?;
    let arg = ints(&[
        planes,
        h,
        w,
        p,
        q,
        g.kernel[0],
        g.kernel[1],
        g.stride[0],
        g.stride[1],
        g.padding[0],
        g.padding[1],
    ]);
    Ok((arg, [h * w, p * q], [p, q]))
}

/// See [`crate::ops::pool::max_pool`].
pub fn max_forward(g: &Window, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [b, c, h, w] = dims4(x)?;
    let (arg, [_, outputs], [p, q]) = window(g, b * c, [h, w])?;
    let m = Machine::of(x)?;
    let n = b * c * outputs;
    let (x, y, places) = (
        m.input(x)?,
        m.output(n)?,
        m.typed_output(n, DType::U32, false)?,
    );
    let args = [arg, x.arg(), y.arg(), places.arg()];
    m.over(Source::Pool, "max_forward", [outputs, b * c], &args)?;
    Ok((y.tensor(&[b, c, p, q]), places.tensor(&[b, c, p, q])))
}

/// See [`crate::ops::pool::max_pool_backward`].
pub fn max_backward(
    g: &Window,
    grad: &Tensor,
    positions: &Tensor,
    input: [usize; 2],
) -> Result<Tensor> {
    let [b, c, ..] = dims4(grad)?;
    let (arg, [pixels, _], _) = window(g, b * c, input)?;
    let m = Machine::of(grad)?;
    let (grad, places) = (m.input(grad)?, m.any_input(positions)?);
    let dx = m.output(b * c * pixels)?;
    let args = [arg, grad.arg(), places.arg(), dx.arg()];
    m.over(Source::Pool, "max_backward", [pixels, b * c], &args)?;
    Ok(dx.tensor(&[b, c, input[0], input[1]]))
}

/// See [`crate::ops::pool::avg_pool`].
pub fn avg_forward(g: &Window, include_pad: bool, x: &Tensor) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let (arg, [_, outputs], [p, q]) = window(g, b * c, [h, w])?;
    let m = Machine::of(x)?;
    let (x, y) = (m.input(x)?, m.output(b * c * outputs)?);
    m.over(
        Source::Pool,
        "avg_forward",
        [outputs, b * c],
        &[arg, int(usize::from(include_pad)), x.arg(), y.arg()],
    )?;
    Ok(y.tensor(&[b, c, p, q]))
}

/// See [`crate::ops::pool::avg_pool_backward`].
pub fn avg_backward(
    g: &Window,
    include_pad: bool,
    grad: &Tensor,
    input: [usize; 2],
) -> Result<Tensor> {
    let [b, c, ..] = dims4(grad)?;
    let (arg, [pixels, _], _) = window(g, b * c, input)?;
    let m = Machine::of(grad)?;
    let (grad, dx) = (m.input(grad)?, m.output(b * c * pixels)?);
    m.over(
        Source::Pool,
        "avg_backward",
        [pixels, b * c],
        &[arg, int(usize::from(include_pad)), grad.arg(), dx.arg()],
    )?;
    Ok(dx.tensor(&[b, c, input[0], input[1]]))
}
