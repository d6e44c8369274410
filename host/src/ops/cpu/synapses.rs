//! Rows of a weight on slices: the kernels crate behind Candle's storage.

use biorule_kernels::update;
use candle_core::Tensor;

use super::real::{Real, Slot, by_dtype, filled, read, tensor, unwritten, write};
use crate::Result;

/// See [`crate::ops::synapses::row_norms`].
pub fn row_norms(w: &Tensor, p: f64) -> Result<Tensor> {
    by_dtype!(w, T => {
        let (k, d) = rows(w)?;
        read::<T, _>(w, |w| filled::<T>(&[k], |norms| update::row_norms(d, p, w, norms)))?
    })
}

/// See [`crate::ops::synapses::sub_rows`].
pub fn sub_rows(c: &Tensor, q: &Tensor, w: &Tensor) -> Result<(Tensor, Tensor)> {
    by_dtype!(c, T => sub_rows_typed::<T>(c, q, w))
}

fn sub_rows_typed<T: Real>(c: &Tensor, q: &Tensor, w: &Tensor) -> Result<(Tensor, Tensor)> {
    let (k, d) = rows(c)?;
    let (mut delta, mut largest) = (unwritten::<T>(k * d), unwritten::<T>(k));
    read::<T, _>(c, |c| {
        read::<T, _>(q, |q| {
            read::<T, _>(w, |w| update::delta(d, w, q, c, &mut delta, &mut largest))
        })
    })???;
    Ok((tensor(delta, c.dims())?, tensor(largest, &[k])?))
}

/// See [`crate::ops::synapses::add_rows_in_place`].
pub fn add_rows(w: &Tensor, delta: &Tensor, scale: &Tensor) -> Result<()> {
    by_dtype!(w, T => add_rows_typed::<T>(w, delta, scale))
}

fn add_rows_typed<T: Real + Slot>(w: &Tensor, delta: &Tensor, scale: &Tensor) -> Result<()> {
    let (_, d) = rows(w)?;
    read::<T, _>(delta, |delta| {
        read::<T, _>(scale, |scale| {
            write::<T, _>(w, |w| update::apply(d, scale, delta, w))
        })
    })??
}

/// Rows, and elements of one.
fn rows(w: &Tensor) -> Result<(usize, usize)> {
    let k = w.dim(0)?;
    Ok((k, w.elem_count() / k.max(1)))
}
