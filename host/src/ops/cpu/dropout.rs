//! Dropout on slices. Four elements share one 64-bit word, sixteen bits each.

use candle_core::Tensor;
use rayon::prelude::*;

use super::real::{Real, by_dtype, read, tensor, zeros};
use crate::Result;
use crate::ops::dropout::finalise;

/// Elements a task takes at a time; a multiple of four.
const CHUNK: usize = 1 << 14;

/// See [`crate::ops::dropout::dropout`].
pub fn apply(x: &Tensor, p: f64, key: u64) -> Result<Tensor> {
    by_dtype!(x, T => apply_typed::<T>(x, p, key))
}

fn apply_typed<T: Real>(x: &Tensor, p: f64, key: u64) -> Result<Tensor> {
    let mask = Mask::<T>::new(p, key);
    let mut out = zeros::<T>(x.elem_count());
    read::<T, _>(x, |x| {
        out.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .enumerate()
            .for_each(|(i, (out, x))| mask.write(i * CHUNK, x, out));
    })?;
    tensor(out, x.dims())
}

/// A dropout mask that is computed, not stored.
#[derive(Clone, Copy)]
pub struct Mask<T> {
    key: u64,
    threshold: u64,
    scale: T,
}

impl<T: Real> Mask<T> {
    /// Drop probability `p`, key of this layer and step.
    pub fn new(p: f64, key: u64) -> Self {
        Self {
            key,
            threshold: (p.clamp(0.0, 1.0) * 65536.0).round() as u64,
            scale: T::of(if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 }),
        }
    }

    /// The word that decides elements `4·block .. 4·block + 4`.
    #[inline(always)]
    fn word(&self, block: usize) -> u64 {
        finalise(
            self.key
                .wrapping_add((block as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        )
    }

    #[inline(always)]
    fn one(&self, word: u64, lane: usize, x: T) -> T {
        if (word >> (16 * lane)) & 0xFFFF < self.threshold {
            T::ZERO
        } else {
            x * self.scale
        }
    }

    /// `out = mask ∘ x`, where the first element has index `start` in its tensor.
    pub fn write(&self, start: usize, x: &[T], out: &mut [T]) {
        let head = (4 - start % 4) % 4;
        let head = head.min(x.len());
        for i in 0..head {
            let index = start + i;
            out[i] = self.one(self.word(index / 4), index % 4, x[i]);
        }
        let first = (start + head) / 4;
        let blocks = out[head..].chunks_mut(4).zip(x[head..].chunks(4));
        for (block, (out, x)) in blocks.enumerate() {
            let word = self.word(first + block);
            for (lane, (o, x)) in out.iter_mut().zip(x).enumerate() {
                *o = self.one(word, lane, *x);
            }
        }
    }
}
