//! An auxiliary head (Szegedy et al. 2015): in training its input also goes through a side branch
//! to further logits, whose loss is added to that of the network with a weight. What passes
//! through the module is unchanged.

use std::sync::Arc;

use candle_core::Tensor;

use super::module::{Mode, Module, backward_all, forward_all};
use super::pass::{Kept, Pass, Side, Wants};
use crate::{Error, Result};

/// A side branch to logits.
pub struct SideHead {
    name: Arc<str>,
    weight: f64,
    modules: Vec<Box<dyn Module>>,
    training: bool,
}

impl SideHead {
    /// The head `name`, whose loss counts `weight` times.
    pub fn new(name: &str, weight: f64, modules: Vec<Box<dyn Module>>) -> Self {
        Self {
            name: Arc::from(name),
            weight,
            modules,
            training: false,
        }
    }

    /// Whether the head is run in a pass that wants this: where its loss changes something.
    fn runs(&self, pass: &Pass) -> bool {
        self.training && pass.wants.any()
    }
}

impl Module for SideHead {
    fn parts<'a>(&'a self, visit: &mut dyn FnMut(&'a dyn Module)) {
        self.modules.iter().for_each(|m| visit(&**m));
    }

    fn parts_mut(&mut self, visit: &mut dyn FnMut(&mut dyn Module)) {
        self.modules.iter_mut().for_each(|m| visit(&mut **m));
    }

    fn set_mode(&mut self, mode: &Mode, listed: bool) {
        self.training = listed;
        self.parts_mut(&mut |part| part.set_mode(mode, listed));
    }

    fn learns(&self, wants: Wants) -> bool {
        self.any(&|part| part.learns(wants))
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        if !self.runs(pass) {
            pass.push(Kept::default);
            return Ok(x.clone());
        }
        let unread = std::mem::replace(&mut pass.unread, false);
        let y = forward_all(&mut self.modules, pass, x)?;
        pass.unread = unread;
        if !pass.replay {
            let logits = if y.rank() == 2 {
                y.clone()
            } else {
                y.flatten_from(1)?
            };
            pass.sides.push(Side {
                name: self.name.clone(),
                weight: self.weight,
                logits,
            });
        }
        pass.push(|| Kept {
            dims: y.dims().to_vec(),
            ..Kept::default()
        });
        Ok(x.clone())
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        if kept.dims.is_empty() {
            return Ok(want.then(|| grad.clone()));
        }
        let own = pass.side_errors.get(&self.name).cloned().ok_or_else(|| {
            Error::internal(format!("the auxiliary head `{}` has no error", self.name))
        })?;
        let error = pass.output_error.replace(own.clone());
        let below = backward_all(&mut self.modules, pass, &own.reshape(kept.dims)?, want);
        pass.output_error = error;
        match (want, below?) {
            (false, _) => Ok(None),
            (true, Some(below)) => Ok(Some((grad + below)?)),
            (true, None) => Ok(Some(grad.clone())),
        }
    }
}
