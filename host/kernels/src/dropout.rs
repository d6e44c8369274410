//! Dropout whose mask is a function of (key, index), so that it depends on neither threads nor order.
//!
//! The mask is never stored: forward and backward call the same [`apply`] with the same key. Bits are
//! SplitMix64 (Steele, Lea, Flood 2014) at counter `index`, one 64-bit word for two elements.

use crate::check::assert_len;
use crate::real::Real;
use crate::simd::{Job, Simd};
use crate::threads;

/// Elements that one thread takes at a time; even, because two elements share a random word.
const CHUNK: usize = 1 << 14;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64: a bijection whose output bits all depend on all input bits.
#[inline(always)]
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key of one mask: `seed` of the run, `layer`, and `step` of training.
pub fn key(seed: u64, layer: u64, step: u64) -> u64 {
    let at = |state: u64, word: u64| mix(state.wrapping_add(GOLDEN).wrapping_add(mix(word)));
    at(at(at(0, seed), layer), step)
}

/// Zeroes each element with probability `p` and scales the others by `1 / (1 - p)`.
/// `x`, `y` of equal length; the gradient is the same call on `dy`.
pub fn apply<T: Real>(key: u64, p: f64, x: &[T], y: &mut [T]) {
    assert_len("y", y, x.len());
    assert!(
        (0.0..=1.0).contains(&p),
        "dropout probability {p} is not between 0 and 1"
    );
    // Drop when 32 random bits are below p * 2^32.
    let threshold = (p * 4_294_967_296.0).round() as u64;
    let scale = T::from_f64(if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 });
    threads::for_each_chunk(y, CHUNK, |chunk, y| {
        let first = chunk * CHUNK;
        T::vectorised(Dropout {
            key,
            first,
            threshold,
            scale,
            x: &x[first..first + y.len()],
            y,
        });
    });
}

struct Dropout<'a, T> {
    key: u64,
    first: usize,
    threshold: u64,
    scale: T,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Real> Job<T> for Dropout<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, _: S) {
        let pairs = self.y.chunks_mut(2).zip(self.x.chunks(2));
        for (i, (y, x)) in pairs.enumerate() {
            let counter = (self.first / 2 + i) as u64 + 1;
            let bits = mix(self.key.wrapping_add(counter.wrapping_mul(GOLDEN)));
            for (lane, (y, &x)) in y.iter_mut().zip(x).enumerate() {
                let random = (bits >> (32 * lane)) & 0xffff_ffff;
                *y = if random < self.threshold {
                    T::ZERO
                } else {
                    x * self.scale
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_and_scale_are_right() {
        let x = vec![1.0f32; 100_001];
        for p in [0.0, 0.25, 0.5, 1.0] {
            let mut y = vec![9.0; x.len()];
            apply(key(1, 2, 3), p, &x, &mut y);
            let dropped = y.iter().filter(|&&v| v == 0.0).count() as f64 / x.len() as f64;
            assert!((dropped - p).abs() < 0.006, "{p}: {dropped}");
            assert!(
                y.iter()
                    .all(|&v| v == 0.0 || (f64::from(v) - 1.0 / (1.0 - p)).abs() < 1e-6)
            );
        }
    }

    #[test]
    fn masks_of_keys_are_unlike_and_of_calls_alike() {
        let x = vec![1.0f64; 50_000];
        let mask = |seed, layer, step| {
            let mut y = vec![0.0; x.len()];
            apply(key(seed, layer, step), 0.5, &x, &mut y);
            y
        };
        assert_eq!(mask(1, 2, 3), mask(1, 2, 3));
        for other in [mask(2, 2, 3), mask(1, 3, 3), mask(1, 2, 4), mask(2, 1, 3)] {
            let same = mask(1, 2, 3)
                .iter()
                .zip(&other)
                .filter(|(a, b)| a == b)
                .count();
            assert!((same as f64 / x.len() as f64 - 0.5).abs() < 0.01);
        }
    }
}
