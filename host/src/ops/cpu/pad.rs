//! Borders of images and their adjoint.

use candle_core::Tensor;
use rayon::prelude::*;

use super::real::{Real, by_dtype, dims4, read, tensor, zeros};
use crate::Result;
use crate::ops::PadMode;

/// For each padded position the source index, or `None`.
fn sources(n: usize, before: usize, after: usize, mode: PadMode) -> Vec<Option<usize>> {
    (0..before + n + after)
        .map(|i| mode.source(i as isize - before as isize, n))
        .collect()
}

/// `x: [B, C, H, W]` to `[B, C, H + top + bottom, W + left + right]`.
pub fn forward(x: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    by_dtype!(x, T => forward_typed::<T>(x, padding, mode))
}

fn forward_typed<T: Real>(x: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let [top, bottom, left, right] = padding;
    let (rows, cols) = (sources(h, top, bottom, mode), sources(w, left, right, mode));
    let (hp, wp) = (rows.len(), cols.len());
    let mut out = zeros::<T>(b * c * hp * wp);
    read::<T, _>(x, |x| {
        out.par_chunks_mut(hp * wp)
            .zip(x.par_chunks(h * w))
            .for_each(|(out, x)| {
                for (row, source) in out.chunks_mut(wp).zip(&rows) {
                    let Some(i) = source else { continue };
                    let from = &x[i * w..(i + 1) * w];
                    row[left..left + w].copy_from_slice(from);
                    for j in (0..left).chain(left + w..wp) {
                        row[j] = cols[j].map_or(T::ZERO, |s| from[s]);
                    }
                }
            });
    })?;
    tensor(out, &[b, c, hp, wp])
}

/// `grad: [B, C, H + top + bottom, W + left + right]` to `[B, C, H, W]`.
pub fn backward(grad: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    by_dtype!(grad, T => backward_typed::<T>(grad, padding, mode))
}

fn backward_typed<T: Real>(grad: &Tensor, padding: [usize; 4], mode: PadMode) -> Result<Tensor> {
    let [b, c, hp, wp] = dims4(grad)?;
    let [top, bottom, left, right] = padding;
    let (h, w) = (hp - top - bottom, wp - left - right);
    let (rows, cols) = (sources(h, top, bottom, mode), sources(w, left, right, mode));
    let mut out = zeros::<T>(b * c * h * w);
    read::<T, _>(grad, |grad| {
        out.par_chunks_mut(h * w)
            .zip(grad.par_chunks(hp * wp))
            .for_each(|(out, grad)| {
                for (row, source) in grad.chunks(wp).zip(&rows) {
                    let Some(i) = source else { continue };
                    let into = &mut out[i * w..(i + 1) * w];
                    for (value, source) in row.iter().zip(&cols) {
                        if let Some(j) = source {
                            into[*j] += *value;
                        }
                    }
                }
            });
    })?;
    tensor(out, &[b, c, h, w])
}
