//! The nonlinearity as a module.

use candle_core::Tensor;

use super::module::Module;
use super::pass::{Kept, Pass};
use crate::Result;
use crate::ops::activation::{activate, activate_backward, keeps_input};
use crate::plan::ActivationPlan;

/// Element-wise, or over axis 1 where the kind says so.
pub struct Activation(pub ActivationPlan);

impl Module for Activation {
    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        let y = activate(&self.0, x)?;
        let kept = if keeps_input(&self.0) { x } else { &y };
        pass.push(|| Kept {
            tensors: vec![kept.clone()],
            ..Kept::default()
        });
        Ok(y)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        if !want {
            return Ok(None);
        }
        Ok(Some(activate_backward(&self.0, &kept.tensors[0], grad)?))
    }
}
