//! Rows gathered from a table that stays on the CPU (kept features), with
//! dropout in the same pass.

use candle_core::{Device, Tensor};

use super::cpu;
use crate::Result;

/// Kept features: rows of `width` elements.
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
