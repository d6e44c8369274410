//! Whole-sample transforms on slices.

use biorule_kernels::threads;
use candle_core::Tensor;

use super::real::{Real, by_dtype, dims4, read, tensor, unwritten, zeros};
use crate::Result;

fn top<T: Real>(row: &[T]) -> (usize, T) {
    let mut best = (0, T::NEG_INFINITY);
    for (i, v) in row.iter().enumerate() {
        if *v > best.1 {
            best = (i, *v);
        }
    }
    if best.1 == T::ZERO {
        (best.0, T::ONE)
    } else {
        best
    }
}

fn width(x: &Tensor) -> usize {
    x.dims()[1..].iter().product::<usize>().max(1)
}

/// See [`crate::ops::shape::divide_by_max`].
pub fn divide_by_max(x: &Tensor) -> Result<Tensor> {
    by_dtype!(x, T => {
        let n = width(x);
        let mut out = unwritten::<T>(x.elem_count());
        read::<T, _>(x, |x| {
            threads::for_each_chunk(&mut out, n, |i, out| {
                let x = &x[i * n..][..n];
                let (_, m) = top(x);
                out.iter_mut().zip(x).for_each(|(o, x)| *o = *x / m);
            });
        })?;
        tensor(out, x.dims())
    })
}

/// See [`crate::ops::shape::divide_by_max_backward`].
pub fn divide_by_max_backward(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    by_dtype!(x, T => divide_by_max_backward_typed::<T>(x, grad))
}

fn divide_by_max_backward_typed<T: Real>(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let n = width(x);
    let mut out = unwritten::<T>(x.elem_count());
    read::<T, _>(x, |x| {
        read::<T, _>(grad, |grad| {
            threads::for_each_chunk(&mut out, n, |i, out| {
                let (x, grad) = (&x[i * n..][..n], &grad[i * n..][..n]);
                let (at, m) = top(x);
                let mut dot = T::ZERO;
                for ((o, x), g) in out.iter_mut().zip(x).zip(grad) {
                    *o = *g / m;
                    dot += *g * *x;
                }
                // A sample scaled by 1 because its maximum is 0 has no such term.
                if x[at] == m {
                    out[at] += -(dot / (m * m));
                }
            });
        })
    })??;
    tensor(out, x.dims())
}

/// See [`crate::ops::shape::subsample_pad`].
pub fn subsample_pad(x: &Tensor, channels: usize) -> Result<Tensor> {
    by_dtype!(x, T => subsample_pad_typed::<T>(x, channels))
}

fn subsample_pad_typed<T: Real>(x: &Tensor, channels: usize) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let (p, q, before) = (h.div_ceil(2), w.div_ceil(2), (channels - c) / 2);
    let mut out = zeros::<T>(b * channels * p * q);
    read::<T, _>(x, |x| {
        for (out, x) in out.chunks_mut(channels * p * q).zip(x.chunks(c * h * w)) {
            let planes = out[before * p * q..].chunks_mut(p * q).zip(x.chunks(h * w));
            for (out, x) in planes {
                for (i, row) in out.chunks_mut(q).enumerate() {
                    let from = x[2 * i * w..(2 * i + 1) * w].iter().step_by(2);
                    row.iter_mut().zip(from).for_each(|(o, x)| *o = *x);
                }
            }
        }
    })?;
    tensor(out, &[b, channels, p, q])
}

/// See [`crate::ops::shape::subsample_pad_backward`].
pub fn subsample_pad_backward(grad: &Tensor, input: [usize; 3]) -> Result<Tensor> {
    by_dtype!(grad, T => subsample_pad_backward_typed::<T>(grad, input))
}

fn subsample_pad_backward_typed<T: Real>(grad: &Tensor, [c, h, w]: [usize; 3]) -> Result<Tensor> {
    let [b, channels, p, q] = dims4(grad)?;
    let before = (channels - c) / 2;
    let mut out = zeros::<T>(b * c * h * w);
    read::<T, _>(grad, |grad| {
        for (out, grad) in out.chunks_mut(c * h * w).zip(grad.chunks(channels * p * q)) {
            let planes = out
                .chunks_mut(h * w)
                .zip(grad[before * p * q..].chunks(p * q));
            for (out, grad) in planes {
                for (i, row) in grad.chunks(q).enumerate() {
                    let into = out[2 * i * w..(2 * i + 1) * w].iter_mut().step_by(2);
                    into.zip(row).for_each(|(o, g)| *o = *g);
                }
            }
        }
    })?;
    tensor(out, &[b, c, h, w])
}
