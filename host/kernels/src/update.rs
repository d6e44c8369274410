//! The end of a local step, on rows of a weight `[K, D]`: the change, its size, the update, the norms.
//!
//! `delta = c - q w` and its largest magnitude in one pass, `w += scale delta` in a second, and the
//! p-norm of every row (SoftHebb section 1.3 to 1.5; Krotov's step is the same with other scales).

use crate::check::assert_len;
use crate::real::Real;
use crate::simd::{Job, Simd};
use crate::threads::{self, Shared};

/// Elements that one task takes at a time, in whole rows.
const CHUNK: usize = 1 << 14;

/// Calls `f(row)` for every row of `d` elements, many short rows to a task.
fn for_each_row(k: usize, d: usize, f: impl Fn(usize) + Sync + Send) {
    let many = (CHUNK / d.max(1)).max(1);
    threads::for_each(k.div_ceil(many), |task| {
        (task * many..k.min((task + 1) * many)).for_each(&f);
    });
}

/// Writes `delta = c - q[k] w` (`[K, D]`) and the largest `|delta|` of each row to `row_max` (`[K]`).
/// `weight`, `c`: `[K, D]`, `q`: `[K]`.
pub fn delta<T: Real>(
    d: usize,
    weight: &[T],
    q: &[T],
    c: &[T],
    delta: &mut [T],
    row_max: &mut [T],
) {
    let k = q.len();
    assert_len("weight", weight, k * d);
    assert_len("correlation", c, k * d);
    assert_len("delta", delta, k * d);
    assert_len("row_max", row_max, k);
    let (delta, most) = (Shared::new(delta), Shared::new(row_max));
    for_each_row(k, d, |row| {
        // SAFETY: row `row` of both is touched by this call alone.
        let (delta, most) = unsafe { (delta.part(row * d, d), most.part(row, 1)) };
        most[0] = T::vectorised(Delta {
            weight: &weight[row * d..][..d],
            q: q[row],
            c: &c[row * d..][..d],
            delta,
        });
    });
}

struct Delta<'a, T> {
    weight: &'a [T],
    q: T,
    c: &'a [T],
    delta: &'a mut [T],
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
            s.store(&mut self.delta[i..], delta);
            poison = s.fma(delta, zero, poison);
            most = s.max(most, s.abs(delta));
        }
        let mut most = s.max_lane(most) + s.sum(poison);
        for i in whole..self.c.len() {
            self.delta[i] = self.c[i] - self.q * self.weight[i];
            let size = self.delta[i].abs();
            most = if size > most || size.is_nan() {
                size
            } else {
                most
            };
        }
        most
    }
}

/// `weight[k] += scale[k] * delta[k]` for every row. `weight`, `delta`: `[K, D]`.
pub fn apply<T: Real>(d: usize, scale: &[T], delta: &[T], weight: &mut [T]) {
    let k = scale.len();
    assert_len("delta", delta, k * d);
    assert_len("weight", weight, k * d);
    let weight = Shared::new(weight);
    for_each_row(k, d, |row| {
        T::vectorised(Apply {
            scale: scale[row],
            delta: &delta[row * d..][..d],
            // SAFETY: row `row` is touched by this call alone.
            weight: unsafe { weight.part(row * d, d) },
        });
    });
}

struct Apply<'a, T> {
    scale: T,
    delta: &'a [T],
    weight: &'a mut [T],
}

impl<T: Real> Job<T> for Apply<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let scale = s.splat(self.scale);
        let whole = self.weight.len() / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let w = s.fma(scale, s.load(&self.delta[i..]), s.load(&self.weight[i..]));
            s.store(&mut self.weight[i..], w);
        }
        for i in whole..self.weight.len() {
            self.weight[i] += self.scale * self.delta[i];
        }
    }
}

/// The p-norm `(sum |w|^p)^(1/p)` of each row of `weight: [K, D]`.
pub fn row_norms<T: Real>(d: usize, p: f64, weight: &[T], norms: &mut [T]) {
    let k = norms.len();
    assert_len("weight", weight, k * d);
    let norms = Shared::new(norms);
    for_each_row(k, d, |row| {
        let weight = &weight[row * d..][..d];
        // SAFETY: element `row` is touched by this call alone.
        let to = unsafe { norms.part(row, 1) };
        to[0] = norm(p, weight);
    });
}

/// Largest order whose power is taken by multiplications.
const WHOLE: usize = 8;

fn norm<T: Real>(p: f64, w: &[T]) -> T {
    if p == 2.0 {
        return T::vectorised(Powers { p: 2, w }).sqrt();
    }
    let sum = if (1..=WHOLE).any(|n| n as f64 == p) {
        T::vectorised(Powers { p: p as usize, w }).to_f64()
    } else {
        w.iter().map(|w| w.abs().to_f64().powf(p)).sum()
    };
    T::from_f64(sum.powf(1.0 / p))
}

/// `sum |w|^p` for a whole p, in four sums that do not wait for each other.
struct Powers<'a, T> {
    p: usize,
    w: &'a [T],
}

impl<T: Real> Job<T> for Powers<'_, T> {
    type Out = T;

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> T {
        let mut sums = [s.splat(T::ZERO); 4];
        let whole = self.w.len() / S::LANES * S::LANES;
        for (i, w) in self.w[..whole].chunks_exact(S::LANES).enumerate() {
            let size = s.abs(s.load(w));
            let mut power = s.splat(T::ONE);
            for _ in 1..self.p {
                power = s.mul(power, size);
            }
            // The last multiplication is the one that adds up.
            sums[i % 4] = s.fma(power, size, sums[i % 4]);
        }
        let pairs = s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]));
        self.w[whole..].iter().fold(s.sum(pairs), |sum, w| {
            sum + (1..self.p).fold(w.abs(), |v, _| v * w.abs())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_equations_in_double_precision() {
        let fill = |n: usize, f: f64| (0..n).map(|i| (i as f64 * f).sin()).collect::<Vec<f64>>();
        for (k, d) in [(5, 37), (3, 1), (700, 3), (2, 40_000)] {
            let (w, c) = (fill(k * d, 0.7), fill(k * d, 1.1));
            let (q, scale) = (fill(k, 2.0), fill(k, 3.0));
            let expected: Vec<f64> = (0..k * d).map(|i| c[i] - q[i / d] * w[i]).collect();
            let (mut change, mut row_max) = (vec![f64::NAN; k * d], vec![f64::NAN; k]);
            delta(d, &w, &q, &c, &mut change, &mut row_max);
            let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14);
            assert!(near(&change, &expected));
            for (row, most) in expected.chunks(d).zip(&row_max) {
                let largest = row.iter().fold(0.0, |m, v| f64::max(m, v.abs()));
                assert!((most - largest).abs() < 1e-14);
            }
            let mut moved = w.clone();
            apply(d, &scale, &change, &mut moved);
            let new: Vec<f64> = (0..k * d)
                .map(|i| w[i] + scale[i / d] * expected[i])
                .collect();
            assert!(near(&moved, &new));
        }
    }

    #[test]
    fn norms_match_the_definition_for_every_order() {
        let (k, d) = (3, 103);
        let w: Vec<f64> = (0..k * d).map(|i| (i as f64 * 0.7).sin()).collect();
        for p in [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 7.0, 8.0, 9.0] {
            let mut norms = vec![0.0; k];
            row_norms(d, p, &w, &mut norms);
            for (row, norm) in w.chunks(d).zip(norms) {
                let sum: f64 = row.iter().map(|w| w.abs().powf(p)).sum();
                assert!((norm - sum.powf(1.0 / p)).abs() < 1e-12, "order {p}");
            }
        }
    }

    #[test]
    fn a_not_a_number_is_not_lost() {
        for at in 0..19 {
            let mut c = vec![1.0f32; 19];
            c[at] = f32::NAN;
            let mut most = [0.0];
            delta(19, &[0.0; 19], &[0.0], &c, &mut [0.0; 19], &mut most);
            assert!(most[0].is_nan(), "{at}");
        }
    }
}
