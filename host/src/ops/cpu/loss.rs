//! Losses on slices; sums in `f64`, in row order.

use candle_core::Tensor;

use super::real::{Real, by_dtype, read, tensor, unwritten};
use crate::{Error, Result};

/// See [`crate::ops::loss::cross_entropy`].
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<(Tensor, Tensor)> {
    by_dtype!(logits, T => cross_entropy_typed::<T>(logits, labels))
}

fn cross_entropy_typed<T: Real>(logits: &Tensor, labels: &Tensor) -> Result<(Tensor, Tensor)> {
    let (b, o) = logits.dims2()?;
    check_labels(labels, b, o)?;
    let mut grad = unwritten::<T>(b * o);
    let (mut loss, mut right) = (0.0, 0.0);
    read::<T, _>(logits, |u| {
        read::<u32, _>(labels, |labels| {
            for ((u, grad), label) in u.chunks(o).zip(grad.chunks_mut(o)).zip(labels) {
                let label = *label as usize;
                let (best, top) = largest(u);
                let sum: f64 = u.iter().map(|v| (v.wide() - top).exp()).sum();
                loss += top + sum.ln() - u[label].wide();
                right += f64::from(u8::from(best == label));
                for (k, (g, v)) in grad.iter_mut().zip(u).enumerate() {
                    let hit = if k == label { 1.0 } else { 0.0 };
                    *g = T::of(((v.wide() - top).exp() / sum - hit) / b as f64);
                }
            }
        })
    })??;
    Ok((tensor(vec![loss, right], &[2])?, tensor(grad, &[b, o])?))
}

/// Place and value of the largest element, the first on ties.
fn largest<T: Real>(row: &[T]) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (k, v) in row.iter().enumerate() {
        if v.wide() > best.1 {
            best = (k, v.wide());
        }
    }
    best
}

fn check_labels(labels: &Tensor, rows: usize, classes: usize) -> Result<()> {
    let (count, top) = read::<u32, _>(labels, |l| (l.len(), l.iter().copied().max().unwrap_or(0)))?;
    if count != rows || top as usize >= classes {
        return Err(Error::data(format!(
            "{count} labels up to {top} for an output of {rows} rows and {classes} classes"
        )));
    }
    Ok(())
}

/// See [`crate::ops::loss::half_mse`].
pub fn half_mse(y: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
    by_dtype!(y, T => half_mse_typed::<T>(y, target))
}

fn half_mse_typed<T: Real>(y: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
    let (b, o) = y.dims2()?;
    if target.dims() != y.dims() {
        return Err(Error::data(format!(
            "targets of shape {:?} for an output of shape {:?}",
            target.dims(),
            y.dims()
        )));
    }
    let target = target.to_dtype(T::DTYPE)?;
    let mut grad = unwritten::<T>(b * o);
    let mut loss = 0.0;
    read::<T, _>(y, |y| {
        read::<T, _>(&target, |t| {
            for ((g, y), t) in grad.iter_mut().zip(y).zip(t) {
                let d = y.wide() - t.wide();
                loss += 0.5 * d * d;
                *g = T::of(d / (b * o) as f64);
            }
        })
    })??;
    Ok((
        tensor(vec![loss / o as f64, 0.0], &[2])?,
        tensor(grad, &[b, o])?,
    ))
}

/// See [`crate::ops::loss::count_right`].
pub fn count_right(y: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (b, o) = y.dims2()?;
    check_labels(labels, b, o)?;
    let right = by_dtype!(y, T => read::<T, _>(y, |y| {
        read::<u32, _>(labels, |labels| {
            let rows = y.chunks(o).zip(labels);
            rows.filter(|(y, label)| largest(y).0 == **label as usize).count()
        })
    })?)?;
    tensor(vec![0.0, right as f64], &[2])
}
