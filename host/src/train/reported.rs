//! Which metrics the rules of a plan report: found by asking them before training, after one step
//! on random numbers, since some report only what they have seen.

use candle_core::{DType, Device, Tensor};

use super::engine::Engine;
use super::step::{LocalStep, StepInput};
use crate::Result;
use crate::data::Answers;
use crate::nn::build::Placement;
use crate::nn::network::BlockMetrics;
use crate::nn::{Clock, InputShape, Mode, Network, Pass, RuleSource};
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
    let network = Network::build(&plan.blocks, &input, rules, &place)?;
    let mut engine = Engine::new(network).with(LocalStep);
    engine.clock = clock();
    let mut out = RuleMetrics::new();
    add(&mut out, engine.network.metrics(&engine.clock)?);
    for phase in &plan.phases {
        engine.network.set_mode(&Mode {
            blocks: phase.blocks.clone(),
            drive: Some(phase.drive),
        });
        engine.first = engine.network.first_active();
        // A rule that cannot take random numbers says so in training, with the real ones.
        if step(&mut engine, data, place.dtype).is_ok() {
            add(&mut out, engine.network.metrics(&engine.clock)?);
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

fn step(engine: &mut Engine<'_>, data: &DataShape, dtype: DType) -> Result<()> {
    let dims = [vec![BATCH], data.sample.clone()].concat();
    let x = Tensor::rand(0f32, 1f32, dims, &Device::Cpu)?.to_dtype(dtype)?;
    let before = 0..engine.first;
    let x = engine.network.forward(&mut Pass::inference(), &x, before)?;
    let classes = data.classes.max(1) as u32;
    let labels: Vec<u32> = (0..BATCH as u32).map(|i| i % classes).collect();
    let input = StepInput {
        x,
        answers: Answers::Classes(Tensor::new(labels, &Device::Cpu)?),
        dropped: false,
    };
    engine.step(&input).map(drop)
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
