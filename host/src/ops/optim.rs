//! Optimiser steps and other changes of parameters, each in one pass, in place.

pub use biorule_kernels::optimise::{AdamRates, StepRates};
use candle_core::Tensor;

use super::{cpu, on_device};
use crate::Result;

/// `v ← μ v + g; p ← p − η v` (no `velocity` where μ is 0).
pub fn sgd_in_place(
    p: &Tensor,
    g: &Tensor,
    velocity: Option<&Tensor>,
    momentum: f64,
    rates: StepRates,
) -> Result<()> {
    on_device!(p, "sgd", cpu: cpu::optim::sgd(p, g, velocity, momentum, rates), cuda: super::cuda::optim::sgd(p, g, velocity, momentum, rates))
}

/// Adam with bias correction (Kingma and Ba 2015, as in `PyTorch`).
pub fn adam_in_place(
    p: &Tensor,
    g: &Tensor,
    first: &Tensor,
    second: &Tensor,
    adam: AdamRates,
    rates: StepRates,
) -> Result<()> {
    on_device!(p, "adam", cpu: cpu::optim::adam(p, g, first, second, adam, rates), cuda: super::cuda::optim::adam(p, g, first, second, adam, rates))
}

/// `p ← p + d`, same shape.
pub fn add_in_place(p: &Tensor, d: &Tensor) -> Result<()> {
    match p.device() {
        candle_core::Device::Cpu => cpu::optim::add(p, d),
        _ => super::shape::copy_in_place(p, &(p + d)?),
    }
}

/// `a + b` in a tensor of its own, same shape.
pub fn added(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match a.device() {
        candle_core::Device::Cpu => cpu::optim::added(a, b),
        _ => Ok((a + b)?),
    }
}

/// `p ← p + scale·d`, same shape.
pub fn add_scaled_in_place(p: &Tensor, d: &Tensor, scale: f64) -> Result<()> {
    match p.device() {
        candle_core::Device::Cpu => cpu::optim::add_scaled(p, d, scale),
        _ => super::shape::copy_in_place(p, &(p + d.affine(scale, 0.0)?)?),
    }
}

/// `scale·x` in a tensor of its own.
pub fn scaled(x: &Tensor, scale: f64) -> Result<Tensor> {
    match x.device() {
        candle_core::Device::Cpu => cpu::optim::scaled(x, scale),
        _ => Ok(x.affine(scale, 0.0)?),
    }
}
