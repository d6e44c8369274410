//! One part of a data set as the trainer reads it.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::answers::Answers;
use super::feed::Samples;
use super::normalize::Normalizer;
use super::plan::Data;
use super::subset::Subset;
use super::targets::Targets;
use crate::Result;
use crate::plan::Augment;

/// One part of a set for the trainer. Indices count within the part.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) samples: Subset,
    pub(super) normalizer: Arc<Normalizer>,
    pub(super) augment: Augment,
    pub(super) threads: usize,
    pub(super) prefetch: usize,
}

impl Part {
    pub(super) fn new(data: &Data, samples: &Subset, augment: Augment) -> Box<Self> {
        Box::new(Self {
            samples: samples.clone(),
            normalizer: Arc::clone(&data.normalizer),
            augment,
            threads: data.plan().threads,
            prefetch: data.plan().prefetch,
        })
    }

    /// Positions in the data set of the part's `indices`.
    pub(super) fn positions(&self, indices: &[u32]) -> Vec<u32> {
        let all = self.samples.indices();
        indices.iter().map(|i| all[*i as usize]).collect()
    }

    pub(super) fn tensor(&self, values: Vec<f32>, count: usize) -> Result<Tensor> {
        let mut dims = vec![count];
        dims.extend(Samples::dims(self));
        Ok(Tensor::from_vec(values, dims, &Device::Cpu)?)
    }

    pub(super) fn answers_at(&self, positions: &[u32]) -> Result<Answers> {
        let cpu = &Device::Cpu;
        Ok(match self.samples.dataset().targets() {
            Targets::Labels { labels, .. } => {
                let labels: Vec<u32> = positions.iter().map(|i| labels[*i as usize]).collect();
                Answers::Classes(Tensor::new(labels, cpu)?)
            }
            Targets::Values { data, width } => {
                let rows = positions.iter().flat_map(|i| {
                    let start = *i as usize * width;
                    data[start..start + width].iter().copied()
                });
                let shape = (positions.len(), *width);
                Answers::Values(Tensor::from_vec(rows.collect(), shape, cpu)?)
            }
        })
    }
}
