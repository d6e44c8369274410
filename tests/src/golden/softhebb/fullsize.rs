//! The published networks at full size, forward only, with parameters that are a
//! function of their index: `fullsize_*`.

use biorule::config::{BlockPlan, ParamValue};
use biorule::config::{Offline, Sources, resolve};
use biorule::nn::build::Placement;
use biorule::nn::{InputShape, Mode, Network, Pass};
use candle_core::{DType, Tensor};

use crate::Result;
use crate::golden::{Checks, File, Recogniser, Tolerance};
use crate::numbers::values;
use crate::plugins::registry;

/// Cases that name presets of ours and a hash fill.
pub(super) const RECOGNISER: Recogniser = Recogniser {
    name: "full size",
    understands: |file| {
        ["presets", "dataset", "weight_scale", "fill", "batch"]
            .iter()
            .all(|key| file.find(key).is_some())
    },
    run: |file, checks| {
        let presets = file.json("presets")?;
        for preset in presets.as_array().ok_or("`presets` is no list")? {
            run(
                file,
                preset.as_str().ok_or("a preset without name")?,
                checks,
            )?;
        }
        Ok(())
    },
};

/// Images and classes of a data set by the start of its name.
const DATA: [(&str, [usize; 3], usize); 6] = [
    ("CIFAR100", [3, 32, 32], 100),
    ("CIFAR10", [3, 32, 32], 10),
    ("MNIST", [1, 28, 28], 10),
    ("FashionMNIST", [1, 28, 28], 10),
    ("STL10", [3, 96, 96], 10),
    ("ImageNette", [3, 160, 160], 10),
];

fn run(file: &File, preset: &str, checks: &mut Checks) -> Result<()> {
    let dataset = file.text("dataset")?;
    let found = DATA.iter().find(|(start, ..)| dataset.starts_with(start));
    let (_, image, classes) =
        found.ok_or_else(|| format!("no shape for the data set `{dataset}`"))?;
    let plans = blocks(preset)?;
    let input = InputShape {
        dims: image.to_vec(),
        outputs: *classes,
    };
    let place = Placement {
        device: crate::device(),
        dtype: DType::F32,
        seed: 0,
    };
    let mut network = Network::build(&plans, &input, registry(), &place)?;
    fill(file, preset, &plans, &mut network)?;

    network.set_mode(&Mode::default());
    let batch = file.count("batch")?;
    let mut y = hashed(&[batch, image[0], image[1], image[2]], 999, 0.0, 1.0)?;
    let mut statistics = Vec::new();
    let name = |part: &str| format!("{preset}/{part}");
    let tolerance = Tolerance::Largest(1e-5);
    for i in 0..network.len() {
        y = network.forward(&mut Pass::inference(), &y, i..i + 1)?;
        let shape: Vec<f64> = y.dims().iter().map(|&n| n as f64).collect();
        let golden = name(&format!("block_{i}_shape"));
        checks.compare_values(&golden, &shape, &file.values(&golden)?, Tolerance::Exact);
        let all = values(&y)?;
        let n = all.len() as f64;
        statistics.push([
            all.iter().sum::<f64>() / n,
            all.iter().map(|v| v.abs()).sum::<f64>() / n,
            all.iter().map(|v| v * v).sum::<f64>().sqrt(),
            all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ]);
        let golden = name(&format!("block_{i}_first16"));
        let first = file.values(&golden)?;
        // Relative to the largest output of the block, since the first ones may be nearly 0.
        let scale = all.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let with_scale = |values: &[f64]| [values, &[scale]].concat();
        checks.compare_values(
            &golden,
            &with_scale(&all[..first.len().min(all.len())]),
            &with_scale(&first),
            tolerance,
        );
    }
    checks.compare(
        &name("logits"),
        &y,
        &file.tensor(&name("logits"))?,
        tolerance,
    )?;
    let golden = name("block_stats_mean_absmean_l2_max");
    let want = file.values(&golden)?;
    for (i, (got, want)) in statistics.iter().zip(want.chunks(4)).enumerate() {
        // Numbers of one block are of one scale; the mean may be a small difference.
        checks.compare_values(&format!("{golden}[{i}]"), got, want, tolerance);
    }
    Ok(())
}

/// The blocks of our preset of the same name.
fn blocks(preset: &str) -> Result<Vec<BlockPlan>> {
    let sources = Sources {
        presets: vec![format!("softhebb/{preset}")],
        ..Sources::default()
    };
    let mut blocks = resolve(&sources, &Offline)?.plan.blocks;
    for block in &mut blocks {
        // A classifier with as many outputs as the data set of the case has classes.
        let last = block.layer.as_mut().ok_or("a block without layer")?;
        if last.params.get("competition") == Some(&ParamValue::Text("supervised".into())) {
            last.out = 0;
        }
    }
    Ok(blocks)
}

/// Salts 10b + 1 to 10b + 4 of block b: weight, bias, running mean, running variance.
fn fill(file: &File, preset: &str, plans: &[BlockPlan], network: &mut Network) -> Result<()> {
    let scales = file.json("weight_scale")?;
    let mut all = Vec::new();
    for slot in network.tensors() {
        let mut parts = slot.name.split('.').skip(1);
        let block = parts
            .next()
            .and_then(|name| plans.iter().position(|p| p.name == name));
        let block = block.ok_or_else(|| format!("no block of `{}`", slot.name))?;
        let scale = || -> Result<f64> {
            let scale = scales[preset][block.to_string()].as_f64();
            Ok(scale.ok_or_else(|| format!("no weight scale for block {block} of {preset}"))?)
        };
        let salt = 10 * block as u32;
        let value = match slot.name.rsplit('.').next() {
            Some("weight") => symmetric(slot.tensor.dims(), salt + 1, scale()?)?,
            Some("bias") => symmetric(slot.tensor.dims(), salt + 2, scale()?)?,
            Some("running_mean") => symmetric(slot.tensor.dims(), salt + 3, 0.2)?,
            Some("running_var") => hashed(slot.tensor.dims(), salt + 4, 0.5, 1.5)?,
            _ => slot.tensor.copy()?,
        };
        all.push((slot.name.clone(), value));
    }
    let find = |name: &str| {
        all.iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, t)| t.clone())
    };
    Ok(network.load(&find)?)
}

/// `(u − ½)·2·scale` for the hash `u` of each index.
fn symmetric(shape: &[usize], salt: u32, scale: f64) -> Result<Tensor> {
    build(shape, salt, |u| (u - 0.5) * 2.0 * scale)
}

/// `lo + (hi − lo)·u` for the hash `u` of each index.
fn hashed(shape: &[usize], salt: u32, lo: f64, hi: f64) -> Result<Tensor> {
    build(shape, salt, |u| lo + (hi - lo) * u)
}

fn build(shape: &[usize], salt: u32, value: impl Fn(f64) -> f64) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    let data: Vec<f32> = (0..count as u32)
        .map(|i| {
            let mut k = i.wrapping_add(1).wrapping_add(salt.wrapping_mul(1_000_003));
            k = k.wrapping_mul(2_654_435_761);
            k ^= k >> 16;
            k = k.wrapping_mul(2_246_822_519);
            k ^= k >> 13;
            value(f64::from(k) / 4_294_967_296.0) as f32
        })
        .collect();
    Ok(Tensor::from_vec(data, shape, &crate::device())?)
}
