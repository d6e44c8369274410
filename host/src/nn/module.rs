//! The module: a forward that says what it keeps, a backward that uses it.

use std::sync::Arc;

use candle_core::Tensor;

use super::pass::Pass;
use super::rule::{Credit, Role, RuleCall};
use crate::Result;
use crate::config::plan::Drive;

/// Which blocks learn and what drives them; the default is evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mode {
    /// Names of the blocks that learn; all others are frozen, in evaluation mode.
    pub blocks: Vec<String>,
    /// What drives them; `None` only moves running statistics.
    pub drive: Option<Drive>,
}

/// A tensor of the network under its full name (`blocks.conv1.layer.weight`).
#[derive(Clone, Debug)]
pub struct NamedTensor {
    /// Full name.
    pub name: Arc<str>,
    /// The tensor itself: in-place changes reach the module.
    pub tensor: Tensor,
    /// What it is for.
    pub role: Role,
    /// An optimiser changes it in the current mode.
    pub learns: bool,
}

/// What a visitor of rule layers sees.
pub type MetricsVisitor<'a> = dyn FnMut(&str, Vec<(String, f64)>) + 'a;

/// A part of a network.
pub trait Module: Send {
    /// Takes on a mode; `listed` says whether the enclosing block learns.
    fn set_mode(&mut self, mode: &Mode, listed: bool) {
        let _ = (mode, listed);
    }
    /// Has gradients of its own in the current mode.
    fn learns(&self) -> bool {
        false
    }
    /// Changes in a forward pass in the current mode (learns locally, or moves
    /// running statistics), so a pass must reach it.
    fn acts(&self) -> bool {
        false
    }
    /// Changes in evaluation too: what comes after it is not the same in every pass.
    fn is_restless(&self) -> bool {
        false
    }
    /// Output for `x`; pushes exactly one entry where the pass keeps.
    ///
    /// # Errors
    /// Failures of rules and tensor operations.
    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor>;
    /// Gradient at the input from `grad` at the output, if `want` asks for it;
    /// own gradients go to the pass.
    ///
    /// # Errors
    /// As above.
    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>>;
    /// Applies the local changes found in the last pass.
    ///
    /// # Errors
    /// Changes that fit no state tensor, as plugin errors.
    fn apply_changes(&mut self) -> Result<()> {
        Ok(())
    }
    /// A phase begins: steps count from 0 again.
    fn start_phase(&mut self) {}
    /// Counts the step that has just ended.
    fn end_step(&mut self) {}
    /// Every tensor that a checkpoint needs.
    fn tensors(&self, out: &mut Vec<NamedTensor>) {
        let _ = out;
    }
    /// Every counter that a checkpoint needs.
    fn counters(&mut self, visit: &mut dyn FnMut(&str, &mut u64)) {
        let _ = visit;
    }
    /// Numbers reported by rules, by block.
    ///
    /// # Errors
    /// Failures of rules.
    fn metrics(&self, call: &RuleCall, visit: &mut MetricsVisitor<'_>) -> Result<()> {
        let _ = (call, visit);
        Ok(())
    }
    /// Name and credit of every rule.
    fn rules(&self, out: &mut Vec<(String, Credit)>) {
        let _ = out;
    }
    /// Rules that learn in evaluation too no longer do so.
    fn hold_still(&mut self) {}
    /// A rule in the current mode needs targets in its local learning.
    fn wants_target(&self) -> bool {
        false
    }
    /// Is a rule's layer.
    fn is_layer(&self) -> bool {
        false
    }
    /// Only changes the shape; costs nothing.
    fn is_view(&self) -> bool {
        false
    }
    /// Drop probability and key, for a dropout that is active.
    fn dropout(&self, pass: &Pass) -> Option<(f64, u64)> {
        let _ = pass;
        None
    }
}

/// Runs modules in order. Each keeps only where it or something below it learns.
pub fn forward_all<'a>(
    modules: impl Iterator<Item = &'a mut Box<dyn Module>>,
    pass: &mut Pass,
    x: &Tensor,
) -> Result<Tensor> {
    let (keep, below) = (pass.keep, pass.below);
    let mut x = x.clone();
    for module in modules {
        pass.keep = keep && (pass.below || module.learns());
        x = module.forward(pass, &x)?;
        pass.below |= module.learns();
    }
    (pass.keep, pass.below) = (keep, below);
    Ok(x)
}

/// The way back of [`forward_all`]: stops where nothing below learns.
pub fn backward_all(
    modules: &mut [Box<dyn Module>],
    pass: &mut Pass,
    grad: &Tensor,
    want: bool,
) -> Result<Option<Tensor>> {
    let mut grad = grad.clone();
    for i in (0..modules.len()).rev() {
        let below = want || modules[..i].iter().any(|m| m.learns());
        if !below && !modules[i].learns() {
            return Ok(None);
        }
        match modules[i].backward(pass, &grad, below)? {
            Some(next) => grad = next,
            None => return Ok(None),
        }
    }
    Ok(Some(grad))
}
