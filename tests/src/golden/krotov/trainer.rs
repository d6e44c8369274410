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

/// The rate of `bio_train`'s argument: absent, a number, three, or `callable: ` and an expression
/// of the batch `b` in Python's spelling.
fn schedule(f: &File) -> Result<LocalRatePlan> {
    let triple = |start, end, speed| LocalRatePlan::Exponential { start, end, speed };
    if f.find("arg_lr_scheduler").is_none() {
        return Ok(triple(0.01, 0.003, 1.0));
    }
    let value = f.json("arg_lr_scheduler")?;
    let function = value
        .as_str()
        .and_then(|text| text.strip_prefix("callable:"));
    if let Some(text) = function {
        let text = text.trim();
        let body = text.strip_prefix("lambda b:").unwrap_or(text);
        return Ok(LocalRatePlan::Formula {
            value: body.trim().parse()?,
        });
    }
    let number = |v: &Value| v.as_f64().ok_or("the learning rate is not a number");
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that holds nothing but the argument.
    fn argument(text: &str) -> Result<LocalRatePlan> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("trainer.safetensors");
        let metadata = [("arg_lr_scheduler".to_owned(), text.to_owned())];
        let none: [(String, safetensors::tensor::TensorView<'_>); 0] = [];
        safetensors::serialize_to_file(none, Some(metadata.into_iter().collect()), &path)?;
        schedule(&File::open(&path)?)
    }

    #[test]
    fn every_form_of_the_argument_is_read() -> Result<()> {
        let at = |plan: &LocalRatePlan, b: u64| local_rate(plan, b, 5, 0);
        assert_eq!(at(&argument("0.05")?, 7), 0.05);
        for text in [
            "callable: 0.02/(1+b)",
            "callable: lambda b: 0.02 / (1 + b)",
            "\"callable: 0.02*(b + 1)**-1\"",
        ] {
            let plan = argument(text)?;
            for b in [0, 7, 40] {
                let want = 0.02 / (1.0 + b as f64);
                assert!((at(&plan, b) - want).abs() < 1e-17, "{text} at {b}");
            }
        }
        let triple = argument("[0.1, 0.005, 0.1]")?;
        let same = argument("callable: 0.005 - (0.005 - 0.1)*np.exp(-0.1*b/5)")?;
        for b in 0..20 {
            assert!((at(&triple, b) - at(&same, b)).abs() < 1e-16, "at {b}");
        }
        assert!(argument("callable: 0.02/(1+c)").is_err());
        Ok(())
    }
}
