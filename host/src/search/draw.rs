//! Everything random in a search is keyed: a draw depends on the seed, what it is for and its
//! number alone, so that a resumed search draws what the uninterrupted one would have drawn.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

/// What a stream of numbers is for; part of its key, so that no two uses share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// A whole genotype; keyed by its number.
    Genotype = 1,
    /// Parents of an evolution; keyed by the number of the child.
    Parents = 2,
    /// A change of a genotype; keyed by the number of the child.
    Mutation = 3,
    /// Samples of CMA-ES; keyed by exploration and generation.
    Cma = 4,
    /// The first architecture weights; keyed by the cell.
    Alphas = 5,
    /// Noise on architecture weights; keyed by step and cell.
    Noise = 6,
    /// An order in which edges are looked at.
    Order = 7,
    /// The value of a parameter of a sweep; keyed by trial and name.
    Parameter = 8,
    /// What shifts a dimension of a quasi-random sequence; keyed by the parameter's name.
    Shift = 9,
    /// A proposal that a sweep compares with others; keyed by trial and place.
    Candidate = 10,
    /// A sample of a sweep by CMA-ES; keyed by generation and place.
    Generation = 11,
    /// A tree of a forest that explains a sweep; keyed by the tree.
    Forest = 12,
}

/// A stream of numbers.
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream for `purpose` under (`seed`, `a`, `b`).
    #[must_use]
    pub fn new(purpose: Purpose, seed: u64, a: u64, b: u64) -> Self {
        // Training draws with small numbers for its purposes.
        let purpose = (purpose as u64) | 0x5EA2_C400_0000_0000;
        let mut key = [0; 32];
        for (slot, word) in key.chunks_exact_mut(8).zip([seed, a, b, purpose]) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A whole number below `n`; the bias is below n / 2^64.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// A standard normal number (Box and Muller 1958, the cosine half).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A standard Gumbel number, `−ln(−ln u)`.
    pub fn gumbel(&mut self) -> f64 {
        // 1 − u is in (0, 1], and a half step more keeps both logarithms finite.
        let u = (1.0 - self.unit()).min(1.0 - f64::EPSILON / 2.0);
        -(-u.ln()).ln()
    }

    /// `count` different numbers below `n`, in the order drawn; all of them where `count` is `n`.
    pub fn choose(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        let count = count.min(n);
        for i in 0..count {
            let other = i + self.below(n - i);
            all.swap(i, other);
        }
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_function_of_its_key() {
        let first = |purpose, seed, a, b| Draw::new(purpose, seed, a, b).unit().to_bits();
        let one = first(Purpose::Genotype, 1, 2, 3);
        assert_eq!(one, first(Purpose::Genotype, 1, 2, 3));
        for other in [
            first(Purpose::Mutation, 1, 2, 3),
            first(Purpose::Genotype, 2, 2, 3),
            first(Purpose::Genotype, 1, 3, 3),
            first(Purpose::Genotype, 1, 2, 4),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_choice_has_no_number_twice_and_reaches_all() {
        let mut seen = [0; 5];
        for i in 0..200 {
            let mut chosen = Draw::new(Purpose::Order, 0, i, 0).choose(5, 3);
            assert_eq!(chosen.len(), 3);
            chosen.iter().for_each(|n| seen[*n] += 1);
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 3);
        }
        // 120 expected of each; ten standard deviations are 69.
        assert!(seen.iter().all(|n| (51..190).contains(n)), "{seen:?}");
    }

    #[test]
    fn normal_and_gumbel_have_their_means_and_variances() {
        let mut draw = Draw::new(Purpose::Noise, 3, 0, 0);
        let moments = |mut next: Box<dyn FnMut() -> f64 + '_>| {
            let n = 40_000;
            let all: Vec<f64> = (0..n).map(|_| next()).collect();
            let mean = all.iter().sum::<f64>() / f64::from(n);
            let variance = all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
            (mean, variance)
        };
        let (mean, variance) = moments(Box::new(|| draw.normal()));
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05,
            "{mean} {variance}"
        );
        // Euler's constant and π²/6.
        let (mean, variance) = moments(Box::new(|| draw.gumbel()));
        assert!((mean - 0.5772).abs() < 0.04, "{mean}");
        assert!((variance - 1.6449).abs() < 0.15, "{variance}");
    }
}
