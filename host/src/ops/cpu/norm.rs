//! Batch normalisation on slices. Sums run image by image in `f64`, channels in parallel.

use candle_core::Tensor;
use rayon::prelude::*;

use super::real::{Real, by_dtype, dims4, read, tensor, zeros};
use crate::Result;
use crate::ops::norm::{Affine, NormGradients};

/// See [`crate::ops::norm::batch_statistics`].
pub fn statistics(x: &Tensor) -> Result<(Tensor, Tensor)> {
    by_dtype!(x, T => statistics_typed::<T>(x))
}

fn statistics_typed<T: Real>(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [b, c, h, w] = dims4(x)?;
    let (n, count) = (h * w, (b * h * w) as f64);
    let pairs: Vec<(f64, f64)> = read::<T, _>(x, |x| {
        let over = |k: usize, f: &dyn Fn(f64) -> f64| -> f64 {
            (0..b)
                .map(|i| {
                    let plane = &x[(i * c + k) * n..(i * c + k + 1) * n];
                    plane.iter().map(|v| f(v.wide())).sum::<f64>()
                })
                .sum()
        };
        (0..c)
            .into_par_iter()
            .map(|k| {
                let mean = over(k, &|v| v) / count;
                (mean, over(k, &|v| (v - mean) * (v - mean)) / count)
            })
            .collect()
    })?;
    let mean = pairs.iter().map(|p| T::of(p.0)).collect();
    let var = pairs.iter().map(|p| T::of(p.1)).collect();
    Ok((tensor::<T>(mean, &[c])?, tensor::<T>(var, &[c])?))
}

/// See [`crate::ops::norm::normalise`].
pub fn normalise(
    x: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    affine: Option<&Affine>,
) -> Result<Tensor> {
    by_dtype!(x, T => normalise_typed::<T>(x, mean, var, eps, affine))
}

fn channel<T: Real>(t: &Tensor) -> Result<Vec<f64>> {
    read::<T, _>(t, |t| t.iter().map(|v| v.wide()).collect())
}

fn normalise_typed<T: Real>(
    x: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    affine: Option<&Affine>,
) -> Result<Tensor> {
    let [_, c, h, w] = dims4(x)?;
    let n = h * w;
    let (mean, var) = (channel::<T>(mean)?, channel::<T>(var)?);
    let gain = affine.map(|a| channel::<T>(&a.gain)).transpose()?;
    let shift = affine.map(|a| channel::<T>(&a.shift)).transpose()?;
    // y = x·scale + offset, one multiplication and addition an element.
    let lines: Vec<(T, T)> = (0..c)
        .map(|k| {
            let scale = gain.as_ref().map_or(1.0, |g| g[k]) / (var[k] + eps).sqrt();
            let offset = shift.as_ref().map_or(0.0, |s| s[k]) - mean[k] * scale;
            (T::of(scale), T::of(offset))
        })
        .collect();
    let mut out = zeros::<T>(x.elem_count());
    read::<T, _>(x, |x| {
        out.par_chunks_mut(c * n)
            .zip(x.par_chunks(c * n))
            .for_each(|(out, x)| {
                let planes = out.chunks_mut(n).zip(x.chunks(n)).zip(&lines);
                for ((out, x), (scale, offset)) in planes {
                    for (y, x) in out.iter_mut().zip(x) {
                        *y = *x * *scale + *offset;
                    }
                }
            });
    })?;
    tensor(out, x.dims())
}

/// See [`crate::ops::norm::normalise_backward`].
#[allow(clippy::too_many_arguments)]
pub fn backward(
    x: &Tensor,
    grad: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    gain: Option<&Tensor>,
    through_statistics: bool,
    want_x: bool,
) -> Result<NormGradients> {
    by_dtype!(x, T => {
        let mean = channel::<T>(mean)?;
        let inverse: Vec<f64> =
            channel::<T>(var)?.iter().map(|v| 1.0 / (v + eps).sqrt()).collect();
        let gain = gain.map(channel::<T>).transpose()?;
        let sums = sums::<T>(x, grad, &mean, &inverse)?;
        let grad_x = want_x
            .then(|| input_grad::<T>(
                x, grad, &mean, &inverse, gain.as_deref(), through_statistics.then_some(&sums[..])
            ))
            .transpose()?;
        let c = mean.len();
        Ok(NormGradients {
            x: grad_x,
            gain: tensor::<T>(sums.iter().map(|s| T::of(s.1)).collect(), &[c])?,
            shift: tensor::<T>(sums.iter().map(|s| T::of(s.0)).collect(), &[c])?,
        })
    })
}

/// `(Σ g, Σ g·x̂)` of each channel.
fn sums<T: Real>(
    x: &Tensor,
    grad: &Tensor,
    mean: &[f64],
    inverse: &[f64],
) -> Result<Vec<(f64, f64)>> {
    let [b, c, h, w] = dims4(x)?;
    let n = h * w;
    read::<T, _>(x, |x| {
        read::<T, _>(grad, |grad| {
            (0..c)
                .into_par_iter()
                .map(|k| {
                    let mut total = (0.0, 0.0);
                    for i in 0..b {
                        let plane = (i * c + k) * n..(i * c + k + 1) * n;
                        let (mut s, mut d) = (0.0, 0.0);
                        for (x, g) in x[plane.clone()].iter().zip(&grad[plane]) {
                            s += g.wide();
                            d += g.wide() * (x.wide() - mean[k]);
                        }
                        total.0 += s;
                        total.1 += d * inverse[k];
                    }
                    total
                })
                .collect()
        })
    })?
}

/// `dx = γ/σ·(g − (Σg + x̂·Σ(g·x̂))/m)`, or `γ/σ·g` where the statistics are constants.
fn input_grad<T: Real>(
    x: &Tensor,
    grad: &Tensor,
    mean: &[f64],
    inverse: &[f64],
    gain: Option<&[f64]>,
    sums: Option<&[(f64, f64)]>,
) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let n = h * w;
    let m = (b * n) as f64;
    // dx = a·g + d·x + e for each channel.
    let lines: Vec<(T, T, T)> = (0..c)
        .map(|k| {
            let a = gain.map_or(1.0, |g| g[k]) * inverse[k];
            let (s, p) = sums.map_or((0.0, 0.0), |s| s[k]);
            let d = -a * p * inverse[k] / m;
            (T::of(a), T::of(d), T::of(-a * s / m - d * mean[k]))
        })
        .collect();
    let mut out = zeros::<T>(x.elem_count());
    read::<T, _>(x, |x| {
        read::<T, _>(grad, |grad| {
            out.par_chunks_mut(c * n)
                .zip(x.par_chunks(c * n).zip(grad.par_chunks(c * n)))
                .for_each(|(out, (x, grad))| {
                    let planes = out.chunks_mut(n).zip(x.chunks(n).zip(grad.chunks(n)));
                    for ((out, (x, grad)), (a, d, e)) in planes.zip(&lines) {
                        for ((o, x), g) in out.iter_mut().zip(x).zip(grad) {
                            *o = *a * *g + *d * *x + *e;
                        }
                    }
                });
        })
    })??;
    tensor(out, x.dims())
}
