//! Convolution maps as matrix products over unfolded images. The general path:
//! every geometry, both precisions; `f32` shapes that the kernels crate covers
//! go there instead.

use candle_core::Tensor;
use rayon::prelude::*;

use super::real::{Real, by_dtype, dims4, read, tensor, zeros};
use crate::Result;
use crate::ops::{ConvGeometry, cpu::pad};

/// Images unfolded at a time: bounds the column matrix to about this many bytes.
const COLUMN_BYTES: usize = 32 << 20;

/// See [`crate::ops::conv::conv_forward`].
pub fn forward(g: &ConvGeometry, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let [b, _, h, wd] = dims4(x)?;
    let [p, q] = g.output([h, wd])?;
    let xp = bordered(g, x)?;
    let flat = g.without_padding();
    let (kg, d) = group_sizes(g);
    let weight = w.contiguous()?.reshape((1, g.groups, kg, d))?;
    let parts = image_ranges(g, b, p * q, x.dtype().size_in_bytes())
        .map(|(start, n)| {
            let columns = unfold(&flat, &xp.narrow(0, start, n)?, [p, q])?;
            let y = weight
                .broadcast_as((n, g.groups, kg, d))?
                .contiguous()?
                .matmul(&columns)?;
            Ok(y.reshape((n, g.out_channels, p, q))?)
        })
        .collect::<Result<Vec<_>>>()?;
    joined(parts)
}

/// See [`crate::ops::conv::conv_input_grad`].
pub fn input_grad(
    g: &ConvGeometry,
    grad: &Tensor,
    w: &Tensor,
    input: [usize; 2],
) -> Result<Tensor> {
    let [b, _, p, q] = dims4(grad)?;
    let [top, bottom, left, right] = g.padding;
    let padded = [input[0] + top + bottom, input[1] + left + right];
    let (kg, d) = group_sizes(g);
    let weight = w
        .contiguous()?
        .reshape((1, g.groups, kg, d))?
        .transpose(2, 3)?
        .contiguous()?;
    let grad = grad.contiguous()?;
    let parts = image_ranges(g, b, p * q, grad.dtype().size_in_bytes())
        .map(|(start, n)| {
            let part = grad
                .narrow(0, start, n)?
                .reshape((n, g.groups, kg, p * q))?;
            let columns = weight
                .broadcast_as((n, g.groups, d, kg))?
                .contiguous()?
                .matmul(&part.contiguous()?)?;
            fold(g, &columns, [p, q], padded)
        })
        .collect::<Result<Vec<_>>>()?;
    pad::backward(&joined(parts)?, g.padding, g.mode)
}

/// See [`crate::ops::conv::conv_weight_grad`].
pub fn weight_grad(g: &ConvGeometry, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let [b, _, p, q] = dims4(grad)?;
    let xp = bordered(g, x)?;
    let flat = g.without_padding();
    let (kg, d) = group_sizes(g);
    let grad = grad.contiguous()?;
    let mut total: Option<Tensor> = None;
    for (start, n) in image_ranges(g, b, p * q, x.dtype().size_in_bytes()) {
        let columns = unfold(&flat, &xp.narrow(0, start, n)?, [p, q])?;
        // [G, Kg, n·PQ] × [G, n·PQ, D]: one product a group over the whole part.
        let left = grad
            .narrow(0, start, n)?
            .reshape((n, g.groups, kg, p * q))?
            .permute((1, 2, 0, 3))?
            .contiguous()?
            .reshape((g.groups, kg, n * p * q))?;
        let right =
            columns
                .permute((1, 0, 3, 2))?
                .contiguous()?
                .reshape((g.groups, n * p * q, d))?;
        let part = left.matmul(&right)?;
        total = Some(match total {
            Some(t) => (t + part)?,
            None => part,
        });
    }
    let total = total.ok_or_else(|| crate::Error::internal("convolution of an empty batch"))?;
    Ok(total.reshape(&g.weight_dims()[..])?)
}

fn group_sizes(g: &ConvGeometry) -> (usize, usize) {
    (
        g.out_channels / g.groups,
        g.in_channels / g.groups * g.kernel[0] * g.kernel[1],
    )
}

fn bordered(g: &ConvGeometry, x: &Tensor) -> Result<Tensor> {
    if g.padding == [0; 4] {
        Ok(x.contiguous()?)
    } else {
        pad::forward(x, g.padding, g.mode)
    }
}

fn joined(mut parts: Vec<Tensor>) -> Result<Tensor> {
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => Ok(Tensor::cat(&parts, 0)?),
    }
}

/// Ranges `(start, count)` of images whose columns fit [`COLUMN_BYTES`].
fn image_ranges(
    g: &ConvGeometry,
    batch: usize,
    positions: usize,
    element: usize,
) -> impl Iterator<Item = (usize, usize)> + use<> {
    let one = g.in_channels * g.kernel[0] * g.kernel[1] * positions * element;
    let step = (COLUMN_BYTES / one.max(1)).clamp(1, batch.max(1));
    (0..batch)
        .step_by(step)
        .map(move |start| (start, step.min(batch - start)))
}

/// Columns `[B, G, D, P·Q]` of the bordered input `[B, C, H, W]`.
fn unfold(g: &ConvGeometry, x: &Tensor, out: [usize; 2]) -> Result<Tensor> {
    by_dtype!(x, T => unfold_typed::<T>(g, x, out))
}

fn unfold_typed<T: Real>(g: &ConvGeometry, x: &Tensor, [p, q]: [usize; 2]) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let [r, s] = g.kernel;
    let mut out = zeros::<T>(b * c * r * s * p * q);
    read::<T, _>(x, |x| {
        out.par_chunks_mut(r * s * p * q)
            .zip(x.par_chunks(h * w))
            .for_each(|(columns, image)| {
                for (tap, column) in columns.chunks_mut(p * q).enumerate() {
                    let (a, e) = (tap / s * g.dilation[0], tap % s * g.dilation[1]);
                    for (i, line) in column.chunks_mut(q).enumerate() {
                        let from = &image[(i * g.stride[0] + a) * w + e..];
                        for (value, x) in line.iter_mut().zip(from.iter().step_by(g.stride[1])) {
                            *value = *x;
                        }
                    }
                }
            });
    })?;
    let d = c / g.groups * r * s;
    tensor(out, &[b, g.groups, d, p * q])
}

/// Adjoint of [`unfold`]: `[B, G, D, P·Q]` summed into `[B, C, H, W]`.
fn fold(g: &ConvGeometry, columns: &Tensor, out: [usize; 2], padded: [usize; 2]) -> Result<Tensor> {
    by_dtype!(columns, T => fold_typed::<T>(g, columns, out, padded))
}

fn fold_typed<T: Real>(
    g: &ConvGeometry,
    columns: &Tensor,
    [p, q]: [usize; 2],
    [h, w]: [usize; 2],
) -> Result<Tensor> {
    let b = columns.dims()[0];
    let [r, s] = g.kernel;
    let mut out = zeros::<T>(b * g.in_channels * h * w);
    read::<T, _>(columns, |columns| {
        out.par_chunks_mut(h * w)
            .zip(columns.par_chunks(r * s * p * q))
            .for_each(|(image, columns)| {
                for (tap, column) in columns.chunks(p * q).enumerate() {
                    let (a, e) = (tap / s * g.dilation[0], tap % s * g.dilation[1]);
                    for (i, line) in column.chunks(q).enumerate() {
                        let into = &mut image[(i * g.stride[0] + a) * w + e..];
                        for (x, value) in into.iter_mut().step_by(g.stride[1]).zip(line) {
                            *x += *value;
                        }
                    }
                }
            });
    })?;
    tensor(out, &[b, g.in_channels, h, w])
}
