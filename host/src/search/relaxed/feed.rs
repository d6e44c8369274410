//! Batches that the architecture learns from: a function of seed and step alone, so that a resumed
//! search sees those that the uninterrupted one would have seen.

use crate::data::feed::{Batches, EpochSpec, Samples};
use crate::nn::Network;
use crate::train::StepInput;
use crate::{Error, Result};

/// Batches of the architecture's samples, in a new order each time they have all been seen.
pub(super) struct Feed<'a> {
    samples: &'a dyn Samples,
    spec: EpochSpec,
    /// The next batch that the open epoch gives.
    open: Option<(u64, Batches<'a>)>,
}

impl<'a> Feed<'a> {
    /// Batches of `batch` samples, augmented as those of the weights where `augment`.
    ///
    /// # Errors
    /// Usage error where the samples give no batch.
    pub(super) fn new(
        samples: &'a dyn Samples,
        (name, batch): (&str, usize),
        seed: u64,
        augment: bool,
    ) -> Result<Self> {
        if samples.len() < batch {
            return Err(Error::usage(format!(
                "`{name}` has {} samples and a batch {batch}: the architecture would learn from none",
                samples.len()
            ))
            .hint("take a larger part, or a smaller `batch`"));
        }
        let spec = EpochSpec {
            seed,
            epoch: 0,
            batch,
            shuffle: true,
            drop_last: true,
            augment,
            start: 0,
        };
        Ok(Self {
            samples,
            spec,
            open: None,
        })
    }

    /// The batch of step `step`, on the device and in the type of `network`.
    ///
    /// # Errors
    /// Data errors; failures of the device.
    pub(super) fn at(&mut self, step: u64, network: &Network) -> Result<StepInput> {
        let each = self.spec.steps(self.samples.len());
        let mut batches = match self.open.take() {
            Some((next, batches)) if next == step => batches,
            _ => self.opened(step / each, step % each)?,
        };
        let batch = match batches.next() {
            Some(batch) => batch?,
            None => {
                batches = self.opened(step / each, step % each)?;
                let none = || Error::internal("the architecture's samples give no batch");
                batches.next().ok_or_else(none)??
            }
        };
        self.open = Some((step + 1, batches));
        let like = network.tensors();
        let like = like
            .first()
            .ok_or_else(|| Error::internal("a supernet without tensors"))?;
        let x = batch.x.to_device(like.tensor.device())?;
        let x = x.to_dtype(like.tensor.dtype())?;
        Ok(StepInput {
            answers: batch.answers.beside(&x)?,
            x,
            dropped: false,
        })
    }

    fn opened(&self, epoch: u64, start: u64) -> Result<Batches<'a>> {
        self.samples.epoch(&EpochSpec {
            epoch,
            start,
            ..self.spec.clone()
        })
    }
}
