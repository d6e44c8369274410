//! Which metrics the rules of a plan report: found by asking them before training, after one step
//! on random numbers, since some report only what they have seen.

use candle_core::{DType, Device, Tensor};

use super::step::{StepInput, local_step};
use crate::Result;
use crate::data::Answers;
use crate::nn::build::Placement;
use crate::nn::network::BlockMetrics;
use crate::nn::{Clock, InputShape, Mode, Network, RuleSource};
use crate::plan::{DataShape, RuleMetrics};
use crate::plan::{Precision, RunPlan};

/// Samples of the step.
const BATCH: usize = 8;

/// The names of the metrics that each block's rules report.
///
/// # Errors
/// The network cannot be built, or a rule fails to report.
pub fn reported_metrics(
    plan: &RunPlan,
    rules: &dyn RuleSource,
    data: &DataShape,
) -> Result<RuleMetrics> {
    let place = Placement {
        device: Device::Cpu,
        dtype: match plan.dtype {
            Precision::F32 => DType::F32,
            Precision::F64 => DType::F64,
        },
        seed: plan.seeds.first().copied().unwrap_or(0),
    };
    let input = InputShape {
        dims: data.sample.clone(),
        outputs: data.classes,
    };
    let mut network = Network::build(&plan.blocks, &input, rules, &place)?;
    let mut out = RuleMetrics::new();
    add(&mut out, network.metrics(&clock())?);
    for phase in &plan.phases {
        network.set_mode(&Mode {
            blocks: phase.blocks.clone(),
            drive: Some(phase.drive),
        });
        // A rule that cannot take random numbers says so in training, with the real ones.
        let first = network.first_active();
        if step(&mut network, data, place.dtype, first).is_ok() {
            add(&mut out, network.metrics(&clock())?);
        }
    }
    Ok(out)
}

fn clock() -> Clock {
    Clock {
        epochs: 1,
        steps_per_epoch: 1,
        batch: BATCH,
        samples: BATCH,
        ..Clock::default()
    }
}

fn step(network: &mut Network, data: &DataShape, dtype: DType, first: usize) -> Result<()> {
    let dims = [vec![BATCH], data.sample.clone()].concat();
    let x = Tensor::rand(0f32, 1f32, dims, &Device::Cpu)?.to_dtype(dtype)?;
    let x = network.forward(&mut crate::nn::Pass::inference(), &x, 0..first)?;
    let classes = data.classes.max(1) as u32;
    let labels: Vec<u32> = (0..BATCH as u32).map(|i| i % classes).collect();
    let input = StepInput {
        x,
        answers: Answers::Classes(Tensor::new(labels, &Device::Cpu)?),
        dropped: false,
    };
    local_step(network, &input, first, &clock())
}

fn add(out: &mut RuleMetrics, reported: Vec<BlockMetrics>) {
    for (block, values) in reported {
        let at = match out.iter().position(|(b, _)| *b == block) {
            Some(at) => at,
            None => {
                out.push((block, Vec::new()));
                out.len() - 1
            }
        };
        for (name, _) in values {
            if !out[at].1.contains(&name) {
                out[at].1.push(name);
            }
        }
    }
}
