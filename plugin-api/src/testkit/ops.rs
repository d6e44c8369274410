//! The ops of the table on arrays, each as slow and plain as its definition.

use super::array::{Array, common, for_each_index};
use crate::sdk::{DType, Result, RuleError};

fn axis_of(t: &Array, axis: usize) -> Result<usize> {
    let shape = t.shape();
    let size = shape.get(axis).copied();
    size.ok_or_else(|| RuleError::shape(format!("no axis {axis} in {shape:?}")))
}

/// Row-major place of `index` in `shape`.
fn flat(shape: &[usize], index: &[usize]) -> usize {
    index.iter().zip(shape).fold(0, |flat, (i, n)| flat * n + i)
}

/// `shape` with `size` in place of axis `axis`.
fn resized(shape: &[usize], axis: usize, size: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape[axis] = size;
    shape
}

/// Axes in another order.
pub(super) fn permute(t: &Array, axes: &[usize]) -> Result<Array> {
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    if sorted != (0..t.shape().len()).collect::<Vec<_>>() {
        let text = format!("{axes:?} is no order of the axes of {:?}", t.shape());
        return Err(RuleError::shape(text));
    }
    let shape: Vec<usize> = axes.iter().map(|&a| t.shape()[a]).collect();
    Ok(t.pick(&shape, |index| {
        let mut from = vec![0; index.len()];
        axes.iter().zip(index).for_each(|(&a, &i)| from[a] = i);
        flat(t.shape(), &from)
    }))
}

/// `len` entries of `axis` from `start`.
pub(super) fn narrow(t: &Array, axis: usize, start: usize, len: usize) -> Result<Array> {
    let size = axis_of(t, axis)?;
    if start + len > size {
        let text = format!("{start}..{} outside an axis of {size}", start + len);
        return Err(RuleError::shape(text));
    }
    Ok(moved(t, axis, len, |index| index[axis] + start))
}

/// Our entries with axis `axis` at `place(index)`.
fn moved(t: &Array, axis: usize, size: usize, place: impl Fn(&[usize]) -> usize) -> Array {
    t.pick(&resized(t.shape(), axis, size), |index| {
        flat(t.shape(), &resized(index, axis, place(index)))
    })
}

/// Joined along `axis`.
pub(super) fn cat(ts: &[&Array], axis: usize) -> Result<Array> {
    let first = ts
        .first()
        .ok_or_else(|| RuleError::shape("nothing to join"))?;
    axis_of(first, axis)?;
    let mut total = 0;
    for t in ts {
        let size = axis_of(t, axis)?;
        if resized(t.shape(), axis, 0) != resized(first.shape(), axis, 0) {
            let text = format!("{:?} and {:?} do not join", first.shape(), t.shape());
            return Err(RuleError::shape(text));
        }
        total += size;
    }
    let shape = resized(first.shape(), axis, total);
    let mut values = Vec::new();
    for_each_index(&shape, |index| {
        let mut i = index[axis];
        for t in ts {
            let size = t.shape()[axis];
            if i < size {
                return values.push(t.values()[flat(t.shape(), &resized(index, axis, i))]);
            }
            i -= size;
        }
    });
    Ok(Array::of(first.dtype(), &shape, values))
}

fn indices(index: &Array, size: usize) -> Result<Vec<usize>> {
    if !matches!(index.dtype(), DType::U32 | DType::U8) {
        return Err(RuleError::shape("an index is not of whole numbers"));
    }
    let all: Vec<usize> = index.values().iter().map(|v| *v as usize).collect();
    match all.iter().find(|i| **i >= size) {
        Some(i) => Err(RuleError::shape(format!("index {i} in an axis of {size}"))),
        None => Ok(all),
    }
}

/// Entries of `axis` at `index: [N]`.
pub(super) fn index_select(t: &Array, index: &Array, axis: usize) -> Result<Array> {
    let at = indices(index, axis_of(t, axis)?)?;
    Ok(moved(t, axis, at.len(), |i| at[i[axis]]))
}

/// Entries along `axis`, one for each element of `index`.
pub(super) fn gather(t: &Array, index: &Array, axis: usize) -> Result<Array> {
    let at = indices(index, axis_of(t, axis)?)?;
    let fits = index.shape().len() == t.shape().len();
    if !fits || resized(index.shape(), axis, 0) != resized(t.shape(), axis, 0) {
        let text = format!("an index {:?} into {:?}", index.shape(), t.shape());
        return Err(RuleError::shape(text));
    }
    Ok(t.pick(index.shape(), |i| {
        flat(t.shape(), &resized(i, axis, at[flat(index.shape(), i)]))
    }))
}

/// A new last axis of size `depth`, one at the index.
pub(super) fn one_hot(index: &Array, depth: usize, dtype: DType) -> Array {
    let shape = [index.shape(), &[depth]].concat();
    let values = index.values().iter().flat_map(|v| {
        let hot = *v as usize;
        (0..depth).map(move |k| f64::from(u8::from(k == hot)))
    });
    Array::of(dtype, &shape, values.collect())
}

/// `f` over the values along `axes`, in order; reduced axes stay with size 1 where `keep`.
pub(super) fn reduce(
    t: &Array,
    axes: &[usize],
    keep: bool,
    dtype: DType,
    f: impl Fn(&[f64]) -> f64,
) -> Result<Array> {
    for &axis in axes {
        axis_of(t, axis)?;
    }
    let mut kept = t.shape().to_vec();
    axes.iter().for_each(|&a| kept[a] = 1);
    let mut cells = vec![Vec::new(); kept.iter().product()];
    let mut place = 0;
    for_each_index(t.shape(), |index| {
        let mut index = index.to_vec();
        axes.iter().for_each(|&a| index[a] = 0);
        cells[flat(&kept, &index)].push(t.values()[place]);
        place += 1;
    });
    let values = cells.iter().map(|cell| f(cell)).collect();
    let left = kept
        .iter()
        .enumerate()
        .filter(|(a, _)| keep || !axes.contains(a));
    let shape: Vec<usize> = left.map(|(_, n)| *n).collect();
    Ok(Array::of(dtype, &shape, values))
}

/// Place of the `rank`-th largest (1 is the largest), the first on ties.
pub(super) fn ranked(values: &[f64], rank: usize) -> f64 {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order[rank - 1] as f64
}

/// Product over the last two axes, batched before them.
pub(super) fn matmul(a: &Array, b: &Array) -> Result<Array> {
    let wrong = || RuleError::shape(format!("matmul of {:?} and {:?}", a.shape(), b.shape()));
    let (Some((lead_a, [m, k])), Some((lead_b, [k2, n]))) = (
        a.shape().split_last_chunk::<2>(),
        b.shape().split_last_chunk::<2>(),
    ) else {
        return Err(wrong());
    };
    if k != k2 {
        return Err(wrong());
    }
    let lead = common(lead_a, lead_b)?;
    let a = a.broadcast(&[&lead[..], &[*m, *k]].concat())?;
    let b = b.broadcast(&[&lead[..], &[*k, *n]].concat())?;
    let mut values = Vec::new();
    for batch in 0..lead.iter().product() {
        let (a, b) = (&a.values()[batch * m * k..], &b.values()[batch * k * n..]);
        for (i, j) in (0..*m).flat_map(|i| (0..*n).map(move |j| (i, j))) {
            values.push((0..*k).map(|d| a[i * k + d] * b[d * n + j]).sum());
        }
    }
    Ok(Array::of(
        a.dtype(),
        &[&lead[..], &[*m, *n]].concat(),
        values,
    ))
}

/// `softmax(gain·t)` along `axis`.
pub(super) fn softmax(t: &Array, axis: usize, gain: f64) -> Result<Array> {
    let scaled = t.map(|v| gain * v);
    let largest = reduce(&scaled, &[axis], true, t.dtype(), |v| {
        v.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    })?;
    let exp = scaled.zip(&largest, |v, largest| (v - largest).exp())?;
    let sum = reduce(&exp, &[axis], true, t.dtype(), |v| v.iter().sum())?;
    exp.zip(&sum, |v, sum| v / sum)
}

/// Elements of each row, an entry of axis 0.
fn row_len(t: &Array) -> usize {
    t.shape()[1..].iter().product::<usize>().max(1)
}

/// Each row of `t` times its entry of `factors`.
pub(super) fn scale_rows(t: &Array, factors: &Array) -> Result<Array> {
    let mut shape = vec![1; t.shape().len()];
    shape[0] = factors.values().len();
    t.zip(&factors.reshape(&shape)?.broadcast(t.shape())?, |t, f| {
        t * f
    })
}

/// `(Σ|t|ᵖ)^(1/p)` of each row.
pub(super) fn row_norms(t: &Array, p: f64) -> Array {
    let norm = |row: &[f64]| {
        row.iter()
            .map(|v| v.abs().powf(p))
            .sum::<f64>()
            .powf(1.0 / p)
    };
    let norms: Vec<f64> = t.values().chunks(row_len(t)).map(norm).collect();
    Array::of(t.dtype(), &[norms.len()], norms)
}

/// `t[k] − factors[k]·w[k]`, and the largest magnitude of each of its rows.
pub(super) fn sub_rows(t: &Array, factors: &Array, w: &Array) -> Result<(Array, Array)> {
    let rest = t.zip(&scale_rows(w, factors)?, |t, w| t - w)?;
    let largest = |row: &[f64]| row.iter().fold(0.0, |most, v| f64::max(most, v.abs()));
    let most: Vec<f64> = rest.values().chunks(row_len(t)).map(largest).collect();
    let most = Array::of(t.dtype(), &[most.len()], most);
    Ok((rest, most))
}
