//! Pooling on the kernels crate. Maxima are remembered by their place in the
//! plane (`u32`), as on a GPU; the kernels count within the window.

use biorule_kernels::{Pool, pool};
use candle_core::Tensor;
use rayon::prelude::*;

use super::real::{Real, by_dtype, dims4, filled, read, tensor};
use crate::Result;
use crate::ops::Window;

fn geometry(w: &Window) -> Pool {
    Pool {
        kernel: w.kernel,
        stride: w.stride,
        padding: w.padding,
    }
}

/// See [`crate::ops::pool::max_pool`].
pub fn max_forward(window: &Window, x: &Tensor) -> Result<(Tensor, Tensor)> {
    by_dtype!(x, T => max_typed::<T>(window, x))
}

fn max_typed<T: Real>(window: &Window, x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [b, c, h, w] = dims4(x)?;
    let [p, q] = window.output([h, w])?;
    let dims = [b, c, p, q];
    let mut at = vec![0u16; dims.iter().product()];
    let y = read::<T, _>(x, |x| {
        filled::<T>(&dims, |y| {
            pool::max_forward(&geometry(window), b * c, h, w, x, y, &mut at);
        })
    })??;
    let mut places = vec![0u32; at.len()];
    places
        .par_chunks_mut(p * q)
        .zip(at.par_chunks(p * q))
        .for_each(|(places, at)| in_plane(window, w, q, at, places));
    Ok((y, tensor(places, &dims)?))
}

/// From places in windows to places in the plane of `width` columns; `q` windows a row.
fn in_plane(window: &Window, width: usize, q: usize, at: &[u16], places: &mut [u32]) {
    let [_, columns] = window.kernel;
    for (i, (at, places)) in at.chunks(q).zip(places.chunks_mut(q)).enumerate() {
        let top = (i * window.stride[0]).wrapping_sub(window.padding[0]);
        for (j, (at, place)) in at.iter().zip(places).enumerate() {
            let left = (j * window.stride[1]).wrapping_sub(window.padding[1]);
            let (row, column) = (usize::from(*at) / columns, usize::from(*at) % columns);
            let row = top.wrapping_add(row);
            *place = (row * width + left.wrapping_add(column)) as u32;
        }
    }
}

/// See [`crate::ops::pool::max_pool_backward`].
pub fn max_backward(grad: &Tensor, places: &Tensor, input: [usize; 2]) -> Result<Tensor> {
    by_dtype!(grad, T => max_backward_typed::<T>(grad, places, input))
}

fn max_backward_typed<T: Real>(grad: &Tensor, at: &Tensor, [h, w]: [usize; 2]) -> Result<Tensor> {
    let [b, c, p, q] = dims4(grad)?;
    read::<T, _>(grad, |grad| {
        read::<u32, _>(at, |at| {
            filled::<T>(&[b, c, h, w], |dx| {
                dx.par_chunks_mut(h * w)
                    .zip(grad.par_chunks(p * q).zip(at.par_chunks(p * q)))
                    .for_each(|(dx, (grad, at))| {
                        for (g, place) in grad.iter().zip(at) {
                            dx[*place as usize] += *g;
                        }
                    });
            })
        })
    })??
}

/// See [`crate::ops::pool::avg_pool`].
pub fn avg_forward(window: &Window, x: &Tensor) -> Result<Tensor> {
    by_dtype!(x, T => avg_typed::<T>(window, x))
}

fn avg_typed<T: Real>(window: &Window, x: &Tensor) -> Result<Tensor> {
    let [b, c, h, w] = dims4(x)?;
    let [p, q] = window.output([h, w])?;
    read::<T, _>(x, |x| {
        filled::<T>(&[b, c, p, q], |y| {
            pool::avg_forward(&geometry(window), b * c, h, w, true, x, y);
        })
    })?
}

/// See [`crate::ops::pool::avg_pool_backward`].
pub fn avg_backward(window: &Window, grad: &Tensor, input: [usize; 2]) -> Result<Tensor> {
    by_dtype!(grad, T => avg_backward_typed::<T>(window, grad, input))
}

fn avg_backward_typed<T: Real>(
    window: &Window,
    grad: &Tensor,
    [h, w]: [usize; 2],
) -> Result<Tensor> {
    let [b, c, ..] = dims4(grad)?;
    read::<T, _>(grad, |grad| {
        filled::<T>(&[b, c, h, w], |dx| {
            pool::avg_backward(&geometry(window), b * c, h, w, true, grad, dx);
        })
    })?
}
