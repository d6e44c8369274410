//! Batch normalisation, forward and backward.

use candle_core::Tensor;

use super::machine::{Input, Machine, NULL, double, flag, int};
use super::source::Source;
use crate::Result;
use crate::ops::args::{NormBackward, NormForward, NormGradients};
use crate::ops::cpu::real::dims4;

/// See [`crate::ops::norm::batch_statistics`].
pub fn statistics(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [b, c, h, w] = dims4(x)?;
    let m = Machine::of(x)?;
    let (x, mean, var) = (m.input(x)?, m.output(c)?, m.output(c)?);
    let args = [int(b), int(c), int(h * w), x.arg(), mean.arg(), var.arg()];
    m.reduce(Source::Norm, "norm_statistics", [c, 1], &args)?;
    Ok((mean.tensor(&[c]), var.tensor(&[c])))
}

/// See [`crate::ops::norm::normalise`].
pub fn normalise(args: &NormForward<'_>) -> Result<Tensor> {
    let NormForward {
        x,
        mean,
        var,
        eps,
        affine,
    } = *args;
    let [b, c, h, w] = dims4(x)?;
    let dims = x.dims().to_vec();
    let m = Machine::of(x)?;
    let y = m.output(x.elem_count())?;
    let (x, mean, var) = (m.input(x)?, m.input(mean)?, m.input(var)?);
    let gain = affine.map(|a| m.input(&a.gain)).transpose()?;
    let shift = affine.map(|a| m.input(&a.shift)).transpose()?;
    let args = [
        int(b),
        int(c),
        int(h * w),
        double(eps),
        x.arg(),
        mean.arg(),
        var.arg(),
        gain.as_ref().map_or(NULL, Input::arg),
        shift.as_ref().map_or(NULL, Input::arg),
        y.arg(),
    ];
    m.over(Source::Norm, "norm_forward", [h * w, b * c], &args)?;
    Ok(y.tensor(&dims))
}

/// See [`crate::ops::norm::normalise_backward`].
pub fn backward(args: &NormBackward<'_>) -> Result<NormGradients> {
    let NormBackward {
        x,
        grad,
        mean,
        var,
        eps,
        gain,
        through_statistics,
        want_x,
    } = *args;
    let [b, c, h, w] = dims4(x)?;
    let dims = x.dims().to_vec();
    let m = Machine::of(x)?;
    let n = x.elem_count();
    let (x, grad, mean, var) = (m.input(x)?, m.input(grad)?, m.input(mean)?, m.input(var)?);
    let (along, sum) = (m.output(c)?, m.output(c)?);
    let (sizes, eps) = ([int(b), int(c), int(h * w)], double(eps));
    let [bb, cc, hw] = sizes;
    let tensors = [x.arg(), grad.arg(), mean.arg(), var.arg()];
    let [xx, gg, mm, vv] = tensors;
    let args = [bb, cc, hw, eps, xx, gg, mm, vv, along.arg(), sum.arg()];
    m.reduce(Source::Norm, "norm_sums", [c, 1], &args)?;
    let mut dx = None;
    if want_x {
        let gain = gain.map(|g| m.input(g)).transpose()?;
        let gain = gain.as_ref().map_or(NULL, Input::arg);
        let out = m.output(n)?;
        let through = flag(through_statistics);
        let args = [
            bb,
            cc,
            hw,
            eps,
            through,
            xx,
            gg,
            mm,
            vv,
            gain,
            along.arg(),
            sum.arg(),
            out.arg(),
        ];
        m.over(Source::Norm, "norm_input", [h * w, b * c], &args)?;
        dx = Some(out.tensor(&dims));
    }
    Ok(NormGradients {
        x: dx,
        gain: along.tensor(&[c]),
        shift: sum.tensor(&[c]),
    })
}
