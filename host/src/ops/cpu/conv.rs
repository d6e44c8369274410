//! Convolution maps on CPU tensors: the kernels crate behind Candle's storage.

use biorule_kernels::conv;
use candle_core::Tensor;

use super::real::{by_dtype, dims4, read, tensor, unwritten};
use crate::Result;
use crate::ops::Conv;

/// See [`crate::ops::conv::conv_forward`].
pub fn forward(g: &Conv, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let [b, _, h, wd] = dims4(x)?;
    let (p, q) = g.out_size(h, wd)?;
    check("weight", w, &g.weight_dims())?;
    by_dtype!(x, T => {
        let mut y = unwritten::<T>(b * g.out * p * q);
        read::<T, _>(x, |x| read::<T, _>(w, |w| conv::forward(g, b, h, wd, x, w, &mut y)))??;
        tensor(y, &[b, g.out, p, q])
    })
}

/// See [`crate::ops::conv::conv_input_grad`].
pub fn input_grad(g: &Conv, grad: &Tensor, w: &Tensor, input: [usize; 2]) -> Result<Tensor> {
    let [b, ..] = dims4(grad)?;
    let [h, wd] = input;
    let (p, q) = g.out_size(input[0], input[1])?;
    check("weight", w, &g.weight_dims())?;
    check("error", grad, &[b, g.out, p, q])?;
    by_dtype!(grad, T => {
        let mut dx = unwritten::<T>(b * g.channels * h * wd);
        read::<T, _>(grad, |dy| read::<T, _>(w, |w| conv::input_grad(g, b, h, wd, dy, w, &mut dx)))??;
        tensor(dx, &[b, g.channels, h, wd])
    })
}

/// See [`crate::ops::conv::conv_weight_grad`].
pub fn weight_grad(g: &Conv, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let [b, _, h, wd] = dims4(x)?;
    let (p, q) = g.out_size(h, wd)?;
    check("error", grad, &[b, g.out, p, q])?;
    by_dtype!(x, T => {
        let dims = g.weight_dims();
        let mut dw = unwritten::<T>(dims.iter().product());
        read::<T, _>(x, |x| read::<T, _>(grad, |dy| conv::weight_grad(g, b, h, wd, x, dy, &mut dw)))??;
        tensor(dw, &dims)
    })
}

/// The kernels take slices: a wrong shape must not reach them.
fn check(what: &str, t: &Tensor, dims: &[usize]) -> Result<()> {
    if t.elem_count() == dims.iter().product::<usize>() && t.dims().first() == dims.first() {
        return Ok(());
    }
    Err(crate::Error::internal(format!(
        "{what} of shape {:?} where {dims:?} is expected",
        t.dims()
    )))
}
