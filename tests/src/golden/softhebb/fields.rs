//! Images that excite one neuron, by projected gradient ascent: `rf_maximisation_*`.
//! The starts are the file's, the ascent is the host's.

use biorule::config::BlockPlan;
use biorule::nn::build::Placement;
use biorule::nn::{InputShape, Mode, Network, field};
use candle_core::{DType, Tensor};

use super::network::block_settings;
use crate::Result;
use crate::golden::{Checks, File, Recogniser, Tolerance};
use crate::numbers::values;
use crate::plugins::registry;

/// Cases with a neuron, a start image and numbers of steps.
pub(super) const RECOGNISER: Recogniser = Recogniser {
    name: "field",
    understands: |file| {
        ["neuron", "step_size", "steps", "blocks", "blocks_kept"]
            .iter()
            .all(|key| file.find(key).is_some())
            && file.has("start")
    },
    run: |file, checks| {
        run(file, DType::F32, 1e-4, checks)?;
        run(file, DType::F64, 1e-10, checks)
    },
};

fn run(file: &File, dtype: DType, tolerance: f64, checks: &mut Checks) -> Result<()> {
    let tolerance = Tolerance::Largest(tolerance);
    let mut x = file.twin("start", dtype)?;
    let mut network = build(file, &x, dtype)?;
    let neuron = file.count("neuron")?;
    let rate = file.number("step_size")? * file.number("epsilon")?;
    let at = file.counts("steps")?;
    for step in 1..=at.iter().copied().max().unwrap_or(0) {
        let (_, gradient) = field::slopes(&mut network, &x, &[neuron])?;
        x = field::step(&x, &gradient, rate)?;
        if at.contains(&step) {
            let image = format!("image_after_{step}");
            checks.compare(&image, &x, &file.twin(&image, dtype)?, tolerance)?;
            let name = format!("activation_after_{step}");
            let (activation, _) = field::slopes(&mut network, &x, &[neuron])?;
            checks.compare_values(
                &name,
                &activation,
                &values(&file.twin(&name, dtype)?)?,
                tolerance,
            );
        }
    }
    Ok(())
}

/// The kept blocks without padding, and of the last one the layer alone.
fn build(file: &File, x: &Tensor, dtype: DType) -> Result<Network> {
    let json = file.json("blocks")?;
    let kept = file.count("blocks_kept")?;
    let mut plans: Vec<BlockPlan> = Vec::new();
    for i in 0..kept {
        let mut settings = block_settings(&json[format!("b{i}")], true)?;
        if file.has(&format!("block_{i}_bn_mean")) {
            settings.operation = "batchnorm2d";
        }
        let whole = settings.parts(&i.to_string())?.whole();
        plans.extend(whole);
    }
    let (plans, dims) = field::below(&plans, plans.len() - 1, &x.dims()[1..])?;
    // The side that the file has is what the recurrence gives.
    assert_eq!(dims, x.dims()[1..]);
    let input = InputShape { dims, outputs: 10 };
    let place = Placement {
        device: crate::device(),
        dtype,
        seed: 0,
    };
    let mut network = Network::build(&plans, &input, registry(), &place)?;
    let mut all = Vec::new();
    for slot in network.tensors() {
        let block = slot.name.split('.').nth(1).unwrap_or_default();
        let golden = match slot.name.rsplit('.').next() {
            Some("weight") => Some(format!("block_{block}_weight")),
            Some("running_mean") => Some(format!("block_{block}_bn_mean")),
            Some("running_var") => Some(format!("block_{block}_bn_var")),
            _ => None,
        };
        let value = match golden {
            Some(name) => file.twin(&name, dtype)?,
            None => slot.tensor.copy()?,
        };
        all.push((slot.name.clone(), value));
    }
    let find = |name: &str| {
        all.iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, t)| t.clone())
    };
    network.load(&find)?;
    network.set_mode(&Mode::default());
    Ok(network)
}
