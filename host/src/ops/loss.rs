//! Losses with their gradients at the output.

use candle_core::Tensor;

use super::{cpu, on_device};
use crate::Result;

/// Softmax cross-entropy with whole-number labels. `logits: [B, O]`, `labels: [B]` (`u32`).
/// Returns `[sum of losses, number right]` (`f64`, two elements, on the same
/// device so that nothing waits) and the gradient of the *mean* loss, `[B, O]`.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<(Tensor, Tensor)> {
    on_device!(logits, "cross_entropy", cpu: cpu::loss::cross_entropy(logits, labels), cuda: super::cuda::loss::cross_entropy(logits, labels))
}

/// Half mean squared error over all elements. `y, target: [B, O]`.
/// Returns `[sum over samples of ½·mean (y − t)², 0]` and the gradient of the mean, `(y − t)/(B·O)`.
pub fn half_mse(y: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
    on_device!(y, "half_mse", cpu: cpu::loss::half_mse(y, target), cuda: super::cuda::loss::half_mse(y, target))
}

/// How many rows have their largest value at the label, as a `f64` tensor
/// `[0, count]` that adds to the pair of [`half_mse`].
pub fn count_right(y: &Tensor, labels: &Tensor) -> Result<Tensor> {
    on_device!(y, "count_right", cpu: cpu::loss::count_right(y, labels), cuda: super::cuda::loss::count_right(y, labels))
}

/// `[B, classes]` with a one at each label.
pub fn one_hot(labels: &Tensor, classes: usize, like: &Tensor) -> Result<Tensor> {
    let n = labels.dims1()?;
    let out = Tensor::zeros((n, classes), like.dtype(), like.device())?;
    let ones = Tensor::ones((n, 1), like.dtype(), like.device())?;
    Ok(out.scatter_add(&labels.unsqueeze(1)?, &ones, 1)?)
}
