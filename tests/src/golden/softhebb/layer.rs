//! One layer, five updates: `conv_*` and `linear_*`.

use std::collections::BTreeMap;

use biorule::config::{LayerPlan, MapPlan, ParamValue};
use candle_core::{DType, Tensor};

use super::competition;
use crate::Result;
use crate::golden::{Checks, Driven, File, Recogniser, Step, Tolerance};
use crate::numbers::values;

/// Cases with a rule, a layer kind and a trace of inputs.
pub(super) const RECOGNISER: Recogniser = Recogniser {
    name: "layer",
    understands: |file| {
        ["rule", "layer", "steps", "adaptive"]
            .iter()
            .all(|key| file.find(key).is_some())
            && ["weight_before", "input_0", "pre_activation", "delta_w"]
                .iter()
                .all(|name| file.has(name))
    },
    run,
};

fn run(file: &File, checks: &mut Checks) -> Result<()> {
    let rule = file.text("rule")?;
    let paths: &[&str] = if rule == "supervisedsoftkrotov" {
        &["ops"]
    } else {
        &["ops", "fused"]
    };
    for &path in paths {
        for dtype in [DType::F32, DType::F64] {
            Case::new(file, path, dtype)?.run(checks)?;
        }
    }
    Ok(())
}

/// The layer that metadata describe.
fn plan(file: &File, path: &str) -> Result<LayerPlan> {
    let conv = file.text("layer")? == "conv2d";
    let mut params = BTreeMap::new();
    let mut put = |name: &str, value: ParamValue| params.insert(name.to_string(), value);
    put("path", ParamValue::Text(path.into()));
    put(
        "competition",
        ParamValue::Text(competition(file.text("rule")?)?.into()),
    );
    let rate = if file.flag("adaptive")? {
        "adaptive"
    } else {
        file.text("lr_decay")?
    };
    put("rate", ParamValue::Text(rate.into()));
    put(
        "weight_init",
        ParamValue::Text(file.text("weight_init")?.into()),
    );
    for (ours, theirs) in [
        ("lr", "lr"),
        ("power_lr", "power_lr"),
        ("speed", "speed"),
        ("lr_div", "div"),
        ("t_invert", "t_invert"),
        ("delta", "delta"),
        ("radius", "radius_init"),
        ("weight_init_offset", "weight_init_offset"),
    ] {
        if file.find(theirs).is_some() {
            put(ours, ParamValue::Float(file.number(theirs)?));
        }
    }
    for name in ["ranking_param", "lebesgue_p"] {
        put(name, ParamValue::Int(file.count(name)? as i64));
    }
    // Rules without modes say so in words.
    if let Ok(mode) = file.count("krotov_mode") {
        put("krotov_mode", ParamValue::Int(mode as i64));
    }
    if file.find("pre_triangle").is_some() {
        put("pre_triangle", ParamValue::Bool(file.flag("pre_triangle")?));
    }
    let map = if conv {
        conv_map(file)?
    } else {
        MapPlan::Dense
    };
    let out = file.tensor("weight_before")?.dim(0)?;
    Ok(LayerPlan {
        map,
        out,
        bias: file.flag("add_bias")?,
        rule: "softhebb".into(),
        params,
    })
}

/// Rows and columns of a setting that may be one number.
fn pair(file: &File, key: &str) -> Result<[usize; 2]> {
    match file.counts(key)?[..] {
        [both] => Ok([both, both]),
        [rows, columns] => Ok([rows, columns]),
        ref other => Err(format!("metadata `{key}` is {other:?}").into()),
    }
}

fn conv_map(file: &File) -> Result<MapPlan> {
    let [rows, columns] = pair(file, "padding")?;
    Ok(MapPlan::Conv {
        kernel: pair(file, "kernel_size")?,
        stride: pair(file, "stride")?,
        padding: [rows, rows, columns, columns],
        dilation: pair(file, "dilation")?,
        groups: file.count("groups")?,
        padding_mode: {
            let name = file.text("padding_mode")?;
            name.parse()
                .map_err(|()| format!("no padding mode `{name}`"))?
        },
    })
}

struct Case<'a> {
    file: &'a File,
    layer: Driven,
    dtype: DType,
    tolerance: Tolerance,
    /// `f32 ops`, …
    label: String,
    conv: bool,
}

impl<'a> Case<'a> {
    fn new(file: &'a File, path: &str, dtype: DType) -> Result<Self> {
        let input = file.tensor("input_0")?;
        let mut layer = Driven::bind(&plan(file, path)?, &input.dims()[1..], dtype)?;
        layer.set("weight", file.twin("weight_before", dtype)?)?;
        if file.has("bias_before") {
            layer.set("bias", file.twin("bias_before", dtype)?)?;
        }
        // The ratio batch/samples in whole numbers.
        let samples = 1_000_000;
        layer.call.samples = samples;
        layer.call.batch = (file.number("ratio")? * samples as f64).round() as u64;
        layer.call.steps_per_epoch = samples / layer.call.batch;
        layer.call.epochs = file.count("nb_epochs")? as u64;
        let tolerance = match (dtype, file.text("rule")?) {
            (DType::F32, _) => 1e-5,
            // The reference rounds −δ to single precision there.
            (_, "hardkrotov") => 1e-8,
            _ => 1e-12,
        };
        Ok(Self {
            file,
            layer,
            dtype,
            tolerance: Tolerance::Largest(tolerance),
            label: format!("{} {path}", if dtype == DType::F64 { "f64" } else { "f32" }),
            conv: file.text("layer")? == "conv2d",
        })
    }

    fn run(mut self, checks: &mut Checks) -> Result<()> {
        let file = self.file;
        self.rate(0, checks)?;
        for step in 0..file.count("steps")? {
            let x = file.twin(&format!("input_{step}"), self.dtype)?;
            let target = match file.tensor(&format!("target_{step}")) {
                Ok(target) => Some(target.to_dtype(DType::U32)?),
                Err(_) => None,
            };
            let done = self.layer.learn(&x, target.as_ref())?;
            if step == 0 {
                self.first_update(&done, checks)?;
            }
            self.rate(step + 1, checks)?;
        }
        let last = file.count("steps")?;
        self.same(
            &format!("weight_after_{last}"),
            &self.layer.get("weight")?,
            checks,
        )?;
        if file.has("bias_before") {
            self.same(
                &format!("bias_after_{last}"),
                &self.layer.get("bias")?,
                checks,
            )?;
        }
        let x = file.twin("input_0", self.dtype)?;
        self.same("eval_output", &self.layer.evaluate(&x)?, checks)?;
        self.radii(last, checks)
    }

    /// Compares with the golden tensor `name`, or its twin.
    fn same(&self, name: &str, got: &Tensor, checks: &mut Checks) -> Result<()> {
        let want = self.file.twin(name, self.dtype)?;
        checks.compare(
            &format!("{name} ({})", self.label),
            got,
            &want,
            self.tolerance,
        )
    }

    /// Output, changes and new state of the first update.
    fn first_update(&self, done: &Step, checks: &mut Checks) -> Result<()> {
        let file = self.file;
        self.same("pre_activation", &done.y, checks)?;
        self.same("weight_after_1", &self.layer.get("weight")?, checks)?;
        // The rule returns η·Δ; rows of the golden rates are steps.
        let eta = file.twin("lr_per_step", self.dtype)?.get(0)?;
        let change = done.change("weight")?;
        let mut row = vec![1; change.rank()];
        row[0] = eta.elem_count();
        self.same(
            "delta_w",
            &change.broadcast_div(&eta.reshape(row)?)?,
            checks,
        )?;
        if file.has("delta_b") {
            self.same("bias_after_1", &self.layer.get("bias")?, checks)?;
            let lambda = if self.conv { 0.1 } else { 1.0 } / file.number("t_invert")?;
            let delta = (done.change("bias")?.broadcast_div(&eta)? / lambda)?;
            self.same("delta_b", &delta, checks)?;
        }
        Ok(())
    }

    /// The mean of the rates that update `step` uses.
    fn rate(&self, step: usize, checks: &mut Checks) -> Result<()> {
        let rates = values(&self.file.twin("lr_per_step", self.dtype)?.get(step)?)?;
        let want = rates.iter().sum::<f64>() / rates.len() as f64;
        let got = self.layer.metric("rate_mean")?;
        // A decayed rate is compared on the scale of the first one.
        let first = self.file.number("lr")?;
        let name = format!("lr_per_step[{step}] ({})", self.label);
        checks.compare_values(&name, &[got, first], &[want, first], self.tolerance);
        Ok(())
    }

    fn radii(&self, last: usize, checks: &mut Checks) -> Result<()> {
        let file = self.file;
        let order = file.number("lebesgue_p")?;
        let weight = self.layer.get("weight")?.flatten_from(1)?;
        let radii = weight.abs()?.powf(order)?.sum(1)?.powf(1.0 / order)?;
        self.same(&format!("radius_after_{last}"), &radii, checks)?;
        // Stored in single precision also for the twin, and a difference from 1.
        let convergence = file.values("convergence")?;
        let got = self.layer.metric("convergence")?;
        let tolerance = Tolerance::Each {
            absolute: 1e-6,
            relative: 1e-5,
        };
        checks.compare_values(
            &format!("convergence ({})", self.label),
            &[got],
            &convergence,
            tolerance,
        );
        let r1 = self.layer.metric("r1")?;
        checks.compare_values(
            &format!("r1_count ({})", self.label),
            &[r1],
            &file.values("r1_count")?,
            Tolerance::Exact,
        );
        Ok(())
    }
}
