//! The module: a forward that says what it keeps, a backward that uses it.

use std::borrow::BorrowMut;
use std::sync::Arc;

use candle_core::Tensor;

use super::mixture::Mixture;
use super::pass::{Pass, Wants};
use super::rule::{Credit, Role, RuleCall};
use crate::Result;
use crate::plan::Drive;

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
///
/// A module that holds others (a block, a graph, the network) names them in [`Module::parts`]
/// and [`Module::parts_mut`]; every walk over a network is then written once, as a default method
/// below. A module without parts answers for itself.
pub trait Module: Send {
    /// Shows `visit` the modules inside this one, input first.
    fn parts<'a>(&'a self, visit: &mut dyn FnMut(&'a dyn Module)) {
        let _ = visit;
    }
    /// As [`Module::parts`], to change them.
    fn parts_mut(&mut self, visit: &mut dyn FnMut(&mut dyn Module)) {
        let _ = visit;
    }
    /// Takes on a mode; `listed` says whether the enclosing block learns.
    fn set_mode(&mut self, mode: &Mode, listed: bool) {
        self.parts_mut(&mut |part| part.set_mode(mode, listed));
    }
    /// Has gradients of its own in the current mode, of those that `wants` asks for.
    fn learns(&self, wants: Wants) -> bool {
        self.any(&|part| part.learns(wants))
    }
    /// Changes in a forward pass in the current mode (learns locally, or moves
    /// running statistics), so a pass must reach it.
    fn acts(&self) -> bool {
        self.any(&|part| part.acts())
    }
    /// Changes in evaluation too: what comes after it is not the same in every pass.
    fn updates_in_eval(&self) -> bool {
        self.any(&|part| part.updates_in_eval())
    }
    /// Names the layers that change in evaluation too: each one's block and rule.
    fn eval_updates(&self, out: &mut Vec<(String, String)>) {
        self.parts(&mut |part| part.eval_updates(out));
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
        let mut done = Ok(());
        self.parts_mut(&mut |part| {
            if done.is_ok() {
                done = part.apply_changes();
            }
        });
        done
    }
    /// A phase begins: steps count from 0 again.
    fn start_phase(&mut self) {
        self.parts_mut(&mut |part| part.start_phase());
    }
    /// Counts the step that has just ended.
    fn end_step(&mut self) {
        self.parts_mut(&mut |part| part.end_step());
    }
    /// Every tensor that a checkpoint needs.
    fn tensors(&self, out: &mut Vec<NamedTensor>) {
        self.parts(&mut |part| part.tensors(out));
    }
    /// Every counter that a checkpoint needs.
    fn counters(&mut self, visit: &mut dyn FnMut(&str, &mut u64)) {
        self.parts_mut(&mut |part| part.counters(visit));
    }
    /// Numbers reported by rules, by block.
    ///
    /// # Errors
    /// Failures of rules.
    fn metrics(&self, call: &RuleCall, visit: &mut MetricsVisitor<'_>) -> Result<()> {
        let mut done = Ok(());
        self.parts(&mut |part| {
            if done.is_ok() {
                done = part.metrics(call, visit);
            }
        });
        done
    }
    /// Name and credit of every rule.
    fn rules(&self, out: &mut Vec<(String, Credit)>) {
        self.parts(&mut |part| part.rules(out));
    }
    /// Rules that learn in evaluation too no longer do so.
    fn hold_still(&mut self) {
        self.parts_mut(&mut |part| part.hold_still());
    }
    /// A rule in the current mode needs targets in its local learning.
    fn wants_target(&self) -> bool {
        self.any(&|part| part.wants_target())
    }
    /// Takes on the weights of candidates, where it has some.
    ///
    /// # Errors
    /// A table or a row that is not there, or is not as long as the list of candidates.
    fn set_mixture(&mut self, mixture: &Mixture) -> Result<()> {
        let mut done = Ok(());
        self.parts_mut(&mut |part| {
            if done.is_ok() {
                done = part.set_mixture(mixture);
            }
        });
        done
    }
    /// Gives zeros whatever it is given, so that it need not be run.
    fn is_zero(&self) -> bool {
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
    /// Whether `is` holds for one of the parts.
    fn any(&self, is: &dyn Fn(&dyn Module) -> bool) -> bool {
        let mut found = false;
        self.parts(&mut |part| found = found || is(part));
        found
    }
}

/// Runs modules in order. Each keeps only where it or something below it learns.
///
/// # Errors
/// Failures of the modules.
pub fn forward_all<M: BorrowMut<dyn Module>>(
    modules: &mut [M],
    pass: &mut Pass,
    x: &Tensor,
) -> Result<Tensor> {
    let (keep, below) = (pass.keep, pass.below);
    let mut x = x.clone();
    for module in modules {
        let module = module.borrow_mut();
        pass.keep = keep && (pass.below || module.learns(pass.wants));
        x = module.forward(pass, &x)?;
        pass.below |= module.learns(pass.wants);
    }
    (pass.keep, pass.below) = (keep, below);
    Ok(x)
}

/// Backward counterpart of [`forward_all`]: stops where nothing below learns.
///
/// # Errors
/// Failures of the modules.
pub fn backward_all<M: BorrowMut<dyn Module>>(
    modules: &mut [M],
    pass: &mut Pass,
    grad: &Tensor,
    want: bool,
) -> Result<Option<Tensor>> {
    let mut grad = grad.clone();
    for i in (0..modules.len()).rev() {
        let below = want || modules[..i].iter().any(|m| m.borrow().learns(pass.wants));
        let module = modules[i].borrow_mut();
        if !below && !module.learns(pass.wants) {
            return Ok(None);
        }
        match module.backward(pass, &grad, below)? {
            Some(next) => grad = next,
            None => return Ok(None),
        }
    }
    Ok(Some(grad))
}
