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

/// `x: [B, C, H, W]` without its first row and column, `[B, C, H − 1, W − 1]`.
pub struct Shift;

impl Module for Shift {
    fn forward(&mut self, _: &mut Pass, x: &Tensor) -> Result<Tensor> {
        let (_, _, rows, columns) = x.dims4()?;
        let below = x.narrow(2, 1, rows - 1)?.narrow(3, 1, columns - 1)?;
        Ok(below.contiguous()?)
    }

    fn backward(&mut self, _: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let whole = || grad.pad_with_zeros(2, 1, 0)?.pad_with_zeros(3, 1, 0);
        Ok(want.then(whole).transpose()?)
    }
}

/// Zeros of the shape of the input; nothing goes back through it.
pub struct Zero;

impl Module for Zero {
    fn forward(&mut self, _: &mut Pass, x: &Tensor) -> Result<Tensor> {
        Ok(x.zeros_like()?)
    }

    fn backward(&mut self, _: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        Ok(want.then(|| grad.zeros_like()).transpose()?)
    }
}
