//! The error at the output, from logits and whatever the data set has as answers.

use std::ops::Range;

use candle_core::{Device, Tensor};

use crate::ops::loss as ops;
use crate::plan::Loss;
use crate::{Error, Result};

/// Answers of a batch.
#[derive(Clone, Debug)]
pub enum Answers {
    /// Class of each sample, `[B]` of `u32`.
    Classes(Tensor),
    /// Regression target of each sample, `[B, O]`.
    Values(Tensor),
}

/// Loss of a batch.
pub struct Scored {
    /// `[sum over samples of the loss, number right]`, `f64`, still on the device; with class
    /// weights also their sum over the samples.
    pub sums: Tensor,
    /// Gradient of the mean loss at the output, `[B, O]`.
    pub grad: Tensor,
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

/// Loss, number right and gradient of a batch. `y: [B, O]`.
///
/// # Errors
/// Cross-entropy on regression targets is a usage error; labels beyond the
/// output are a data error.
pub fn score(kind: Loss, y: &Tensor, answers: &Answers) -> Result<Scored> {
    match (kind, answers) {
        (Loss::CrossEntropy, Answers::Classes(labels)) => {
            let (sums, grad) = ops::cross_entropy(y, labels)?;
            Ok(Scored { sums, grad })
        }
        (Loss::CrossEntropy, Answers::Values(_)) => Err(Error::usage(
            "cross-entropy needs classes, and this data set has values to regress",
        )
        .hint("set `loss = \"mse\"` in the phase")),
        (Loss::Mse, Answers::Classes(labels)) => {
            let target = ops::one_hot(labels, y.dims()[1], y)?;
            let (sums, grad) = ops::half_mse(y, &target)?;
            let sums = (sums + ops::count_right(y, labels)?)?;
            Ok(Scored { sums, grad })
        }
        (Loss::Mse, Answers::Values(values)) => {
            let (sums, grad) = ops::half_mse(y, values)?;
            Ok(Scored { sums, grad })
        }
    }
}
