//! Golden files of BioTorch: dense, convolutional and residual networks under every
//! rule of that project.
//!
//! Layouts are ours. Magnitudes that brsf drew are in the file and take the place of
//! those that our rule draws. BioTorch logs the angle to the feedback it *stored*:
//! that of the last forward pass for usf and brsf (before the first one, the signs
//! of the initial weights), and the bare magnitudes for frsf.

use std::collections::BTreeMap;

use biorule::config::{BlockPlan, Loss, MapPlan, OptimizerPlan, ParamValue, PoolKind};
use biorule::nn::rule::{Errors, LayerShape, Role, RuleCall, RuleSource, StateTensor};
use biorule::train::loss::Answers;
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use super::plans::{
    Geometry, RuleChoice, activation, block, dense_blocks, layer as layer_plan, number, pool,
    residual_blocks, word,
};
use super::trial::{Trial, Walk};
use super::{TOLERANCE, rule_name};
use crate::Result;
use crate::golden::{Checks, File};

/// Whether `file` is one of these.
pub fn understands(file: &File) -> bool {
    file.find("net").is_some() && file.find("net_config").is_some() && file.has("x")
}

/// A case: the file, and what its metadata say.
struct Case<'a> {
    file: &'a File,
    rules: &'a dyn RuleSource,
    rule: String,
    layers: Vec<String>,
    config: Value,
}

impl Case<'_> {
    /// The rule alone, without options that act on what it returns.
    fn bare(&self, name: &str) -> Result<RuleChoice> {
        let mut choice = self.choice(name)?;
        choice.params.remove("gradient_clip");
        Ok(choice)
    }
    fn choice(&self, name: &str) -> Result<RuleChoice> {
        let init = match self.file.text("init")? {
            "xavier" => "xavier",
            _ => "kaiming",
        };
        let mut params = vec![("init", word(init))];
        let family = matches!(name, "fa" | "usf" | "brsf" | "frsf");
        if family && self.file.flag("gradient_clip")? {
            params.push(("gradient_clip", number(1.0)));
        }
        if family && self.file.flag("constrain_weights")? {
            params.push(("constrain_weights", ParamValue::Bool(true)));
        }
        Ok(RuleChoice::new(rule_name(name)?, &params))
    }

    fn setting(&self, name: &str) -> Option<usize> {
        self.config.get(name)?.as_u64().map(|n| n as usize)
    }
    fn size(&self, name: &str) -> Result<usize> {
        Ok(self
            .setting(name)
            .ok_or_else(|| format!("net_config has no `{name}`"))?)
    }

    /// The network, and the width of its output.
    fn blocks(&self) -> Result<(Vec<BlockPlan>, usize)> {
        let rule = self.choice(&self.rule)?;
        let act = match self.config.get("act").and_then(Value::as_str) {
            Some(name) => activation(name)?,
            None => activation("relu")?,
        };
        match self.file.text("net")? {
            "MLP" => {
                let dims = self.config.get("dims").and_then(Value::as_array);
                let dims = dims.ok_or("net_config has no `dims`")?;
                let widths: Vec<usize> = dims
                    .iter()
                    .skip(1)
                    .filter_map(Value::as_u64)
                    .map(|n| n as usize)
                    .collect();
                let mut activations = vec![act; widths.len()];
                *activations.last_mut().ok_or("no layers")? = None;
                let outputs = *widths.last().ok_or("no layers")?;
                Ok((
                    dense_blocks(&rule, &self.layers, &widths, &activations),
                    outputs,
                ))
            }
            "CNN" => {
                let bias = self
                    .config
                    .get("bias")
                    .and_then(Value::as_bool)
                    .unwrap_or(true);
                let kernel = self.setting("k").unwrap_or(3);
                let pad = self.setting("pad").unwrap_or(1);
                let second = Geometry {
                    stride: self.setting("stride2").unwrap_or(2),
                    dilation: self.setting("dil").unwrap_or(1),
                    groups: self.setting("groups").unwrap_or(1),
                    ..Geometry::plain(kernel, pad)
                };
                let classes = self.size("nc")?;
                let conv = |name: &str, geometry: Geometry, out: usize| BlockPlan {
                    layer: Some(layer_plan(&rule, geometry.map(), out, bias)),
                    activation: act.clone(),
                    ..block(name)
                };
                let first = BlockPlan {
                    pool: pool(PoolKind::Max, 2),
                    ..conv("conv1", Geometry::plain(kernel, pad), self.size("c1")?)
                };
                let last = BlockPlan {
                    flatten: true,
                    layer: Some(layer_plan(&rule, MapPlan::Dense, classes, bias)),
                    ..block("fc")
                };
                Ok((
                    vec![first, conv("conv2", second, self.size("c2")?), last],
                    classes,
                ))
            }
            "RES" => {
                let classes = self.size("nc")?;
                Ok((residual_blocks(&rule, self.size("c")?, classes), classes))
            }
            other => Err(format!("no network is called `{other}`").into()),
        }
    }

    /// Our name of BioTorch's tensor `layer.part`, if we hold it.
    fn ours(&self, name: &str) -> Option<String> {
        let (layer, part) = name.rsplit_once('.')?;
        let own = layer.rsplit('.').next()?;
        let place = |layer: &str| match layer.split_once('.') {
            Some((outer, _)) => format!("blocks.{outer}.inner.{layer}"),
            None => format!("blocks.{layer}"),
        };
        if let Some(number) = own.strip_prefix("bn") {
            let conv = format!("{}conv{number}", layer.strip_suffix(own)?);
            return Some(format!("{}.norm_inner.{part}", place(&conv)));
        }
        let part = match (part, self.rule.as_str()) {
            ("weight_backward", "fa" | "dfa") => "feedback",
            ("weight_backward", "frsf") => "magnitude",
            ("weight_backward", _) => return None,
            (part, _) => part,
        };
        Some(format!("{}.layer.{part}", place(layer)))
    }
    /// Our name of a layer's weight.
    fn weight(&self, layer: &str) -> Result<String> {
        Ok(self
            .ours(&format!("{layer}.weight"))
            .ok_or("a layer has a name")?)
    }

    fn trial(&self) -> Result<Trial> {
        let (blocks, outputs) = self.blocks()?;
        let labels = self.file.tensor("target")?.to_dtype(DType::U32)?;
        let batch = (self.file.tensor("x")?, Answers::Classes(labels));
        let optimizer = self.optimizer()?;
        let trial = Trial::new(
            self.rules,
            &blocks,
            batch,
            outputs,
            Loss::CrossEntropy,
            &optimizer,
        )?;
        for name in self.file.names().filter_map(|n| n.strip_prefix("init.")) {
            if let Some(ours) = self.ours(name) {
                trial.set(&ours, &self.file.tensor(&format!("init.{name}"))?)?;
            }
        }
        for layer in &self.layers {
            let golden = |part: &str| self.file.tensor(&format!("constrain.{layer}.{part}"));
            if let Ok(before) = golden("weight_before_forward") {
                let weight = self.weight(layer)?;
                trial.set(&weight, &before)?;
                trial.set(
                    &weight.replace(".weight", ".norm"),
                    &golden("norm_initial")?,
                )?;
            }
        }
        Ok(trial)
    }

    fn optimizer(&self) -> Result<OptimizerPlan> {
        let lr = self.file.number("lr")?;
        let weight_decay = self.file.number("weight_decay")?;
        Ok(match self.file.text("optimizer")? {
            "adam" => OptimizerPlan::Adam {
                lr,
                betas: [0.9, 0.999],
                eps: 1e-8,
                weight_decay,
                decoupled_decay: 0.0,
            },
            _ => OptimizerPlan::Sgd {
                lr,
                momentum: self.file.number("momentum")?,
                weight_decay,
                decoupled_decay: 0.0,
            },
        })
    }

    /// Golden magnitudes for the step to come.
    fn set_magnitudes(&self, trial: &Trial, step: usize) -> Result<()> {
        if self.rule != "brsf" {
            return Ok(());
        }
        for layer in &self.layers {
            let name = format!("feedback_used.step{step}.{layer}");
            if self.file.has(&name) {
                trial.replace_kept(layer, "magnitude", self.file.tensor(&name)?.abs()?);
            }
        }
        Ok(())
    }
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
    let mut last = weights(case, trial)?;
    for step in 0..golden.len() {
        metrics(case, trial, step, &last, checks)?;
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
        last = weights(case, trial)?;
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

/// What rule `rule` puts in the place of `weight`: the errors that it sends below, from a unit
/// error at each output of a layer with one position.
fn feedback(
    case: &Case<'_>,
    trial: &Trial,
    rule: &str,
    layer: &str,
    weight: &Tensor,
) -> Result<Tensor> {
    let dims = weight.dims().to_vec();
    let (units, input) = (dims[0], dims[1..].to_vec());
    let map = match dims[..] {
        [_, _] => MapPlan::Dense,
        _ => Geometry::plain(dims[2], 0).map(),
    };
    let output = [vec![units], vec![1; dims.len() - 2]].concat();
    let shape = LayerShape {
        name: layer.into(),
        index: 1,
        input: input.clone(),
        output: output.clone(),
        classes: units,
        first: false,
        last: false,
        normalised: false,
    };
    let choice = case.bare(rule)?;
    let plan = layer_plan(&choice, map, units, false);
    let bound = case.rules.bind(&plan, &shape, DType::F32)?;
    let mut state = vec![held("weight", weight.clone())];
    let own = case.weight(layer)?;
    for part in ["feedback", "magnitude", "norm"] {
        let name = own.replace(".weight", &format!(".{part}"));
        if trial.has(&name) {
            state.push(held(part, trial.tensor(&name)?));
        }
    }
    let magnitude = trial.kept(layer, "magnitude");
    let kept: Vec<_> = magnitude
        .map(|t| ("magnitude".to_string(), t))
        .into_iter()
        .collect();
    let x = Tensor::zeros([vec![units], input].concat(), DType::F32, &Device::Cpu)?;
    let unit_errors = Tensor::eye(units, DType::F32, &Device::Cpu)?;
    let unit_errors = unit_errors.reshape([vec![units], output].concat())?;
    let errors = Errors {
        x: &x,
        y: &unit_errors,
        kept: &kept,
        grad_y: &unit_errors,
        output_error: None,
        want_grad_x: true,
        want_grads: false,
    };
    let out = bound.backward(&RuleCall::evaluation(3), &state, &errors)?;
    Ok(out.grad_x.ok_or("no error came out below")?)
}

fn held(name: &str, tensor: Tensor) -> StateTensor {
    StateTensor {
        name: name.into(),
        tensor,
        role: Role::Weight,
    }
}

fn weights(case: &Case<'_>, trial: &Trial) -> Result<BTreeMap<String, Tensor>> {
    case.layers
        .iter()
        .map(|layer| Ok((layer.clone(), trial.tensor(&case.weight(layer)?)?)))
        .collect()
}

/// BioTorch's metrics after `step` updates; `last` are the weights of the last forward pass.
fn metrics(
    case: &Case<'_>,
    trial: &Trial,
    step: usize,
    last: &BTreeMap<String, Tensor>,
    checks: &mut Checks,
) -> Result<()> {
    let constrained = case.file.flag("constrain_weights")?;
    let mut found: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for layer in &case.layers {
        let reported = match case.rule.as_str() {
            "dfa" | "backpropagation" => trial.metrics(layer)?,
            // Under the norm constraint BioTorch compares with the weight before it is rescaled.
            "fa" if constrained => {
                let name = case.weight(layer)?;
                let feedback = trial.tensor(&name.replace(".weight", ".feedback"))?;
                agreement(case, &trial.tensor(&name)?, &feedback)?
            }
            "fa" => trial.metrics(layer)?,
            _ => {
                let stored = stored(case, trial, step, layer, &last[layer])?;
                agreement(case, &trial.tensor(&case.weight(layer)?)?, &stored)?
            }
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

/// The feedback that BioTorch has stored after `step` updates.
fn stored(
    case: &Case<'_>,
    trial: &Trial,
    step: usize,
    layer: &str,
    last: &Tensor,
) -> Result<Tensor> {
    match (case.rule.as_str(), step) {
        ("frsf", _) => {
            let name = case.ours(&format!("{layer}.weight_backward"));
            Ok(trial.tensor(&name.ok_or("a layer has a name")?)?.abs()?)
        }
        ("brsf", 1..) => case
            .file
            .tensor(&format!("feedback_used.step{}.{layer}", step - 1)),
        _ => feedback(case, trial, "usf", layer, last),
    }
}

/// Agreement of two tensors, as `feedback-alignment/fa` reports it.
fn agreement(case: &Case<'_>, weight: &Tensor, feedback: &Tensor) -> Result<BTreeMap<String, f64>> {
    let (flat, n) = (weight.flatten_all()?, weight.elem_count());
    let shape = LayerShape {
        name: "both".into(),
        index: 0,
        input: vec![n],
        output: vec![1],
        classes: 1,
        first: true,
        last: true,
        normalised: false,
    };
    let choice = RuleChoice::new(rule_name("fa")?, &[]);
    let plan = layer_plan(&choice, MapPlan::Dense, 1, false);
    let bound = case.rules.bind(&plan, &shape, DType::F32)?;
    let state = [
        held("weight", flat.reshape((1, n))?),
        held("feedback", feedback.reshape((1, n))?),
    ];
    let metrics = bound.metrics(&RuleCall::evaluation(3), &state)?;
    Ok(metrics.into_iter().collect())
}

/// Angle in degrees, in f64.
fn slow_angle(a: &Tensor, b: &Tensor) -> Result<f64> {
    let values = |t: &Tensor| t.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>();
    let (a, b) = (values(a)?, values(b)?);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    Ok((dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt())
        .acos()
        .to_degrees())
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
