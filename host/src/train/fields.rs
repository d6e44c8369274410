//! What excites units of a trained network; see [`crate::nn::field`].

use std::collections::HashMap;

use candle_core::{DType, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::run::{Job, place};
use crate::nn::build::Placement;
use crate::nn::{InputShape, Mode, Network, field};
use crate::stop::StopFlag;
use crate::threads::in_pool;
use crate::{Error, ExitCode, Result};

/// Pictures that climb at a time.
const AT_A_TIME: usize = 36;
/// Length of the ball in which pictures start.
const START: f64 = 1e-5;

/// How pictures are found.
#[derive(Clone, Debug)]
pub struct Ascent {
    /// Units of a layer that are looked at, drawn at random; all where there are no more.
    pub units: usize,
    /// Steps of each.
    pub steps: usize,
    /// Length of a step for a gradient of length 1.
    pub rate: f64,
    /// Of the units that are drawn and of where pictures start.
    pub seed: u64,
}

/// Pictures that excite units of a layer.
#[derive(Clone, Debug)]
pub struct Fields {
    /// Its block.
    pub block: String,
    /// The units, those first whose weights vary most in space.
    pub units: Vec<u32>,
    /// What each answers to its picture, before activation.
    pub answers: Vec<f64>,
    /// `[N, C, H, W]` or `[N, D]`, from 0 to 1.
    pub pictures: Tensor,
}

/// What excites units of block `of` of a finished run, its values in `tensors`.
///
/// # Errors
/// As for [`field::below`]; failures of rules and tensors; [`ExitCode::Stopped`] on request.
pub fn fields(
    job: &Job<'_>,
    tensors: &HashMap<String, Tensor>,
    of: usize,
    ascent: &Ascent,
    stop: &StopFlag,
) -> Result<Fields> {
    let sample = job.data.train.dims();
    let (blocks, dims) = field::below(&job.plan.blocks, of, &sample)?;
    let name = job.plan.blocks[of].name.clone();
    let whole = place(job)?;
    let input = InputShape {
        dims: dims.clone(),
        outputs: job.data.train.outputs(),
    };
    let placement = Placement {
        device: whole.device.clone(),
        dtype: whole.dtype,
        seed: job.seed,
    };
    let mut network = Network::build(&blocks, &input, job.rules, &placement)?;
    network.load(&|name: &str| tensors.get(name).cloned())?;
    network.hold_still();
    network.set_mode(&Mode::default());
    let weight = tensors.get(&format!("blocks.{name}.layer.weight"));
    let weight =
        weight.ok_or_else(|| Error::usage(format!("block `{name}` has no tensor `weight`")))?;
    let units = chosen(weight, ascent)?;
    let each: usize = dims.iter().product();
    let (mut answers, mut parts) = (Vec::new(), Vec::new());
    in_pool(|| -> Result<()> {
        for few in units.chunks(AT_A_TIME) {
            let start: Vec<f32> = few
                .iter()
                .flat_map(|unit| start(ascent.seed, &name, *unit, each))
                .collect();
            let shape = [vec![few.len()], dims.clone()].concat();
            let x = Tensor::from_vec(start, shape, &whole.device)?.to_dtype(whole.dtype)?;
            let mut x = x.clamp(0.0, 1.0)?;
            for _ in 0..ascent.steps {
                if stop.stopped() {
                    return Err(Error::new(ExitCode::Stopped, "stopped"));
                }
                let (_, gradient) = field::slopes(&mut network, &x, few)?;
                x = field::step(&x, &gradient, ascent.rate)?;
            }
            answers.extend(field::slopes(&mut network, &x, few)?.0);
            parts.push(
                x.to_device(&candle_core::Device::Cpu)?
                    .to_dtype(DType::F32)?,
            );
        }
        Ok(())
    })?;
    Ok(Fields {
        block: name,
        units: units.iter().map(|u| *u as u32).collect(),
        answers,
        pictures: Tensor::cat(&parts, 0)?,
    })
}

/// A stream of numbers for one use.
fn stream(seed: u64, name: &str, what: u64) -> ChaCha8Rng {
    let hash = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    let name = name.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let mut key = [0u8; 32];
    // The last word keeps these numbers apart from those of other uses of the seed.
    for (slot, word) in key
        .chunks_exact_mut(8)
        .zip([seed, name, what, 0x6669_656c_6473])
    {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

fn unit_number(rng: &mut ChaCha8Rng) -> f64 {
    f64::from(rng.next_u32() >> 8) / f64::from(1u32 << 24)
}

/// Where the picture of a unit starts: uniform in a small ball around 0.
fn start(seed: u64, name: &str, unit: usize, each: usize) -> Vec<f32> {
    let mut rng = stream(seed, name, unit as u64);
    let mut normal = || {
        let radius = (-2.0 * (1.0 - unit_number(&mut rng)).ln()).sqrt();
        radius * (std::f64::consts::TAU * unit_number(&mut rng)).cos()
    };
    let direction: Vec<f64> = (0..each).map(|_| normal()).collect();
    let length = direction
        .iter()
        .map(|v| v * v)
        .sum::<f64>()
        .sqrt()
        .max(f64::MIN_POSITIVE);
    let mut rng = stream(seed, name, u64::MAX - unit as u64);
    let reach = START * unit_number(&mut rng).powf(1.0 / each as f64) / length;
    direction.iter().map(|v| (v * reach) as f32).collect()
}

/// The units that are looked at: drawn at random, in falling order of the mean over input channels of
/// their weights' standard deviation in space.
fn chosen(weight: &Tensor, ascent: &Ascent) -> Result<Vec<usize>> {
    let all = weight.dim(0)?;
    let mut units: Vec<usize> = (0..all).collect();
    let mut rng = stream(ascent.seed, "units", 0);
    for i in 0..all.min(ascent.units) {
        let other = i + ((u128::from(rng.next_u64()) * (all - i) as u128) >> 64) as usize;
        units.swap(i, other);
    }
    units.truncate(ascent.units.max(1));
    let flat = match weight.rank() {
        4 => weight.flatten_from(2)?,
        _ => weight.unsqueeze(1)?,
    };
    let rows: Vec<Vec<Vec<f32>>> = flat
        .to_device(&candle_core::Device::Cpu)?
        .to_dtype(DType::F32)?
        .to_vec3()?;
    let spread = |unit: usize| -> f64 {
        let one = |channel: &Vec<f32>| {
            let n = channel.len() as f64;
            let mean = channel.iter().map(|w| f64::from(*w)).sum::<f64>() / n;
            let squares: f64 = channel.iter().map(|w| (f64::from(*w) - mean).powi(2)).sum();
            (squares / n).sqrt()
        };
        rows[unit].iter().map(one).sum::<f64>() / rows[unit].len() as f64
    };
    units.sort_by(|a, b| spread(*b).total_cmp(&spread(*a)).then(a.cmp(b)));
    Ok(units)
}
