//! Nonlinearities: those over channels on the kernels crate, the others element by element.

use biorule_kernels::threads;
use biorule_kernels::{Planes, activation as kernels};
use candle_core::Tensor;

use super::real::{Real, by_dtype, dims4, filled, read, tensor, unwritten};
use crate::Result;
use crate::plan::ActivationPlan;

/// Elements a task takes at a time.
const CHUNK: usize = 1 << 14;

/// See [`crate::ops::activation::activate`].
pub fn forward(kind: &ActivationPlan, u: &Tensor) -> Result<Tensor> {
    by_dtype!(u, T => forward_typed::<T>(kind, u))
}

fn forward_typed<T: Real>(kind: &ActivationPlan, u: &Tensor) -> Result<Tensor> {
    match *kind {
        ActivationPlan::Triangle { power } => triangle::<T>(u, power),
        ActivationPlan::Softmax { gain } => softmax::<T>(u, gain),
        ActivationPlan::Relu => map::<T>(u, |u| if u < T::ZERO { T::ZERO } else { u }),
        ActivationPlan::Repu { power } => map::<T>(u, move |u| raised(u, T::of(power))),
        ActivationPlan::Exp { gain } => map::<T>(u, move |u| (u * T::of(gain)).exp()),
        ActivationPlan::Tanh { gain } => map::<T>(u, move |u| (u * T::of(gain)).tanh()),
        ActivationPlan::Sigmoid { gain } => {
            map::<T>(u, move |u| T::ONE / (T::ONE + (-(u * T::of(gain))).exp()))
        }
    }
}

/// See [`crate::ops::activation::activate_backward`].
pub fn backward(kind: &ActivationPlan, kept: &Tensor, grad: &Tensor) -> Result<Tensor> {
    by_dtype!(grad, T => backward_typed::<T>(kind, kept, grad))
}

fn backward_typed<T: Real>(kind: &ActivationPlan, kept: &Tensor, grad: &Tensor) -> Result<Tensor> {
    match *kind {
        ActivationPlan::Triangle { power } => triangle_backward::<T>(kept, grad, power),
        ActivationPlan::Softmax { gain } => softmax_backward::<T>(kept, grad, gain),
        ActivationPlan::Relu => map2::<T>(kept, grad, |y, g| if y > T::ZERO { g } else { T::ZERO }),
        ActivationPlan::Repu { power } => {
            let p = T::of(power);
            map2::<T>(kept, grad, move |u, g| slope(u, p) * g)
        }
        ActivationPlan::Exp { gain } => map2::<T>(kept, grad, move |y, g| T::of(gain) * y * g),
        ActivationPlan::Tanh { gain } => {
            map2::<T>(kept, grad, move |y, g| T::of(gain) * (T::ONE - y * y) * g)
        }
        ActivationPlan::Sigmoid { gain } => {
            map2::<T>(kept, grad, move |y, g| T::of(gain) * y * (T::ONE - y) * g)
        }
    }
}

/// `max(0, c)^p`; NaN stays NaN.
#[inline(always)]
fn raised<T: Real>(c: T, p: T) -> T {
    if c <= T::ZERO {
        T::ZERO
    } else if p == T::ONE {
        c
    } else {
        c.powf(p)
    }
}

/// Derivative of [`raised`]: 0 at and below 0, also where the power makes it infinite.
#[inline(always)]
fn slope<T: Real>(c: T, p: T) -> T {
    if c <= T::ZERO {
        T::ZERO
    } else if p == T::ONE {
        T::ONE
    } else {
        p * c.powf(p - T::ONE)
    }
}

fn map<T: Real>(u: &Tensor, f: impl Fn(T) -> T + Sync) -> Result<Tensor> {
    let mut out = unwritten::<T>(u.elem_count());
    read::<T, _>(u, |u| {
        threads::for_each_chunk(&mut out, CHUNK, |i, out| {
            let u = &u[i * CHUNK..][..out.len()];
            out.iter_mut().zip(u).for_each(|(y, u)| *y = f(*u));
        });
    })?;
    tensor(out, u.dims())
}

fn map2<T: Real>(a: &Tensor, grad: &Tensor, f: impl Fn(T, T) -> T + Sync) -> Result<Tensor> {
    let mut out = unwritten::<T>(a.elem_count());
    read::<T, _>(a, |a| {
        read::<T, _>(grad, |grad| {
            threads::for_each_chunk(&mut out, CHUNK, |i, out| {
                let (a, grad) = (
                    &a[i * CHUNK..][..out.len()],
                    &grad[i * CHUNK..][..out.len()],
                );
                for ((o, a), g) in out.iter_mut().zip(a).zip(grad) {
                    *o = f(*a, *g);
                }
            });
        })
    })??;
    tensor(out, a.dims())
}

fn planes(u: &Tensor) -> Result<Planes> {
    let [b, k, h, w] = dims4(u)?;
    Ok(Planes::new(b, k, h * w))
}

fn triangle<T: Real>(u: &Tensor, power: f64) -> Result<Tensor> {
    let d = planes(u)?;
    read::<T, _>(u, |v| {
        filled::<T>(u.dims(), |y| kernels::triangle_forward(d, power, v, y))
    })?
}

fn triangle_backward<T: Real>(u: &Tensor, grad: &Tensor, power: f64) -> Result<Tensor> {
    let d = planes(u)?;
    read::<T, _>(u, |v| {
        read::<T, _>(grad, |grad| {
            filled::<T>(u.dims(), |du| {
                kernels::triangle_backward(d, power, v, grad, du)
            })
        })
    })??
}

fn softmax<T: Real>(u: &Tensor, gain: f64) -> Result<Tensor> {
    let d = planes(u)?;
    read::<T, _>(u, |v| {
        filled::<T>(u.dims(), |y| {
            kernels::softmax_channels_forward(d, gain, v, y)
        })
    })?
}

fn softmax_backward<T: Real>(y: &Tensor, grad: &Tensor, gain: f64) -> Result<Tensor> {
    let d = planes(y)?;
    read::<T, _>(y, |v| {
        read::<T, _>(grad, |grad| {
            filled::<T>(y.dims(), |du| {
                kernels::softmax_channels_backward(d, gain, v, grad, du)
            })
        })
    })??
}
