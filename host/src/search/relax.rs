//! From architecture weights to the weights of candidates, and back: what multiplies each
//! candidate of an edge, and the product of a gradient with the Jacobian of that map. Rows are
//! single edges; all arithmetic is `f64`.

/// How the architecture weights of an edge become the weights of its candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relaxation {
    /// Weights that sum to 1 (Liu et al. 2019, DARTS).
    Softmax,
    /// Each weight on its own, in (0, 1) (Chu et al. 2020, FairDARTS).
    Sigmoid,
}

impl Relaxation {
    /// Weights of the candidates of an edge with architecture weights `alpha: [candidates]`.
    #[must_use]
    pub fn weights(self, alpha: &[f64]) -> Vec<f64> {
        match self {
            Self::Softmax => softmax(alpha),
            Self::Sigmoid => alpha.iter().map(|a| 1.0 / (1.0 + (-a).exp())).collect(),
        }
    }

    /// The gradient by `alpha` from that by the weights: `Jᵀ gradient` at the weights
    /// `weights = self.weights(alpha)`.
    #[must_use]
    pub fn product(self, weights: &[f64], gradient: &[f64]) -> Vec<f64> {
        match self {
            Self::Softmax => softmax_product(weights, gradient),
            Self::Sigmoid => {
                let pairs = weights.iter().zip(gradient);
                pairs.map(|(p, g)| p * (1.0 - p) * g).collect()
            }
        }
    }
}

/// `exp(a_k) / Σ_j exp(a_j)`, without overflow.
#[must_use]
pub fn softmax(alpha: &[f64]) -> Vec<f64> {
    let largest = alpha.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = alpha.iter().map(|a| (a - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|e| e / sum).collect()
}

/// `p_k (g_k − Σ_j p_j g_j)`: the gradient through a softmax whose values are `weights`.
#[must_use]
pub fn softmax_product(weights: &[f64], gradient: &[f64]) -> Vec<f64> {
    let mean: f64 = weights.iter().zip(gradient).map(|(p, g)| p * g).sum();
    let pairs = weights.iter().zip(gradient);
    pairs.map(|(p, g)| p * (g - mean)).collect()
}

/// One candidate drawn from the softmax of an edge (Jang et al. 2017), as GDAS does (Dong and Yang
/// 2019): forward the drawn candidate alone, backward through the soft weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The candidate that is computed.
    pub chosen: usize,
    /// `softmax((log_softmax(α) + noise) / temperature)`.
    pub soft: Vec<f64>,
    temperature: f64,
}

impl Drawn {
    /// With `noise: [candidates]`, standard Gumbel numbers. Ties go to the first.
    #[must_use]
    pub fn new(alpha: &[f64], noise: &[f64], temperature: f64) -> Self {
        let scaled: Vec<f64> = softmax(alpha)
            .iter()
            .zip(noise)
            .map(|(p, n)| (p.ln() + n) / temperature)
            .collect();
        let soft = softmax(&scaled);
        Self {
            chosen: largest(&soft).unwrap_or(0),
            soft,
            temperature,
        }
    }

    /// The gradient by `alpha` from that by the weights, of which only the chosen one is computed;
    /// the others' entries of `gradient` are then 0.
    #[must_use]
    pub fn product(&self, gradient: &[f64]) -> Vec<f64> {
        // log_softmax only subtracts a constant that the outer softmax does not see.
        let through = softmax_product(&self.soft, gradient);
        through.iter().map(|g| g / self.temperature).collect()
    }
}

/// Position of the largest value, the first of equal ones.
#[must_use]
pub fn largest(values: &[f64]) -> Option<usize> {
    let mut found: Option<usize> = None;
    for (i, v) in values.iter().enumerate() {
        if found.is_none_or(|best| *v > values[best]) {
            found = Some(i);
        }
    }
    found
}

/// FairDARTS's zero-one loss, `−mean (p − 1/2)²` over all weights, and its gradient by them.
#[must_use]
pub fn zero_one(weights: &[f64]) -> (f64, Vec<f64>) {
    let n = weights.len().max(1) as f64;
    let loss = -weights.iter().map(|p| (p - 0.5).powi(2)).sum::<f64>() / n;
    (loss, weights.iter().map(|p| -2.0 * (p - 0.5) / n).collect())
}

/// Entropy of weights that sum to 1, in nats.
#[must_use]
pub fn entropy(weights: &[f64]) -> f64 {
    let terms = weights.iter().filter(|p| **p > 0.0);
    -terms.map(|p| p * p.ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHA: [f64; 5] = [0.3, -1.2, 0.7, 0.0, 2.1];
    const GRADIENT: [f64; 5] = [0.4, -0.9, 1.3, 0.2, -0.5];

    /// Central differences of `Σ gradient·weights(alpha)`.
    fn differences(weights: &dyn Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let value = |alpha: &[f64]| -> f64 {
            let weights = weights(alpha);
            weights.iter().zip(&GRADIENT).map(|(p, g)| p * g).sum()
        };
        let step = 1e-6;
        (0..ALPHA.len())
            .map(|k| {
                let moved = |by: f64| {
                    let mut alpha = ALPHA;
                    alpha[k] += by;
                    value(&alpha)
                };
                (moved(step) - moved(-step)) / (2.0 * step)
            })
            .collect()
    }

    fn assert_near(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() < 1e-9, "{got:?} {want:?}");
        }
    }

    #[test]
    fn products_are_those_of_differences() {
        for relaxation in [Relaxation::Softmax, Relaxation::Sigmoid] {
            let product = relaxation.product(&relaxation.weights(&ALPHA), &GRADIENT);
            assert_near(&product, &differences(&|a| relaxation.weights(a)));
        }
        let noise = [0.1, 1.4, -0.3, 0.8, -0.2];
        for temperature in [0.3, 1.0, 4.0] {
            let drawn = Drawn::new(&ALPHA, &noise, temperature);
            let soft = |alpha: &[f64]| Drawn::new(alpha, &noise, temperature).soft;
            assert_near(&drawn.product(&GRADIENT), &differences(&soft));
        }
        let loss = |alpha: &[f64]| zero_one(alpha).0;
        let (_, gradient) = zero_one(&ALPHA);
        for k in 0..ALPHA.len() {
            let mut up = ALPHA;
            let mut down = ALPHA;
            up[k] += 1e-6;
            down[k] -= 1e-6;
            let difference = (loss(&up) - loss(&down)) / 2e-6;
            assert!((difference - gradient[k]).abs() < 1e-8);
        }
    }

    #[test]
    fn weights_are_finite_for_any_alpha() {
        for alpha in [[1e308, -1e308, 0.0], [800.0, 799.0, -800.0]] {
            for relaxation in [Relaxation::Softmax, Relaxation::Sigmoid] {
                let weights = relaxation.weights(&alpha);
                assert!(
                    weights.iter().all(|p| (0.0..=1.0).contains(p)),
                    "{weights:?}"
                );
            }
        }
        assert_eq!(entropy(&[1.0, 0.0]), 0.0);
        assert!((entropy(&[0.25; 4]) - 4f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn a_drawn_candidate_follows_its_weight() {
        use crate::search::draw::{Draw, Purpose};
        let alpha = [0.0, 1.0, -0.5];
        let weights = softmax(&alpha);
        let mut counts = [0.0; 3];
        let rounds = 20_000;
        for i in 0..rounds {
            let mut draw = Draw::new(Purpose::Noise, 1, i, 0);
            let noise: Vec<f64> = alpha.iter().map(|_| draw.gumbel()).collect();
            counts[Drawn::new(&alpha, &noise, 10.0).chosen] += 1.0;
        }
        for (count, weight) in counts.iter().zip(&weights) {
            assert!(
                (count / rounds as f64 - weight).abs() < 0.02,
                "{counts:?} {weights:?}"
            );
        }
    }
}
