//! The error at the output, from logits and whatever the data set has as answers.

use candle_core::Tensor;

use crate::data::Answers;
use crate::ops::loss as ops;
use crate::plan::Loss;
use crate::{Error, Result};

/// Loss of a batch.
pub struct Scored {
    /// `[sum over samples of the loss, number right]`, `f64`, still on the device; with class
    /// weights also their sum over the samples.
    pub sums: Tensor,
    /// Gradient of the mean loss at the output, `[B, O]`.
    pub grad: Tensor,
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
