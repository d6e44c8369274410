//! Files of `BioPyTorch`'s training loop: its learning rates, its stop rules with
//! their quirks, and what the layer becomes.

use crate::Result;
use crate::golden::{Checks, File, Tolerance};
use crate::network::{TestNetwork, conv, layer, layer_block, max_pool, relu};
use biorule::config::{BlockPlan, LocalRatePlan, ParamValue};
use biorule::train::schedule::local_rate;
use serde_json::Value;

use super::{MEAN, VAR, WEIGHT, convergence_limit, dtype, layers, limit};

pub fn run(f: &File, checks: &mut Checks) -> Result<()> {
    let plan = schedule(f)?;
    let per_epoch = f.count("batches_per_epoch")?;
    let mut before = f.has("prev_w").then(|| preceding(f)).transpose()?;
    let mut inputs = Vec::new();
    for i in 0..per_epoch {
        let batch = f.tensor(&format!("batch{i}"))?;
        inputs.push(match &mut before {
            Some(before) => before.evaluate(&batch)?,
            None => batch,
        });
    }
    let mut driven = layers::build(f, &inputs[0], &[])?;
    let (mut rates, mut convergence) = (Vec::new(), Vec::new());
    let ends = Loop::of(f)?.run(per_epoch, |b, batch| {
        let rate = local_rate(&plan, b as u64, per_epoch as u64, 0);
        driven.clock.local_rate = Some(rate);
        driven.learn(&inputs[batch])?;
        rates.push(rate);
        convergence.push(driven.metric("convergence")?);
        driven.metric("convergence")
    })?;
    let mut compare = |name: &str, got: &[f64], limit| -> Result<()> {
        checks.compare_values(name, got, &f.values(name)?, limit);
        Ok(())
    };
    compare("epoch_ends_at_batch", &ends, Tolerance::Exact)?;
    compare("lrs", &rates, Tolerance::Largest(1e-12))?;
    compare("convergence", &convergence, convergence_limit(dtype(f)))?;
    let got = driven.tensor(WEIGHT)?;
    checks.compare("w_final", &got, &f.tensor("w_final")?, limit(dtype(f)))
}

/// The rate of `bio_train`'s argument: absent, a number, or three.
fn schedule(f: &File) -> Result<LocalRatePlan> {
    let triple = |start, end, speed| LocalRatePlan::Exponential { start, end, speed };
    if f.find("arg_lr_scheduler").is_none() {
        return Ok(triple(0.01, 0.003, 1.0));
    }
    let value = f.json("arg_lr_scheduler")?;
    let number = |v: &Value| v.as_f64().ok_or("the rate is no number");
    match value.as_array().map(Vec::as_slice) {
        Some([start, end, speed]) => Ok(triple(number(start)?, number(end)?, number(speed)?)),
        _ => Ok(LocalRatePlan::Constant {
            value: number(&value)?,
        }),
    }
}

/// The block in front of the trained layer: convolution, relu, maxima of 2×2.
fn preceding(f: &File) -> Result<TestNetwork> {
    let w = f.tensor("prev_w")?;
    let (units, _, r, s) = w.dims4()?;
    let words = f.text("prev")?.split_whitespace();
    let p = words
        .filter_map(|word| word.strip_prefix('p'))
        .find_map(|p| p.parse().ok())
        .ok_or("no exponent in `prev`")?;
    let params = [("lebesgue_p", ParamValue::Float(p))];
    let blocks = [BlockPlan {
        activation: Some(relu()),
        pool: Some(max_pool(2)),
        ..layer_block("prev", layer("krotov", conv([r, s]), units, &params))
    }];
    let dims = f.tensor("batch0")?.dims()[1..].to_vec();
    let mut driven = TestNetwork::build(&blocks, &dims, dtype(f))?;
    driven.set(&[
        (WEIGHT, w),
        (MEAN, f.tensor("prev_bn_mean")?),
        (VAR, f.tensor("prev_bn_var")?),
    ])?;
    Ok(driven)
}

/// The reference's loop with its quirks: an epoch too many, a limit of batches that cuts
/// epochs short instead of ending the run, stop rules looked at between epochs.
struct Loop {
    /// Argument `n_epochs`; not above 0 is no limit.
    epochs: f64,
    /// Argument `n_batches`.
    batches: Option<usize>,
    patience: f64,
    threshold: f64,
}

impl Loop {
    fn of(f: &File) -> Result<Self> {
        let number =
            |key: &str, otherwise: f64| f.find(key).map_or(Ok(otherwise), |_| f.number(key));
        let limit = f.find("arg_n_batches");
        Ok(Self {
            epochs: number("arg_n_epochs", 10.0)?,
            batches: limit.map(|_| f.count("arg_n_batches")).transpose()?,
            patience: number("arg_patience", 1.0)?,
            threshold: number("arg_convergence_threshold", 1e-2)?,
        })
    }

    /// Calls `step(b, batch of the epoch)`, which gives the convergence; gives the number
    /// of batches at the end of each epoch.
    fn run(
        &self,
        per_epoch: usize,
        mut step: impl FnMut(usize, usize) -> Result<f64>,
    ) -> Result<Vec<f64>> {
        let (mut b, mut without_gain, mut best) = (0, 0.0, f64::INFINITY);
        let mut ends: Vec<f64> = Vec::new();
        while without_gain < self.patience * per_epoch as f64 {
            let mut last = f64::INFINITY;
            for batch in 0..per_epoch {
                last = step(b, batch)?;
                b += 1;
                without_gain = if last <= best {
                    0.0
                } else {
                    without_gain + 1.0
                };
                best = best.min(last);
                if self.batches.is_some_and(|n| b > n) {
                    break;
                }
            }
            ends.push(b as f64);
            let enough = self.epochs > 0.0 && ends.len() as f64 > self.epochs;
            if enough || last.abs() < self.threshold {
                break;
            }
        }
        Ok(ends)
    }
}
