//! Inverted dropout whose mask is a function of a key and the element's index,
//! so that a resumed run, a kept feature and any number of threads see the same mask.

pub use biorule_kernels::dropout::finalise;
use candle_core::Tensor;

use super::{cpu, on_device};
use crate::Result;

/// Drops elements with probability `p` (resolution 2⁻¹⁶) and scales the rest by
/// `1/(1 − p)`. The same call on a gradient is the backward pass.
pub fn dropout(x: &Tensor, p: f64, key: u64) -> Result<Tensor> {
    on_device!(x, "dropout", cpu: cpu::dropout::apply(x, p, key), cuda: super::cuda::dropout::apply(x, p, key))
}

/// A name as numbers to draw a seed from.
pub fn words(name: &str) -> Vec<u64> {
    let chunk = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    name.as_bytes().chunks(8).map(chunk).collect()
}

/// Mixes words into one key (SplitMix64 finaliser, Steele et al. 2014).
pub fn mix(words: &[u64]) -> u64 {
    words.iter().fold(0x9E37_79B9_7F4A_7C15, |state, word| {
        finalise(state ^ finalise(word.wrapping_add(0x9E37_79B9_7F4A_7C15)))
    })
}
