//! Modules without parameters that reshape or rescale a sample.

use candle_core::Tensor;

use super::module::Module;
use super::pass::{Kept, Pass};
use crate::ops::shape;
use crate::plan::TransformPlan;
use crate::{Error, Result};

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

/// Zeros of the shape of every `stride`-th pixel of `x: [B, C, H, W]`.
pub struct Zero {
    /// Along both axes.
    pub stride: usize,
}

impl Module for Zero {
    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        pass.push(|| Kept {
            dims: x.dims().to_vec(),
            ..Kept::default()
        });
        let mut shape = x.dims().to_vec();
        let pixels = shape.iter_mut().skip(2);
        pixels.for_each(|size| *size = size.div_ceil(self.stride));
        Ok(Tensor::zeros(shape, x.dtype(), x.device())?)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        let zeros = || Ok(Tensor::zeros(kept.dims, grad.dtype(), grad.device())?);
        want.then(zeros).transpose()
    }

    fn is_zero(&self) -> bool {
        true
    }
}

/// `x: [B, C, H, W]` without its first rows and columns.
pub struct Shift {
    /// How many of each.
    pub by: usize,
}

impl Module for Shift {
    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        pass.push(Kept::default);
        let (_, _, rows, columns) = x.dims4()?;
        let rest = x.narrow(2, self.by, rows - self.by)?;
        Ok(rest.narrow(3, self.by, columns - self.by)?.contiguous()?)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        pass.pop()?;
        let pad = || -> Result<Tensor> {
            let wider = grad.pad_with_zeros(2, self.by, 0)?;
            Ok(wider.pad_with_zeros(3, self.by, 0)?)
        };
        want.then(pad).transpose()
    }
}

/// The module of `plan` for a sample of shape `dims`, which becomes that of its output.
///
/// # Errors
/// Usage error where nothing is left.
pub fn transform(plan: TransformPlan, dims: &mut [usize]) -> Result<Box<dyn Module>> {
    let sizes = dims.iter_mut().skip(1);
    match plan {
        TransformPlan::Zero { stride } => {
            sizes.for_each(|size| *size = size.div_ceil(stride));
            Ok(Box::new(Zero { stride }))
        }
        TransformPlan::Shift { by } => {
            sizes.for_each(|size| *size = size.saturating_sub(by));
            if dims.len() != 3 || dims.contains(&0) {
                return Err(Error::usage(format!(
                    "`shift` leaves nothing of {dims:?} after {by} rows and columns"
                )));
            }
            Ok(Box::new(Shift { by }))
        }
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
