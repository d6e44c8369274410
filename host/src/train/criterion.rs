//! The loss of a phase with its class weights and label smoothing, and whose loss a result is.

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

/// A loss, what each class weighs in it, and how much of a target is spread over all classes.
#[derive(Clone, Debug)]
pub struct Criterion {
    loss: Loss,
    /// `[classes]`, `f64`, on the device of the network.
    weights: Option<Tensor>,
    /// ε, 0 for none.
    smoothing: f64,
}

impl From<Loss> for Criterion {
    fn from(loss: Loss) -> Self {
        Self {
            loss,
            weights: None,
            smoothing: 0.0,
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
            smoothing: 0.0,
        })
    }

    /// The same with the share `smoothing` of each target spread evenly over all classes.
    #[must_use]
    pub fn smoothed(self, smoothing: f64) -> Self {
        Self { smoothing, ..self }
    }

    /// The same for evaluations, which compare with the labels as they are.
    #[must_use]
    pub fn for_evaluation(&self) -> Self {
        self.clone().smoothed(0.0)
    }

    /// That which drives `phase`, which learns from `samples`: [`PhasePlan::loss_on`] with class
    /// weights and label smoothing.
    ///
    /// # Errors
    /// Class weights that do not fit the classes; data errors.
    pub fn of(phase: &PhasePlan, samples: &dyn Samples, place: &Place) -> Result<Self> {
        let loss = phase.loss_on(samples.classes());
        let plain = match &phase.class_weights {
            Some(plan) => {
                let weights = classes::weights(plan, samples)?;
                Self::weighted(loss, &weights, &place.device)?
            }
            None => loss.into(),
        };
        Ok(plain.smoothed(phase.label_smoothing))
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
            (weights, Loss::CrossEntropy, Answers::Classes(labels)) if self.smoothing > 0.0 => {
                smoothed_cross_entropy(y, labels, weights.as_ref(), self.smoothing)
            }
            (Some(weights), Loss::CrossEntropy, Answers::Classes(labels)) => {
                weighted_cross_entropy(y, labels, weights)
            }
            _ => score(self.loss, y, answers),
        }
    }

    /// The loss of each sample of a batch with the outputs `y: [B, O]`, of its type, `[B]`, as rules
    /// that want the target are told: without class weights and smoothing. Of the same loss as
    /// [`Criterion::score`], whose sum is that of these.
    ///
    /// # Errors
    /// As for [`score`].
    pub fn each(&self, y: &Tensor, answers: &Answers) -> Result<Tensor> {
        let wide = y.to_dtype(DType::F64)?;
        let classes = y.dims2()?.1;
        let losses = match (self.loss, answers) {
            (Loss::CrossEntropy, Answers::Classes(labels)) => {
                let top = wide.max_keepdim(1)?;
                let sum = wide.broadcast_sub(&top)?.exp()?.sum_keepdim(1)?;
                let normaliser = (sum.log()? + &top)?.squeeze(1)?;
                let own = (crate::nn::targets::of(labels, classes, &wide)? * &wide)?.sum(1)?;
                (normaliser - own)?
            }
            (_, answers) => {
                let target = crate::nn::targets::of(answers.raw(), classes, &wide)?;
                ((wide - target)?.sqr()?.mean(1)? * 0.5)?
            }
        };
        Ok(losses.to_dtype(y.dtype())?)
    }
}

/// Cross-entropy with the share ε = `smoothing` of each target spread evenly over the C classes, as
/// PyTorch's `CrossEntropyLoss` has it: with `l` the negative logarithms of the softmax, a sample
/// has `(1 − ε)·w_y·l_y + ε/C·Σ_c w_c·l_c`, and the mean is over the weights `w_y` of the labels.
/// `y: [B, C]`, `labels: [B]`, `weights: [C]` or none, where all are 1.
fn smoothed_cross_entropy(
    y: &Tensor,
    labels: &Tensor,
    weights: Option<&Tensor>,
    smoothing: f64,
) -> Result<Scored> {
    let (sums, _) = ops::cross_entropy(y, labels)?; // checks the labels, counts those that are right
    let (batch, classes) = y.dims2()?;
    let wide = y.to_dtype(DType::F64)?;
    let shifted = wide.broadcast_sub(&wide.max_keepdim(1)?)?;
    let exp = shifted.exp()?;
    let sum = exp.sum_keepdim(1)?;
    let soft = exp.broadcast_div(&sum)?;
    let loss = sum.log()?.broadcast_sub(&shifted)?; // [B, C]
    // What each class counts: (1 − ε)·w_y at the label, and ε/C·w_c everywhere.
    let one_hot = ops::one_hot(labels, classes, &wide)?;
    let (own, spread, total) = match weights {
        Some(w) => {
            let own = one_hot.broadcast_mul(w)?;
            let total = own.sum_all()?;
            (own, w.reshape((1, classes))?, Some(total))
        }
        None => (
            one_hot,
            Tensor::ones((1, classes), DType::F64, y.device())?,
            None,
        ),
    };
    let target =
        (own * (1.0 - smoothing))?.broadcast_add(&(spread * (smoothing / classes as f64))?)?;
    let value = (&loss * &target)?.sum_all()?;
    let right = sums.narrow(0, 1, 1)?.squeeze(0)?;
    let grad = (soft.broadcast_mul(&target.sum_keepdim(1)?)? - target)?;
    let (sums, grad) = match total {
        Some(total) => {
            let tiny = Tensor::full(f64::MIN_POSITIVE, (), total.device())?;
            let grad = grad.broadcast_div(&total.maximum(&tiny)?)?;
            (Tensor::stack(&[value, right, total], 0)?, grad)
        }
        None => (Tensor::stack(&[value, right], 0)?, (grad / batch as f64)?),
    };
    Ok(Scored {
        sums,
        grad: grad.to_dtype(y.dtype())?,
    })
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

    /// PyTorch's definition, term by term, with and without class weights.
    #[test]
    fn smoothing_spreads_a_share_of_the_target() {
        let (y, answers) = batch();
        let smoothing = 0.1;
        for weights in [None, Some(WEIGHTS)] {
            let criterion = match weights {
                Some(w) => {
                    Criterion::weighted(Loss::CrossEntropy, &w, &Device::Cpu).expect("weights")
                }
                None => Loss::CrossEntropy.into(),
            };
            let criterion = criterion.smoothed(smoothing);
            let w = weights.unwrap_or([1.0; 3]);
            let mean = |y: &[f64]| -> f64 {
                let (mut own, mut all, mut total) = (0.0, 0.0, 0.0);
                for (row, label) in y.chunks(3).zip([0, 1, 2, 1]) {
                    let sum: f64 = row.iter().map(|v| v.exp()).sum();
                    own += w[label] * (sum.ln() - row[label]);
                    all += row
                        .iter()
                        .zip(w)
                        .map(|(v, w)| w * (sum.ln() - v))
                        .sum::<f64>();
                    total += w[label];
                }
                ((1.0 - smoothing) * own + smoothing / 3.0 * all) / total
            };
            let rows = Tensor::from_vec(y.clone(), (4, 3), &Device::Cpu).expect("rows");
            let scored = criterion.score(&rows, &answers).expect("scored");
            let sums = scored.sums.to_vec1::<f64>().expect("sums");
            let total = sums.get(2).copied().unwrap_or(4.0);
            assert!((sums[0] / total - mean(&y)).abs() < 1e-12, "{weights:?}");
            let grad = scored.grad.flatten_all().and_then(|g| g.to_vec1::<f64>());
            for (i, g) in grad.expect("numbers").iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = y.clone();
                    moved[i] += step;
                    mean(&moved)
                };
                let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((g - slope).abs() < 1e-8, "{weights:?} {i}: {g} and {slope}");
            }
            // Evaluations compare with the labels as they are.
            let plain = criterion
                .for_evaluation()
                .score(&rows, &answers)
                .expect("scored");
            let other = criterion
                .for_evaluation()
                .smoothed(0.0)
                .score(&rows, &answers);
            let sums = |s: &Scored| s.sums.to_vec1::<f64>().expect("sums");
            assert_eq!(sums(&plain), sums(&other.expect("scored")));
            assert_ne!(sums(&plain)[0], sums(&scored)[0]);
            assert_eq!(sums(&plain)[1], sums(&scored)[1]);
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
