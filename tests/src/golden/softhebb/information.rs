//! The statistics and the log line of a conv layer after a few updates: `info_string_*`.

use std::collections::BTreeMap;

use biorule::config::{LayerPlan, MapPlan, ParamValue};
use biorule::plan::PadMode;
use candle_core::DType;

use super::competition;
use crate::Result;
use crate::golden::{Checks, Driven, File, Recogniser, Tolerance};

/// Cases with the reference's text.
pub(super) const RECOGNISER: Recogniser = Recogniser {
    name: "information",
    understands: |file| {
        file.find("info_text").is_some()
            && ["stat", "weight_before", "weight_after", "input_0"]
                .iter()
                .all(|name| file.has(name))
    },
    run,
};

/// For what the text shows with four digits.
const PRINTED: Tolerance = Tolerance::Each {
    absolute: 0.0,
    relative: 6e-4,
};

fn run(file: &File, checks: &mut Checks) -> Result<()> {
    for path in ["ops", "fused"] {
        let layer = train(file, path)?;
        let name = |what: &str| format!("{what} ({path})");
        let single = Tolerance::Largest(1e-5);
        checks.compare(
            &name("weight_after"),
            &layer.get("weight")?,
            &file.tensor("weight_after")?,
            single,
        )?;

        // Rows: rate, radius, wins, and unused ones.
        let stat = file.tensor("stat")?;
        checks.compare(&name("wins"), &layer.get("wins")?, &stat.get(2)?, single)?;
        let radii = layer
            .get("weight")?
            .flatten_from(1)?
            .sqr()?
            .sum(1)?
            .sqrt()?;
        checks.compare(&name("radius"), &radii, &stat.get(1)?, single)?;
        let rate = stat.get(0)?.mean_all()?.to_scalar::<f32>()?;
        let ours = layer.metric("rate_mean")?;
        checks.compare_values(&name("rate_mean"), &[ours], &[f64::from(rate)], single);
        let ours = [layer.metric("convergence")?, layer.metric("r1")?];
        let theirs = [file.values("convergence")?[0], file.values("r1")?[0]];
        checks.compare_values(&name("convergence, r1"), &ours, &theirs, single);
        line(file, &layer, &name, checks)?;
        table(file, &layer, &name, checks)?;
    }
    Ok(())
}

fn train(file: &File, path: &str) -> Result<Driven> {
    let weight = file.tensor("weight_before")?;
    let padding = file.count("padding")?;
    let float = |key: &str| -> Result<ParamValue> { Ok(ParamValue::Float(file.number(key)?)) };
    let text = |value: &str| ParamValue::Text(value.into());
    let params = BTreeMap::from([
        ("path".to_string(), text(path)),
        (
            "competition".to_string(),
            text(competition(file.text("rule")?)?),
        ),
        ("lr".to_string(), float("lr")?),
        ("power_lr".to_string(), float("power_lr")?),
        ("t_invert".to_string(), float("t_invert")?),
        ("track_wins".to_string(), ParamValue::Bool(true)),
    ]);
    let map = MapPlan::Conv {
        kernel: [weight.dim(2)?, weight.dim(3)?],
        stride: [1, 1],
        padding: [padding; 4],
        dilation: [1, 1],
        groups: 1,
        padding_mode: PadMode::Reflect,
    };
    let plan = LayerPlan {
        map,
        out: weight.dim(0)?,
        bias: false,
        rule: "softhebb".into(),
        params,
    };
    let mut layer = Driven::bind(&plan, &file.tensor("input_0")?.dims()[1..], DType::F32)?;
    layer.set("weight", weight)?;
    // One epoch without end, so that counts do not restart.
    layer.call.steps_per_epoch = u64::MAX;
    for step in 0.. {
        match file.tensor(&format!("input_{step}")) {
            Ok(x) => layer.learn(&x, None)?,
            Err(_) => break,
        };
    }
    Ok(layer)
}

/// `MB:…/SB:…/MW:…/…`, where a second `MW` is the winners' mean activation.
fn line(
    file: &File,
    layer: &Driven,
    name: &impl Fn(&str) -> String,
    checks: &mut Checks,
) -> Result<()> {
    let text = file.text("info_text")?;
    let first = text.lines().next().unwrap_or_default();
    let mut seen_weight = false;
    for part in first.split('/') {
        let (key, value) = part.split_once(':').ok_or("a log entry without colon")?;
        let want: f64 = value.trim().parse()?;
        let metric = match key {
            // The layer has no bias, which the reference shows as 0.
            "MB" | "SB" => {
                checks.compare_values(&name(key), &[0.0], &[want], Tolerance::Exact);
                continue;
            }
            "MW" if seen_weight => "hebbian_share",
            "MW" => "weight_mean",
            "SW" => "weight_std",
            "MR" => "radius_mean",
            "SR" => "radius_std",
            "MeD" => "radius_deviation_mean",
            "MaD" => "radius_deviation_max",
            "MAW" => "anti_hebbian_share",
            other => return Err(format!("no metric for `{other}` of the log line").into()),
        };
        seen_weight |= key == "MW";
        // The shares have three decimals.
        let tolerance = match metric {
            "hebbian_share" | "anti_hebbian_share" => Tolerance::Each {
                absolute: 5.1e-4,
                relative: 0.0,
            },
            _ => PRINTED,
        };
        checks.compare_values(&name(metric), &[layer.metric(metric)?], &[want], tolerance);
    }
    Ok(())
}

/// The third row of the table: each unit's percentage of the wins.
fn table(
    file: &File,
    layer: &Driven,
    name: &impl Fn(&str) -> String,
    checks: &mut Checks,
) -> Result<()> {
    let text = file.text("info_text")?;
    let row = text.lines().nth(5).ok_or("a table without wins")?;
    let want: Vec<f64> = row
        .split('|')
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    let wins: Vec<f64> = layer.get("wins")?.to_dtype(DType::F64)?.to_vec1()?;
    let total: f64 = wins.iter().sum();
    let got: Vec<f64> = wins.iter().map(|n| 100.0 * n / total).collect();
    let tolerance = Tolerance::Each {
        absolute: 5.1e-3,
        relative: 0.0,
    };
    checks.compare_values(&name("percentage of wins"), &got, &want, tolerance);
    Ok(())
}
