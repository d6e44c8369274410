//! Optimiser steps and other changes of parameters, each in one pass, in place.

use candle_core::Tensor;

use super::{cpu, on_device};
use crate::Result;

/// What an optimiser step has in common: rate, decays, clipping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRates {
    /// Rate η.
    pub lr: f64,
    /// Added to the gradient as `decay · p`.
    pub weight_decay: f64,
    /// With the step `p ← p − decay · p`, of the value before it.
    pub decoupled_decay: f64,
    /// Clip every gradient element to ±this before anything else; 0 is off.
    pub clip: f64,
}

/// Moments and bias corrections of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamRates {
    /// Decay of the first and second moment.
    pub betas: [f64; 2],
    /// Added to the root of the corrected second moment.
    pub eps: f64,
    /// Steps done, this one included.
    pub step: u64,
}

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
