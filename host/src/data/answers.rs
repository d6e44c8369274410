//! What a network is to predict: classes or values.

use std::ops::Range;

use candle_core::{Device, Tensor};

use crate::Result;

/// The label of a sample that has none.
pub const UNLABELLED: u32 = u32::MAX;

/// Answers of a batch.
#[derive(Clone, Debug)]
pub enum Answers {
    /// Class of each sample, `[B]` of `u32`.
    Classes(Tensor),
    /// Regression target of each sample, `[B, O]`.
    Values(Tensor),
}

impl Answers {
    /// Samples in the batch.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(t) | Self::Values(t) => t.dims().first().copied().unwrap_or(0),
        }
    }

    /// Whether the batch has no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Labels `[B]` or values `[B, O]`, as they are.
    pub fn raw(&self) -> &Tensor {
        match self {
            Self::Classes(t) | Self::Values(t) => t,
        }
    }

    /// The same answers on the device of `like`.
    pub fn beside(&self, like: &Tensor) -> Result<Self> {
        self.on(like.device())
    }

    /// The same answers on `device`.
    pub fn on(&self, device: &Device) -> Result<Self> {
        self.map(|t| t.to_device(device))
    }

    /// Those of the samples `index`: `[n]` of `u32`, on the answers' device.
    pub fn at(&self, index: &Tensor) -> Result<Self> {
        self.map(|t| t.index_select(index, 0))
    }

    /// Those of a range of samples, without a copy.
    pub fn range(&self, range: Range<usize>) -> Result<Self> {
        self.map(|t| t.narrow(0, range.start, range.len()))
    }

    fn map(&self, f: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Result<Self> {
        Ok(match self {
            Self::Classes(t) => Self::Classes(f(t)?),
            Self::Values(t) => Self::Values(f(t)?),
        })
    }
}
