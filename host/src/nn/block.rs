//! A block: norm → flatten → scaling → dropout → rule layer (or residual sum) →
//! inner norm → activation → norm after → pool, each optional (SoftHebb, `model.py`).

use std::borrow::{Borrow, BorrowMut};

use candle_core::Tensor;

use super::module::{Mode, Module, backward_all, forward_all};
use super::pass::Pass;
use super::recompute;
use crate::Result;

/// Named modules that learn and freeze together.
pub struct Block {
    name: String,
    modules: Vec<Box<dyn Module>>,
    recompute: bool,
}

impl Block {
    /// A block of these modules.
    pub fn new(name: &str, modules: Vec<Box<dyn Module>>) -> Self {
        Self {
            name: name.to_owned(),
            modules,
            recompute: false,
        }
    }

    /// The same; `recompute` keeps only its input for the backward pass.
    #[must_use]
    pub fn recomputed(mut self, recompute: bool) -> Self {
        self.recompute = recompute;
        self
    }

    fn here(&self, error: crate::Error) -> crate::Error {
        error.within(format_args!("block `{}`", self.name))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The forward pass up to the last module that changes in it, for local
    /// phases: nobody looks at what comes after.
    pub fn forward_while_acting(&mut self, pass: &mut Pass, x: &Tensor) -> Result<()> {
        let Some(last) = self.modules.iter().rposition(|m| m.acts()) else {
            return Ok(());
        };
        let done = forward_all(&mut self.modules[..last], pass, x).and_then(|x| {
            pass.unread = true;
            let done = self.modules[last].forward(pass, &x);
            pass.unread = false;
            done
        });
        done.map(drop).map_err(|e| self.here(e))
    }

    /// The forward pass up to the rule's layer: what its units answer, before anything is
    /// made of it. `None` where the block has none of its own.
    pub fn forward_to_layer(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Option<Tensor>> {
        let Some(layer) = self.modules.iter().position(|m| m.is_layer()) else {
            return Ok(None);
        };
        let done = forward_all(&mut self.modules[..=layer], pass, x);
        done.map(Some).map_err(|e| self.here(e))
    }

    /// The dropout that meets the block's input, if only views stand before it.
    pub fn leading_dropout(&self, pass: &Pass) -> Option<(f64, u64)> {
        self.modules.iter().find(|m| !m.is_view())?.dropout(pass)
    }
}

impl Borrow<dyn Module> for Block {
    fn borrow(&self) -> &(dyn Module + 'static) {
        self
    }
}

impl BorrowMut<dyn Module> for Block {
    fn borrow_mut(&mut self) -> &mut (dyn Module + 'static) {
        self
    }
}

impl Module for Block {
    fn parts<'a>(&'a self, visit: &mut dyn FnMut(&'a dyn Module)) {
        self.modules.iter().for_each(|m| visit(&**m));
    }

    fn parts_mut(&mut self, visit: &mut dyn FnMut(&mut dyn Module)) {
        self.modules.iter_mut().for_each(|m| visit(&mut **m));
    }

    fn set_mode(&mut self, mode: &Mode, listed: bool) {
        let listed = listed || mode.blocks.contains(&self.name);
        self.modules
            .iter_mut()
            .for_each(|m| m.set_mode(mode, listed));
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        let y = match self.recompute {
            true => recompute::forward(&mut self.modules, pass, x),
            false => forward_all(&mut self.modules, pass, x),
        };
        y.map_err(|e| self.here(e))
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let below = match self.recompute {
            true => recompute::backward(&mut self.modules, pass, grad, want),
            false => backward_all(&mut self.modules, pass, grad, want),
        };
        below.map_err(|e| self.here(e))
    }

    fn is_zero(&self) -> bool {
        matches!(&self.modules[..], [one] if one.is_zero())
    }

    fn apply_changes(&mut self) -> Result<()> {
        let done = self.modules.iter_mut().try_for_each(|m| m.apply_changes());
        done.map_err(|e| self.here(e))
    }
}
