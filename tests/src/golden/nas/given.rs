//! A batch of a golden file as samples that a search reads its batches from.

use biorule::data::Answers;
use biorule::data::feed::{Batch, Batches, EpochSpec, Samples};
use candle_core::{Device, Tensor};

/// A batch as a set of samples that are always in the same order.
pub(super) struct Given {
    /// On the CPU, `f32`.
    pub(super) x: Tensor,
    /// On the CPU.
    pub(super) answers: Answers,
}

impl Samples for Given {
    fn len(&self) -> usize {
        self.answers.len()
    }
    fn dims(&self) -> Vec<usize> {
        self.x.dims()[1..].to_vec()
    }
    fn outputs(&self) -> usize {
        10
    }
    fn classes(&self) -> bool {
        true
    }
    fn augments(&self) -> bool {
        false
    }
    fn order(&self, _: u64, _: u64, _: bool) -> Vec<u32> {
        (0..self.len() as u32).collect()
    }
    fn read(&self, indices: &[u32]) -> biorule::Result<Batch> {
        let index = Tensor::new(indices, &Device::Cpu)?;
        Ok(Batch {
            x: self.x.index_select(&index, 0)?,
            answers: self.answers.at(&index)?,
        })
    }
    fn answers(&self, indices: &[u32]) -> biorule::Result<Answers> {
        Ok(self.read(indices)?.answers)
    }
    fn epoch(&self, spec: &EpochSpec) -> biorule::Result<Batches<'_>> {
        let order = self.order(spec.seed, spec.epoch, spec.shuffle);
        let (spec, n) = (spec.clone(), self.len());
        Ok(Box::new(
            (spec.start..spec.steps(n)).map(move |i| self.read(&order[spec.range(i, n)])),
        ))
    }
}
