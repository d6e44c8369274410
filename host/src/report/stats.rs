//! How much of a number is luck: intervals of shares, of means over seeds, and of differences between
//! two networks on the same images.

pub use crate::run::paired::student;
pub use crate::run::summary::mean_and_deviation as spread;

/// 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a share of which `right` of `samples` are seen (E. B. Wilson, "Probable
/// inference, the law of succession, and statistical inference", 1927).
#[must_use]
pub fn wilson(right: f64, samples: u64) -> (f64, f64) {
    let n = samples as f64;
    if samples == 0 {
        return (0.0, 1.0);
    }
    let share = right / n;
    let middle = share + Z * Z / (2.0 * n);
    let reach = Z * ((share * (1.0 - share) + Z * Z / (4.0 * n)) / n).sqrt();
    let whole = 1.0 + Z * Z / n;
    ((middle - reach) / whole, (middle + reach) / whole)
}

/// Two networks on the same images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Share right of the first less that of the second.
    pub difference: f64,
    /// 95 % interval of the difference.
    pub interval: (f64, f64),
    /// Images or seeds that are paired.
    pub pairs: u64,
    /// What is paired.
    pub over: Over,
    /// Images that only the first has right, and only the second.
    pub only: (u64, u64),
    /// Probability of a difference so large where there is none (McNemar's exact test), over images.
    pub p: Option<f64>,
}

/// What a paired interval covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Other test images of the same kind.
    Images,
    /// Other seeds.
    Seeds,
}

impl Paired {
    /// Of answers to the same images: `first` and `second` are right or not, image by image. The
    /// interval is that of A. Agresti and Y. Min, "Simple improved confidence intervals for comparing
    /// matched proportions" (2005): half an image is added to each of the four cells. `None` without
    /// images.
    #[must_use]
    pub fn images(answers: impl Iterator<Item = (bool, bool)>) -> Option<Self> {
        let (mut pairs, mut only) = (0u64, (0u64, 0u64));
        for (first, second) in answers {
            pairs += 1;
            only.0 += u64::from(first && !second);
            only.1 += u64::from(second && !first);
        }
        if pairs == 0 {
            return None;
        }
        let (b, c, n) = (only.0 as f64 + 0.5, only.1 as f64 + 0.5, pairs as f64 + 2.0);
        let middle = (b - c) / n;
        let reach = Z * ((b + c) - (b - c).powi(2) / n).max(0.0).sqrt() / n;
        Some(Self {
            difference: (only.0 as f64 - only.1 as f64) / pairs as f64,
            interval: (middle - reach, middle + reach),
            pairs,
            over: Over::Images,
            only,
            p: Some(mcnemar(only.0, only.1)),
        })
    }

    /// Of differences between two networks with the same seed, at least two.
    #[must_use]
    pub fn seeds(differences: &[f64]) -> Option<Self> {
        let (mean, deviation) = spread(differences);
        let n = differences.len();
        let reach = student(n.checked_sub(1)?) * deviation? / (n as f64).sqrt();
        Some(Self {
            difference: mean,
            interval: (mean - reach, mean + reach),
            pairs: n as u64,
            over: Over::Seeds,
            only: (0, 0),
            p: None,
        })
    }

    /// Whether the interval excludes no difference.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.interval.0 > 0.0 || self.interval.1 < 0.0
    }
}

/// McNemar's exact test, two-sided: the probability that fair coins fall as unequally as `b` to `c`.
fn mcnemar(b: u64, c: u64) -> f64 {
    let (n, few) = (b + c, b.min(c));
    // Terms of the binomial distribution as logarithms: 2^-n is 0 for many images.
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut sum = 0.0;
    for k in 0..=few {
        sum += term.exp();
        term += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_wilson() {
        // 7 752 of 10 000: 76.69 to 78.33 %.
        let (low, high) = wilson(7752.0, 10_000);
        assert!(
            (low - 0.766_91).abs() < 1e-4 && (high - 0.783_27).abs() < 1e-4,
            "{low} {high}"
        );
        assert_eq!(wilson(0.0, 0), (0.0, 1.0));
    }

    #[test]
    fn pairs_of_images_and_of_seeds() {
        // 9 to 2 of 100: exact p is 2·(1 + 11 + 55) / 2^11.
        let answers = (0..100).map(|i| (i >= 2, !(2..11).contains(&i)));
        let paired = Paired::images(answers).unwrap();
        assert_eq!((paired.only, paired.pairs), ((9, 2), 100));
        assert!((paired.difference - 0.07).abs() < 1e-12);
        assert!((paired.p.unwrap() - 134.0 / 2048.0).abs() < 1e-12);
        assert!(
            !Paired::images((0..9).map(|_| (true, true)))
                .unwrap()
                .is_clear()
        );
        assert_eq!(Paired::images(std::iter::empty()), None);
        assert!((mcnemar(5000, 5000) - 1.0).abs() < 1e-9);
        let seeds = Paired::seeds(&[0.01, 0.02, 0.03]).unwrap();
        assert!((seeds.interval.1 - (0.02 + 4.303 * 0.01 / 3f64.sqrt())).abs() < 1e-9);
        assert_eq!(Paired::seeds(&[0.1]), None);
    }
}
