//! What the trainer needs of data: samples by index, an order for each epoch,
//! and batches that somebody else prepares in time.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::answers::Answers;
use crate::device::Place;
use crate::{Error, Result};

/// Samples and their answers, on the CPU or, of resident samples, on the device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[B, C, H, W]` or `[B, D]`, `f32`; of resident samples in the type of the network.
    pub x: Tensor,
    /// What is to be predicted.
    pub answers: Answers,
}

/// One epoch of batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochSpec {
    /// Seed of order and augmentation; the same in every phase, so that phases
    /// see the same sequence of batches (SoftHebb, `seed_init_fn`).
    pub seed: u64,
    /// Epoch within the phase, from 0.
    pub epoch: u64,
    /// Samples in a batch.
    pub batch: usize,
    /// New order each epoch.
    pub shuffle: bool,
    /// Leave out a last, smaller batch.
    pub drop_last: bool,
    /// Augment as the data plan says.
    pub augment: bool,
    /// Batches to skip, when a run goes on inside an epoch.
    pub start: u64,
}

/// Batches of `batch` in an epoch over `n` samples, with or without a last, smaller one.
pub fn steps(n: usize, batch: usize, drop_last: bool) -> u64 {
    let batch = batch.max(1);
    let steps = if drop_last {
        n / batch
    } else {
        n.div_ceil(batch)
    };
    steps as u64
}

impl EpochSpec {
    /// Batches in the epoch over `n` samples.
    pub fn steps(&self, n: usize) -> u64 {
        steps(n, self.batch, self.drop_last)
    }

    /// Where batch `i` begins and ends in the order.
    pub fn range(&self, i: u64, n: usize) -> std::ops::Range<usize> {
        let batch = self.batch.max(1);
        let start = (i as usize).saturating_mul(batch).min(n);
        start..start.saturating_add(batch).min(n)
    }
}

/// Batches of one epoch.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Batch>> + Send + 'a>;

/// One part of a data set, ready for a network.
pub trait Samples: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Shape of a sample: `[C, H, W]` or `[D]`.
    fn dims(&self) -> Vec<usize>;
    /// Classes, or values of a regression target.
    fn outputs(&self) -> usize;
    /// Whether the answers are classes.
    fn classes(&self) -> bool;
    /// Whether some sample has no answer.
    fn lacks_answers(&self) -> bool {
        false
    }
    /// Name of a class, or its number where it has none.
    fn class_name(&self, class: u32) -> String {
        class.to_string()
    }
    /// Whether an epoch with `augment` differs from one without.
    fn augments(&self) -> bool;
    /// Order of the samples in an epoch.
    fn order(&self, seed: u64, epoch: u64, shuffle: bool) -> Vec<u32>;
    /// The samples at `indices`, as they are.
    ///
    /// # Errors
    /// Data errors.
    fn read(&self, indices: &[u32]) -> Result<Batch>;
    /// The answers at `indices`.
    ///
    /// # Errors
    /// Data errors.
    fn answers(&self, indices: &[u32]) -> Result<Answers>;
    /// The same samples kept on the device of `place`, where that is a GPU, they
    /// can be and its budget has room: the same batches bit for bit, without a
    /// copy to the device in a step.
    ///
    /// # Errors
    /// The device refuses.
    fn resident(&self, place: &Place) -> Result<Option<Box<dyn Samples>>> {
        let _ = place;
        Ok(None)
    }
    /// The batches of an epoch, prepared ahead where that pays.
    ///
    /// # Errors
    /// Data errors.
    fn epoch(&self, spec: &EpochSpec) -> Result<Batches<'_>>;
}

impl TrainData {
    /// The samples that a phase calls `name`: `train`, a part of them or a further set.
    ///
    /// # Errors
    /// A usage error for an unknown name.
    pub fn get(&self, name: &str) -> Result<&(dyn Samples + 'static)> {
        if name == "train" {
            return Ok(&*self.train);
        }
        let found = self.parts.get(name).or_else(|| self.extra.get(name));
        found.map(|set| &**set).ok_or_else(|| unknown(name))
    }
}

/// No samples are called `name`.
pub(crate) fn unknown(name: &str) -> Error {
    Error::usage(format!("no data set `{name}` for a phase"))
        .hint("`train`, a name in `data.parts`, or one under `extra_data`")
}

/// The data of a run.
pub struct TrainData {
    /// To learn from.
    pub train: Box<dyn Samples>,
    /// Held out of training, for evaluation between epochs.
    pub validation: Option<Box<dyn Samples>>,
    /// For the results.
    pub test: Box<dyn Samples>,
    /// Parts of the training samples, by name.
    pub parts: BTreeMap<String, Box<dyn Samples>>,
    /// Further sets that phases name.
    pub extra: BTreeMap<String, Box<dyn Samples>>,
}
