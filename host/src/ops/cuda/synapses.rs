//! Rows of a weight: norms, changes and updates, nothing read back.

use candle_core::Tensor;

use super::machine::{Arg, Machine, double, in_place, int};
use super::source::Source;
use crate::Result;

/// Elements of a row that one block of [`sub_rows`] and [`add_rows`] takes.
const SHARE: usize = 256 * 8;

/// Rows, and elements of one.
fn rows(w: &Tensor) -> Result<[usize; 2]> {
    let k = w.dim(0)?;
    Ok([k, w.elem_count() / k.max(1)])
}

/// See [`crate::ops::synapses::row_norms`].
pub fn row_norms(w: &Tensor, p: f64) -> Result<Tensor> {
    let (m, [k, d]) = (Machine::of(w)?, rows(w)?);
    let (w, norms) = (m.input(w)?, m.output(k)?);
    let args = [int(d), double(p), w.arg(), norms.arg()];
    m.reduce(Source::Synapses, "row_norms", [k, 1], &args)?;
    Ok(norms.tensor(&[k]))
}

/// See [`crate::ops::synapses::sub_rows`].
pub fn sub_rows(c: &Tensor, q: &Tensor, w: &Tensor) -> Result<(Tensor, Tensor)> {
    let (m, [k, d]) = (Machine::of(c)?, rows(c)?);
    let dims = c.dims().to_vec();
    let (c, q, w) = (m.input(c)?, m.input(q)?, m.input(w)?);
    let (delta, largest) = (m.output(k * d)?, m.zeros(k)?);
    let args = [
        int(k),
        int(d),
        c.arg(),
        q.arg(),
        w.arg(),
        delta.arg(),
        largest.arg(),
    ];
    m.reduce(
        Source::Synapses,
        "sub_rows",
        [d.div_ceil(SHARE).max(1), k],
        &args,
    )?;
    Ok((delta.tensor(&dims), largest.tensor(&[k])))
}

/// See [`crate::ops::synapses::add_rows_in_place`].
pub fn add_rows(w: &Tensor, delta: &Tensor, scale: &Tensor) -> Result<()> {
    let (m, [k, d]) = (Machine::of(w)?, rows(w)?);
    let (delta, scale) = (m.input(delta)?, m.input(scale)?);
    in_place(&[w], &mut |at| {
        let args = [int(k), int(d), delta.arg(), scale.arg(), Arg::Word(at[0])];
        m.reduce(
            Source::Synapses,
            "add_rows",
            [d.div_ceil(SHARE).max(1), k],
            &args,
        )
    })
}
