//! Batch normalisation over `[B, C, HW]`, channel by channel, in f64.

use crate::geometry::Planes;
use crate::real::Real;

fn channel(d: Planes, c: usize) -> impl Iterator<Item = usize> + Clone {
    (0..d.b).flat_map(move |n| (0..d.hw).map(move |i| (n * d.c + c) * d.hw + i))
}

/// Mean and biased variance of every channel.
pub fn batch_stats<T: Real>(d: Planes, x: &[T], mean: &mut [T], var: &mut [T]) {
    let n = (d.b * d.hw) as f64;
    for c in 0..d.c {
        let m = channel(d, c).map(|i| x[i].to_f64()).sum::<f64>() / n;
        let v = channel(d, c)
            .map(|i| (x[i].to_f64() - m).powi(2))
            .sum::<f64>()
            / n;
        (mean[c], var[c]) = (T::from_f64(m), T::from_f64(v));
    }
}

/// `y = (x - mean) / sqrt(var + eps) * gamma + beta`.
pub fn forward<T: Real>(
    d: Planes,
    eps: f64,
    x: &[T],
    mean: &[T],
    var: &[T],
    affine: Option<(&[T], &[T])>,
    y: &mut [T],
) {
    for c in 0..d.c {
        let inv = 1.0 / (var[c].to_f64() + eps).sqrt();
        let (gamma, beta) = affine.map_or((1.0, 0.0), |(g, b)| (g[c].to_f64(), b[c].to_f64()));
        for i in channel(d, c) {
            y[i] = T::from_f64((x[i].to_f64() - mean[c].to_f64()) * inv * gamma + beta);
        }
    }
}

/// Gradients of [`forward`]: `train` when mean and variance are those of `x` itself.
#[expect(
    clippy::too_many_arguments,
    reason = "the mathematical arguments of a gradient"
)]
pub fn backward<T: Real>(
    d: Planes,
    eps: f64,
    train: bool,
    x: &[T],
    dy: &[T],
    mean: &[T],
    var: &[T],
    gamma: Option<&[T]>,
    dx: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
) {
    let n = (d.b * d.hw) as f64;
    for c in 0..d.c {
        let inv = 1.0 / (var[c].to_f64() + eps).sqrt();
        let hat = |i: usize| (x[i].to_f64() - mean[c].to_f64()) * inv;
        let sum: f64 = channel(d, c).map(|i| dy[i].to_f64()).sum();
        let dot: f64 = channel(d, c).map(|i| dy[i].to_f64() * hat(i)).sum();
        let scale = gamma.map_or(1.0, |g| g[c].to_f64()) * inv;
        for i in channel(d, c) {
            let through_stats = if train {
                sum / n + hat(i) * dot / n
            } else {
                0.0
            };
            dx[i] = T::from_f64(scale * (dy[i].to_f64() - through_stats));
        }
        (dgamma[c], dbeta[c]) = (T::from_f64(dot), T::from_f64(sum));
    }
}
