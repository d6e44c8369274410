//! Kolen and Pollack's convergence of weight and feedback under decay.

use biorule::config::OptimizerPlan;
use biorule_tests::Result;
use biorule_tests::feedback::trial::Trial;
use biorule_tests::numbers::distance;
use candle_core::Tensor;

use crate::networks::{choice, convolutional, dense, name};

/// `W − B` shrinks by `1 − λ` at each step, whatever the optimiser.
#[test]
fn kolen_pollack_weights_meet_at_the_rate_of_the_decay() -> Result<()> {
    for decay in [0.0, 0.05, -0.05] {
        for (optimizer, of) in [
            ("sgd", with_decay(0.0, decay)),
            ("momentum", with_decay(0.9, decay)),
            ("adam", adam_with_decay(decay)),
        ] {
            for mut trial in [
                dense(&choice("kolen-pollack"), &of)?,
                convolutional(&choice("kolen-pollack"), &of)?,
            ] {
                let apart = |trial: &Trial, block: &str| -> Result<Tensor> {
                    let [w, b] =
                        ["weight", "feedback"].map(|part| trial.tensor(&name(block, part)));
                    Ok((w? - b?)?)
                };
                let blocks = ["first", "second", "last"];
                let start: Vec<Tensor> = blocks
                    .iter()
                    .map(|b| apart(&trial, b))
                    .collect::<Result<_>>()?;
                let before = trial.tensor(&name("second", "weight"))?;
                for _ in 0..7 {
                    trial.step()?;
                }
                for (block, start) in blocks.iter().zip(&start) {
                    let expected = (start * (1.0 - decay).powi(7))?;
                    let error = distance(&apart(&trial, block)?, &expected)?;
                    assert!(error < 1e-10, "{optimizer}, {decay}, {block}: {error:e}");
                }
                let moved = distance(&trial.tensor(&name("second", "weight"))?, &before)?;
                assert!(moved > 1e-3, "nothing was learned: {moved:e}");
            }
        }
    }
    Ok(())
}

fn with_decay(momentum: f64, decoupled_decay: f64) -> OptimizerPlan {
    OptimizerPlan::Sgd {
        lr: 0.05,
        momentum,
        weight_decay: 0.0,
        decoupled_decay,
    }
}

fn adam_with_decay(decoupled_decay: f64) -> OptimizerPlan {
    OptimizerPlan::Adam {
        lr: 0.01,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled_decay,
    }
}

/// Decay in the gradient, as PyTorch has it, makes them meet too: both have it.
#[test]
fn kolen_pollack_weights_meet_under_coupled_decay() -> Result<()> {
    let optimizer = OptimizerPlan::Sgd {
        lr: 0.1,
        momentum: 0.0,
        weight_decay: 0.2,
        decoupled_decay: 0.0,
    };
    let mut trial = dense(&choice("kolen-pollack"), &optimizer)?;
    let apart = |trial: &Trial| -> Result<Tensor> {
        let [w, b] = ["weight", "feedback"].map(|part| trial.tensor(&name("second", part)));
        Ok((w? - b?)?)
    };
    let start = apart(&trial)?;
    for _ in 0..5 {
        trial.step()?;
    }
    let expected = (start * 0.98f64.powi(5))?;
    assert!(distance(&apart(&trial)?, &expected)? < 1e-10);
    Ok(())
}
