//! One block, stage by stage, in evaluation and in training mode: `block_*`.

use biorule::config::BlockPlan;
use biorule::nn::build::Placement;
use biorule::nn::{Clock, InputShape, Mode, Network, Pass};
use candle_core::{DType, Tensor};

use super::preset::{Settings, pool, split_activation};
use crate::Result;
use crate::golden::{Checks, File, Recogniser, Tolerance};
use crate::network::block;
use crate::plugins::registry;

/// Cases with a layer string and outputs of stages.
pub(super) const RECOGNISER: Recogniser = Recogniser {
    name: "block",
    understands: |file| {
        ["preset", "operation", "arch"]
            .iter()
            .all(|key| file.find(key).is_some())
            && ["input", "weight", "eval_after_layer", "train_after_layer"]
                .iter()
                .all(|n| file.has(n))
    },
    run,
};

/// Names of the stages, in order.
const STAGES: [&str; 5] = ["operations", "layer", "activation", "batch_norm", "pool"];

fn run(file: &File, checks: &mut Checks) -> Result<()> {
    for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-12)] {
        let case = Case {
            file,
            dtype,
            tolerance: Tolerance::Largest(tolerance),
        };
        let parts = case.settings()?.parts("all")?;
        let mut stages = vec![("operations", parts.operations.clone())];
        let rest = &parts.rest;
        let part = |name: &str| BlockPlan { ..block(name) };
        stages.push((
            "layer",
            vec![BlockPlan {
                layer: rest.layer.clone(),
                ..part("layer")
            }],
        ));
        stages.push((
            "activation",
            vec![BlockPlan {
                activation: rest.activation.clone(),
                ..part("activation")
            }],
        ));
        stages.push((
            "batch_norm",
            vec![BlockPlan {
                norm_after: rest.norm_after.clone(),
                ..part("batch_norm")
            }],
        ));
        stages.push((
            "pool",
            vec![BlockPlan {
                pool: rest.pool.clone(),
                ..part("pool")
            }],
        ));
        case.check(&stages, checks)?;
        // The same as one block, where only the end can be seen.
        let last = STAGES
            .into_iter()
            .rfind(|s| file.has(&format!("eval_after_{s}")));
        case.check(&[(last.ok_or("no stage at all")?, parts.whole())], checks)?;
    }
    Ok(())
}

struct Case<'a> {
    file: &'a File,
    dtype: DType,
    tolerance: Tolerance,
}

impl Case<'_> {
    fn settings(&self) -> Result<Settings<'_>> {
        let given = |key: &str| {
            self.file
                .find(key)
                .filter(|text| !matches!(*text, "" | "null" | "None"))
        };
        Ok(Settings {
            layer: self.file.text("preset")?,
            conv: self.file.text("arch")? == "CNN",
            operation: given("operation").unwrap_or_default(),
            activation: given("activation").map(split_activation).transpose()?,
            pool: given("pool").map(pool).transpose()?,
            norm_after: self.file.flag("batch_norm_after_activation")?,
        })
    }

    /// Runs blocks one after the other and compares the outputs that the file has; first in
    /// evaluation, then once in training, which moves the running statistics.
    fn check(&self, stages: &[(&str, Vec<BlockPlan>)], checks: &mut Checks) -> Result<()> {
        let plans: Vec<BlockPlan> = stages.iter().flat_map(|(_, plans)| plans.clone()).collect();
        let x = self.file.twin("input", self.dtype)?;
        let input = InputShape {
            dims: x.dims()[1..].to_vec(),
            outputs: 10,
        };
        let place = Placement {
            device: crate::device(),
            dtype: self.dtype,
            seed: 0,
        };
        let mut network = Network::build(&plans, &input, registry(), &place)?;
        let training = Mode {
            blocks: network.block_names(),
            drive: None,
        };
        self.load(&mut network, &self.statistics(&plans, &input)?)?;
        for (prefix, mode) in [("eval", Mode::default()), ("train", training)] {
            network.set_mode(&mode);
            let mut pass = Pass::local(Clock::default());
            let (mut y, mut from) = (x.clone(), 0);
            for (stage, plans) in stages {
                y = network.forward(&mut pass, &y, from..from + plans.len())?;
                from += plans.len();
                let name = format!("{prefix}_after_{stage}");
                if self.file.has(&name) {
                    checks.compare(
                        &name,
                        &y,
                        &self.file.twin(&name, self.dtype)?,
                        self.tolerance,
                    )?;
                }
            }
        }
        for (i, [mean, var]) in norms(&network).iter().enumerate() {
            for (part, got) in [("mean", mean), ("var", var)] {
                let name = format!("bn_{i}_running_{part}_after_one_train_batch");
                checks.compare(
                    &name,
                    got,
                    &self.file.twin(&name, self.dtype)?,
                    self.tolerance,
                )?;
            }
        }
        Ok(())
    }

    /// Running means and variances before the passes, for each norm.
    ///
    /// Some files hold the reference's live buffers, which show the training pass under the
    /// name of the state before it. That state `s` follows from the one after,
    /// `s' = 0.9·s + 0.1·batch`, where a pass from zero gives `0.1·batch`; rounded to the
    /// single precision that it had, it is exact, and what comes after still is a check.
    fn statistics(&self, plans: &[BlockPlan], input: &InputShape) -> Result<Vec<[Tensor; 2]>> {
        let file = self.file;
        let count = (0..)
            .take_while(|i| file.has(&format!("bn_{i}_running_mean")))
            .count();
        let name = |i: usize, part: &str| format!("bn_{i}_running_{part}");
        let live = |i: usize| -> Result<bool> {
            let after = format!("{}_after_one_train_batch", name(i, "mean"));
            Ok(file.values(&name(i, "mean"))? == file.values(&after)?)
        };
        let mut stored = Vec::new();
        for i in 0..count {
            stored.push([
                file.tensor(&name(i, "mean"))?,
                file.tensor(&name(i, "var"))?,
            ]);
        }
        if count == 0 || !live(0)? {
            return Ok(stored);
        }
        let place = Placement {
            device: crate::device(),
            dtype: DType::F64,
            seed: 0,
        };
        let mut network = Network::build(plans, input, registry(), &place)?;
        let zeros: Vec<[Tensor; 2]> = stored
            .iter()
            .map(|[mean, var]| Ok([mean.zeros_like()?, var.zeros_like()?]))
            .collect::<Result<_>>()?;
        self.load(&mut network, &zeros)?;
        network.set_mode(&Mode {
            blocks: network.block_names(),
            drive: None,
        });
        let all = 0..network.len();
        network.forward(
            &mut Pass::local(Clock::default()),
            &file.twin("input", DType::F64)?,
            all,
        )?;
        let before = |i: usize, part: &str, batch: &Tensor| -> Result<Tensor> {
            let after = file.tensor(&format!("{}_after_one_train_batch.f64", name(i, part)))?;
            Ok(((after - batch)? / 0.9)?.to_dtype(DType::F32)?)
        };
        let batch = norms(&network);
        let one = |(i, [mean, var]): (usize, &[Tensor; 2])| {
            Ok([before(i, "mean", mean)?, before(i, "var", var)?])
        };
        batch.iter().enumerate().map(one).collect()
    }

    /// The file's weight and bias, and these running statistics.
    fn load(&self, network: &mut Network, statistics: &[[Tensor; 2]]) -> Result<()> {
        let mut values = vec![];
        let (mut means, mut vars) = (
            statistics.iter().map(|s| &s[0]),
            statistics.iter().map(|s| &s[1]),
        );
        for slot in network.tensors() {
            let value = match slot.name.rsplit('.').next() {
                Some(part @ ("weight" | "bias")) => self.file.twin(part, self.dtype)?,
                Some("running_mean") => means.next().ok_or("a norm too many")?.clone(),
                Some("running_var") => vars.next().ok_or("a norm too many")?.clone(),
                _ => slot.tensor.copy()?,
            };
            values.push((slot.name.clone(), value));
        }
        let find = |name: &str| {
            values
                .iter()
                .find(|(n, _)| &**n == name)
                .map(|(_, t)| t.clone())
        };
        Ok(network.load(&find)?)
    }
}

/// Running means and variances, input first; the network lists a mean before its variance.
pub(super) fn norms(network: &Network) -> Vec<[Tensor; 2]> {
    let all = network.tensors();
    let of = |part: &'static str| {
        all.iter()
            .filter(move |t| t.name.ends_with(part))
            .map(|t| t.tensor.clone())
            .collect::<Vec<_>>()
    };
    of(".running_mean")
        .into_iter()
        .zip(of(".running_var"))
        .map(|(mean, var)| [mean, var])
        .collect()
}
