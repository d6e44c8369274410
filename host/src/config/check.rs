//! The checks of a plan that look at more than one setting, or at what plugins
//! and data say.

use std::collections::BTreeSet;

use config::{Value, ValueKind};

use super::context::{Credit, ParamKind, ParamSchema, PlanContext, RuleSchema};
use super::numbers;
use super::plan::{BlockPlan, Drive, MapPlan, ParamValue, PhasePlan, RunPlan};
use super::section::unknown_among;
use super::value;
use super::{Warnings, endless, section, shapes, unmoved};
use crate::data::DataPlan;
use crate::plan::DataShape;
use crate::plan::every_block;
use crate::{Error, Result};

/// Checks a whole plan: names, phases, data, shapes. What is allowed but should be known goes to
/// `warnings`.
///
/// # Errors
/// Usage, data or plugin error.
pub fn plan(plan: &RunPlan, context: &dyn PlanContext, warnings: &mut Warnings) -> Result<()> {
    let names = block_names(&plan.blocks)?;
    one_loss(plan, warnings);
    phases(plan, &names, context)?;
    unmoved::plan(plan, context, warnings)?;
    endless::plan(plan, context)?;
    two_classes(&plan.data)?;
    part_names(plan)?;
    let Some(data) = context.dataset(&plan.data)? else {
        return Ok(());
    };
    crop("data", &plan.data, &data, warnings)?;
    for (name, extra) in plan.extra_in_use() {
        same_shape(name, &data, context.dataset(extra)?)?;
    }
    for (name, extra) in &plan.extra_data {
        crop(&format!("extra_data.{name}"), extra, &data, warnings)?;
    }
    let shapes = shapes::propagate(&plan.blocks, &data)?;
    output(plan, &shapes, &data)
}

/// Phases with different losses share one result: says whose loss it is.
fn one_loss(plan: &RunPlan, warnings: &mut Warnings) {
    let driven: Vec<&PhasePlan> = (plan.phases.iter())
        .filter(|p| p.drive != Drive::Local)
        .collect();
    let Some((last, others)) = driven.split_last() else {
        return;
    };
    let same = |p: &&&PhasePlan| (p.loss, &p.class_weights) == (last.loss, &last.class_weights);
    if !others.iter().all(|p| same(&p)) {
        warnings.add(format!(
            "the phases have different losses: `test/loss` of the result is the {} of phase `{}`",
            last.loss.describe(last.class_weights.is_some()),
            last.name
        ));
    }
}

fn block_names(blocks: &[BlockPlan]) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for block in every_block(blocks) {
        if !names.insert(block.name.clone()) {
            return Err(Error::usage(format!(
                "two blocks are named `{}`",
                block.name
            )));
        }
    }
    Ok(names)
}

/// Refuses a group of tensors that are in no block that the phase trains.
fn groups(phase: &PhasePlan, path: &str, plan: &RunPlan) -> Result<()> {
    let outer = plan.blocks.iter().filter(|block| {
        let all = every_block(std::slice::from_ref(block));
        all.iter().any(|b| phase.blocks.contains(&b.name))
    });
    let starts: Vec<String> = outer.map(|b| format!("blocks.{}.", b.name)).collect();
    for (i, group) in phase.groups.iter().enumerate() {
        let lost = group.prefixes.iter().find(|prefix| {
            let meets = |start: &String| start.starts_with(*prefix) || prefix.starts_with(start);
            !starts.iter().any(meets)
        });
        if let Some(lost) = lost {
            return Err(Error::usage(format!(
                "`{path}.groups.{i}.prefixes` has `{lost}`, with which no tensor begins that learns in the phase"
            ))
            .hint(format!("names begin with `{}`", starts.join("`, `"))));
        }
    }
    Ok(())
}

fn phases(plan: &RunPlan, names: &BTreeSet<String>, context: &dyn PlanContext) -> Result<()> {
    let mut seen = BTreeSet::new();
    for phase in &plan.phases {
        let path = format!("phases.{}", phase.name);
        if !seen.insert(&phase.name) {
            return Err(Error::usage(format!(
                "two phases are named `{}`",
                phase.name
            )));
        }
        if phase.blocks.is_empty() {
            return Err(Error::usage(format!("`{path}.blocks` is empty")));
        }
        for block in &phase.blocks {
            if !names.contains(block) {
                let e = Error::usage(format!(
                    "`{path}.blocks` names `{block}`, which is no block"
                ));
                let near = value::nearest(block, names.iter().map(String::as_str));
                return Err(e.hint(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("blocks are {}", words(names)),
                }));
            }
        }
        if plan.data_of(&phase.data).is_none() {
            let e = Error::usage(format!(
                "`{path}.data` is `{}`, which is neither `train` nor in `extra_data` or `data.parts`",
                phase.data
            ));
            let sets = plan.data.parts.keys().chain(plan.extra_data.keys());
            let sets = sets.map(String::as_str);
            return Err(match value::nearest(&phase.data, sets.chain(["train"])) {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => e.hint("name a set under `extra_data`, or a part in `data.parts`"),
            });
        }
        groups(phase, &path, plan)?;
        driven(phase, &path, plan, context)?;
    }
    Ok(())
}

fn words(names: &BTreeSet<String>) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    quoted.join(", ")
}

/// A phase has to hold a rule that its drive moves.
fn driven(phase: &PhasePlan, path: &str, plan: &RunPlan, context: &dyn PlanContext) -> Result<()> {
    let mut credits = Vec::new();
    for block in every_block(&plan.blocks) {
        let listed = phase.blocks.contains(&block.name);
        if let (true, Some(layer)) = (listed, &block.layer) {
            credits.push(context.rule(&layer.rule)?.credit);
        }
        for inner in block.inside().filter(|_| listed).flat_map(every_block) {
            if let Some(layer) = &inner.layer {
                credits.push(context.rule(&layer.rule)?.credit);
            }
        }
    }
    let local = credits.contains(&Credit::Local);
    let error_driven = credits.iter().any(|c| *c != Credit::Local);
    let (moved, what) = match phase.drive {
        Drive::Local => (local, "local"),
        Drive::Gradient => (error_driven || credits.is_empty(), "error-driven"),
        Drive::Both => (!credits.is_empty(), "any"),
    };
    if moved {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`{path}` trains nothing: its blocks have no {what} rule"
    ))
    .hint("list other blocks, or change `drive`"))
}

/// A name in a phase means one thing.
fn part_names(plan: &RunPlan) -> Result<()> {
    let mut parts = plan.data.parts.keys();
    match parts.find(|name| plan.extra_data.contains_key(*name)) {
        Some(name) => Err(Error::usage(format!(
            "`data.parts.{name}` and `extra_data.{name}` have one name"
        ))
        .hint("a phase's `data` could mean either; rename one of them")),
        None => Ok(()),
    }
}

/// A random crop shifts images by up to its number of pixels: by their size they may leave it
/// wholly, by half of it they are mostly padding.
fn crop(path: &str, plan: &DataPlan, data: &DataShape, warnings: &mut Warnings) -> Result<()> {
    let (crop, cutout) = (plan.augment.crop, plan.augment.cutout);
    let [_, height, width] = data.sample[..] else {
        return Ok(());
    };
    let side = height.min(width);
    if cutout > side {
        return Err(Error::usage(format!(
            "`{path}.augment.cutout` is {cutout}, expected at most the image size, {height}x{width}"
        ))
        .hint("half the image size is usual, 16 for 32x32"));
    }
    let path = format!("{path}.augment.crop");
    let meaning = "`crop` is the padding on each side before a piece of the original size is cut \
                   out, not the size of that piece; 4 is usual for 32x32";
    if crop >= side {
        let text =
            format!("`{path}` is {crop}, expected less than the image size, {height}x{width}");
        return Err(Error::usage(text).hint(meaning));
    }
    if 2 * crop >= side {
        warnings.add(format!(
            "`{path}` is {crop}, half the image size of {height}x{width} or more: many training images are mostly padding; {meaning}"
        ));
    }
    Ok(())
}

fn same_shape(name: &str, data: &DataShape, extra: Option<DataShape>) -> Result<()> {
    match extra {
        Some(extra) if extra.sample != data.sample => Err(Error::usage(format!(
            "`extra_data.{name}` has samples of {:?}, `data` of {:?}",
            extra.sample, data.sample
        ))),
        _ => Ok(()),
    }
}

/// One class cannot be told from others. Further sets may have one: their phases learn without labels.
fn two_classes(data: &DataPlan) -> Result<()> {
    match data.classes.as_slice() {
        [one] => Err(Error::usage(format!(
            "`data.classes` keeps one class, {one}: there is nothing to tell it from"
        ))
        .hint("list two classes or more; a phase that learns from one class without labels takes it from `extra_data`")),
        _ => Ok(()),
    }
}

/// The last block has to give one number for each class.
fn output(plan: &RunPlan, shapes: &[shapes::BlockShape], data: &DataShape) -> Result<()> {
    let gradient = plan.phases.iter().any(|p| p.drive != Drive::Local);
    let (Some(last), Some(shape)) = (plan.blocks.last(), shapes.last()) else {
        return Ok(());
    };
    if gradient && shape.output != [data.classes] {
        return Err(Error::usage(format!(
            "block `{}`: the network gives {:?}, the loss expects [{}]",
            last.name, shape.output, data.classes
        ))
        .hint(match plan.data.classes.len() {
            0 => "end with a dense block, `layer = \"dense\"` and `out = \"classes\"`; `data.classes` keeps some of the classes".to_owned(),
            kept => format!(
                "`data.classes` keeps {kept} classes; end with a dense block, `layer = \"dense\"` and `out = \"classes\"`"
            ),
        }));
    }
    Ok(())
}

/// Refuses a rule on a kind of layer that it does not know.
///
/// # Errors
/// Usage error.
pub fn layer_kind(path: &str, map: &MapPlan, schema: &RuleSchema) -> Result<()> {
    let (fits, kind) = match map {
        MapPlan::Dense => (schema.dense, "dense layers"),
        MapPlan::Conv { .. } => (schema.conv, "convolutions"),
    };
    if fits {
        return Ok(());
    }
    let text = format!("`{path}.rule`: `{}` does not work on {kind}", schema.name);
    Err(Error::usage(text))
}

/// The value of hyperparameter `key`, checked against the rule's schema.
///
/// # Errors
/// Usage error for an unknown key, another kind of value, or one out of range.
pub fn param(path: &str, key: &str, v: &Value, schema: &RuleSchema) -> Result<ParamValue> {
    let from = value::origin(v);
    let wrong = |expected: &str| {
        Error::usage(format!(
            "`{}` is {}, expected {expected} (from {from})",
            section::join(path, key),
            value::describe(v)
        ))
    };
    let Some(params) = &schema.params else {
        return plain(v).ok_or_else(|| wrong("a word, number or switch"));
    };
    let Some(param) = params.iter().find(|p| p.name == key) else {
        let e = unknown_among(path, key, &from, params.iter().map(|p| p.name.as_str()));
        return Err(e.within(format!("rule `{}`", schema.name)));
    };
    let read = typed(v, &param.kind).ok_or_else(|| {
        let e = wrong(&expected(&param.kind));
        match (&param.kind, value::text(v)) {
            (ParamKind::Choice(words), Some(word)) => {
                match value::nearest(word, words.iter().map(String::as_str)) {
                    Some(near) => e.hint(format!("did you mean `{near}`?")),
                    None => e,
                }
            }
            _ => e,
        }
    })?;
    in_range(param, &read).map_err(|limits| wrong(&limits))?;
    Ok(read)
}

fn plain(v: &Value) -> Option<ParamValue> {
    match &v.kind {
        ValueKind::Boolean(b) => Some(ParamValue::Bool(*b)),
        ValueKind::String(s) => Some(ParamValue::Text(s.clone())),
        ValueKind::Float(x) => Some(ParamValue::Float(*x)),
        _ => Some(ParamValue::Int(i64::try_from(value::integer(v)?).ok()?)),
    }
}

fn typed(v: &Value, kind: &ParamKind) -> Option<ParamValue> {
    match (kind, plain(v)?) {
        (ParamKind::Float, ParamValue::Int(i)) => Some(ParamValue::Float(i as f64)),
        (ParamKind::Float, p @ ParamValue::Float(_))
        | (ParamKind::Int, p @ ParamValue::Int(_))
        | (ParamKind::Bool, p @ ParamValue::Bool(_))
        | (ParamKind::Text, p @ ParamValue::Text(_)) => Some(p),
        (ParamKind::Int, ParamValue::Float(_)) => Some(ParamValue::Int(numbers::signed(v)?)),
        (ParamKind::Choice(words), ParamValue::Text(word)) if words.contains(&word) => {
            Some(ParamValue::Text(word))
        }
        _ => None,
    }
}

fn expected(kind: &ParamKind) -> String {
    match kind {
        ParamKind::Bool => "true or false".into(),
        ParamKind::Int => "a whole number".into(),
        ParamKind::Float => "a number".into(),
        ParamKind::Text => "text".into(),
        ParamKind::Choice(words) => format!("one of `{}`", words.join("`, `")),
    }
}

fn in_range(param: &ParamSchema, read: &ParamValue) -> std::result::Result<(), String> {
    let x = match read {
        ParamValue::Int(i) => *i as f64,
        ParamValue::Float(x) => *x,
        ParamValue::Bool(_) | ParamValue::Text(_) => return Ok(()),
    };
    let (low, high) = (
        param.min.unwrap_or(f64::NEG_INFINITY),
        param.max.unwrap_or(f64::INFINITY),
    );
    if x >= low && x <= high && x.is_finite() {
        return Ok(());
    }
    Err(match (low.is_finite(), high.is_finite()) {
        (true, true) => format!("{low} to {high}"),
        (true, false) => format!("{low} or more"),
        (false, true) => format!("at most {high}"),
        (false, false) => "a finite number".to_owned(),
    })
}

/// A hyperparameter's value as TOML.
#[must_use]
pub fn param_toml(param: &ParamValue) -> toml::Value {
    match param {
        ParamValue::Bool(b) => toml::Value::Boolean(*b),
        ParamValue::Int(i) => toml::Value::Integer(*i),
        ParamValue::Float(x) => toml::Value::Float(*x),
        ParamValue::Text(s) => toml::Value::String(s.clone()),
    }
}
