//! Convolutions with one input channel a group, by kernels of their own.

use super::machine::{Input, Machine, Output};
use super::sizes::Sizes;
use super::source::Source;
use crate::Result;
use crate::ops::Conv;

/// Whether these kernels take the call.
pub(super) fn applies(g: &Conv) -> bool {
    g.groups > 1 && g.groups == g.channels
}

pub(super) fn forward(
    m: &Machine,
    s: &Sizes,
    g: &Conv,
    x: &Input,
    w: &Input,
    y: &Output,
) -> Result<()> {
    let args = [s.arg(g), x.arg(), w.arg(), y.arg()];
    m.over(
        Source::Depthwise,
        "depthwise_forward",
        [s.pq(), s.b * s.k],
        &args,
    )
}

pub(super) fn input_grad(
    m: &Machine,
    s: &Sizes,
    g: &Conv,
    grad: &Input,
    w: &Input,
    dx: &Output,
) -> Result<()> {
    let args = [s.arg(g), grad.arg(), w.arg(), dx.arg()];
    m.over(
        Source::Depthwise,
        "depthwise_input",
        [s.h * s.w, s.b * s.c],
        &args,
    )
}

pub(super) fn weight_grad(
    m: &Machine,
    s: &Sizes,
    g: &Conv,
    x: &Input,
    grad: &Input,
    dw: &Output,
) -> Result<()> {
    let args = [s.arg(g), x.arg(), grad.arg(), dw.arg()];
    m.reduce(Source::Depthwise, "depthwise_weight", [s.d, s.k], &args)
}
