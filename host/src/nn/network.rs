//! A network: blocks in order, run as far as a phase needs.

use candle_core::{DType, Tensor};

use super::block::Block;
use super::mixture::Mixture;
use super::module::{Mode, Module, NamedTensor, backward_all, forward_all};
use super::pass::{Clock, Pass, Wants};
use super::rule::{Credit, Role};
use crate::{Error, Result};

/// Blocks, input first.
pub struct Network {
    blocks: Vec<Block>,
    /// Width of the output, `[outputs]`.
    outputs: usize,
}

/// Numbers reported by the rules of one block.
pub type BlockMetrics = (String, Vec<(String, f64)>);

impl Network {
    /// From built blocks and the width of the last one's output.
    pub fn new(blocks: Vec<Block>, outputs: usize) -> Self {
        Self { blocks, outputs }
    }

    /// Width of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there are no blocks.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Names of the blocks, input first.
    pub fn block_names(&self) -> Vec<String> {
        self.blocks.iter().map(|b| b.name().to_owned()).collect()
    }

    /// Puts every block in evaluation mode, then the listed ones in training mode.
    pub fn set_mode(&mut self, mode: &Mode) {
        self.blocks.iter_mut().for_each(|b| b.set_mode(mode, false));
    }

    /// Index of the first block that learns, moves statistics or changes whatever the mode:
    /// the length of the frozen prefix.
    pub fn first_active(&self) -> usize {
        let active = |b: &Block| b.acts() || b.learns(Wants::WEIGHTS) || b.updates_in_eval();
        self.blocks
            .iter()
            .position(active)
            .unwrap_or(self.blocks.len())
    }

    /// Layers that change in evaluation too, as block and rule, input first.
    #[must_use]
    pub fn eval_updates(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        self.blocks.iter().for_each(|b| b.eval_updates(&mut out));
        out
    }

    /// Whether a rule learns in evaluation too.
    pub fn updates_in_eval(&self) -> bool {
        self.blocks.iter().any(|b| b.updates_in_eval())
    }

    /// Whether anything learns or acts in this mode.
    pub fn is_active(&self) -> bool {
        self.blocks
            .iter()
            .any(|b| b.acts() || b.learns(Wants::WEIGHTS))
    }

    /// Whether a gradient changes anything in this mode.
    pub fn learns(&self) -> bool {
        self.blocks.iter().any(|b| b.learns(Wants::WEIGHTS))
    }

    /// Gives every mixed edge the weights of its candidates, until they are given anew.
    ///
    /// # Errors
    /// An internal error where `mixture` lacks a row, or has one of another length.
    pub fn set_mixture(&mut self, mixture: &Mixture) -> Result<()> {
        self.blocks
            .iter_mut()
            .try_for_each(|b| b.set_mixture(mixture))
    }

    /// Whether a local rule wants targets in this mode.
    pub fn wants_target(&self) -> bool {
        self.blocks.iter().any(|b| b.wants_target())
    }

    /// The dropout that meets the input of block `from` in this pass.
    pub fn leading_dropout(&self, from: usize, pass: &Pass) -> Option<(f64, u64)> {
        self.blocks.get(from)?.leading_dropout(pass)
    }

    /// Output of blocks `range` for `x`, the input of the first of them.
    pub fn forward(
        &mut self,
        pass: &mut Pass,
        x: &Tensor,
        range: std::ops::Range<usize>,
    ) -> Result<Tensor> {
        forward_all(&mut self.blocks[range], pass, x)
    }

    /// Output of the whole network.
    pub fn forward_all(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        self.forward(pass, x, 0..self.blocks.len())
    }

    /// A local pass from block `from`: ends at the last module that changes in it.
    pub fn forward_local(&mut self, pass: &mut Pass, x: &Tensor, from: usize) -> Result<()> {
        let Some(last) = self.blocks.iter().rposition(|b| b.acts()) else {
            return Ok(());
        };
        let x = self.forward(pass, x, from..last.max(from))?;
        self.blocks[last].forward_while_acting(pass, &x)
    }

    /// What the units of block `of` answer to `x`, the input of block `from`; see
    /// [`Block::forward_to_layer`].
    pub fn forward_to_layer(
        &mut self,
        pass: &mut Pass,
        x: &Tensor,
        (from, of): (usize, usize),
    ) -> Result<Option<Tensor>> {
        let x = self.forward(pass, x, from..of)?;
        self.blocks[of].forward_to_layer(pass, &x)
    }

    /// Backward through blocks `range`, the same as went forward, from the gradient at the
    /// output. The result is the gradient at the input, where the pass wants it.
    pub fn backward(
        &mut self,
        pass: &mut Pass,
        grad: &Tensor,
        range: std::ops::Range<usize>,
    ) -> Result<Option<Tensor>> {
        let want = pass.below;
        let grad = backward_all(&mut self.blocks[range], pass, grad, want)?;
        Ok(grad.filter(|_| want))
    }

    /// Applies the changes that local rules found in the last pass.
    pub fn apply_changes(&mut self) -> Result<()> {
        self.blocks.iter_mut().try_for_each(|b| b.apply_changes())
    }

    /// A phase begins: the steps of every layer count from 0 again.
    pub fn start_phase(&mut self) {
        self.blocks.iter_mut().for_each(|b| b.start_phase());
    }

    /// Counts the step that has just ended in every layer that learned.
    pub fn end_step(&mut self) {
        self.blocks.iter_mut().for_each(|b| b.end_step());
    }

    /// Every tensor under its full name.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let mut out = Vec::new();
        self.blocks.iter().for_each(|b| b.tensors(&mut out));
        out
    }

    /// Every counter under its full name.
    pub fn counters(&mut self) -> Vec<(String, u64)> {
        let mut out = Vec::new();
        for block in &mut self.blocks {
            block.counters(&mut |name, value| out.push((name.to_owned(), *value)));
        }
        out
    }

    /// Restores tensors by name; every tensor of the network must be among them.
    ///
    /// # Errors
    /// A usage error that names the first missing or misshapen tensor.
    pub fn load(&mut self, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<()> {
        for slot in self.tensors() {
            let saved = find(&slot.name).ok_or_else(|| {
                Error::usage(format!("the checkpoint has no tensor `{}`", slot.name))
                    .hint("it was written by another network; start a new run folder")
            })?;
            if saved.dims() != slot.tensor.dims() {
                return Err(Error::usage(format!(
                    "`{}` has shape {:?} in the checkpoint and {:?} in the network",
                    slot.name,
                    saved.dims(),
                    slot.tensor.dims()
                )));
            }
            let saved = saved.to_dtype(slot.tensor.dtype())?;
            crate::ops::shape::copy_in_place(&slot.tensor, &saved)?;
        }
        Ok(())
    }

    /// Restores counters by name; unknown names are ignored, missing ones stay.
    pub fn load_counters(&mut self, saved: &[(String, u64)]) {
        for block in &mut self.blocks {
            block.counters(&mut |name, value| {
                if let Some((_, v)) = saved.iter().find(|(n, _)| n == name) {
                    *value = *v;
                }
            });
        }
    }

    /// Numbers reported by the rules of every block.
    pub fn metrics(&self, clock: &Clock) -> Result<Vec<BlockMetrics>> {
        let call = clock.call();
        let mut out = Vec::new();
        for block in &self.blocks {
            block.metrics(&call, &mut |name, values| {
                out.push((name.to_owned(), values))
            })?;
        }
        Ok(out)
    }

    /// Name and credit of the rules of block `name`, those inside of it too.
    pub fn rules_of(&self, name: &str) -> Vec<(String, Credit)> {
        let mut out = Vec::new();
        let named = self.blocks.iter().filter(|b| b.name() == name);
        named.for_each(|b| b.rules(&mut out));
        out
    }

    /// Evaluation changes nothing from now on, whatever the rules do of themselves.
    pub fn hold_still(&mut self) {
        self.blocks.iter_mut().for_each(|b| b.hold_still());
    }

    /// Name of every block that has weights, with their number and their Euclidean norm.
    pub fn weight_norms(&self) -> Result<Vec<(String, usize, f64)>> {
        let mut out = Vec::new();
        for block in &self.blocks {
            let mut tensors = Vec::new();
            block.tensors(&mut tensors);
            tensors.retain(|t| matches!(t.role, Role::Weight | Role::Plastic));
            let (mut count, mut squares) = (0, 0.0);
            for t in &tensors {
                count += t.tensor.elem_count();
                let sum = t.tensor.to_dtype(DType::F64)?.sqr()?.sum_all()?;
                squares += sum.to_scalar::<f64>()?;
            }
            if count > 0 {
                out.push((block.name().to_owned(), count, squares.sqrt()));
            }
        }
        Ok(out)
    }

    /// The first block with a NaN or an infinity in its state, if any.
    pub fn diverged_block(&self) -> Result<Option<String>> {
        let (mut sums, mut owners) = (Vec::new(), Vec::new());
        for block in &self.blocks {
            let mut tensors = Vec::new();
            block.tensors(&mut tensors);
            for named in tensors {
                sums.push(named.tensor.abs()?.sum_all()?.to_dtype(DType::F64)?);
                owners.push(block.name());
            }
        }
        if sums.is_empty() {
            return Ok(None);
        }
        // One read for all: each waits for a GPU.
        let sums = Tensor::stack(&sums, 0)?.to_vec1::<f64>()?;
        let bad = sums.iter().position(|sum| !sum.is_finite());
        Ok(bad.map(|at| owners[at].to_owned()))
    }
}
