//! Nonlinearities: those of one element, and triangle and softmax over channels.

use candle_core::Tensor;

use super::machine::{Arg, Launch, Machine, int, wide};
use super::source::Source;
use crate::Result;
use crate::ops::cpu::real::dims4;
use crate::plan::ActivationPlan;

/// Positions and channel shares of a block (`ROWS` of the kernels).
pub(super) const TILE: [u32; 2] = [32, 8];

/// A kernel over whole channels, or the number of a function of one element.
enum Kernel {
    Channels(&'static str, f64),
    Pointwise(usize, f64),
}

fn kernel(kind: &ActivationPlan, backward: bool) -> Kernel {
    let channels = |forward, back, a| Kernel::Channels(if backward { back } else { forward }, a);
    match *kind {
        ActivationPlan::Triangle { power } => channels("triangle", "triangle_backward", power),
        ActivationPlan::Softmax { gain } => channels("softmax", "softmax_backward", gain),
        ActivationPlan::Relu => Kernel::Pointwise(0, 0.0),
        ActivationPlan::Repu { power } => Kernel::Pointwise(1, power),
        ActivationPlan::Exp { gain } => Kernel::Pointwise(2, gain),
        ActivationPlan::Tanh { gain } => Kernel::Pointwise(3, gain),
        ActivationPlan::Sigmoid { gain } => Kernel::Pointwise(4, gain),
    }
}

/// See [`crate::ops::activation::activate`].
pub fn forward(kind: &ActivationPlan, u: &Tensor) -> Result<Tensor> {
    run(kind, u, None)
}

/// See [`crate::ops::activation::activate_backward`].
pub fn backward(kind: &ActivationPlan, kept: &Tensor, grad: &Tensor) -> Result<Tensor> {
    run(kind, kept, Some(grad))
}

fn run(kind: &ActivationPlan, u: &Tensor, grad: Option<&Tensor>) -> Result<Tensor> {
    let [b, k, h, w] = dims4(u)?;
    let (dims, n) = (u.dims().to_vec(), u.elem_count());
    let m = Machine::of(u)?;
    let (u, out) = (m.input(u)?, m.output(n)?);
    let grad = grad.map(|g| m.input(g)).transpose()?;
    let mut operands = vec![u.arg()];
    operands.extend(grad.as_ref().map(|g| g.arg()));
    operands.push(out.arg());
    match kernel(kind, grad.is_some()) {
        Kernel::Channels(name, a) => {
            let mut args = vec![int(b * h * w), int(k), int(h * w), Arg::Real(a)];
            args.extend(operands);
            tiles(&m, Source::Channels, name, b * h * w, 1, &args)?;
        }
        Kernel::Pointwise(number, a) => {
            let name = if grad.is_some() {
                "pointwise_backward"
            } else {
                "pointwise"
            };
            let mut args = vec![wide(n), int(number), Arg::Real(a)];
            args.extend(operands);
            m.over(Source::Channels, name, [n, 1], &args)?;
        }
    }
    Ok(out.tensor(&dims))
}

/// Launches a kernel of tiles: 32 of `n` positions a block, `groups` along y.
pub(super) fn tiles(
    m: &Machine,
    source: Source,
    kernel: &'static str,
    n: usize,
    groups: usize,
    args: &[Arg],
) -> Result<()> {
    let count = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
    if n == 0 {
        return Ok(());
    }
    let grid = [count(n.div_ceil(TILE[0] as usize)), count(groups)];
    m.launch(&Launch {
        source,
        kernel,
        grid,
        block: TILE,
        args,
    })
}
