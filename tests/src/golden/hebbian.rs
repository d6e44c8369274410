//! Recognisers for the golden vectors of the class `HebbianConv` of the `BioNAS`
//! README, and of an independent computation of its corrected mode: the rule
//! `hebbian/bionas`.
//!
//! The reference's module is two blocks here, the rule's layer and the batch
//! normalisation behind it: its update in evaluation mode is then a pass in which the
//! first learns and the second is frozen. Tolerances are those of the folder's
//! README: 5e-5 in f32, 1e-11 in f64, relative to the largest entry.

use crate::Result;
use crate::golden::{Checks, File, Recogniser, Tolerance};
use crate::network::{Backward, TestNetwork, batch_norm, block, layer, layer_block};
use biorule::config::{BlockPlan, Drive, LayerPlan, MapPlan, OptimizerPlan, ParamValue};
use biorule::plan::PadMode;
use biorule::train::optimizer::Optimizer;
use candle_core::{DType, Tensor};

const WEIGHT: &str = "map.layer.weight";
const BIAS: &str = "map.layer.bias";
const ACCUMULATOR: &str = "map.layer.accumulator";
/// Tensors of the batch normalisation: golden name, full name.
const NORM: [(&str, &str); 2] = [
    ("bn_mean", "norm.running_mean"),
    ("bn_var", "norm.running_var"),
];
const AFFINE: [(&str, &str); 2] = [("bn_weight", "norm.weight"), ("bn_bias", "norm.bias")];

/// All kinds of cases.
pub fn recognisers() -> Vec<Recogniser> {
    vec![
        Recogniser {
            name: "module",
            understands: |f| f.has("conv_w_init") && f.has("bn_weight"),
            run: module_case,
        },
        Recogniser {
            name: "corrected",
            understands: |f| f.has("conv_w_init") && f.find("layout").is_some(),
            run: corrected_case,
        },
    ]
}

fn dtype(f: &File) -> DType {
    match f.find("dtype") {
        Some("float64") => DType::F64,
        _ => DType::F32,
    }
}

fn limit(f: &File) -> Tolerance {
    Tolerance::Largest(if dtype(f) == DType::F64 { 1e-11 } else { 5e-5 })
}

fn text(value: &str) -> ParamValue {
    ParamValue::Text(value.into())
}

/// The rule's layer as the metadata describes it.
fn layer_plan(f: &File, params: &[(&str, ParamValue)]) -> Result<LayerPlan> {
    let (units, _, r, s) = f.tensor("conv_w_init")?.dims4()?;
    let pair = |key: &str| -> Result<[usize; 2]> {
        match f.counts(key)?[..] {
            [both] => Ok([both; 2]),
            [rows, columns] => Ok([rows, columns]),
            _ => Err(format!("`{key}` is neither one number nor two").into()),
        }
    };
    let [rows, columns] = pair("padding")?;
    let map = MapPlan::Conv {
        kernel: [r, s],
        stride: pair("stride")?,
        padding: [rows, rows, columns, columns],
        dilation: [1, 1],
        groups: 1,
        padding_mode: PadMode::Zeros,
    };
    Ok(LayerPlan {
        bias: f.has("conv_b"),
        ..layer("hebbian/bionas", map, units, params)
    })
}

/// The layer alone, or with its normalisation, from the file's start.
fn build(f: &File, params: &[(&str, ParamValue)], norm: bool) -> Result<TestNetwork> {
    let mut blocks = vec![layer_block("map", layer_plan(f, params)?)];
    if norm {
        blocks.push(BlockPlan {
            norm: Some(batch_norm(true)),
            ..block("norm")
        });
    }
    let mut driven = TestNetwork::build(&blocks, &f.tensor("x1")?.dims()[1..], dtype(f))?;
    let mut start = vec![(WEIGHT, f.tensor("conv_w_init")?)];
    if f.has("conv_b") {
        start.push((BIAS, f.tensor("conv_b")?));
    }
    if norm {
        for (golden, name) in AFFINE {
            start.push((name, f.tensor(golden)?));
        }
    }
    driven.set(&start)?;
    Ok(driven)
}

/// Compares tensors of the network with golden ones where the file has them.
fn compare_state(
    f: &File,
    driven: &TestNetwork,
    names: &[(&str, &str)],
    suffix: &str,
    checks: &mut Checks,
) -> Result<()> {
    for (short, name) in names {
        let golden = format!("{short}{suffix}");
        if f.has(&golden) {
            checks.compare(
                &golden,
                &driven.tensor(name)?,
                &f.tensor(&golden)?,
                limit(f),
            )?;
        }
    }
    Ok(())
}

// The reference's module.

fn module_case(f: &File, checks: &mut Checks) -> Result<()> {
    let hebbian = f.text("mode")? == "hebbian";
    let params = [
        ("mode", text(if hebbian { "faithful" } else { "plain" })),
        (
            "hebbian_scale",
            ParamValue::Float(f.number("hebbian_scale")?),
        ),
    ];
    let mut driven = build(f, &params, true)?;
    driven.train(&["map", "norm"], Drive::Gradient);
    driven.start();
    let sgd = sgd(f)?;
    let mut optimizer = match &sgd {
        Some(plan) => Some(Optimizer::new(plan, 0.0, &driven.network.tensors())?),
        None => None,
    };
    for i in 1..=f.count("train_forwards")? {
        let step = driven.step(&f.tensor(&format!("x{i}"))?, |y| cotangent(f, i, y))?;
        compare_step(f, i, &step, checks)?;
        let after = format!("_after{i}");
        compare_state(f, &driven, &NORM, &after, checks)?;
        compare_weights(f, &driven, &after, checks)?;
        if let Some(optimizer) = &mut optimizer {
            optimizer.step(step.grads, optimizer.base_rate())?;
            let after = format!("_after_opt{i}");
            compare_state(f, &driven, &[("conv_w", WEIGHT)], &after, checks)?;
            compare_state(f, &driven, &AFFINE, &after, checks)?;
        }
    }
    evaluations(f, &mut driven, checks)?;
    if f.has("raw_update1") {
        let faithful = ("mode", text("faithful"));
        let read = |acc: &Tensor, inputs, units| acc.reshape((inputs, units));
        raw_update(f, &[faithful], |acc, d, k| Ok(read(acc, d, k)?), checks)?;
    }
    Ok(())
}

/// The file's gradient at the output; where it has none, nobody looks at what comes of it.
fn cotangent(f: &File, i: usize, y: &Tensor) -> Result<Tensor> {
    let name = format!("gy{i}");
    if f.has(&name) {
        return f.tensor(&name);
    }
    Ok(y.zeros_like()?)
}

fn compare_step(f: &File, i: usize, step: &Backward, checks: &mut Checks) -> Result<()> {
    let mut compare = |name: &str, got: &Tensor| -> Result<()> {
        let golden = format!("{name}{i}");
        if f.has(&golden) {
            checks.compare(&golden, got, &f.tensor(&golden)?, limit(f))?;
        }
        Ok(())
    };
    compare("y", &step.y)?;
    compare("grad_x", &step.grad_x)?;
    compare("grad_conv_w", &step.grad(WEIGHT)?)?;
    compare("grad_bn_w", &step.grad("norm.weight")?)?;
    compare("grad_bn_b", &step.grad("norm.bias")?)?;
    compare_bias(f, i, step, checks)
}

/// The gradient of a bias in front of a normalisation is zero but for rounding, so it is
/// measured against that of the weight.
fn compare_bias(f: &File, i: usize, step: &Backward, checks: &mut Checks) -> Result<()> {
    let golden = format!("grad_conv_b{i}");
    if !f.has(&golden) {
        return Ok(());
    }
    let weights = f.values(&format!("grad_conv_w{i}"))?;
    let largest = weights.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let limit = Tolerance::Each {
        absolute: 5e-5 * largest,
        relative: 0.0,
    };
    checks.compare(&golden, &step.grad(BIAS)?, &f.tensor(&golden)?, limit)
}

/// Weight and accumulator; a layer without the rule has no accumulator, the reference's
/// stays zero.
fn compare_weights(
    f: &File,
    driven: &TestNetwork,
    suffix: &str,
    checks: &mut Checks,
) -> Result<()> {
    compare_state(f, driven, &[("conv_w", WEIGHT)], suffix, checks)?;
    if driven.tensor(ACCUMULATOR).is_ok() {
        return compare_state(f, driven, &[("acc", ACCUMULATOR)], suffix, checks);
    }
    let golden = format!("acc{suffix}");
    if f.has(&golden) {
        let want = f.tensor(&golden)?;
        checks.compare(&golden, &want.zeros_like()?, &want, Tolerance::Exact)?;
    }
    Ok(())
}

/// Evaluations of one input, the second on what the first has changed.
fn evaluations(f: &File, driven: &mut TestNetwork, checks: &mut Checks) -> Result<()> {
    let x = f.tensor("x_eval")?;
    for i in 1..=f.count("eval_forwards")? {
        let golden = format!("y_eval{i}");
        let y = driven.evaluate(&x)?;
        checks.compare(&golden, &y, &f.tensor(&golden)?, limit(f))?;
        compare_weights(f, driven, &format!("_eval{i}"), checks)?;
    }
    Ok(())
}

/// The optimiser between the steps, from `SGD lr=0.05 momentum=0.9 after …`.
fn sgd(f: &File) -> Result<Option<OptimizerPlan>> {
    let text = f.text("sgd_between_steps")?;
    if text == "none" {
        return Ok(None);
    }
    let number = |key: &str| {
        let mut words = text.split([' ', ',']);
        let found = words.find_map(|w| w.strip_prefix(key)?.strip_prefix('=')?.parse().ok());
        found.ok_or_else(|| format!("no `{key}` in `{text}`"))
    };
    Ok(Some(OptimizerPlan::Sgd {
        lr: number("lr")?,
        momentum: number("momentum")?,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    }))
}

// The sum itself, and the corrected mode.

/// The matrix `M` of the first step: what a step of size 1 without a limit leaves in an
/// accumulator that starts from zero.
fn raw_update(
    f: &File,
    params: &[(&str, ParamValue)],
    read: impl FnOnce(&Tensor, usize, usize) -> Result<Tensor>,
    checks: &mut Checks,
) -> Result<()> {
    let mut params = params.to_vec();
    params.push(("hebbian_scale", ParamValue::Float(1.0)));
    params.push(("clamp", ParamValue::Float(1e9)));
    let mut driven = build(f, &params, false)?;
    driven.train(&["map"], Drive::Local);
    driven.learn(&f.tensor("x1")?)?;
    let acc = driven.tensor(ACCUMULATOR)?;
    let units = acc.dim(0)?;
    let got = read(&acc, acc.elem_count() / units, units)?;
    checks.compare("raw_update1", &got, &f.tensor("raw_update1")?, limit(f))
}

fn corrected_case(f: &File, checks: &mut Checks) -> Result<()> {
    let flag = |key: &'static str| -> Result<_> { Ok((key, text(f.text(key)?))) };
    let layout = flag("layout")?;
    let params = [
        ("mode", text("corrected")),
        (
            "hebbian_scale",
            ParamValue::Float(f.number("hebbian_scale")?),
        ),
        layout.clone(),
        flag("reduce")?,
        flag("init")?,
    ];
    let mut driven = build(f, &params, false)?;
    driven.train(&["map"], Drive::Local);
    for i in 1..=f.count("steps")? {
        let y = driven.learn(&f.tensor(&format!("x{i}"))?)?;
        let golden = format!("conv_out{i}");
        checks.compare(&golden, &y, &f.tensor(&golden)?, limit(f))?;
        compare_state(
            f,
            &driven,
            &[("acc", WEIGHT)],
            &format!("_after{i}"),
            checks,
        )?;
    }
    let raw = [
        ("mode", text("corrected")),
        ("layout", text("transposed")),
        flag("reduce")?,
        ("init", text("zeros")),
    ];
    let read = |acc: &Tensor, inputs, units| -> Result<Tensor> {
        Ok(acc.reshape((units, inputs))?.t()?.contiguous()?)
    };
    raw_update(f, &raw, read, checks)
}
