//! Golden files of BioTorch: dense, convolutional and residual networks under every
//! rule of that project.
//!
//! Layouts are ours. Magnitudes that brsf drew are in the file and take the place of
//! those that our rule draws. BioTorch logs the angle to the feedback it *stored*,
//! and so do our rules, but for frsf, where that is the bare magnitudes.

mod case;
mod probe;

use std::collections::BTreeMap;

use biorule::nn::rule::RuleSource;
use serde_json::Value;

use case::Case;
use probe::{agreement, feedback, slow_angle};

use super::TOLERANCE;
use super::trial::{Trial, Walk};
use crate::Result;
use crate::golden::{Checks, File};

/// Whether `file` is one of these.
pub fn understands(file: &File) -> bool {
    file.find("net").is_some() && file.find("net_config").is_some() && file.has("x")
}

/// Runs the file's steps and compares all that it holds.
///
/// # Errors
/// The file is not what it seems, or a rule failed.
pub fn run(rules: &dyn RuleSource, file: &File, checks: &mut Checks) -> Result<()> {
    let layers = file.json("metric_layer_order")?;
    let layers = layers.as_array().ok_or("metric_layer_order is a list")?;
    let case = Case {
        file,
        rules,
        rule: file.text("rule")?.to_string(),
        layers: layers
            .iter()
            .filter_map(Value::as_str)
            .map(Into::into)
            .collect(),
        config: file.json("net_config")?,
    };
    let mut trial = case.trial()?;
    case.set_magnitudes(&trial, 0)?;
    let walk = trial.walk()?;
    passed(&case, &trial, &walk, checks)?;
    gradients(&case, "grad", &walk, checks)?;
    used(&case, &trial, 0, checks)?;
    gradients(&case, "bp_grad", &trial.walk_exactly()?, checks)?;
    steps(&case, &mut trial, checks)
}

fn steps(case: &Case<'_>, trial: &mut Trial, checks: &mut Checks) -> Result<()> {
    let golden = case.file.values("losses")?;
    let mut losses = Vec::new();
    for step in 0..golden.len() {
        metrics(case, trial, step, checks)?;
        case.set_magnitudes(trial, step)?;
        if step > 0 && case.rule == "brsf" {
            used(case, trial, step, checks)?;
        }
        if step + 1 == golden.len() {
            losses.push(trial.walk()?.loss);
            if case.file.flag("constrain_weights")? {
                constrained(case, trial, checks)?;
            }
            break;
        }
        losses.push(trial.step()?.loss);
        let prefix = format!("step{}.", step + 1);
        for name in case.file.names().filter_map(|n| n.strip_prefix(&prefix)) {
            let Some(ours) = case.ours(name) else {
                continue;
            };
            let (name, own) = (format!("{prefix}{name}"), trial.tensor(&ours)?);
            checks.compare(&name, &own, &case.file.tensor(&name)?, TOLERANCE)?;
        }
    }
    checks.compare_values("losses", &losses, &golden, TOLERANCE);
    Ok(())
}

/// What passed through each layer, up and down.
fn passed(case: &Case<'_>, trial: &Trial, walk: &Walk, checks: &mut Checks) -> Result<()> {
    for layer in &case.layers {
        let heard = trial.heard(layer);
        for (name, own) in [
            (format!("fwd.{layer}.input"), heard.x),
            (format!("fwd.{layer}.output"), heard.y),
            (format!("bwd.{layer}.grad_output"), heard.grad_y),
            (format!("bwd.{layer}.grad_input"), heard.grad_x),
        ] {
            if case.file.has(&name) {
                let own = own.ok_or_else(|| format!("nothing was heard for `{name}`"))?;
                checks.compare(&name, &own, &case.file.tensor(&name)?, TOLERANCE)?;
            }
        }
    }
    checks.compare(
        "out.logits",
        &walk.output,
        &case.file.tensor("out.logits")?,
        TOLERANCE,
    )?;
    let error = case.file.tensor("grad_wrt_logits")?;
    checks.compare("grad_wrt_logits", &walk.error, &error, TOLERANCE)
}

fn gradients(case: &Case<'_>, prefix: &str, walk: &Walk, checks: &mut Checks) -> Result<()> {
    let prefix = format!("{prefix}.");
    for name in case.file.names().filter_map(|n| n.strip_prefix(&prefix)) {
        let own = case.ours(name).and_then(|ours| walk.gradients.get(&ours));
        let name = format!("{prefix}{name}");
        match own {
            Some(own) => checks.compare(&name, own, &case.file.tensor(&name)?, TOLERANCE)?,
            None => checks.problem(format!("{name}: the rule gave no gradient")),
        }
    }
    Ok(())
}

/// The tensor that took each weight's place, as the rule itself shows it.
fn used(case: &Case<'_>, trial: &Trial, step: usize, checks: &mut Checks) -> Result<()> {
    for layer in &case.layers {
        let name = format!("feedback_used.step{step}.{layer}");
        if !case.file.has(&name) || case.rule == "dfa" {
            continue;
        }
        let golden = case.file.tensor(&name)?;
        let own = feedback(
            case,
            trial,
            &case.rule,
            layer,
            &trial.tensor(&case.weight(layer)?)?,
        )?;
        checks.compare(&name, &own, &golden, TOLERANCE)?;
        if step == 0 && case.rule != "brsf" {
            let weight = trial.tensor(&case.weight(layer)?)?;
            let reported = trial.metrics(layer)?;
            let angle = reported.get("alignment_angle").copied().unwrap_or(f64::NAN);
            let name = format!("own angle of {layer}");
            checks.compare_values(&name, &[angle], &[slow_angle(&golden, &weight)?], TOLERANCE);
        }
    }
    Ok(())
}

/// BioTorch's metrics after `step` updates.
fn metrics(case: &Case<'_>, trial: &Trial, step: usize, checks: &mut Checks) -> Result<()> {
    let constrained = case.file.flag("constrain_weights")?;
    let mut found: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for layer in &case.layers {
        let reported = match case.rule.as_str() {
            // Under the norm constraint BioTorch compares with the weight before it is rescaled.
            "fa" if constrained => {
                let name = case.weight(layer)?;
                let feedback = trial.tensor(&name.replace(".weight", ".feedback"))?;
                agreement(case, &trial.tensor(&name)?, &feedback)?
            }
            // BioTorch's angle is that of the bare magnitudes.
            "frsf" => {
                let name = case.weight(layer)?;
                let magnitude = trial.tensor(&name.replace(".weight", ".magnitude"))?;
                agreement(case, &trial.tensor(&name)?, &magnitude.abs()?)?
            }
            _ => trial.metrics(layer)?,
        };
        for (golden, own) in [
            ("angle_deg", "alignment_angle"),
            ("weight_ratio", "norm_ratio"),
            ("weight_norm", "weight_norm"),
        ] {
            found.entry(golden).or_default().extend(reported.get(own));
        }
    }
    for (name, own) in found {
        let name = format!("metric.{name}.step{step}");
        if case.file.has(&name) {
            checks.compare_values(&name, &own, &case.file.values(&name)?, TOLERANCE);
        }
    }
    Ok(())
}

/// Under the norm constraint: after a step in which nothing else could change it, the weight is
/// the one that BioTorch's forward pass used.
fn constrained(case: &Case<'_>, trial: &mut Trial, checks: &mut Checks) -> Result<()> {
    trial.step_with_rate(0.0)?;
    for layer in &case.layers {
        let name = format!("constrain.{layer}.weight_used");
        if case.file.has(&name) {
            let own = trial.tensor(&case.weight(layer)?)?;
            checks.compare(&name, &own, &case.file.tensor(&name)?, TOLERANCE)?;
        }
    }
    Ok(())
}
