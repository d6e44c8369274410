//! Rates by themselves: `schedules`.

use std::collections::BTreeMap;

use biorule::config::{LayerPlan, MapPlan, Moment, ParamValue, SchedulePlan};
use biorule::train::schedule;
use candle_core::{DType, Tensor};

use crate::Result;
use crate::golden::{Checks, Driven, File, Recogniser, Tolerance};

/// Cases whose tensors are named by schedule and settings.
pub(super) const RECOGNISER: Recogniser = Recogniser {
    name: "rates",
    understands: |file| {
        let known = ["linear_lr", "exp_lr", "adaptive_lr", "step_lr_epochs"];
        file.has("norms")
            && file
                .names()
                .all(|name| name == "norms" || known.iter().any(|start| name.starts_with(start)))
    },
    run,
};

fn run(file: &File, checks: &mut Checks) -> Result<()> {
    for name in file.names() {
        match name.split('_').next() {
            Some("linear" | "exp") => decay(file, name, checks)?,
            Some("adaptive") => radius_dependent(file, name, checks)?,
            Some("step") => optimiser(file, name, checks)?,
            _ => {}
        }
    }
    Ok(())
}

/// The number after `key` in one of the parts of `name`.
fn setting(name: &str, key: &str) -> Result<f64> {
    let part = name.split('_').find_map(|part| part.strip_prefix(key));
    Ok(part
        .ok_or_else(|| format!("no `{key}` in `{name}`"))?
        .parse()?)
}

/// A dense layer of one unit with one input.
fn unit(params: &[(&str, ParamValue)], dtype: DType) -> Result<Driven> {
    let params: BTreeMap<String, ParamValue> = params
        .iter()
        .map(|(name, value)| ((*name).to_string(), value.clone()))
        .collect();
    let plan = LayerPlan {
        map: MapPlan::Dense,
        out: 1,
        bias: false,
        rule: "softhebb".into(),
        params,
    };
    Driven::bind(&plan, &[1], dtype)
}

/// `linear_lr…_epochs…_ratio…`, `exp_…_div…_speed…`: the rate of each update.
fn decay(file: &File, name: &str, checks: &mut Checks) -> Result<()> {
    let kind = name.split('_').next().unwrap_or_default();
    let mut params = vec![
        ("rate", ParamValue::Text(kind.into())),
        ("lr", ParamValue::Float(setting(name, "lr")?)),
    ];
    if kind == "exp" {
        params.push(("lr_div", ParamValue::Float(setting(name, "div")?)));
        params.push(("speed", ParamValue::Float(setting(name, "speed")?)));
    }
    let mut layer = unit(&params, DType::F64)?;
    layer.call.samples = 1_000_000;
    layer.call.batch = (setting(name, "ratio")? * 1e6).round() as u64;
    layer.call.epochs = setting(name, "epochs")? as u64;
    let want = file.values(name)?;
    let mut got = Vec::new();
    for step in 0..want.len() {
        layer.call.step = step as u64;
        got.push(layer.metric("rate_mean")?);
    }
    checks.compare_values(name, &got, &want, Tolerance::Largest(1e-12));
    Ok(())
}

/// `adaptive_lr…_power…`: the rate at each radius of `norms`.
fn radius_dependent(file: &File, name: &str, checks: &mut Checks) -> Result<()> {
    let (plain, dtype, tolerance) = match name.strip_suffix(".f64") {
        Some(plain) => (plain, DType::F64, 1e-12),
        None => (name, DType::F32, 1e-5),
    };
    let params = [
        ("rate", ParamValue::Text("adaptive".into())),
        ("lr", ParamValue::Float(setting(plain, "lr")?)),
        ("power_lr", ParamValue::Float(setting(plain, "power")?)),
    ];
    let mut layer = unit(&params, dtype)?;
    let mut got = Vec::new();
    for radius in file.values("norms")? {
        layer.set("weight", Tensor::new(&[[radius]], &crate::device())?)?;
        got.push(layer.metric("rate_mean")?);
    }
    checks.compare_values(
        name,
        &got,
        &file.values(name)?,
        Tolerance::Largest(tolerance),
    );
    Ok(())
}

/// `step_lr_epochs…`: the optimiser's rate in each epoch, from 0.001.
fn optimiser(file: &File, name: &str, checks: &mut Checks) -> Result<()> {
    let epochs = setting(name, "epochs")? as u64;
    let got: Vec<f64> = (0..epochs)
        .map(|epoch| {
            schedule::rate(
                &SchedulePlan::Softhebb,
                0.001,
                &Moment::at_epoch(epoch, epochs),
            )
        })
        .collect();
    checks.compare_values(name, &got, &file.values(name)?, Tolerance::Largest(1e-12));
    Ok(())
}
