//! Random numbers whose values are a promise: each use has its own ChaCha8
//! stream, keyed by what it depends on, so that a sample's draw never depends
//! on threads, on the order of calls or on where a run was resumed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream is for; part of its key, so that no two uses share numbers.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Order of samples in an epoch; keyed by (seed, epoch).
    Order = 1,
    /// Choice of samples for a limit and the validation part; keyed by seed.
    Choice = 2,
    /// Augmentation of one sample; keyed by (seed, epoch, sample).
    Augment = 3,
    /// Generated training samples.
    Train = 4,
    /// Generated test samples.
    Test = 5,
    /// A generator's fixed parts, such as the teacher's weights.
    Fixed = 6,
    /// Choice of a test part among samples that have none; keyed by seed.
    TestPart = 7,
    /// Order of the samples that parts are ranges of; keyed by seed.
    Parts = 8,
}

/// The stream for `purpose` under (`seed`, `a`, `b`).
pub(crate) fn stream(purpose: Purpose, seed: u64, a: u64, b: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (slot, word) in key.chunks_exact_mut(8).zip([seed, a, b, purpose as u64]) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A whole number below `n`, by multiplication; the bias is below n / 2^64.
pub(crate) fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A number in [0, 1) with 24 random bits, exact in f32.
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
}

/// A number in [low, high).
pub(crate) fn uniform(rng: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    let value = low + (high - low) * unit(rng);
    if value < high { value } else { low }
}

/// A standard normal number (Box and Muller 1958, the cosine half).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * f64::from(1.0 - unit(rng)).ln()).sqrt();
    (radius * (std::f64::consts::TAU * f64::from(unit(rng))).cos()) as f32
}

/// A random order of 0..n (Fisher and Yates, from the end).
pub(crate) fn permutation(rng: &mut ChaCha8Rng, n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    for last in (1..n).rev() {
        order.swap(last, below(rng, last + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_each_sample_once_and_depends_on_its_key() {
        let order = |seed, epoch| permutation(&mut stream(Purpose::Order, seed, epoch, 0), 500);
        let mut sorted = order(1, 2);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..500).collect::<Vec<u32>>());
        assert_eq!(order(1, 2), order(1, 2));
        assert_ne!(order(1, 2), order(2, 1));
        assert_ne!(order(1, 2), order(1, 3));
    }

    #[test]
    fn the_order_is_the_same_on_every_machine_and_in_every_version() {
        // Computed apart, from the ChaCha8 definition in Python. Changing the order
        // would break the resume of every stored run.
        let order = permutation(&mut stream(Purpose::Order, 7, 0, 0), 10);
        assert_eq!(order, GOLDEN_ORDER);
    }
    const GOLDEN_ORDER: [u32; 10] = [5, 7, 0, 4, 1, 9, 3, 8, 6, 2];

    #[test]
    fn normal_numbers_have_mean_0_and_deviation_1() {
        let mut rng = stream(Purpose::Train, 3, 0, 0);
        let n = 40_000;
        let draws: Vec<f64> = (0..n).map(|_| f64::from(normal(&mut rng))).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let var = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(
            mean.abs() < 0.02 && (var - 1.0).abs() < 0.03,
            "mean {mean}, variance {var}"
        );
    }
}
