//! Classes: how many samples each has, what it weighs in the loss, and how well each is
//! recognised.

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::data::Answers;
use crate::data::answers::UNLABELLED;
use crate::data::feed::Samples;
use crate::plan::ClassWeights;
use crate::{Error, Result};

/// Answers that are read at a time.
const CHUNK: usize = 4096;

/// Samples of each class, `[classes]`, of those that have one; empty for regression.
///
/// # Errors
/// Data errors.
pub fn counts(samples: &dyn Samples) -> Result<Vec<u64>> {
    if !samples.classes() {
        return Ok(Vec::new());
    }
    let mut counts = vec![0; samples.outputs()];
    for start in (0..samples.len()).step_by(CHUNK) {
        let end = (start + CHUNK).min(samples.len());
        let indices: Vec<u32> = (start as u32..end as u32).collect();
        if let Answers::Classes(labels) = samples.answers(&indices)? {
            let labels = labels.to_device(&Device::Cpu)?.to_vec1::<u32>()?;
            // Phases of local rules may have samples of no class.
            for label in labels.into_iter().filter(|label| *label != UNLABELLED) {
                let count = counts.get_mut(label as usize);
                *count.ok_or_else(|| beyond(label, samples.outputs()))? += 1;
            }
        }
    }
    Ok(counts)
}

/// The class of each of `samples`; [`UNLABELLED`] where it has none. Empty for regression.
///
/// # Errors
/// Data errors.
pub fn labels(samples: &dyn Samples) -> Result<Vec<u32>> {
    let mut all = Vec::with_capacity(samples.len());
    for start in (0..samples.len()).step_by(CHUNK) {
        let indices: Vec<u32> = (start as u32..(start + CHUNK).min(samples.len()) as u32).collect();
        if let Answers::Classes(labels) = samples.answers(&indices)? {
            all.extend(labels.to_device(&Device::Cpu)?.to_vec1::<u32>()?);
        }
    }
    Ok(all)
}

fn beyond(label: u32, classes: usize) -> Error {
    Error::data(format!("a label is {label}, expected below {classes}"))
}

/// The weight of each class in the loss of a phase over `samples`, `[classes]`.
///
/// # Errors
/// A usage error where their number is not that of the classes; data errors.
pub fn weights(plan: &ClassWeights, samples: &dyn Samples) -> Result<Vec<f64>> {
    match plan {
        ClassWeights::Balanced => Ok(balanced(&counts(samples)?)),
        ClassWeights::Given(weights) if weights.len() == samples.outputs() => Ok(weights.clone()),
        ClassWeights::Given(weights) => Err(Error::usage(format!(
            "{} class weights for {} classes",
            weights.len(),
            samples.outputs()
        ))
        .hint("give one number for each class in `class_weights`, or \"balanced\"")),
    }
}

/// `N / (C·nᶜ)` over the `C` classes with samples, so that the weights of all samples have the
/// mean 1 and all classes the same sum; 1 for a class without samples.
fn balanced(counts: &[u64]) -> Vec<f64> {
    let samples: u64 = counts.iter().sum();
    let present = counts.iter().filter(|n| **n > 0).count();
    let share = samples as f64 / present.max(1) as f64;
    let weight = |n: &u64| if *n > 0 { share / *n as f64 } else { 1.0 };
    counts.iter().map(weight).collect()
}

/// How well one class is recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Samples of the class.
    pub samples: u64,
    /// Those that are classified correctly.
    pub right: u64,
}

impl ClassScore {
    /// Share that is classified correctly (recall); `None` for a class without samples.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.right as f64 / self.samples as f64)
    }
}

/// Mean accuracy of the classes that have samples; `None` where none has any.
#[must_use]
pub fn balanced_accuracy(classes: &[ClassScore]) -> Option<f64> {
    let accuracies: Vec<f64> = classes.iter().filter_map(ClassScore::accuracy).collect();
    let sum: f64 = accuracies.iter().sum();
    (!accuracies.is_empty()).then(|| sum / accuracies.len() as f64)
}

/// Which class the samples of each class were taken for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// A row for each class: its samples by the class that they were taken for, and where the
    /// network has more outputs than there are classes, last those taken for none.
    rows: Vec<Vec<u64>>,
    /// The class that each sample was taken for, in the order of the samples; the number of classes
    /// stands for none.
    taken: Vec<u32>,
}

impl Confusion {
    /// Nothing seen yet; for a network with `outputs` outputs.
    #[must_use]
    pub fn new(classes: usize, outputs: usize) -> Self {
        let columns = if outputs > classes {
            classes + 1
        } else {
            classes
        };
        Self {
            rows: vec![vec![0; columns]; classes],
            taken: Vec::new(),
        }
    }

    /// Adds the outputs `y: [B, O]` for samples with these `labels: [B]`. The class is that of the
    /// largest output, the first on ties, as accuracy has it.
    ///
    /// # Errors
    /// A label beyond the classes, as a data error.
    pub fn add(&mut self, y: &Tensor, labels: &Tensor) -> Result<()> {
        let wide = y.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let labels = labels.to_device(&Device::Cpu)?.to_vec1::<u32>()?;
        let classes = self.rows.len();
        for (row, label) in wide.to_vec2::<f64>()?.iter().zip(labels) {
            let taken = self.rows.get_mut(label as usize);
            let taken = taken.ok_or_else(|| beyond(label, classes))?;
            let answer = largest(row).min(classes);
            if let Some(count) = taken.get_mut(answer) {
                *count += 1;
            }
            self.taken.push(answer as u32);
        }
        Ok(())
    }

    /// Row by row: how often the samples of a class were taken for each class, and where there
    /// are more outputs, for none.
    #[must_use]
    pub fn rows(&self) -> &[Vec<u64>] {
        &self.rows
    }

    /// The class that each sample was taken for, in the order of the samples; the number of classes
    /// stands for none.
    #[must_use]
    pub fn taken(&self) -> &[u32] {
        &self.taken
    }

    /// The scores of each class.
    #[must_use]
    pub fn scores(&self) -> Vec<ClassScore> {
        let score = |(class, row): (usize, &Vec<u64>)| ClassScore {
            samples: row.iter().sum(),
            right: row[class],
        };
        self.rows.iter().enumerate().map(score).collect()
    }
}

/// Place of the largest number, the first on ties.
fn largest(row: &[f64]) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (k, v) in row.iter().enumerate() {
        if *v > best.1 {
            best = (k, *v);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_give_every_class_the_same_sum() {
        let counts = [30, 10, 0, 20];
        let weights = balanced(&counts);
        let sums: Vec<f64> = weights
            .iter()
            .zip(counts)
            .map(|(w, n)| w * n as f64)
            .collect();
        assert!((sums[0] - 20.0).abs() < 1e-12 && (sums[1] - 20.0).abs() < 1e-12);
        assert!((sums[3] - 20.0).abs() < 1e-12);
        assert_eq!(weights[2], 1.0);
    }

    #[test]
    fn a_confusion_counts_rows_by_class_and_columns_by_answer() {
        let y = Tensor::new(
            &[
                [2.0f32, 1.0, 0.0],
                [0.0, 3.0, 3.0],
                [1.0, 0.0, 9.0],
                [5.0, 0.0, 0.0],
            ],
            &Device::Cpu,
        );
        let labels = Tensor::new(&[0u32, 1, 1, 1], &Device::Cpu);
        let mut confusion = Confusion::new(3, 3);
        confusion
            .add(&y.expect("rows"), &labels.expect("labels"))
            .expect("within");
        assert_eq!(confusion.rows(), [[1, 0, 0], [1, 1, 1], [0, 0, 0]]);
        assert_eq!(confusion.taken(), [0, 1, 2, 0]);
        let scores = confusion.scores();
        assert_eq!(
            scores[1],
            ClassScore {
                samples: 3,
                right: 1
            }
        );
        assert_eq!(scores[2].accuracy(), None);
        let balanced = balanced_accuracy(&scores).expect("samples");
        assert!((balanced - (1.0 + 1.0 / 3.0) / 2.0).abs() < 1e-12);
    }

    /// A layer of many units that is evaluated as it is: most of them stand for no class.
    #[test]
    fn outputs_beyond_the_classes_are_taken_for_none() {
        let y = Tensor::new(
            &[[0.0f32, 0.0, 1.0, 2.0], [3.0, 0.0, 0.0, 0.0]],
            &Device::Cpu,
        );
        let labels = Tensor::new(&[1u32, 0], &Device::Cpu);
        let mut confusion = Confusion::new(2, 4);
        confusion
            .add(&y.expect("rows"), &labels.expect("labels"))
            .expect("within");
        assert_eq!(confusion.rows(), [[1, 0, 0], [0, 0, 1]]);
        assert_eq!(
            confusion.scores()[1],
            ClassScore {
                samples: 1,
                right: 0
            }
        );
    }
}
