//! Pooling on slices, planes in parallel.

use candle_core::Tensor;
use rayon::prelude::*;

use super::real::{Real, by_dtype, dims4, read, tensor, zeros};
use crate::Result;
use crate::ops::Window;

/// Part of the input that output position `o` of one axis covers.
fn span(o: usize, axis: usize, w: &Window, size: usize) -> std::ops::Range<usize> {
    let start = o * w.stride[axis];
    let end = (start + w.kernel[axis]).saturating_sub(w.padding[axis]);
    start.saturating_sub(w.padding[axis])..end.min(size)
}

/// See [`crate::ops::pool::max_pool`].
pub fn max_forward(window: &Window, x: &Tensor) -> Result<(Tensor, Tensor)> {
    by_dtype!(x, T => max_typed::<T>(window, x))
}

fn max_typed<T: Real>(window: &Window, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [b, c, h, w] = dims4(x)?;
    let [p, q] = window.output([h, w])?;
    let mut out = zeros::<T>(b * c * p * q);
    let mut at = vec![0u32; b * c * p * q];
    read::<T, _>(x, |x| {
        out.par_chunks_mut(p * q)
            .zip(at.par_chunks_mut(p * q))
            .zip(x.par_chunks(h * w))
            .for_each(|((out, at), x)| {
                for i in 0..p {
                    let rows = span(i, 0, window, h);
                    for j in 0..q {
                        let (best, place) = largest(x, w, rows.clone(), span(j, 1, window, w));
                        out[i * q + j] = best;
                        at[i * q + j] = place as u32;
                    }
                }
            });
    })?;
    Ok((tensor(out, &[b, c, p, q])?, tensor(at, &[b, c, p, q])?))
}

/// Largest value and its place in a window; NaN wins, as everywhere else.
#[inline(always)]
fn largest<T: Real>(
    x: &[T],
    width: usize,
    rows: std::ops::Range<usize>,
    cols: std::ops::Range<usize>,
) -> (T, usize) {
    let mut place = rows.start * width + cols.start;
    let mut best = x[place];
    for i in rows {
        for j in cols.clone() {
            let v = x[i * width + j];
            if v > best || v.is_nan_value() {
                best = v;
                place = i * width + j;
            }
        }
    }
    (best, place)
}

/// Test for NaN without a float trait of the standard library.
trait NanValue {
    fn is_nan_value(&self) -> bool;
}
impl<T: Real> NanValue for T {
    #[inline(always)]
    #[allow(clippy::eq_op)]
    fn is_nan_value(&self) -> bool {
        *self != *self
    }
}

/// See [`crate::ops::pool::max_pool_backward`].
pub fn max_backward(grad: &Tensor, positions: &Tensor, input: [usize; 2]) -> Result<Tensor> {
    by_dtype!(grad, T => max_backward_typed::<T>(grad, positions, input))
}

fn max_backward_typed<T: Real>(grad: &Tensor, at: &Tensor, [h, w]: [usize; 2]) -> Result<Tensor> {
    let [b, c, p, q] = dims4(grad)?;
    let mut out = zeros::<T>(b * c * h * w);
    read::<T, _>(grad, |grad| {
        read::<u32, _>(at, |at| {
            out.par_chunks_mut(h * w)
                .zip(grad.par_chunks(p * q).zip(at.par_chunks(p * q)))
                .for_each(|(out, (grad, at))| {
                    for (g, place) in grad.iter().zip(at) {
                        out[*place as usize] += *g;
                    }
                });
        })
    })??;
    tensor(out, &[b, c, h, w])
}

/// See [`crate::ops::pool::avg_pool`].
pub fn avg_forward(window: &Window, x: &Tensor) -> Result<Tensor> {
    by_dtype!(x, T => avg_typed::<T>(window, x))
}

fn avg_typed<T: Real>(window: &Window, x: &Tensor) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let [p, q] = window.output([h, w])?;
    let share = T::of(1.0 / (window.kernel[0] * window.kernel[1]) as f64);
    let mut out = zeros::<T>(b * c * p * q);
    read::<T, _>(x, |x| {
        out.par_chunks_mut(p * q)
            .zip(x.par_chunks(h * w))
            .for_each(|(out, x)| {
                for i in 0..p {
                    let rows = span(i, 0, window, h);
                    for j in 0..q {
                        let cols = span(j, 1, window, w);
                        let mut sum = T::ZERO;
                        for r in rows.clone() {
                            for v in &x[r * w + cols.start..r * w + cols.end] {
                                sum += *v;
                            }
                        }
                        out[i * q + j] = sum * share;
                    }
                }
            });
    })?;
    tensor(out, &[b, c, p, q])
}

/// See [`crate::ops::pool::avg_pool_backward`].
pub fn avg_backward(window: &Window, grad: &Tensor, input: [usize; 2]) -> Result<Tensor> {
    by_dtype!(grad, T => avg_backward_typed::<T>(window, grad, input))
}

fn avg_backward_typed<T: Real>(
    window: &Window,
    grad: &Tensor,
    [h, w]: [usize; 2],
) -> Result<Tensor> {
    let [b, c, p, q] = dims4(grad)?;
    let share = T::of(1.0 / (window.kernel[0] * window.kernel[1]) as f64);
    let mut out = zeros::<T>(b * c * h * w);
    read::<T, _>(grad, |grad| {
        out.par_chunks_mut(h * w)
            .zip(grad.par_chunks(p * q))
            .for_each(|(out, grad)| {
                for i in 0..p {
                    let rows = span(i, 0, window, h);
                    for j in 0..q {
                        let cols = span(j, 1, window, w);
                        let g = grad[i * q + j] * share;
                        for r in rows.clone() {
                            for v in &mut out[r * w + cols.start..r * w + cols.end] {
                                *v += g;
                            }
                        }
                    }
                }
            });
    })?;
    tensor(out, &[b, c, h, w])
}
