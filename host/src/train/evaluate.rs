//! Loss and accuracy on held-out samples, in large batches.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::cache::Features;
use super::classes::{Confusion, balanced_accuracy};
use super::criterion::Criterion;
use super::meter::Meter;
use crate::Result;
use crate::data::Answers;
use crate::data::feed::Samples;
use crate::device::Place;
use crate::nn::{Mode, Network, Pass};

/// Samples in an evaluation batch.
pub const EVALUATION_BATCH: usize = 250;

/// Result of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Mean loss.
    pub loss: f64,
    /// Share right; `None` for regression.
    pub accuracy: Option<f64>,
    /// Mean over the classes of the share right; `None` for regression.
    pub balanced_accuracy: Option<f64>,
    /// Samples seen.
    pub samples: usize,
}

impl Scores {
    /// By name, under the name of the part of the data: `test/loss`, `test/accuracy` …
    pub fn named(&self, part: &str) -> Vec<(String, f64)> {
        let named = [
            ("loss", Some(self.loss)),
            ("accuracy", self.accuracy),
            ("balanced_accuracy", self.balanced_accuracy),
        ];
        let name = |(name, x): (&str, Option<f64>)| Some((format!("{part}/{name}"), x?));
        named.into_iter().filter_map(name).collect()
    }
}

/// An evaluation in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Its numbers.
    pub scores: Scores,
    /// Which class was taken for which; `None` for regression.
    pub confusion: Option<Confusion>,
}

/// [`Scores`] with its numbers as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedScores {
    loss: u64,
    accuracy: Option<u64>,
    #[serde(default)]
    balanced_accuracy: Option<u64>,
    samples: usize,
}

impl From<Scores> for SavedScores {
    fn from(s: Scores) -> Self {
        Self {
            loss: s.loss.to_bits(),
            accuracy: s.accuracy.map(f64::to_bits),
            balanced_accuracy: s.balanced_accuracy.map(f64::to_bits),
            samples: s.samples,
        }
    }
}

impl From<SavedScores> for Scores {
    fn from(s: SavedScores) -> Self {
        Self {
            loss: f64::from_bits(s.loss),
            accuracy: s.accuracy.map(f64::from_bits),
            balanced_accuracy: s.balanced_accuracy.map(f64::from_bits),
            samples: s.samples,
        }
    }
}

/// Evaluates the whole network on `samples`, starting from cached features where
/// there are some. Leaves the network in evaluation mode.
///
/// # Errors
/// Failures of rules, data and tensor operations.
pub fn evaluate(
    network: &mut Network,
    samples: &dyn Samples,
    features: Option<&Features>,
    loss: &Criterion,
    place: &Place,
) -> Result<Evaluated> {
    let mut meter = Meter::new(&place.device)?;
    let classes = samples.classes().then(|| samples.outputs());
    let outputs = network.outputs();
    let mut confusion = classes.map(|classes| Confusion::new(classes, outputs));
    let n = samples.len();
    let blocks = network.len();
    each_batch(
        network,
        samples,
        features,
        place,
        |network, x, from, indices| {
            let y = network.forward(&mut Pass::inference(), x, from..blocks)?;
            let y = if y.rank() == 2 { y } else { y.flatten_from(1)? };
            let answers = samples.answers(indices)?.beside(&y)?;
            meter.add(&loss.score(&y, &answers)?.sums, indices.len())?;
            match (&mut confusion, &answers) {
                (Some(confusion), Answers::Classes(labels)) => confusion.add(&y, labels),
                _ => Ok(()),
            }
        },
    )?;
    let (loss, accuracy) = meter.read()?;
    let scores = Scores {
        loss,
        accuracy: confusion.is_some().then_some(accuracy),
        balanced_accuracy: confusion
            .as_ref()
            .and_then(|c| balanced_accuracy(&c.scores())),
        samples: n,
    };
    Ok(Evaluated { scores, confusion })
}

/// Calls `see(network, x, from, indices)` for all samples in order, in large batches: `x` is
/// the input of block `from`, cached features where there are some. The network is in
/// evaluation mode, and stays so.
///
/// # Errors
/// Failures of rules, data and tensor operations, and those of `see`.
pub fn each_batch(
    network: &mut Network,
    samples: &dyn Samples,
    features: Option<&Features>,
    place: &Place,
    mut see: impl FnMut(&mut Network, &Tensor, usize, &[u32]) -> Result<()>,
) -> Result<()> {
    network.set_mode(&Mode::default());
    let n = samples.len();
    // A pass that changes the network is not left in the middle.
    let eval_updates = network.updates_in_eval();
    for start in (0..n).step_by(EVALUATION_BATCH) {
        if !eval_updates {
            place.go_on()?;
        }
        let indices: Vec<u32> = (start as u32..(start + EVALUATION_BATCH).min(n) as u32).collect();
        let (x, from) = match features {
            Some(f) => (f.gather(&indices, None, place)?, f.prefix()),
            None => {
                let x = samples.read(&indices)?.x;
                (x.to_device(&place.device)?.to_dtype(place.dtype)?, 0)
            }
        };
        see(network, &x, from, &indices)?;
    }
    Ok(())
}
