//! Dropout whose mask is a function of (key, index), so that it depends on neither threads nor order.
//!
//! The mask is never stored: forward and backward make the same one from the same key. Its bits are
//! SplitMix64 (Steele, Lea, Flood 2014) at counter `index / 4 + 1`: one 64-bit word for four elements,
//! sixteen bits each.

use crate::check::assert_len;
use crate::real::Real;
use crate::simd::{Job, Simd};
use crate::threads;

/// Elements that one thread takes at a time; a multiple of four.
const CHUNK: usize = 1 << 14;
/// Words that are made at a time.
const WORDS: usize = 64;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64: a bijection whose output bits all depend on all input bits.
#[inline(always)]
pub fn finalise(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The word that decides elements `4 * block .. 4 * block + 4`.
#[inline(always)]
fn word(key: u64, block: usize) -> u64 {
    finalise(key.wrapping_add((block as u64 + 1).wrapping_mul(GOLDEN)))
}

/// A dropout mask that is computed, not stored.
#[derive(Clone, Copy, Debug)]
pub struct Mask<T> {
    key: u64,
    threshold: u32,
    scale: T,
}

impl<T: Real> Mask<T> {
    /// Zeroes each element with probability `p` (resolution 2^-16) and scales the others by
    /// `1 / (1 - p)`.
    pub fn new(p: f64, key: u64) -> Self {
        Self {
            key,
            threshold: (p.clamp(0.0, 1.0) * 65536.0).round() as u32,
            scale: T::from_f64(if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 }),
        }
    }

    /// `y = mask * x`, where the first element has index `start` in its tensor.
    pub fn write(&self, start: usize, x: &[T], y: &mut [T]) {
        assert_len("y", y, x.len());
        T::vectorised(Write {
            mask: *self,
            start,
            x,
            y,
        });
    }

    #[inline(always)]
    fn one(&self, bits: u16, x: T) -> T {
        if u32::from(bits) < self.threshold {
            T::ZERO
        } else {
            x * self.scale
        }
    }

    /// What happens to the element of index `i`: the definition.
    #[inline(always)]
    fn at(&self, i: usize, x: T) -> T {
        self.one((word(self.key, i / 4) >> (16 * (i % 4))) as u16, x)
    }
}

/// `y = mask * x` on all threads; the gradient is the same call on `dy`.
pub fn apply<T: Real>(mask: &Mask<T>, x: &[T], y: &mut [T]) {
    assert_len("y", y, x.len());
    threads::for_each_chunk(y, CHUNK, |i, y| {
        mask.write(i * CHUNK, &x[i * CHUNK..][..y.len()], y);
    });
}

struct Write<'a, T> {
    mask: Mask<T>,
    start: usize,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Real> Job<T> for Write<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, _: S) {
        let mask = self.mask;
        let head = ((4 - self.start % 4) % 4).min(self.x.len());
        let whole = head + (self.x.len() - head) / 4 * 4;
        for i in (0..head).chain(whole..self.x.len()) {
            self.y[i] = mask.at(self.start + i, self.x[i]);
        }
        // First all bits of a block, then all elements: two loops that compile to vector code.
        let mut bits = [0u16; 4 * WORDS];
        let mut block = (self.start + head) / 4;
        let parts = self.y[head..whole].chunks_mut(4 * WORDS);
        for (y, x) in parts.zip(self.x[head..whole].chunks(4 * WORDS)) {
            for (i, bits) in bits[..x.len()].chunks_exact_mut(4).enumerate() {
                let word = word(mask.key, block + i);
                for (lane, bits) in bits.iter_mut().enumerate() {
                    *bits = (word >> (16 * lane)) as u16;
                }
            }
            for ((y, &x), &bits) in y.iter_mut().zip(x).zip(&bits) {
                *y = mask.one(bits, x);
            }
            block += WORDS;
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
            apply(&Mask::new(p, 77), &x, &mut y);
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
        let mask = |key| {
            let mut y = vec![0.0; x.len()];
            apply(&Mask::new(0.5, key), &x, &mut y);
            y
        };
        assert_eq!(mask(1), mask(1));
        for other in [mask(2), mask(1 << 40), mask(u64::MAX)] {
            let same = mask(1).iter().zip(&other).filter(|(a, b)| a == b).count() as f64;
            assert!((same / x.len() as f64 - 0.5).abs() < 0.02);
        }
    }

    #[test]
    fn any_part_of_a_mask_is_the_definition() {
        let x: Vec<f32> = (0..1500).map(|i| i as f32 + 1.0).collect();
        let mask = Mask::new(0.3, 9);
        for (start, len) in [(0, 1500), (1, 2), (3, 700), (5, 1), (6, 1301), (257, 0)] {
            let mut y = vec![f32::NAN; len];
            mask.write(start, &x[..len], &mut y);
            for (i, &y) in y.iter().enumerate() {
                assert_eq!(y, mask.at(start + i, x[i]), "element {i} from {start}");
            }
        }
    }
}
