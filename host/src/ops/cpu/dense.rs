//! The maps of a dense layer on the kernels crate.

use biorule_kernels::dense;
use candle_core::Tensor;

use super::real::{by_dtype, filled, read};
use crate::{Error, Result};

/// See [`crate::ops::dense::dense_forward`].
pub fn forward(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let ((b, d), (k, inner)) = (x.dims2()?, w.dims2()?);
    fits(d == inner, x, w)?;
    by_dtype!(x, T => read::<T, _>(x, |x| {
        read::<T, _>(w, |w| filled::<T>(&[b, k], |y| dense::forward((b, d, k), x, w, y)))
    })??)
}

/// See [`crate::ops::dense::dense_input_grad`].
pub fn input_grad(grad: &Tensor, w: &Tensor) -> Result<Tensor> {
    let ((b, k), (units, d)) = (grad.dims2()?, w.dims2()?);
    fits(k == units, grad, w)?;
    by_dtype!(grad, T => read::<T, _>(grad, |g| {
        read::<T, _>(w, |w| filled::<T>(&[b, d], |dx| dense::input_grad((b, d, k), g, w, dx)))
    })??)
}

/// See [`crate::ops::dense::dense_weight_grad`].
pub fn weight_grad(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let ((b, d), (rows, k)) = (x.dims2()?, grad.dims2()?);
    fits(b == rows, x, grad)?;
    by_dtype!(x, T => read::<T, _>(x, |x| {
        read::<T, _>(grad, |g| filled::<T>(&[k, d], |dw| dense::weight_grad((b, d, k), x, g, dw)))
    })??)
}

fn fits(fits: bool, a: &Tensor, b: &Tensor) -> Result<()> {
    if fits {
        return Ok(());
    }
    let text = format!(
        "shape mismatch: {:?} and {:?} do not fit a dense layer",
        a.dims(),
        b.dims()
    );
    Err(Error::internal(text))
}
