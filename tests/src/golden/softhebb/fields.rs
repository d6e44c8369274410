//! Images that excite one neuron, by projected gradient ascent: `rf_maximisation_*`.
//! The gradient with respect to the image is the network's; the ascent is here.

use biorule::config::{BlockPlan, MapPlan};
use biorule::nn::build::Placement;
use biorule::nn::{Clock, InputShape, Mode, Network, Pass};
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
        let (_, gradient) = ascend(&mut network, &x, neuron)?;
        x = project(&(&x + (gradient * rate)?)?)?;
        if at.contains(&step) {
            let image = format!("image_after_{step}");
            checks.compare(&image, &x, &file.twin(&image, dtype)?, tolerance)?;
            let name = format!("activation_after_{step}");
            let (activation, _) = ascend(&mut network, &x, neuron)?;
            checks.compare_values(
                &name,
                &[activation],
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
        let mut whole = settings.parts(&i.to_string())?.whole();
        let block = whole.last_mut().ok_or("a block of nothing")?;
        if let Some(MapPlan::Conv { padding, .. }) = block.layer.as_mut().map(|l| &mut l.map) {
            *padding = [0; 4];
        }
        if let Some(pool) = &mut block.pool {
            pool.padding = [0, 0];
        }
        if i + 1 == kept {
            (block.activation, block.pool) = (None, None);
        }
        plans.extend(whole);
    }
    let input = InputShape {
        dims: x.dims()[1..].to_vec(),
        outputs: 10,
    };
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

/// Activation of the neuron, `[1, K, 1, 1]` being the output, and its gradient by the image.
fn ascend(network: &mut Network, x: &Tensor, neuron: usize) -> Result<(f64, Tensor)> {
    let mut pass = Pass::gradient(Clock::default()).wanting_input();
    let y = network.forward_all(&mut pass, x)?;
    let activation = values(&y)?.get(neuron).copied().ok_or("no such neuron")?;
    let units = y.elem_count();
    let chosen: Vec<f64> = (0..units)
        .map(|k| f64::from(u8::from(k == neuron)))
        .collect();
    let grad = Tensor::from_vec(chosen, y.shape(), y.device())?.to_dtype(y.dtype())?;
    let all = 0..network.len();
    let gradient = network
        .backward(&mut pass, &grad, all)?
        .ok_or("no gradient at the image")?;
    Ok((activation, gradient))
}

/// `|x|` of unit length, moved and scaled to reach from 0 to 1.
fn project(x: &Tensor) -> Result<Tensor> {
    let v = x.abs()?;
    let v = v.broadcast_div(&x.sqr()?.sum_all()?.sqrt()?)?;
    let v = v.broadcast_sub(&v.flatten_all()?.min(0)?)?;
    let top = v.flatten_all()?.max(0)?;
    let v = if top.to_dtype(DType::F64)?.to_scalar::<f64>()? > 0.0 {
        v.broadcast_div(&top)?
    } else {
        v
    };
    Ok(v.clamp(0.0, 1.0)?)
}
