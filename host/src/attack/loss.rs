//! What an attack climbs, on the outputs of a network: a value and its gradient for each sample. In
//! f64 on the CPU: outputs are few, and a loss that rounds to 0 has no direction. Nothing is
//! divided by the size of the batch.

use crate::{Error, Result};

/// Outputs of a batch, `[B, O]`, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    values: Vec<f64>,
    width: usize,
}

/// A loss of each sample, and its gradient by the outputs, `[B, O]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Climb {
    /// `[B]`.
    pub losses: Vec<f64>,
    /// `[B·O]`.
    pub gradient: Vec<f64>,
}

impl Logits {
    /// From `values: [B·width]`.
    #[must_use]
    pub fn new(values: Vec<f64>, width: usize) -> Self {
        Self { values, width }
    }

    /// Outputs of each sample.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Sample after sample.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// Whether the largest output of each sample is that of its label; of equal ones the first
    /// counts, and NaN is never the largest.
    #[must_use]
    pub fn right(&self, labels: &[u32]) -> Vec<bool> {
        self.rows()
            .zip(labels)
            .map(|(row, label)| largest(row, None) == Some(*label as usize))
            .collect()
    }

    /// Output of the label less the largest other, below 0 where another class is named.
    #[must_use]
    pub fn margins(&self, labels: &[u32]) -> Vec<f64> {
        let margin = |(row, label): (&[f64], &u32)| {
            let label = *label as usize;
            let other = largest(row, Some(label)).map_or(f64::NEG_INFINITY, |at| row[at]);
            row[label] - other
        };
        self.rows().zip(labels).map(margin).collect()
    }

    /// Probability of the label under the softmax of the outputs.
    #[must_use]
    pub fn probabilities(&self, labels: &[u32]) -> Vec<f64> {
        let of = |(row, label): (&[f64], &u32)| softmax(row)[*label as usize];
        self.rows().zip(labels).map(of).collect()
    }

    /// Cross-entropy with the labels.
    #[must_use]
    pub fn cross_entropy(&self, labels: &[u32]) -> Climb {
        self.climb(labels.iter(), |row, label, gradient| {
            let label = *label as usize;
            gradient.copy_from_slice(&softmax(row));
            gradient[label] -= 1.0;
            log_sum(row) - row[label]
        })
    }

    /// Difference of logits ratio (Croce, Hein 2020, eq. 7): `−(z_y − max_{i≠y} z_i)/(z_1 − z_3)`
    /// with the outputs in falling order. Unlike cross-entropy it does not change when all outputs
    /// are multiplied by a number.
    ///
    /// # Errors
    /// Usage error for fewer than three classes.
    pub fn logit_ratio(&self, labels: &[u32]) -> Result<Climb> {
        if self.width < 3 {
            return Err(Error::usage(format!(
                "`apgd-dlr` compares the largest output with the third, and this network has {}",
                self.width
            ))
            .hint("use `apgd`"));
        }
        Ok(self.climb(labels.iter(), |row, label, gradient| {
            let label = *label as usize;
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            let other = if order[0] == label {
                order[1]
            } else {
                order[0]
            };
            let lead = row[label] - row[other];
            let spread = row[order[0]] - row[order[2]] + 1e-12;
            gradient.fill(0.0);
            gradient[label] -= 1.0 / spread;
            gradient[other] += 1.0 / spread;
            gradient[order[0]] += lead / (spread * spread);
            gradient[order[2]] -= lead / (spread * spread);
            -lead / spread
        }))
    }

    /// Kullback-Leibler divergence of these outputs' softmax from that of `clean`:
    /// `Σ p_clean·ln(p_clean/p)`.
    #[must_use]
    pub fn divergence(&self, clean: &Self) -> Climb {
        self.climb(clean.rows(), |row, clean, gradient| {
            let (p, q) = (softmax(clean), softmax(row));
            let normalisers = (log_sum(clean), log_sum(row));
            let mut loss = 0.0;
            for i in 0..row.len() {
                gradient[i] = q[i] - p[i];
                if p[i] > 0.0 {
                    loss += p[i] * ((clean[i] - normalisers.0) - (row[i] - normalisers.1));
                }
            }
            loss
        })
    }

    fn climb<T>(
        &self,
        others: impl Iterator<Item = T>,
        one: impl Fn(&[f64], T, &mut [f64]) -> f64,
    ) -> Climb {
        let mut gradient = vec![0.0; self.values.len()];
        let slots = gradient.chunks_exact_mut(self.width.max(1));
        let losses = self
            .rows()
            .zip(others)
            .zip(slots)
            .map(|((row, other), slot)| one(row, other, slot))
            .collect();
        Climb { losses, gradient }
    }
}

/// Position of the largest value that is not at `without`.
fn largest(row: &[f64], without: Option<usize>) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, v) in row.iter().enumerate() {
        if Some(i) != without && !v.is_nan() && best.is_none_or(|b| *v > row[b]) {
            best = Some(i);
        }
    }
    best
}

fn log_sum(row: &[f64]) -> f64 {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + row.iter().map(|v| (v - top).exp()).sum::<f64>().ln()
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let normaliser = log_sum(row);
    row.iter().map(|v| (v - normaliser).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [u32; 3] = [2, 0, 1];

    /// No two alike: a tie has no gradient.
    fn outputs() -> Vec<f64> {
        (0..15).map(|i| 2.0 * f64::from(i * i).sin()).collect()
    }

    /// Each loss against differences of itself.
    #[test]
    fn gradients_are_those_of_differences() {
        let clean = Logits::new((0..15).map(|i| f64::from(i % 4) * 0.7).collect(), 5);
        let losses: [&dyn Fn(&Logits) -> Climb; 3] = [
            &|z| z.cross_entropy(&LABELS),
            &|z| z.logit_ratio(&LABELS).expect("five classes"),
            &|z| z.divergence(&clean),
        ];
        for loss in losses {
            let values = outputs();
            let climb = loss(&Logits::new(values.clone(), 5));
            for i in 0..values.len() {
                let at = |step: f64| {
                    let mut moved = values.clone();
                    moved[i] += step;
                    loss(&Logits::new(moved, 5)).losses.iter().sum::<f64>()
                };
                let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
                let gradient = climb.gradient[i];
                assert!((gradient - slope).abs() < 1e-7, "{i}: {gradient} {slope}");
            }
        }
    }

    #[test]
    fn the_ratio_does_not_see_the_scale_and_the_margin_tells_who_wins() {
        let z = Logits::new(outputs(), 5);
        let scaled = Logits::new(outputs().iter().map(|v| 1e3 * v).collect(), 5);
        let (a, b) = (z.logit_ratio(&LABELS), scaled.logit_ratio(&LABELS));
        for (a, b) in a
            .expect("classes")
            .losses
            .iter()
            .zip(b.expect("classes").losses)
        {
            assert!((a - b).abs() < 1e-9);
        }
        let right = z.right(&LABELS);
        for (margin, right) in z.margins(&LABELS).iter().zip(right) {
            assert_eq!(*margin > 0.0, right);
        }
        assert!(Logits::new(vec![1.0, 2.0], 2).logit_ratio(&[0]).is_err());
        assert_eq!(Logits::new(vec![f64::NAN; 3], 3).right(&[0]), [false]);
        assert_eq!(Logits::new(vec![1.0, 1.0, 0.0], 3).right(&[1]), [false]);
    }
}
