//! Random numbers by key: each is a function of seed, sample, method and step.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::method::Method;
use crate::data::random::{normal, unit};

/// A generator of random numbers whose values are a promise.
pub type Stream = ChaCha8Rng;

/// Where an attack's random numbers come from.
pub trait Noise {
    /// The generator of sample `sample` at step `step`.
    fn stream(&self, sample: u64, step: u64) -> Stream;

    /// Numbers uniform in [0, 1) that an attack on `sample` starts from.
    fn uniform(&self, sample: u64, out: &mut [f32]) {
        let mut rng = self.stream(sample, 0);
        out.iter_mut().for_each(|v| *v = unit(&mut rng));
    }

    /// Standard normal numbers that an attack on `sample` starts from.
    fn normal(&self, sample: u64, out: &mut [f32]) {
        let mut rng = self.stream(sample, 0);
        out.iter_mut().for_each(|v| *v = normal(&mut rng));
    }
}

/// ChaCha8 under (seed, sample, method, step). Strengths of one method share their numbers, so that
/// a curve over strengths shows the strength alone.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    seed: u64,
    method: u64,
}

impl Keyed {
    /// That of `method` under `seed`.
    #[must_use]
    pub fn new(seed: u64, method: &Method) -> Self {
        // FNV-1a of the name: methods may be added without moving the numbers of others.
        let hash = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        let method = method.name().bytes().fold(0xcbf2_9ce4_8422_2325, hash);
        Self { seed, method }
    }
}

impl Noise for Keyed {
    fn stream(&self, sample: u64, step: u64) -> Stream {
        let mut key = [0u8; 32];
        let words = [self.seed, sample, self.method, step];
        for (slot, word) in key.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}
