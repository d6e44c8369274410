//! Optimiser steps in place.

use candle_core::Tensor;

use super::machine::{Arg, Machine, NULL, in_place, wide};
use super::source::Source;
use crate::Result;
use biorule_kernels::optimise::{AdamRates, StepRates};

/// See [`crate::ops::optim::sgd_in_place`].
pub fn sgd(
    p: &Tensor,
    g: &Tensor,
    velocity: Option<&Tensor>,
    momentum: f64,
    rates: StepRates,
) -> Result<()> {
    let (m, n) = (Machine::of(p)?, p.elem_count());
    let g = m.input(g)?;
    let changed: Vec<&Tensor> = std::iter::once(p).chain(velocity).collect();
    in_place(&changed, &mut |at| {
        let velocity = at.get(1).map_or(NULL, |v| Arg::Word(*v));
        let args = [
            wide(n),
            Arg::Real(rates.lr),
            Arg::Real(momentum),
            Arg::Real(rates.weight_decay),
            Arg::Real(1.0 - rates.decoupled_decay),
            Arg::Real(rates.clip),
            g.arg(),
            Arg::Word(at[0]),
            velocity,
        ];
        m.over(Source::Optim, "sgd", [n, 1], &args)
    })
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
    let (m, n) = (Machine::of(p)?, p.elem_count());
    let g = m.input(g)?;
    let correction = |beta: f64| 1.0 - beta.powf(adam.step as f64);
    let [b1, b2] = adam.betas;
    in_place(&[p, first, second], &mut |at| {
        let args = [
            wide(n),
            Arg::Real(rates.lr / correction(b1)),
            Arg::Real(1.0 / correction(b2).sqrt()),
            Arg::Real(b1),
            Arg::Real(b2),
            Arg::Real(1.0 - b1),
            Arg::Real(1.0 - b2),
            Arg::Real(adam.eps),
            Arg::Real(rates.weight_decay),
            Arg::Real(1.0 - rates.decoupled_decay),
            Arg::Real(rates.clip),
            g.arg(),
            Arg::Word(at[0]),
            Arg::Word(at[1]),
            Arg::Word(at[2]),
        ];
        m.over(Source::Optim, "adam", [n, 1], &args)
    })
}
