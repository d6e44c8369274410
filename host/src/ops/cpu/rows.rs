//! Gathering rows on slices.

use biorule_kernels::dropout::Mask;
use biorule_kernels::threads;
use candle_core::Tensor;
use rayon::prelude::*;

use super::real::{Real, tensor, unwritten};
use crate::Result;
use crate::ops::rows::{Drop, Table};

/// See [`crate::ops::rows::gather`].
pub fn gather(table: Table<'_>, indices: &[u32], dims: &[usize], drop: Drop) -> Result<Tensor> {
    match table {
        Table::F32(t) => gather_typed::<f32>(t, indices, dims, drop),
        Table::F64(t) => gather_typed::<f64>(t, indices, dims, drop),
        Table::Bf16(t) => gather_bf16(t, indices, dims, drop),
    }
}

fn shape(rows: usize, dims: &[usize]) -> Vec<usize> {
    std::iter::once(rows).chain(dims.iter().copied()).collect()
}

fn gather_typed<T: Real>(
    table: &[T],
    indices: &[u32],
    dims: &[usize],
    drop: Drop,
) -> Result<Tensor> {
    let width: usize = dims.iter().product();
    let mut out = unwritten::<T>(indices.len() * width);
    let mask = drop.map(|(p, key)| Mask::<T>::new(p, key));
    threads::for_each_chunk(&mut out, width.max(1), |i, out| {
        let row = &table[indices[i] as usize * width..][..width];
        match &mask {
            Some(mask) => mask.write(i * width, row, out),
            None => out.copy_from_slice(row),
        }
    });
    tensor(out, &shape(indices.len(), dims))
}

fn gather_bf16(table: &[u16], indices: &[u32], dims: &[usize], drop: Drop) -> Result<Tensor> {
    let width: usize = dims.iter().product();
    let mut out = unwritten::<f32>(indices.len() * width);
    let mask = drop.map(|(p, key)| Mask::<f32>::new(p, key));
    out.par_chunks_mut(width.max(1))
        .zip(indices)
        .enumerate()
        .for_each_init(Vec::new, |scratch, (i, (out, index))| {
            let row = &table[*index as usize * width..(*index as usize + 1) * width];
            match &mask {
                Some(mask) => {
                    scratch.clear();
                    scratch.extend(row.iter().map(|v| from_bf16(*v)));
                    mask.write(i * width, scratch, out);
                }
                None => out
                    .iter_mut()
                    .zip(row)
                    .for_each(|(o, v)| *o = from_bf16(*v)),
            }
        });
    tensor(out, &shape(indices.len(), dims))
}

/// Widens a bfloat16.
#[inline(always)]
pub fn from_bf16(v: u16) -> f32 {
    f32::from_bits(u32::from(v) << 16)
}

/// Rounds to the nearest bfloat16, ties to even; NaN stays NaN.
#[inline(always)]
pub fn to_bf16(v: f32) -> u16 {
    let bits = v.to_bits();
    if v.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    let round = 0x7FFF + ((bits >> 16) & 1);
    (bits.wrapping_add(round) >> 16) as u16
}
