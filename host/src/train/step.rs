//! One step of training: forward as far as needed, local changes, the way back,
//! the optimiser.

use candle_core::Tensor;

use super::criterion::Criterion;
use super::optimizer::Optimizer;
use crate::Result;
use crate::data::Answers;
use crate::nn::{Clock, Network, Pass};

/// What a step works on.
pub struct StepInput {
    /// Output of the frozen prefix.
    pub x: Tensor,
    /// What is to be predicted, beside `x`.
    pub answers: Answers,
    /// Dropout was applied when the batch was gathered.
    pub dropped: bool,
}

/// A local step from block `from`: every listed local layer finds its changes
/// in one pass with the weights from before, then all are applied.
pub fn local_step(
    network: &mut Network,
    input: &StepInput,
    from: usize,
    clock: &Clock,
) -> Result<()> {
    let mut pass = Pass::local(clock.clone());
    pass.dropped = input.dropped;
    if network.wants_target() {
        pass.target = Some(input.answers.raw().clone());
    }
    network.forward_local(&mut pass, &input.x, from)?;
    network.apply_changes()?;
    network.end_step();
    Ok(())
}

/// A step driven by the loss (and by local rules, where the mode says so):
/// forward, backward, local changes, optimiser. Returns the batch's sums as
/// [`Scored`](super::loss::Scored) has them.
pub fn gradient_step(
    network: &mut Network,
    optimizer: &mut Optimizer,
    input: &StepInput,
    from: usize,
    clock: &Clock,
    (loss, rate): (impl Into<Criterion>, f64),
) -> Result<Tensor> {
    let mut pass = Pass::gradient(clock.clone());
    pass.dropped = input.dropped;
    if network.wants_target() {
        pass.target = Some(input.answers.raw().clone());
    }
    let blocks = from..network.len();
    let y = network.forward(&mut pass, &input.x, blocks.clone())?;
    let flat = if y.rank() == 2 {
        y.clone()
    } else {
        y.flatten_from(1)?
    };
    let scored = loss.into().score(&flat, &input.answers)?;
    let grad = scored.grad.reshape(y.shape())?;
    pass.output_error = Some(scored.grad);
    network.backward(&mut pass, &grad, blocks)?;
    network.apply_changes()?;
    optimizer.step(std::mem::take(&mut pass.gradients), rate)?;
    network.end_step();
    Ok(scored.sums)
}
