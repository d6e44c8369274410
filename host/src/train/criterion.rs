//! The loss of a phase with its class weights, and whose loss a result is.

use candle_core::{DType, Device, Tensor};

use super::baseline::Segment;
use super::classes;
use super::loss::{Scored, score};
use crate::Result;
use crate::data::Answers;
use crate::data::feed::Samples;
use crate::device::Place;
use crate::ops::loss as ops;
use crate::plan::{Drive, Loss, PhasePlan};

/// A loss, and what each class weighs in it.
#[derive(Clone, Debug)]
pub struct Criterion {
    loss: Loss,
    /// `[classes]`, `f64`, on the device of the network.
    weights: Option<Tensor>,
}

impl From<Loss> for Criterion {
    fn from(loss: Loss) -> Self {
        Self {
            loss,
            weights: None,
        }
    }
}

impl Criterion {
    /// `loss` with `weights: [classes]`, on `device`.
    ///
    /// # Errors
    /// The device refuses.
    pub fn weighted(loss: Loss, weights: &[f64], device: &Device) -> Result<Self> {
        Ok(Self {
            loss,
            weights: Some(Tensor::new(weights, device)?),
        })
    }

    /// That of `phase`, which learns from `samples`: [`PhasePlan::loss_on`] with class weights.
    ///
    /// # Errors
    /// Class weights that do not fit the classes; data errors.
    pub fn of(phase: &PhasePlan, samples: &dyn Samples, place: &Place) -> Result<Self> {
        let loss = phase.loss_on(samples.classes());
        match &phase.class_weights {
            Some(plan) => {
                let weights = classes::weights(plan, samples)?;
                Self::weighted(loss, &weights, &place.device)
            }
            None => Ok(loss.into()),
        }
    }

    /// Which loss.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Loss, number right, sum of the weights where there are some, and gradient of a batch with
    /// the outputs `y: [B, O]`. With weights the loss is `Σ wᵢ·lᵢ` and its mean is over `Σ wᵢ`, as
    /// in PyTorch.
    ///
    /// # Errors
    /// As for [`score`].
    pub fn score(&self, y: &Tensor, answers: &Answers) -> Result<Scored> {
        match (&self.weights, self.loss, answers) {
            (Some(weights), Loss::CrossEntropy, Answers::Classes(labels)) => {
                weighted_cross_entropy(y, labels, weights)
            }
            _ => score(self.loss, y, answers),
        }
    }
}

/// `[Σ wᵢ·lᵢ, right, Σ wᵢ]` and the gradient of `Σ wᵢ·lᵢ / Σ wᵢ`. A batch whose weights are all
/// zero has the gradient zero.
fn weighted_cross_entropy(y: &Tensor, labels: &Tensor, weights: &Tensor) -> Result<Scored> {
    let (sums, grad) = ops::cross_entropy(y, labels)?;
    let (batch, _) = y.dims2()?;
    let w = weights.index_select(labels, 0)?.unsqueeze(1)?; // [B, 1]
    let total = w.sum_all()?;
    let wide = y.to_dtype(DType::F64)?;
    let top = wide.max_keepdim(1)?;
    let normaliser = (wide.broadcast_sub(&top)?.exp()?.sum_keepdim(1)?.log()? + &top)?;
    let own = wide.gather(&labels.unsqueeze(1)?, 1)?;
    let loss = ((normaliser - own)? * &w)?.sum_all()?;
    let right = sums.narrow(0, 1, 1)?.squeeze(0)?;
    // The plain gradient is that of the mean over the batch.
    let tiny = Tensor::full(f64::MIN_POSITIVE, (), total.device())?;
    let share = (w * batch as f64)?.broadcast_div(&total.maximum(&tiny)?)?;
    Ok(Scored {
        sums: Tensor::stack(&[loss, right, total], 0)?,
        grad: grad.broadcast_mul(&share.to_dtype(grad.dtype())?)?,
    })
}

impl Segment {
    /// The phase whose loss a result of this segment has: the last that learns from one, or of
    /// local phases alone the last.
    #[must_use]
    pub fn result_phase(&self) -> Option<&PhasePlan> {
        let driven = self.phases.iter().rfind(|p| p.drive != Drive::Local);
        driven.or(self.phases.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: [f64; 3] = [0.5, 2.0, 0.0];

    fn batch() -> (Vec<f64>, Answers) {
        let y = (0..12).map(|i| f64::from(i * i % 7) * 0.3 - 0.8).collect();
        let labels = Tensor::new(&[0u32, 1, 2, 1], &Device::Cpu).expect("labels");
        (y, Answers::Classes(labels))
    }

    fn scored(y: &[f64], answers: &Answers) -> Scored {
        let y = Tensor::from_vec(y.to_vec(), (4, 3), &Device::Cpu).expect("rows");
        let criterion = Criterion::weighted(Loss::CrossEntropy, &WEIGHTS, &Device::Cpu);
        criterion
            .expect("weights")
            .score(&y, answers)
            .expect("scored")
    }

    fn mean(y: &[f64], answers: &Answers) -> f64 {
        let sums = scored(y, answers).sums.to_vec1::<f64>().expect("sums");
        sums[0] / sums[2]
    }

    /// PyTorch's definition, term by term.
    #[test]
    fn the_mean_is_over_the_weights() {
        let (y, answers) = batch();
        let (mut loss, mut total) = (0.0, 0.0);
        for (row, label) in y.chunks(3).zip([0, 1, 2, 1]) {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            loss += WEIGHTS[label] * (sum.ln() - row[label]);
            total += WEIGHTS[label];
        }
        assert!((mean(&y, &answers) - loss / total).abs() < 1e-12);
    }

    #[test]
    fn the_gradient_is_that_of_differences() {
        let (y, answers) = batch();
        let grad = scored(&y, &answers).grad;
        let grad = grad
            .flatten_all()
            .and_then(|g| g.to_vec1::<f64>())
            .expect("numbers");
        let step = 1e-6;
        for (i, g) in grad.iter().enumerate() {
            let at = |sign: f64| {
                let mut moved = y.clone();
                moved[i] += sign * step;
                mean(&moved, &answers)
            };
            let slope = (at(1.0) - at(-1.0)) / (2.0 * step);
            assert!((g - slope).abs() < 1e-8, "{i}: {g} and {slope}");
        }
    }

    #[test]
    fn equal_weights_change_nothing() {
        let (y, answers) = batch();
        let y = Tensor::from_vec(y, (4, 3), &Device::Cpu).expect("rows");
        let equal = Criterion::weighted(Loss::CrossEntropy, &[3.0; 3], &Device::Cpu);
        let equal = equal.expect("weights").score(&y, &answers).expect("scored");
        let plain = Criterion::from(Loss::CrossEntropy)
            .score(&y, &answers)
            .expect("scored");
        let sums = |s: &Scored| s.sums.to_vec1::<f64>().expect("sums");
        let (a, b) = (sums(&equal), sums(&plain));
        assert!((a[0] / a[2] - b[0] / 4.0).abs() < 1e-12 && a[1] == b[1]);
        let apart = (equal.grad - plain.grad)
            .and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>());
        assert!(apart.expect("a number") < 1e-15);
    }
}
