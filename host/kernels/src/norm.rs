//! Batch normalisation over `[B, C, HW]` (`hw` = 1 for dense features), forward and backward.
//!
//! Normalises by the biased variance; [`unbias`] gives the factor for running statistics. The
//! training gradient is the closed form `dx = a dy + b x + c` of each channel, so neither the
//! normalised input nor any temporary is stored.

use crate::check::assert_len;
use crate::geometry::Planes;
use crate::real::Real;
use crate::simd::{Job, Simd};
use crate::threads::{self, Shared};

/// Scale and shift of every channel, `[C]` each.
pub type Affine<'a, T> = Option<(&'a [T], &'a [T])>;

/// `n / (n - 1)` for `n = B * HW`: biased to unbiased variance; 1 where `n` is 1.
pub fn unbias(d: Planes) -> f64 {
    let n = (d.b * d.hw) as f64;
    if n > 1.0 { n / (n - 1.0) } else { 1.0 }
}

/// Mean and biased variance of every channel, `[C]` each.
pub fn batch_stats<T: Real>(d: Planes, x: &[T], mean: &mut [T], var: &mut [T]) {
    assert_len("x", x, d.len());
    assert_len("mean", mean, d.c);
    assert_len("var", var, d.c);
    let (mean, var) = (Shared::new(mean), Shared::new(var));
    threads::for_each(d.c, |c| {
        let (m, v) = channel_stats(d, c, x);
        // SAFETY: element c is written by this call alone.
        let (mean, var) = unsafe { (mean.part(c, 1), var.part(c, 1)) };
        (mean[0], var[0]) = (T::from_f64(m), T::from_f64(v));
    });
}

fn channel_stats<T: Real>(d: Planes, c: usize, x: &[T]) -> (f64, f64) {
    let n = (d.b * d.hw) as f64;
    let mean = T::vectorised(Moments {
        d,
        c,
        x,
        centre: None,
    }) / n;
    let var = T::vectorised(Moments {
        d,
        c,
        x,
        centre: Some(T::from_f64(mean)),
    }) / n;
    (mean, var)
}

/// Sum of a channel, or of its squared distances from `centre`; across planes in f64.
struct Moments<'a, T> {
    d: Planes,
    c: usize,
    x: &'a [T],
    centre: Option<T>,
}

impl<T: Real> Job<T> for Moments<'_, T> {
    type Out = f64;

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> f64 {
        let Planes { b, c, hw } = self.d;
        let centre = self.centre.unwrap_or(T::ZERO);
        let mut total = 0.0;
        for n in 0..b {
            let plane = &self.x[(n * c + self.c) * hw..][..hw];
            let (head, tail) = plane.split_at(hw / S::LANES * S::LANES);
            let mut sum = s.splat(T::ZERO);
            for x in head.chunks_exact(S::LANES) {
                let x = s.sub(s.load(x), s.splat(centre));
                sum = if self.centre.is_some() {
                    s.fma(x, x, sum)
                } else {
                    s.add(sum, x)
                };
            }
            total += s.sum(sum).to_f64();
            for &x in tail {
                let x = x - centre;
                total += if self.centre.is_some() { x * x } else { x }.to_f64();
            }
        }
        total
    }
}

/// Forward with the statistics of the batch, which are returned in `mean` and `var` (biased; `[C]`).
pub fn batch_forward_train<T: Real>(
    d: Planes,
    eps: f64,
    x: &[T],
    affine: Affine<'_, T>,
    mean: &mut [T],
    var: &mut [T],
    y: &mut [T],
) {
    assert_len("mean", mean, d.c);
    assert_len("var", var, d.c);
    check(d, x, affine, y);
    let (mean, var, y) = (Shared::new(mean), Shared::new(var), Shared::new(y));
    threads::for_each(d.c, |c| {
        let (m, v) = channel_stats(d, c, x);
        // SAFETY: channel c of each array is written by this call alone.
        let (mean, var) = unsafe { (mean.part(c, 1), var.part(c, 1)) };
        (mean[0], var[0]) = (T::from_f64(m), T::from_f64(v));
        let (scale, shift) = coefficients(eps, m, v, at(affine, c));
        T::vectorised(Combine {
            d,
            c,
            x,
            dy: None,
            by: [scale, T::ZERO, shift],
            out: &y,
        });
    });
}

/// Forward with given statistics (running ones), `[C]` each.
pub fn batch_forward_frozen<T: Real>(
    d: Planes,
    eps: f64,
    x: &[T],
    mean: &[T],
    var: &[T],
    affine: Affine<'_, T>,
    y: &mut [T],
) {
    assert_len("mean", mean, d.c);
    assert_len("var", var, d.c);
    check(d, x, affine, y);
    let y = Shared::new(y);
    threads::for_each(d.c, |c| {
        let (scale, shift) = coefficients(eps, mean[c].to_f64(), var[c].to_f64(), at(affine, c));
        T::vectorised(Combine {
            d,
            c,
            x,
            dy: None,
            by: [scale, T::ZERO, shift],
            out: &y,
        });
    });
}

fn check<T: Real>(d: Planes, x: &[T], affine: Affine<'_, T>, y: &[T]) {
    assert_len("x", x, d.len());
    assert_len("y", y, d.len());
    if let Some((gamma, beta)) = affine {
        assert_len("gamma", gamma, d.c);
        assert_len("beta", beta, d.c);
    }
}

fn at<T: Real>(affine: Affine<'_, T>, c: usize) -> (f64, f64) {
    affine.map_or((1.0, 0.0), |(gamma, beta)| {
        (gamma[c].to_f64(), beta[c].to_f64())
    })
}

fn coefficients<T: Real>(eps: f64, mean: f64, var: f64, (gamma, beta): (f64, f64)) -> (T, T) {
    let scale = gamma / (var + eps).sqrt();
    (T::from_f64(scale), T::from_f64(beta - mean * scale))
}

/// `out = by[0] x + by[1] dy + by[2]` over a channel.
struct Combine<'a, 'b, T> {
    d: Planes,
    c: usize,
    x: &'a [T],
    dy: Option<&'a [T]>,
    by: [T; 3],
    out: &'a Shared<'b, T>,
}

impl<T: Real> Job<T> for Combine<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let Planes { b, c, hw } = self.d;
        let [a, g, shift] = self.by.map(|v| s.splat(v));
        let whole = hw / S::LANES * S::LANES;
        for n in 0..b {
            let from = (n * c + self.c) * hw;
            let x = &self.x[from..from + hw];
            // SAFETY: the planes of channel `self.c` belong to this job alone.
            let out = unsafe { self.out.part(from, hw) };
            let dy = self.dy.map(|dy| &dy[from..from + hw]);
            for i in (0..whole).step_by(S::LANES) {
                let mut v = s.fma(a, s.load(&x[i..]), shift);
                if let Some(dy) = dy {
                    v = s.fma(g, s.load(&dy[i..]), v);
                }
                s.store(&mut out[i..], v);
            }
            for i in whole..hw {
                let dy = dy.map_or(T::ZERO, |dy| dy[i]);
                out[i] = self.by[0] * x[i] + self.by[1] * dy + self.by[2];
            }
        }
    }
}

/// Where the gradients of a normalisation go; what is `None` is not computed.
pub struct Gradients<'a, T> {
    /// `[B, C, HW]`.
    pub dx: Option<&'a mut [T]>,
    /// Gradients of scale and shift, `[C]` each.
    pub affine: Option<(&'a mut [T], &'a mut [T])>,
}

/// Gradient of [`batch_forward_train`]; `mean` and `var` are what it returned.
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of the forward map, and its gradients"
)]
pub fn batch_backward_train<T: Real>(
    d: Planes,
    eps: f64,
    x: &[T],
    dy: &[T],
    mean: &[T],
    var: &[T],
    gamma: Option<&[T]>,
    out: Gradients<'_, T>,
) {
    backward(d, eps, x, dy, (mean, var), gamma, true, out);
}

/// Gradient of [`batch_forward_frozen`]: the statistics are constants.
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of the forward map, and its gradients"
)]
pub fn batch_backward_frozen<T: Real>(
    d: Planes,
    eps: f64,
    x: &[T],
    dy: &[T],
    mean: &[T],
    var: &[T],
    gamma: Option<&[T]>,
    out: Gradients<'_, T>,
) {
    backward(d, eps, x, dy, (mean, var), gamma, false, out);
}

#[expect(
    clippy::too_many_arguments,
    reason = "shared body of the two gradients"
)]
fn backward<T: Real>(
    d: Planes,
    eps: f64,
    x: &[T],
    dy: &[T],
    (mean, var): (&[T], &[T]),
    gamma: Option<&[T]>,
    train: bool,
    out: Gradients<'_, T>,
) {
    assert_len("x", x, d.len());
    assert_len("dy", dy, d.len());
    assert_len("mean", mean, d.c);
    assert_len("var", var, d.c);
    let want_sums = train || out.affine.is_some();
    let dx = out.dx.map(|dx| {
        assert_len("dx", dx, d.len());
        Shared::new(dx)
    });
    let affine = out.affine.map(|(gamma, beta)| {
        assert_len("dgamma", gamma, d.c);
        assert_len("dbeta", beta, d.c);
        (Shared::new(gamma), Shared::new(beta))
    });
    let n = (d.b * d.hw) as f64;
    threads::for_each(d.c, |c| {
        let (m, inv) = (mean[c].to_f64(), 1.0 / (var[c].to_f64() + eps).sqrt());
        let sums = if want_sums {
            T::vectorised(Sums {
                d,
                c,
                x,
                dy,
                centre: mean[c],
            })
        } else {
            (0.0, 0.0)
        };
        let (sum, dot) = (sums.0, sums.1 * inv);
        if let Some((dgamma, dbeta)) = &affine {
            // SAFETY: element c is written by this call alone.
            let (dgamma, dbeta) = unsafe { (dgamma.part(c, 1), dbeta.part(c, 1)) };
            (dgamma[0], dbeta[0]) = (T::from_f64(dot), T::from_f64(sum));
        }
        if let Some(dx) = &dx {
            let scale = gamma.map_or(1.0, |g| g[c].to_f64()) * inv;
            let (by_x, shift) = if train {
                let by_x = -scale * inv * dot / n;
                (by_x, -scale * sum / n - by_x * m)
            } else {
                (0.0, 0.0)
            };
            let by = [by_x, scale, shift].map(T::from_f64);
            T::vectorised(Combine {
                d,
                c,
                x,
                dy: Some(dy),
                by,
                out: dx,
            });
        }
    });
}

/// `(sum dy, sum dy (x - centre))` of a channel; across planes in f64.
struct Sums<'a, T> {
    d: Planes,
    c: usize,
    x: &'a [T],
    dy: &'a [T],
    centre: T,
}

impl<T: Real> Job<T> for Sums<'_, T> {
    type Out = (f64, f64);

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> (f64, f64) {
        let Planes { b, c, hw } = self.d;
        let centre = s.splat(self.centre);
        let whole = hw / S::LANES * S::LANES;
        let (mut total, mut total_dot) = (0.0, 0.0);
        for n in 0..b {
            let from = (n * c + self.c) * hw;
            let (x, dy) = (&self.x[from..from + hw], &self.dy[from..from + hw]);
            let (mut sum, mut dot) = (s.splat(T::ZERO), s.splat(T::ZERO));
            for i in (0..whole).step_by(S::LANES) {
                let g = s.load(&dy[i..]);
                sum = s.add(sum, g);
                dot = s.fma(g, s.sub(s.load(&x[i..]), centre), dot);
            }
            total += s.sum(sum).to_f64();
            total_dot += s.sum(dot).to_f64();
            for i in whole..hw {
                total += dy[i].to_f64();
                total_dot += (dy[i] * (x[i] - self.centre)).to_f64();
            }
        }
        (total, total_dot)
    }
}
