//! One block, stage by stage, in evaluation and in training mode: `block_*`.

use biorule::config::BlockPlan;
use biorule::nn::build::Placement;
use biorule::nn::{Clock, InputShape, Mode, Network, Pass};
use candle_core::{DType, Device, Tensor};

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
            device: Device::Cpu,
            dtype: self.dtype,
            seed: 0,
        };
        let mut network = Network::build(&plans, &input, registry(), &place)?;
        self.load(&mut network)?;

        let training = Mode {
            blocks: network.block_names(),
            drive: None,
        };
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

    /// Weight and running statistics of the file.
    fn load(&self, network: &mut Network) -> Result<()> {
        let mut values = vec![];
        let all = network.tensors();
        let mut norm = 0;
        for slot in &all {
            let golden = match slot.name.rsplit('.').next() {
                Some("weight") => Some("weight".to_string()),
                Some("bias") => Some("bias".to_string()),
                Some("running_mean") => Some(format!("bn_{norm}_running_mean")),
                Some("running_var") => {
                    norm += 1;
                    Some(format!("bn_{}_running_var", norm - 1))
                }
                _ => None,
            };
            let value = match golden {
                Some(name) => self.file.twin(&name, self.dtype)?,
                None => slot.tensor.copy()?,
            };
            values.push((slot.name.clone(), value));
        }
        Ok(network.load(&|name| {
            values
                .iter()
                .find(|(n, _)| &**n == name)
                .map(|(_, t)| t.clone())
        })?)
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
