//! Checks with strange inputs and hyperparameters, and of memory over many steps.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::array::uniform;
use super::bound::{Config, Subject};
use super::compare::Outcome::{self, Failed, Passed, Skipped};
use super::kinds::{OneStep, not_finite, some_layer};
use super::{Array, Site};
use crate::sdk::{DType, ParamSpec, ParamValue, Result};

/// Configurations that are drawn.
const CONFIGS: u64 = 200;

/// One step of the rule with `params` on `site`: what is wrong with its end, which is neither
/// numbers nor an error.
fn panic_of(subject: &dyn Subject, params: &Config, site: &Site, x: &Array) -> Option<String> {
    let step = || {
        let rule = subject.bind_with(site, params, DType::F32)?;
        let step = OneStep::new(subject, &*rule, site);
        step.run(&rule.start(5)?, x)
    };
    match catch_unwind(AssertUnwindSafe(step)) {
        // The host makes errors of panics; a rule in its own tests panics as it is.
        Ok(Err(e)) if e.to_string().contains("panicked") => Some(e.to_string()),
        Ok(_) => None,
        Err(panic) => Some(format!(
            "it panicked: {}",
            crate::abi::glue::panic_text(&*panic)
        )),
    }
}

/// Inputs that no data set has, and those that a dead layer gives.
pub(super) fn inputs(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let (site, rule) = some_layer(subject, &Config::new())?;
    let batch = rule.least_batch().max(3);
    let shape = [&[batch], site.input.as_slice()].concat();
    let full = |v: f64| Array::full(&shape, v).to(DType::F32);
    for (name, x) in [
        ("zeros", full(0.0)),
        ("ones", full(1.0)),
        ("subnormal", full(1e-40)),
    ] {
        if let Some(what) = panic_of(subject, &Config::new(), &site, &x) {
            return Ok(Failed(format!("{name}: {what}")));
        }
        let step = OneStep::new(subject, &*rule, &site);
        let after = step
            .run(&rule.start(5)?, &x)
            .map_err(|e| crate::sdk::RuleError::rule(format!("{name}: {e}")))?;
        if let Some(what) = not_finite(&after) {
            return Ok(Failed(format!("an input of {name}: {what} after a step")));
        }
    }
    for (name, x) in [
        ("huge numbers", full(1e30)),
        ("NaN", full(f64::NAN)),
        ("infinity", full(f64::INFINITY)),
    ] {
        if let Some(what) = panic_of(subject, &Config::new(), &site, &x) {
            return Ok(Failed(format!("an input of {name}: {what}")));
        }
    }
    Ok(Passed(
        "zeros, ones and subnormal give numbers; huge, NaN and infinity no panic".into(),
    ))
}

/// A value that the schema allows.
fn draw(spec: &ParamSpec, next: &mut impl FnMut() -> f64) -> ParamValue {
    let ends = |v: f64, default: f64| if v.is_finite() { v } else { default };
    match &spec.default {
        ParamValue::Bool(_) => ParamValue::Bool(next() < 0.5),
        ParamValue::Int(default) => {
            let (lo, hi) = (ends(spec.min, -8.0), ends(spec.max, 64.0));
            ParamValue::Int(match (next() * 4.0) as u64 {
                0 => lo as i64,
                // Sizes at the end of their range would only be refused for want of memory.
                1 => hi.min(lo.max(0.0) + 64.0) as i64,
                2 => *default,
                _ => (lo + next() * (hi.min(lo + 16.0) - lo)) as i64,
            })
        }
        ParamValue::Float(default) => {
            let (lo, hi) = (ends(spec.min, -1e3), ends(spec.max, 1e3));
            ParamValue::Float(match (next() * 5.0) as u64 {
                0 => lo,
                1 => hi,
                2 => *default,
                3 => (lo + next() * (hi - lo)).clamp(lo, hi),
                _ => (default * (0.1 + 3.0 * next())).clamp(lo, hi),
            })
        }
        ParamValue::Text(default) => ParamValue::Text(match spec.choices.len() {
            0 => default.clone(),
            n => spec.choices[((next() * n as f64) as usize).min(n - 1)].clone(),
        }),
    }
}

/// Configurations that the schema allows: each is refused, or makes a step without a panic.
pub(super) fn configs(subject: &dyn Subject, seed: u64) -> Result<Outcome> {
    let schema = subject.schema();
    if schema.is_empty() {
        return Ok(Skipped("the rule has no hyperparameters".into()));
    }
    let facts = subject.facts();
    let mut sites = Vec::new();
    if facts.dense {
        sites.push(Site::dense(6, 4));
    }
    if facts.conv {
        sites.push(Site::conv([2, 5, 5], 4, 3).with(|c| c.padding = [1; 4]));
    }
    let mut next = uniform(seed ^ 0x636f_6e66);
    let mut refused = 0;
    for number in 0..CONFIGS {
        let site = &sites[number as usize % sites.len().max(1)];
        let params: Config = schema
            .iter()
            .map(|spec| (spec.name.clone(), draw(spec, &mut next)))
            .collect();
        let x = Array::noise(seed ^ number, &[&[5], site.input.as_slice()].concat());
        if subject.bind_with(site, &params, DType::F32).is_err() {
            refused += 1;
            continue;
        }
        if let Some(what) = panic_of(subject, &params, site, &x.to(DType::F32)) {
            let shown: Vec<String> = params
                .iter()
                .map(|(name, value)| format!("{name} = {}", words(value)))
                .collect();
            return Ok(Failed(format!(
                "configuration {number} of seed {seed}, {}: {what}",
                shown.join(", ")
            )));
        }
    }
    Ok(Passed(format!(
        "{CONFIGS} configurations of seed {seed}: no panic, {refused} refused"
    )))
}

fn words(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(v) => v.to_string(),
        ParamValue::Int(v) => v.to_string(),
        ParamValue::Float(v) => v.to_string(),
        ParamValue::Text(v) => format!("\"{v}\""),
    }
}

/// Growth of the process over 800 steps that counts as a leak.
const GROWTH: u64 = 4 << 20;

/// Memory over many steps of one small layer.
pub(super) fn memory(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let (site, rule) = some_layer(subject, &Config::new())?;
    let batch = rule.least_batch().max(4);
    let shape = [&[batch], site.input.as_slice()].concat();
    let step = OneStep::new(subject, &*rule, &site);
    let state = rule.start(5)?;
    let run = |steps: std::ops::Range<u64>| -> Result<()> {
        for number in steps {
            step.run(&state, &Array::noise(number, &shape).to(DType::F32))?;
        }
        Ok(())
    };
    run(0..200)?;
    let Some(before) = resident() else {
        return Ok(Skipped(
            "this system does not say what a process takes".into(),
        ));
    };
    run(200..1000)?;
    let after = resident().unwrap_or(before);
    let grown = after.saturating_sub(before);
    Ok(match grown > GROWTH {
        true => Failed(format!(
            "800 steps of a layer with {} inputs took {} KiB more",
            site.input.iter().product::<usize>(),
            grown >> 10
        )),
        false => Passed("1,000 steps, no memory that grows".into()),
    })
}

/// Bytes of memory that this process takes.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
