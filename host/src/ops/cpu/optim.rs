//! Optimiser steps on the kernels crate.

use biorule_kernels::optimise::{self, AdamRates, StepRates};
use candle_core::Tensor;

use super::real::{Real, Slot, by_dtype, filled, read, write};
use crate::Result;

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
    read::<T, _>(g, |g| match velocity {
        None => write::<T, _>(p, |p| optimise::sgd(&rates, momentum, g, p, None)),
        Some(velocity) => write::<T, _>(velocity, |v| {
            write::<T, _>(p, |p| optimise::sgd(&rates, momentum, g, p, Some(v)))
        })?,
    })?
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
    read::<T, _>(g, |g| {
        write::<T, _>(first, |m| {
            write::<T, _>(second, |v| {
                write::<T, _>(p, |p| optimise::adam(&rates, &adam, g, p, m, v))
            })
        })
    })???
}

/// See [`crate::ops::optim::add_in_place`].
pub fn add(p: &Tensor, d: &Tensor) -> Result<()> {
    by_dtype!(p, T => read::<T, _>(d, |d| write::<T, _>(p, |p| optimise::add(d, p)))?)
}

/// See [`crate::ops::optim::added`].
pub fn added(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    by_dtype!(a, T => read::<T, _>(a, |x| {
        read::<T, _>(b, |y| filled::<T>(a.dims(), |out| optimise::sum(x, y, out)))?
    })?)
}

/// See [`crate::ops::optim::add_scaled_in_place`].
pub fn add_scaled(p: &Tensor, d: &Tensor, scale: f64) -> Result<()> {
    by_dtype!(p, T => read::<T, _>(d, |d| {
        write::<T, _>(p, |p| optimise::add_scaled(<T as Real>::of(scale), d, p))
    })?)
}

/// See [`crate::ops::optim::scaled`].
pub fn scaled(x: &Tensor, scale: f64) -> Result<Tensor> {
    by_dtype!(x, T => {
        read::<T, _>(x, |v| filled::<T>(x.dims(), |out| optimise::scale(<T as Real>::of(scale), v, out)))?
    })
}
