//! Rows gathered from a table of cached features: one that stays on the CPU, with
//! dropout in the same pass, or one on the device.

use candle_core::{DType, Device, Tensor};

use super::{cpu, on_device};
use crate::Result;

/// Cached features: rows of `width` elements.
#[derive(Clone, Copy)]
pub enum Table<'a> {
    /// As computed in `f32`.
    F32(&'a [f32]),
    /// As computed in `f64`.
    F64(&'a [f64]),
    /// The upper half of an `f32` each, rounded to nearest even.
    Bf16(&'a [u16]),
}

/// Dropout that a gather applies on the way: probability and key.
pub type Drop = Option<(f64, u64)>;

/// Rows `indices` as a tensor `[indices.len(), ..dims]` on `device`; dims
/// multiply to the table's row width. With `drop` the result equals
/// [`super::dropout::dropout`] of the plain gather, bit for bit.
pub fn gather(
    table: Table<'_>,
    indices: &[u32],
    dims: &[usize],
    drop: Drop,
    device: &Device,
) -> Result<Tensor> {
    let host = cpu::rows::gather(table, indices, dims, drop)?;
    Ok(host.to_device(device)?)
}

/// Rows `index` (`[n]`, `u32`) of `table: [count, ..]`, both on one device, as
/// `dtype`: `[n, ..]`. On a GPU nothing waits and nothing is copied to it.
pub fn gather_on_device(table: &Tensor, index: &Tensor, dtype: DType) -> Result<Tensor> {
    let plain = |t: &Tensor| -> Result<Tensor> { Ok(t.index_select(index, 0)?.to_dtype(dtype)?) };
    on_device!(
        table,
        "gather_on_device",
        cpu: plain(table),
        cuda: if table.dtype() == dtype {
            super::cuda::images::rows(table, index)
        } else {
            plain(table)
        },
    )
}
