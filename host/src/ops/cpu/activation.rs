//! Nonlinearities on slices.

use candle_core::Tensor;
use rayon::prelude::*;

use super::real::{Real, by_dtype, dims4, read, tensor, zeros};
use crate::Result;
use crate::config::plan::ActivationPlan;

/// Elements a task takes at a time.
const CHUNK: usize = 1 << 14;

/// See [`crate::ops::activation::activate`].
pub fn forward(kind: &ActivationPlan, u: &Tensor) -> Result<Tensor> {
    by_dtype!(u, T => match *kind {
        ActivationPlan::Triangle { power } => triangle::<T>(u, power),
        ActivationPlan::Softmax { gain } => softmax::<T>(u, gain),
        ActivationPlan::Relu => map::<T>(u, |u| if u < T::ZERO { T::ZERO } else { u }),
        ActivationPlan::Repu { power } => map::<T>(u, move |u| raised(u, T::of(power))),
        ActivationPlan::Exp { gain } => map::<T>(u, move |u| (u * T::of(gain)).exp()),
        ActivationPlan::Tanh { gain } => map::<T>(u, move |u| (u * T::of(gain)).tanh()),
        ActivationPlan::Sigmoid { gain } => {
            map::<T>(u, move |u| T::ONE / (T::ONE + (-(u * T::of(gain))).exp()))
        }
    })
}

/// See [`crate::ops::activation::activate_backward`].
pub fn backward(kind: &ActivationPlan, kept: &Tensor, grad: &Tensor) -> Result<Tensor> {
    by_dtype!(grad, T => match *kind {
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
    })
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
    let mut out = zeros::<T>(u.elem_count());
    read::<T, _>(u, |u| {
        out.par_chunks_mut(CHUNK)
            .zip(u.par_chunks(CHUNK))
            .for_each(|(out, u)| out.iter_mut().zip(u).for_each(|(y, u)| *y = f(*u)));
    })?;
    tensor(out, u.dims())
}

fn map2<T: Real>(a: &Tensor, grad: &Tensor, f: impl Fn(T, T) -> T + Sync) -> Result<Tensor> {
    let mut out = zeros::<T>(a.elem_count());
    read::<T, _>(a, |a| {
        read::<T, _>(grad, |grad| {
            out.par_chunks_mut(CHUNK)
                .zip(a.par_chunks(CHUNK).zip(grad.par_chunks(CHUNK)))
                .for_each(|(out, (a, grad))| {
                    for ((o, a), g) in out.iter_mut().zip(a).zip(grad) {
                        *o = f(*a, *g);
                    }
                });
        })
    })??;
    tensor(out, a.dims())
}

/// Mean over channels at each position of one sample `[K, n]`.
fn means<T: Real>(u: &[T], k: usize, n: usize) -> Vec<T> {
    let mut mean = vec![T::ZERO; n];
    for plane in u.chunks(n) {
        mean.iter_mut().zip(plane).for_each(|(m, u)| *m += *u);
    }
    let share = T::of(1.0 / k as f64);
    mean.iter_mut().for_each(|m| *m *= share);
    mean
}

fn triangle<T: Real>(u: &Tensor, power: f64) -> Result<Tensor> {
    let [_, k, h, w] = dims4(u)?;
    let (n, p) = (h * w, T::of(power));
    let mut out = zeros::<T>(u.elem_count());
    read::<T, _>(u, |u| {
        out.par_chunks_mut(k * n)
            .zip(u.par_chunks(k * n))
            .for_each(|(out, u)| {
                let mean = means(u, k, n);
                for (out, u) in out.chunks_mut(n).zip(u.chunks(n)) {
                    for ((y, u), m) in out.iter_mut().zip(u).zip(&mean) {
                        *y = raised(*u - *m, p);
                    }
                }
            });
    })?;
    tensor(out, u.dims())
}

fn triangle_backward<T: Real>(u: &Tensor, grad: &Tensor, power: f64) -> Result<Tensor> {
    let [_, k, h, w] = dims4(u)?;
    let (n, p) = (h * w, T::of(power));
    let mut out = zeros::<T>(u.elem_count());
    read::<T, _>(u, |u| {
        read::<T, _>(grad, |grad| {
            out.par_chunks_mut(k * n)
                .zip(u.par_chunks(k * n).zip(grad.par_chunks(k * n)))
                .for_each(|(out, (u, grad))| {
                    let mean = means(u, k, n);
                    let planes = out.chunks_mut(n).zip(u.chunks(n).zip(grad.chunks(n)));
                    for (out, (u, grad)) in planes {
                        for (((o, u), g), m) in out.iter_mut().zip(u).zip(grad).zip(&mean) {
                            *o = slope(*u - *m, p) * *g;
                        }
                    }
                });
        })
    })??;
    tensor(out, u.dims())
}

fn softmax<T: Real>(u: &Tensor, gain: f64) -> Result<Tensor> {
    let [_, k, h, w] = dims4(u)?;
    let (n, gain) = (h * w, T::of(gain));
    let mut out = zeros::<T>(u.elem_count());
    read::<T, _>(u, |u| {
        out.par_chunks_mut(k * n)
            .zip(u.par_chunks(k * n))
            .for_each(|(out, u)| softmax_sample(out, u, n, gain));
    })?;
    tensor(out, u.dims())
}

/// Softmax over the channels of one sample `[K, n]`, largest value taken off first.
fn softmax_sample<T: Real>(out: &mut [T], u: &[T], n: usize, gain: T) {
    let mut top = vec![T::LOWEST; n];
    for plane in u.chunks(n) {
        for (t, u) in top.iter_mut().zip(plane) {
            let v = gain * *u;
            if v > *t {
                *t = v;
            }
        }
    }
    let mut sum = vec![T::ZERO; n];
    for (out, u) in out.chunks_mut(n).zip(u.chunks(n)) {
        for (((y, u), t), s) in out.iter_mut().zip(u).zip(&top).zip(&mut sum) {
            *y = (gain * *u - *t).exp();
            *s += *y;
        }
    }
    for out in out.chunks_mut(n) {
        out.iter_mut().zip(&sum).for_each(|(y, s)| *y /= *s);
    }
}

/// `gain·y·(g − Σ g·y)`.
fn softmax_backward<T: Real>(y: &Tensor, grad: &Tensor, gain: f64) -> Result<Tensor> {
    let [_, k, h, w] = dims4(y)?;
    let (n, gain) = (h * w, T::of(gain));
    let mut out = zeros::<T>(y.elem_count());
    read::<T, _>(y, |y| {
        read::<T, _>(grad, |grad| {
            out.par_chunks_mut(k * n)
                .zip(y.par_chunks(k * n).zip(grad.par_chunks(k * n)))
                .for_each(|(out, (y, grad))| {
                    let mut dot = vec![T::ZERO; n];
                    for (y, grad) in y.chunks(n).zip(grad.chunks(n)) {
                        for ((d, y), g) in dot.iter_mut().zip(y).zip(grad) {
                            *d += *y * *g;
                        }
                    }
                    let planes = out.chunks_mut(n).zip(y.chunks(n).zip(grad.chunks(n)));
                    for (out, (y, grad)) in planes {
                        for (((o, y), g), d) in out.iter_mut().zip(y).zip(grad).zip(&dot) {
                            *o = gain * *y * (*g - *d);
                        }
                    }
                });
        })
    })??;
    tensor(out, y.dims())
}
