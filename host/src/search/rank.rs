//! How well one value of genotypes ranks them as another does.

use crate::plan::define::{settings, words};

words! {
    /// A value of a genotype that costs no training.
    pub enum By {
        /// Its accuracy inside a trained supernet, by the statistics of each batch.
        SupernetFresh = "supernet-fresh",
        /// The same by the running statistics.
        SupernetStale = "supernet-stale",
        /// See [`Proxy`](super::evaluate::Proxy).
        Synflow = "synflow",
        /// Trained numbers.
        Parameters = "parameters",
        /// Products for one sample, forward.
        MultiplyAdds = "multiply_adds",
    }
}

settings! {
    /// What is compared with the accuracy after training, once a search is over.
    pub struct RankPlan at "search.rank" {
        /// values that cost no training, each compared with the accuracy after training by Kendall's τ:
        /// `supernet-fresh` and `supernet-stale` (inside a trained supernet, with the statistics of each batch or
        /// the running ones), `synflow`, `parameters`, `multiply_adds`
        by: Vec<By> = ["supernet-fresh", "supernet-stale", "synflow", "parameters", "multiply_adds"];
        /// the folder `supernet` of a search by `darts`, `gdas` or `eg` in the same space, on the same data
        supernet: Option<String>;
    }
}

impl By {
    /// Whether a supernet says it.
    #[must_use]
    pub fn is_of_supernet(self) -> bool {
        matches!(self, Self::SupernetFresh | Self::SupernetStale)
    }
}

/// How two rankings agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Kendall's τ-b, −1 to 1; `None` where one of the two says the same of all.
    pub tau: Option<f64>,
    /// Pairs of values.
    pub samples: usize,
}

/// Kendall's τ-b of `x` and `y` (Kendall 1945), which counts pairs that are tied in one of them as
/// neither: `(P − Q)/√((P + Q + X)(P + Q + Y))` for `P` concordant and `Q` discordant pairs, `X` pairs
/// tied in `x` alone and `Y` in `y` alone. Places where either is not a number are left out.
#[must_use]
pub fn kendall(x: &[f64], y: &[f64]) -> Agreement {
    let pairs = x.iter().zip(y);
    let both: Vec<(f64, f64)> = pairs
        .map(|(x, y)| (*x, *y))
        .filter(|(x, y)| !x.is_nan() && !y.is_nan())
        .collect();
    let (mut more, mut less, mut tied_x, mut tied_y) = (0.0, 0.0, 0.0, 0.0);
    for (i, a) in both.iter().enumerate() {
        for b in &both[i + 1..] {
            let (dx, dy) = (a.0.partial_cmp(&b.0), a.1.partial_cmp(&b.1));
            let (Some(dx), Some(dy)) = (dx, dy) else {
                continue;
            };
            match (dx.is_eq(), dy.is_eq()) {
                (true, true) => {}
                (true, false) => tied_x += 1.0,
                (false, true) => tied_y += 1.0,
                (false, false) if dx == dy => more += 1.0,
                (false, false) => less += 1.0,
            }
        }
    }
    let below: f64 = (more + less + tied_x) * (more + less + tied_y);
    Agreement {
        tau: (below > 0.0).then(|| (more - less) / below.sqrt()),
        samples: both.len(),
    }
}

/// The |τ| that 1 in 20 unrelated rankings of `samples` values without ties exceeds, by the normal
/// approximation.
#[must_use]
pub fn by_chance(samples: usize) -> f64 {
    let n = samples as f64;
    1.96 * (2.0 * (2.0 * n + 5.0) / (9.0 * n * (n - 1.0))).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tau(x: &[f64], y: &[f64]) -> f64 {
        kendall(x, y).tau.expect("a value")
    }

    /// The first is the example of SciPy's `kendalltau`; the others are counted by hand.
    #[test]
    fn known_values_are_found() {
        let x = [12.0, 2.0, 1.0, 12.0, 2.0];
        let y = [1.0, 4.0, 7.0, 1.0, 0.0];
        assert!((tau(&x, &y) + 0.471_404_520_791_031_73).abs() < 1e-15);
        let up = [1.0, 2.0, 3.0, 4.0, 5.0];
        let down = [5.0, 4.0, 3.0, 2.0, 1.0];
        assert_eq!(tau(&up, &up), 1.0);
        assert_eq!(tau(&up, &down), -1.0);
        // Of ten pairs one is turned round.
        assert!((tau(&up, &[1.0, 3.0, 2.0, 4.0, 5.0]) - 0.8).abs() < 1e-15);
        // Five of six pairs agree, one is tied in the second.
        let tied = tau(&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 2.0, 3.0]);
        assert!((tied - 5.0 / 30f64.sqrt()).abs() < 1e-15);
        // Equal in both counts for neither.
        assert_eq!(tau(&[1.0, 1.0, 2.0], &[3.0, 3.0, 4.0]), 1.0);
    }

    #[test]
    fn it_is_the_same_in_both_directions_and_under_monotone_maps() {
        let x: [f64; 6] = [0.3, 0.1, 0.9, 0.3, 0.4, 0.4];
        let y: [f64; 6] = [2.0, 1.0, 1.0, 2.0, 5.0, 4.0];
        assert_eq!(tau(&x, &y), tau(&y, &x));
        assert_eq!(tau(&x.map(f64::exp), &y), tau(&x, &y));
        assert_eq!(tau(&x.map(|v| -v), &y), -tau(&x, &y));
    }

    #[test]
    fn what_says_the_same_of_all_has_none_and_missing_values_do_not_count() {
        let same = kendall(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]);
        assert_eq!((same.tau, same.samples), (None, 3));
        let missing = kendall(&[1.0, f64::NAN, 2.0, 3.0], &[1.0, 9.0, f64::NAN, 2.0]);
        assert_eq!((missing.tau, missing.samples), (Some(1.0), 2));
        assert_eq!(kendall(&[], &[]).tau, None);
        // Infinities are larger than any number.
        assert_eq!(tau(&[f64::NEG_INFINITY, 0.0], &[0.0, 1.0]), 1.0);
        assert!((0.317..0.319).contains(&by_chance(20)));
    }
}
