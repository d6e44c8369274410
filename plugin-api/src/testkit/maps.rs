//! The three maps of a layer from one list of taps.
//!
//! A tap is a synapse at a place: output `y`, input `x` and weight `w`, by their
//! row-major places. The map is `y += x·w`, its feedback `x += y·w` and its
//! correlation `w += x·y`, over the same taps.

use super::array::Array;
use crate::abi::types::{RawLayer, RawTile, layer};
use crate::sdk::{Result, RuleError};

/// Where a padded row or column comes from; nothing outside zeros.
fn source(at: isize, size: usize, mode: crate::abi::types::Code) -> Option<usize> {
    let n = size as isize;
    let inside = (0..n).contains(&at);
    let at = match mode {
        _ if inside => at,
        layer::PAD_REFLECT if at < 0 => -at,
        layer::PAD_REFLECT => 2 * (n - 1) - at,
        layer::PAD_REPLICATE => at.clamp(0, n - 1),
        layer::PAD_CIRCULAR => at.rem_euclid(n),
        _ => return None,
    };
    usize::try_from(at).ok().filter(|at| *at < size)
}

/// Calls `tap(y, x, w)` for `batch` samples of a layer with this many units and groups.
fn taps(
    of: &RawLayer,
    (batch, units, groups): (usize, usize, usize),
    mut tap: impl FnMut(usize, usize, usize),
) {
    if of.kind != layer::CONV {
        let inputs = of.input.last().copied().unwrap_or(0);
        for n in 0..batch {
            for (k, d) in (0..units).flat_map(|k| (0..inputs).map(move |d| (k, d))) {
                tap(n * units + k, n * inputs + d, k * inputs + d);
            }
        }
        return;
    }
    let ([c, h, w], [_, p, q]) = (three(&of.input), three(&of.output));
    let ([r, s], per_group) = (of.kernel, c / groups);
    let reach = |out: usize, tap: usize, axis: usize| {
        (out * of.stride[axis] + tap * of.dilation[axis]) as isize - of.padding[2 * axis] as isize
    };
    for n in 0..batch {
        for (k, i) in (0..units).flat_map(|k| (0..per_group).map(move |i| (k, i))) {
            let channel = k / (units / groups) * per_group + i;
            for (row, col) in (0..p).flat_map(|row| (0..q).map(move |col| (row, col))) {
                for (a, b) in (0..r).flat_map(|a| (0..s).map(move |b| (a, b))) {
                    let (Some(y), Some(x)) = (
                        source(reach(row, a, 0), h, of.pad_mode),
                        source(reach(col, b, 1), w, of.pad_mode),
                    ) else {
                        continue;
                    };
                    tap(
                        ((n * units + k) * p + row) * q + col,
                        ((n * c + channel) * h + y) * w + x,
                        ((k * per_group + i) * r + a) * s + b,
                    );
                }
            }
        }
    }
}

fn three(shape: &[usize]) -> [usize; 3] {
    [shape[0], shape[1], shape[2]]
}

/// Samples in `t`, whose samples have the shape `one`; dense tensors may have further
/// leading axes.
fn batch(of: &RawLayer, t: &Array, one: &[usize]) -> Result<usize> {
    let lead = t.shape().len().saturating_sub(one.len());
    let fits = t.shape()[lead..] == *one && (lead == 1 || (of.kind != layer::CONV && lead > 0));
    if !fits {
        let text = format!("{:?} is no batch of {one:?}", t.shape());
        return Err(RuleError::shape(text));
    }
    Ok(t.shape()[..lead].iter().product())
}

/// Units and groups that a weight implies.
fn weight(of: &RawLayer, w: &Array) -> Result<(usize, usize)> {
    let inputs = of.input.first().copied().unwrap_or(0);
    match (of.kind == layer::CONV, w.shape()) {
        (false, [units, d]) if Some(d) == of.input.last() => Ok((*units, 1)),
        (true, [units, per_group, r, s])
            if [*r, *s] == of.kernel && *per_group > 0 && inputs.is_multiple_of(*per_group) =>
        {
            Ok((*units, inputs / per_group))
        }
        (_, shape) => Err(RuleError::shape(format!(
            "a weight of shape {shape:?} does not fit an input {:?}",
            of.input
        ))),
    }
}

/// A sample's output for `units` units.
fn output(of: &RawLayer, units: usize) -> Vec<usize> {
    let mut shape = of.output.to_vec();
    shape[0] = units;
    shape
}

/// All axes of `t` but the last `axes`, then `one`.
fn shaped(t: &Array, axes: usize, one: &[usize]) -> Vec<usize> {
    [&t.shape()[..t.shape().len() - axes], one].concat()
}

/// `x Wᵀ`, or the convolution.
pub(super) fn forward(of: &RawLayer, x: &Array, w: &Array) -> Result<Array> {
    let (units, groups) = weight(of, w)?;
    let one = output(of, units);
    let shape = shaped(x, of.input.len(), &one);
    let mut y = vec![0.0; shape.iter().product()];
    let size = (batch(of, x, &of.input)?, units, groups);
    taps(of, size, |o, i, s| y[o] += x.values()[i] * w.values()[s]);
    Ok(Array::of(x.dtype(), &shape, y))
}

/// `g B`, or the convolution's gradient with respect to its input.
pub(super) fn feedback(of: &RawLayer, g: &Array, w: &Array) -> Result<Array> {
    let (units, groups) = weight(of, w)?;
    let shape = shaped(g, of.output.len(), &of.input);
    let mut x = vec![0.0; shape.iter().product()];
    let size = (batch(of, g, &output(of, units))?, units, groups);
    taps(of, size, |o, i, s| x[i] += g.values()[o] * w.values()[s]);
    Ok(Array::of(g.dtype(), &shape, x))
}

/// `gᵀ x`, or the convolution's gradient with respect to its weight.
pub(super) fn correlate(of: &RawLayer, x: &Array, g: &Array) -> Result<Array> {
    let lead = g.shape().len() - of.output.len();
    let units = g.shape()[lead];
    let batch_x = batch(of, x, &of.input)?;
    if batch_x != batch(of, g, &output(of, units))? {
        let text = format!("{:?} and {:?} are two batches", x.shape(), g.shape());
        return Err(RuleError::shape(text));
    }
    let shape = match of.kind {
        layer::CONV => vec![units, of.input[0] / of.groups, of.kernel[0], of.kernel[1]],
        _ => vec![units, of.input.last().copied().unwrap_or(0)],
    };
    let mut w = vec![0.0; shape.iter().product()];
    let size = (batch_x, units, of.groups);
    taps(of, size, |o, i, s| w[s] += x.values()[i] * g.values()[o]);
    Ok(Array::of(x.dtype(), &shape, w))
}

/// All windows, `[B, P·Q, groups·D]`; dense: `[B, 1, D]`. As one unit for each group would
/// see them.
pub(super) fn patches(of: &RawLayer, x: &Array) -> Result<Array> {
    let batch = batch(of, x, &of.input)?;
    if of.kind != layer::CONV {
        return x.reshape(&[batch, 1, of.input.last().copied().unwrap_or(0)]);
    }
    let positions: usize = of.output[1..].iter().product();
    let width = of.input[0] * of.kernel[0] * of.kernel[1];
    let mut out = vec![0.0; batch * positions * width];
    taps(of, (batch, of.groups, of.groups), |o, i, s| {
        let sample = o / (of.groups * positions);
        out[(sample * positions + o % positions) * width + s] = x.values()[i];
    });
    Ok(Array::of(x.dtype(), &[batch, positions, width], out))
}

/// What a competitive step yields: `u`, `correlate(x, y)`, `Σ y·u` and `Σ y`.
pub(super) fn compete(
    of: &RawLayer,
    x: &Array,
    w: &Array,
    bias: Option<&Array>,
    pre_triangle: bool,
    run: impl Fn(&RawTile),
) -> Result<[Array; 4]> {
    let mut u = forward(of, x, w)?;
    let samples = batch(of, x, &of.input)?;
    let units = of.output[0];
    let positions: usize = of.output[1..].iter().product();
    let channel = |i: usize| i / positions % units;
    if let Some(bias) = bias {
        let mut i = 0;
        u = u.map(|v| {
            i += 1;
            v + bias.values()[channel(i - 1)]
        });
    }
    if pre_triangle {
        let split = u.reshape(&[samples, units, positions])?;
        let mean = super::ops::reduce(&split, &[1], true, u.dtype(), |v| {
            v.iter().sum::<f64>() / v.len() as f64
        })?;
        let above = split.zip(&mean, |v, mean| (v - mean).max(0.0))?;
        u = above.reshape(u.shape())?;
    }
    let mut y = vec![0.0; u.values().len()];
    let per_group = units / of.groups * positions;
    for (u, y) in u.values().chunks(per_group).zip(y.chunks_mut(per_group)) {
        let tile = |dtype, u, y| RawTile {
            k: units / of.groups,
            lanes: positions,
            stride: positions,
            dtype,
            u,
            y,
        };
        if x.dtype() == crate::sdk::DType::F64 {
            run(&tile(
                crate::abi::types::dtype::F64,
                u.as_ptr().cast(),
                y.as_mut_ptr().cast(),
            ));
            continue;
        }
        let single: Vec<f32> = u.iter().map(|v| *v as f32).collect();
        let mut factors = vec![0f32; single.len()];
        run(&tile(
            crate::abi::types::dtype::F32,
            single.as_ptr().cast(),
            factors.as_mut_ptr().cast(),
        ));
        y.iter_mut()
            .zip(&factors)
            .for_each(|(y, f)| *y = f64::from(*f));
    }
    let y = Array::of(u.dtype(), u.shape(), y);
    let per_unit = |t: &Array| -> Result<Array> {
        let split = t.reshape(&[samples, units, positions])?;
        super::ops::reduce(&split, &[0, 2], false, t.dtype(), |v| v.iter().sum())
    };
    let correlation = correlate(of, x, &y)?;
    let yu = per_unit(&y.zip(&u, |y, u| y * u)?)?;
    let y_sum = per_unit(&y)?;
    Ok([u, correlation, yu, y_sum])
}
