//! Optimiser steps on slices.

use candle_core::Tensor;
use rayon::prelude::*;

use super::real::{Real, Slot, by_dtype, read, write};
use crate::Result;
use crate::ops::optim::{AdamRates, StepRates};

/// Elements a task takes at a time.
const CHUNK: usize = 1 << 14;

/// The gradient with clipping and coupled decay, and what follows the step.
#[derive(Clone, Copy)]
struct Rates<T> {
    lr: T,
    decay: T,
    shrink: T,
    clip: Option<T>,
}

impl<T: Real> Rates<T> {
    fn new(r: StepRates, lr: f64) -> Self {
        Self {
            lr: T::of(lr),
            decay: T::of(r.weight_decay),
            shrink: T::of(1.0 - r.decoupled_decay),
            clip: (r.clip > 0.0).then(|| T::of(r.clip)),
        }
    }
    #[inline(always)]
    fn gradient(&self, g: T, p: T) -> T {
        let g = match self.clip {
            Some(c) if g > c => c,
            Some(c) if g < -c => -c,
            _ => g,
        };
        g + self.decay * p
    }
}

/// See [`crate::ops::optim::sgd_in_place`].
pub fn sgd(
    p: &Tensor,
    g: &Tensor,
    velocity: Option<&Tensor>,
    momentum: f64,
    rates: StepRates,
) -> Result<()> {
    by_dtype!(p, T => sgd_typed::<T>(p, g, velocity, momentum, rates))
}

fn sgd_typed<T: Real + Slot>(
    p: &Tensor,
    g: &Tensor,
    velocity: Option<&Tensor>,
    momentum: f64,
    rates: StepRates,
) -> Result<()> {
    let r = Rates::<T>::new(rates, rates.lr);
    let mu = T::of(momentum);
    let Some(velocity) = velocity else {
        return read::<T, _>(g, |g| {
            write::<T, _>(p, |p| {
                p.par_chunks_mut(CHUNK)
                    .zip(g.par_chunks(CHUNK))
                    .for_each(|(p, g)| {
                        for (p, g) in p.iter_mut().zip(g) {
                            *p = *p * r.shrink - r.lr * r.gradient(*g, *p);
                        }
                    });
            })
        })?;
    };
    read::<T, _>(g, |g| {
        write::<T, _>(velocity, |v| {
            write::<T, _>(p, |p| {
                p.par_chunks_mut(CHUNK)
                    .zip(v.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)))
                    .for_each(|(p, (v, g))| {
                        for ((p, v), g) in p.iter_mut().zip(v).zip(g) {
                            *v = mu * *v + r.gradient(*g, *p);
                            *p = *p * r.shrink - r.lr * *v;
                        }
                    });
            })
        })
    })??
}

/// See [`crate::ops::optim::adam_in_place`].
pub fn adam(
    p: &Tensor,
    g: &Tensor,
    first: &Tensor,
    second: &Tensor,
    adam: AdamRates,
    rates: StepRates,
) -> Result<()> {
    by_dtype!(p, T => adam_typed::<T>(p, g, first, second, adam, rates))
}

fn adam_typed<T: Real + Slot>(
    p: &Tensor,
    g: &Tensor,
    first: &Tensor,
    second: &Tensor,
    adam: AdamRates,
    rates: StepRates,
) -> Result<()> {
    let correction = |beta: f64| 1.0 - beta.powf(adam.step as f64);
    let r = Rates::<T>::new(rates, rates.lr / correction(adam.betas[0]));
    let root = T::of(1.0 / correction(adam.betas[1]).sqrt());
    let [b1, b2] = adam.betas.map(T::of);
    let [c1, c2] = adam.betas.map(|b| T::of(1.0 - b));
    let eps = T::of(adam.eps);
    let step = |p: &mut [T], m: &mut [T], v: &mut [T], g: &[T]| {
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = r.gradient(*g, *p);
            *m = b1 * *m + c1 * g;
            *v = b2 * *v + c2 * g * g;
            *p = *p * r.shrink - r.lr * *m / (v.sqrt() * root + eps);
        }
    };
    read::<T, _>(g, |g| {
        write::<T, _>(first, |m| {
            write::<T, _>(second, |v| {
                write::<T, _>(p, |p| {
                    let moments = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
                    p.par_chunks_mut(CHUNK)
                        .zip(moments)
                        .zip(g.par_chunks(CHUNK))
                        .for_each(|((p, (m, v)), g)| step(p, m, v, g));
                })
            })
        })
    })???
}

/// See [`crate::ops::optim::add_in_place`].
pub fn add(p: &Tensor, d: &Tensor) -> Result<()> {
    by_dtype!(p, T => read::<T, _>(d, |d| {
        write::<T, _>(p, |p| {
            p.par_chunks_mut(CHUNK)
                .zip(d.par_chunks(CHUNK))
                .for_each(|(p, d)| p.iter_mut().zip(d).for_each(|(p, d)| *p += *d));
        })
    })?)
}
