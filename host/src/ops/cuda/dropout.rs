//! Dropout with the CPU's mask, bit for bit.

use candle_core::Tensor;

use super::machine::{Arg, Machine, int, wide};
use super::source::Source;
use crate::Result;

/// See [`crate::ops::dropout::dropout`].
pub fn apply(x: &Tensor, p: f64, key: u64) -> Result<Tensor> {
    let (dims, n) = (x.dims().to_vec(), x.elem_count());
    let m = Machine::of(x)?;
    let (x, y) = (m.input(x)?, m.output(n)?);
    let threshold = (p.clamp(0.0, 1.0) * 65536.0).round() as usize;
    let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    let args = [
        wide(n),
        Arg::Word(key),
        int(threshold),
        Arg::Real(scale),
        x.arg(),
        y.arg(),
    ];
    m.over(Source::Optim, "dropout", [n, 1], &args)?;
    Ok(y.tensor(&dims))
}
