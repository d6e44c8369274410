//! Modules without parameters that reshape or rescale a sample.

use candle_core::Tensor;

use super::module::Module;
use super::pass::{Kept, Pass};
use crate::Result;
use crate::ops::shape;

/// Length that `UnitLength` gives (SoftHebb `normnorm`).
const LENGTH: f64 = 10.0;

/// `[B, C, H, W]` to `[B, C·H·W]`.
pub struct Flatten;

impl Module for Flatten {
    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        pass.push(|| Kept {
            dims: x.dims().to_vec(),
            ..Kept::default()
        });
        Ok(if x.rank() == 2 {
            x.clone()
        } else {
            x.flatten_from(1)?
        })
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        Ok(want.then(|| grad.reshape(kept.dims)).transpose()?)
    }

    fn is_view(&self) -> bool {
        true
    }
}

/// Each sample divided by its largest value (SoftHebb `max`).
pub struct DivideByMax;

impl Module for DivideByMax {
    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        pass.push(|| Kept {
            tensors: vec![x.clone()],
            ..Kept::default()
        });
        shape::divide_by_max(x)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        want.then(|| shape::divide_by_max_backward(&kept.tensors[0], grad))
            .transpose()
    }
}

/// Length 10 along axis 1 (SoftHebb `normnorm`).
pub struct UnitLength;

impl Module for UnitLength {
    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        pass.push(|| Kept {
            tensors: vec![x.clone()],
            ..Kept::default()
        });
        shape::scale_to_length(x, LENGTH)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        want.then(|| shape::scale_to_length_backward(&kept.tensors[0], grad, LENGTH))
            .transpose()
    }
}
