//! Modules of which a pass keeps only the input: the backward pass repeats their forward pass
//! (Chen et al. 2016; PyTorch's `checkpoint`). What is repeated draws the same numbers, moves no
//! running statistics and teaches no local rule, so gradients are the same bits as without.

use candle_core::Tensor;

use super::module::{Module, backward_all, forward_all};
use super::pass::{Kept, Pass};
use crate::Result;

/// What runs in order and may be repeated.
pub type Modules = [Box<dyn Module>];

/// Whether `modules` may be repeated: a rule that changes in evaluation has other weights then.
pub fn repeats(modules: &Modules) -> bool {
    !modules.iter().any(|m| m.updates_in_eval())
}

/// Output of `modules` for `x`; of all that backward needs only `x` is kept.
///
/// # Errors
/// Failures of the modules.
pub fn forward(modules: &mut Modules, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
    if !pass.keep || !repeats(modules) {
        return forward_all(modules, pass, x);
    }
    let dropped = usize::from(pass.dropped);
    pass.push(|| Kept {
        tensors: vec![x.clone()],
        dims: vec![dropped],
        ..Kept::default()
    });
    let repeated = std::mem::replace(&mut pass.repeats, true);
    pass.keep = false;
    let y = forward_all(modules, pass, x);
    (pass.keep, pass.repeats) = (true, repeated);
    y
}

/// Backward counterpart of [`forward`].
///
/// # Errors
/// Failures of the modules.
pub fn backward(
    modules: &mut Modules,
    pass: &mut Pass,
    grad: &Tensor,
    want: bool,
) -> Result<Option<Tensor>> {
    if repeats(modules) {
        again(modules, pass, want, true)?;
    }
    backward_all(modules, pass, grad, want)
}

/// Repeats the forward pass of `modules`; their output. Where they `keep`, [`backward_all`] can
/// follow.
///
/// # Errors
/// Failures of the modules.
pub fn again(modules: &mut Modules, pass: &mut Pass, want: bool, keep: bool) -> Result<Tensor> {
    let kept = pass.pop()?;
    let flags = |p: &Pass| (p.keep, p.repeats, p.below, p.replay, p.dropped, p.unread);
    let before = flags(pass);
    (pass.keep, pass.repeats, pass.below, pass.replay) = (keep, true, want, true);
    (pass.dropped, pass.unread) = (kept.dims[0] == 1, false);
    let y = forward_all(modules, pass, &kept.tensors[0]);
    (
        pass.keep,
        pass.repeats,
        pass.below,
        pass.replay,
        pass.dropped,
        pass.unread,
    ) = before;
    y
}
