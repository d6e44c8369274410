//! The end of a local step: the change of weights, its scale, the update and the new norms.
//!
//! `delta = c - q w` and its largest magnitude in one pass, `w += eta delta` with the new p-norm of
//! every row in a second (SoftHebb section 1.3 to 1.5; Krotov's step is the same with other scales).

use crate::check::assert_len;
use crate::real::Real;
use crate::simd::{Job, Simd};
use crate::threads::{self, Shared};

/// Turns `c` (`[K, D]`, the correlation) into `delta = c - q[k] w` and writes the largest
/// `|delta|` of each row to `row_max` (`[K]`). Returns the largest of all.
pub fn delta<T: Real>(d: usize, weight: &[T], q: &[T], c: &mut [T], row_max: &mut [T]) -> T {
    let k = q.len();
    assert_len("weight", weight, k * d);
    assert_len("correlation", c, k * d);
    assert_len("row_max", row_max, k);
    let (c, most) = (Shared::new(c), Shared::new(row_max));
    threads::for_each(k, |row| {
        // SAFETY: row `row` of both is touched by this call alone.
        let (c, most) = unsafe { (c.part(row * d, d), most.part(row, 1)) };
        most[0] = T::vectorised(Delta {
            weight: &weight[row * d..][..d],
            q: q[row],
            c,
        });
    });
    max_abs(row_max)
}

struct Delta<'a, T> {
    weight: &'a [T],
    q: T,
    c: &'a mut [T],
}

impl<T: Real> Job<T> for Delta<'_, T> {
    type Out = T;

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> T {
        let q = s.splat(-self.q);
        let (zero, mut most) = (s.splat(T::ZERO), s.splat(T::ZERO));
        // Stays 0 unless a value is not finite: a maximum alone would lose a not-a-number.
        let mut poison = zero;
        let whole = self.c.len() / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let delta = s.fma(q, s.load(&self.weight[i..]), s.load(&self.c[i..]));
            s.store(&mut self.c[i..], delta);
            poison = s.fma(delta, zero, poison);
            most = s.max(most, s.abs(delta));
        }
        let mut most = s.max_lane(most) + s.sum(poison);
        for i in whole..self.c.len() {
            self.c[i] -= self.q * self.weight[i];
            let size = self.c[i].abs();
            most = if size > most || size.is_nan() {
                size
            } else {
                most
            };
        }
        most
    }
}

/// Largest magnitude, 0 of nothing.
pub fn max_abs<T: Real>(x: &[T]) -> T {
    x.iter().fold(T::ZERO, |most, v| {
        if v.abs() > most || v.is_nan() {
            v.abs()
        } else {
            most
        }
    })
}

/// `weight[k] += scale[k] * delta[k]` for every row, and the new p-norm of each row in `norms`
/// (`(sum |w|^p)^(1/p)`). `weight`, `delta`: `[K, D]`.
pub fn apply<T: Real>(
    d: usize,
    p: f64,
    scale: &[T],
    delta: &[T],
    weight: &mut [T],
    norms: &mut [T],
) {
    let k = scale.len();
    assert_len("delta", delta, k * d);
    assert_len("weight", weight, k * d);
    assert_len("norms", norms, k);
    let (weight, norms) = (Shared::new(weight), Shared::new(norms));
    threads::for_each(k, |row| {
        // SAFETY: row `row` of both is touched by this call alone.
        let (weight, norm) = unsafe { (weight.part(row * d, d), norms.part(row, 1)) };
        let job = Apply {
            p,
            scale: scale[row],
            delta: &delta[row * d..][..d],
            weight,
        };
        norm[0] = T::vectorised(job);
    });
}

struct Apply<'a, T> {
    p: f64,
    scale: T,
    delta: &'a [T],
    weight: &'a mut [T],
}

impl<T: Real> Job<T> for Apply<'_, T> {
    type Out = T;

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> T {
        let scale = s.splat(self.scale);
        let (mut even, mut odd) = (s.splat(T::ZERO), s.splat(T::ZERO));
        let whole = self.weight.len() / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let w = s.fma(scale, s.load(&self.delta[i..]), s.load(&self.weight[i..]));
            s.store(&mut self.weight[i..], w);
            (even, odd) = (odd, s.fma(w, w, even));
        }
        let mut squares = s.sum(s.add(even, odd));
        for i in whole..self.weight.len() {
            self.weight[i] += self.scale * self.delta[i];
            squares += self.weight[i] * self.weight[i];
        }
        if self.p == 2.0 {
            squares.sqrt()
        } else {
            norm(self.p, self.weight)
        }
    }
}

/// `(sum |w|^p)^(1/p)`.
pub fn norm<T: Real>(p: f64, w: &[T]) -> T {
    let sum: f64 = w.iter().map(|w| w.abs().to_f64().powf(p)).sum();
    T::from_f64(sum.powf(1.0 / p))
}

/// The p-norm of each row of `weight: [K, D]`.
pub fn row_norms<T: Real>(d: usize, p: f64, weight: &[T], norms: &mut [T]) {
    assert_len("weight", weight, norms.len() * d);
    threads::for_each_chunk(norms, 16, |chunk, norms| {
        for (i, n) in norms.iter_mut().enumerate() {
            *n = norm(p, &weight[(chunk * 16 + i) * d..][..d]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_equations_in_double_precision() {
        let (k, d) = (5, 37);
        let fill = |n: usize, f: f64| (0..n).map(|i| (i as f64 * f).sin()).collect::<Vec<f64>>();
        let (w, c, q, scale) = (
            fill(k * d, 0.7),
            fill(k * d, 1.1),
            fill(k, 2.0),
            fill(k, 3.0),
        );
        let expected: Vec<f64> = (0..k * d).map(|i| c[i] - q[i / d] * w[i]).collect();
        for p in [2.0, 3.0, 2.5] {
            let (mut change, mut row_max, mut moved, mut norms) =
                (c.clone(), vec![0.0; k], w.clone(), vec![0.0; k]);
            let most = delta(d, &w, &q, &mut change, &mut row_max);
            apply(d, p, &scale, &change, &mut moved, &mut norms);
            assert!(
                change
                    .iter()
                    .zip(&expected)
                    .all(|(a, b)| (a - b).abs() < 1e-14)
            );
            assert_eq!(most, change.iter().fold(0.0, |m, v| f64::max(m, v.abs())));
            for row in 0..k {
                let new: Vec<f64> = (row * d..row * d + d)
                    .map(|i| w[i] + scale[row] * expected[i])
                    .collect();
                let sum: f64 = new.iter().map(|w| w.abs().powf(p)).sum();
                assert!((norms[row] - sum.powf(1.0 / p)).abs() < 1e-12);
                assert!(
                    moved[row * d..][..d]
                        .iter()
                        .zip(&new)
                        .all(|(a, b)| (a - b).abs() < 1e-14)
                );
            }
        }
    }

    #[test]
    fn a_not_a_number_is_not_lost() {
        for at in 0..19 {
            let mut c = vec![1.0f32; 19];
            c[at] = f32::NAN;
            assert!(
                delta(19, &[0.0; 19], &[0.0], &mut c, &mut [0.0]).is_nan(),
                "{at}"
            );
        }
    }
}
