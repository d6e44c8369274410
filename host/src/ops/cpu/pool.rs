//! Pooling on the kernels crate.

use biorule_kernels::pool;
use candle_core::Tensor;

use super::real::{Real, by_dtype, dims4, filled, read, tensor};
use crate::Result;
use crate::ops::Window;

/// See [`crate::ops::pool::max_pool`].
pub fn max_forward(window: &Window, x: &Tensor) -> Result<(Tensor, Tensor)> {
    by_dtype!(x, T => {
        let mut places = vec![0; x.dim(0)? * x.dim(1)? * plane(window, x)?];
        let y = max_typed::<T>(window, x, Some(&mut places))?;
        let places = tensor(places, y.dims())?;
        Ok((y, places))
    })
}

/// See [`crate::ops::pool::max_pool_alone`].
pub fn max_forward_alone(window: &Window, x: &Tensor) -> Result<Tensor> {
    by_dtype!(x, T => max_typed::<T>(window, x, None))
}

/// Outputs of one plane.
fn plane(window: &Window, x: &Tensor) -> Result<usize> {
    let [_, _, h, w] = dims4(x)?;
    let (p, q) = window.out_size(h, w)?;
    Ok(p * q)
}

fn max_typed<T: Real>(window: &Window, x: &Tensor, places: Option<&mut [u32]>) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let (p, q) = window.out_size(h, w)?;
    read::<T, _>(x, |x| {
        filled::<T>(&[b, c, p, q], |y| {
            pool::max_forward(window, b * c, h, w, x, y, places);
        })
    })?
}

/// See [`crate::ops::pool::max_pool_backward`].
pub fn max_backward(grad: &Tensor, places: &Tensor, input: [usize; 2]) -> Result<Tensor> {
    by_dtype!(grad, T => max_backward_typed::<T>(grad, places, input))
}

fn max_backward_typed<T: Real>(
    grad: &Tensor,
    places: &Tensor,
    [h, w]: [usize; 2],
) -> Result<Tensor> {
    let [b, c, p, q] = dims4(grad)?;
    read::<T, _>(grad, |grad| {
        read::<u32, _>(places, |places| {
            filled::<T>(&[b, c, h, w], |dx| {
                pool::max_backward((b * c, p * q), (h, w), grad, places, dx);
            })
        })
    })??
}

/// See [`crate::ops::pool::avg_pool`].
pub fn avg_forward(window: &Window, include_pad: bool, x: &Tensor) -> Result<Tensor> {
    by_dtype!(x, T => avg_typed::<T>(window, include_pad, x))
}

fn avg_typed<T: Real>(window: &Window, include_pad: bool, x: &Tensor) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let (p, q) = window.out_size(h, w)?;
    read::<T, _>(x, |x| {
        filled::<T>(&[b, c, p, q], |y| {
            pool::avg_forward(window, b * c, h, w, include_pad, x, y);
        })
    })?
}

/// See [`crate::ops::pool::avg_pool_backward`].
pub fn avg_backward(
    window: &Window,
    include_pad: bool,
    grad: &Tensor,
    input: [usize; 2],
) -> Result<Tensor> {
    by_dtype!(grad, T => avg_backward_typed::<T>(window, include_pad, grad, input))
}

fn avg_backward_typed<T: Real>(
    window: &Window,
    include_pad: bool,
    grad: &Tensor,
    [h, w]: [usize; 2],
) -> Result<Tensor> {
    let [b, c, ..] = dims4(grad)?;
    read::<T, _>(grad, |grad| {
        filled::<T>(&[b, c, h, w], |dx| {
            pool::avg_backward(window, b * c, h, w, include_pad, grad, dx);
        })
    })?
}
