//! Golden files of bioflax: dense networks under bp, fa, kp and dfa.
//!
//! bioflax stores kernels `[in, out]` and, for fa and kp, `B` alike; ours are the
//! transposes. The `B` of its dfa layer l, `[width, classes]`, is the transpose of
//! ours of layer l + 1. Its examples may have a channel axis; a dense layer has the
//! same gradients when channels count as further examples.

use biorule::config::{Loss, OptimizerPlan};
use biorule::data::Answers;
use biorule::nn::rule::RuleSource;
use biorule::train::alignment::LayerAlignment;
use candle_core::{DType, Tensor};

use super::plans::{RuleChoice, activation, dense_blocks};
use super::trial::{Trial, Walk};
use super::{TOLERANCE, rule_name};
use crate::Result;
use crate::golden::{Checks, File};

/// Whether `file` is one of these.
pub fn understands(file: &File) -> bool {
    file.find("dims").is_some() && file.find("activations").is_some() && file.has("x")
}

/// A case: the file, and what its metadata say.
struct Case<'a> {
    file: &'a File,
    rule: String,
    dims: Vec<usize>,
}

impl Case<'_> {
    fn layers(&self) -> usize {
        self.dims.len() - 1
    }
    fn block(&self, layer: usize) -> String {
        format!("layer{layer}")
    }
    /// A golden tensor with channels counted as examples.
    fn rows(&self, name: &str) -> Result<Tensor> {
        let tensor = self.file.tensor(name)?;
        let last = *tensor.dims().last().ok_or("a scalar has no rows")?;
        Ok(tensor.reshape(((), last))?)
    }
    /// The tensor of ours that stands for bioflax's `part` of `layer`: its name, if there is one.
    fn ours(&self, layer: usize, part: &str) -> Option<String> {
        let (layer, part) = match part {
            "kernel" => (layer, "weight"),
            "B" if self.rule == "dfa" => (layer + 1, "feedback"),
            "B" => (layer, "feedback"),
            other => (layer, other),
        };
        Some(format!("blocks.layer{layer}.layer.{part}"))
    }
    /// A golden parameter or gradient, in our layout.
    fn parameter(&self, prefix: &str, layer: usize, part: &str) -> Result<Option<Tensor>> {
        let name = format!("{prefix}.layer{layer}.{part}");
        if !self.file.has(&name) {
            return Ok(None);
        }
        let tensor = self.file.tensor(&name)?;
        Ok(Some(match part {
            "bias" => tensor,
            _ => tensor.t()?.contiguous()?,
        }))
    }
    fn optimizer(&self) -> Result<OptimizerPlan> {
        let lr = self.file.number("lr")?;
        // bioflax's chain adds what its documentation takes away.
        let decoupled_decay = -self.file.number("weight_decay")?;
        Ok(match self.file.text("optimizer")? {
            "adam" => OptimizerPlan::Adam {
                lr,
                betas: [0.9, 0.999],
                eps: 1e-8,
                weight_decay: 0.0,
                decoupled_decay,
            },
            _ => OptimizerPlan::Sgd {
                lr,
                momentum: self.file.number("momentum")?,
                weight_decay: 0.0,
                decoupled_decay,
            },
        })
    }
    fn trial(&self, rules: &dyn RuleSource) -> Result<Trial> {
        let words = self.file.json("activations")?;
        let words = words.as_array().ok_or("activations are a list")?;
        let mut activations = Vec::new();
        for word in words {
            activations.push(activation(word.as_str().unwrap_or_default())?);
        }
        activations.push(None);
        let (loss, answers) = match self.file.text("loss")? {
            "CE" => {
                let labels = self.file.tensor("target")?.flatten_all()?;
                (
                    Loss::CrossEntropy,
                    Answers::Classes(labels.to_dtype(DType::U32)?),
                )
            }
            _ => (Loss::Mse, Answers::Values(self.rows("target")?)),
        };
        let names: Vec<String> = (0..self.layers()).map(|l| self.block(l)).collect();
        let rule = RuleChoice::new(rule_name(&self.rule)?, &[]);
        let blocks = dense_blocks(&rule, &names, &self.dims[1..], &activations);
        let outputs = *self.dims.last().ok_or("a network has a width")?;
        let batch = (self.rows("x")?, answers);
        let trial = Trial::new(rules, &blocks, batch, outputs, loss, &self.optimizer()?)?;
        for layer in 0..self.layers() {
            for part in ["kernel", "bias", "B"] {
                let (golden, ours) = (self.parameter("init", layer, part)?, self.ours(layer, part));
                if let (Some(golden), Some(ours)) = (golden, ours) {
                    trial.set(&ours, &golden)?;
                }
            }
        }
        Ok(trial)
    }
}

/// Runs the file's three steps and compares all that it holds.
///
/// # Errors
/// The file is not what it seems, or a rule failed.
pub fn run(rules: &dyn RuleSource, file: &File, checks: &mut Checks) -> Result<()> {
    let case = Case {
        file,
        rule: file.text("rule")?.to_string(),
        dims: file.counts("dims")?,
    };
    let mut trial = case.trial(rules)?;
    let walk = trial.walk()?;
    forward(&case, &trial, &walk, checks)?;
    backward(&case, &trial, &walk, checks)?;
    let exact = trial.walk_exactly()?;
    gradients(&case, "bp_grad", &exact, checks)?;
    gradients(&case, "grad", &walk, checks)?;
    alignments(&case, &mut trial, checks)?;
    weight_alignments(&case, "metric.weight_alignment_step0", &trial, checks)?;
    let mut losses = Vec::new();
    for step in 1..=file.count("steps")? {
        losses.push(trial.step()?.loss);
        parameters(&case, &format!("step{step}"), &trial, checks)?;
        if step == 1 {
            weight_alignments(&case, "metric.weight_alignment_step1", &trial, checks)?;
        }
    }
    losses.push(trial.walk()?.loss);
    checks.compare_values("losses", &losses, &file.values("losses")?, TOLERANCE);
    Ok(())
}

fn forward(case: &Case<'_>, trial: &Trial, walk: &Walk, checks: &mut Checks) -> Result<()> {
    for layer in 0..case.layers() {
        let name = format!("fwd.layer{layer}.preact");
        let y = trial
            .heard(&case.block(layer))
            .y
            .ok_or("a layer was not run")?;
        checks.compare(&name, &y, &case.rows(&name)?, TOLERANCE)?;
        let name = format!("fwd.layer{layer}.act");
        if case.file.has(&name) && layer + 1 < case.layers() {
            let x = trial
                .heard(&case.block(layer + 1))
                .x
                .ok_or("a layer was not run")?;
            checks.compare(&name, &x, &case.rows(&name)?, TOLERANCE)?;
        }
    }
    checks.compare(
        "out.logits",
        &walk.output,
        &case.rows("out.logits")?,
        TOLERANCE,
    )?;
    if case.file.has("accuracy.step0") {
        let share = walk.right / walk.output.dims()[0] as f64;
        let golden = case.file.values("accuracy.step0")?;
        checks.compare_values("accuracy.step0", &[share], &golden, TOLERANCE);
    }
    Ok(())
}

/// What each layer received and handed on. In bioflax's dfa both are the output error.
fn backward(case: &Case<'_>, trial: &Trial, walk: &Walk, checks: &mut Checks) -> Result<()> {
    let error = case.rows("grad_wrt_logits")?;
    checks.compare("grad_wrt_logits", &walk.error, &error, TOLERANCE)?;
    for layer in 0..case.layers() {
        let heard = trial.heard(&case.block(layer));
        for (part, own) in [
            ("cotangent_in", heard.grad_y),
            ("cotangent_out", heard.grad_x),
        ] {
            let name = format!("bwd.layer{layer}.{part}");
            let own = if case.rule == "dfa" {
                Some(walk.error.clone())
            } else {
                own
            };
            if case.file.has(&name) {
                let own = own.ok_or("a layer was not walked back")?;
                checks.compare(&name, &own, &case.rows(&name)?, TOLERANCE)?;
            }
        }
    }
    Ok(())
}

fn gradients(case: &Case<'_>, prefix: &str, walk: &Walk, checks: &mut Checks) -> Result<()> {
    for layer in 0..case.layers() {
        for part in ["kernel", "bias", "B"] {
            let Some(golden) = case.parameter(prefix, layer, part)? else {
                continue;
            };
            let name = format!("{prefix}.layer{layer}.{part}");
            let ours = case.ours(layer, part).and_then(|n| walk.gradients.get(&n));
            match ours {
                Some(own) => checks.compare(&name, own, &golden, TOLERANCE)?,
                // A fixed feedback weight has none here, and zeros there.
                None if part == "B" => {
                    checks.compare(&name, &golden.zeros_like()?, &golden, TOLERANCE)?;
                }
                None => checks.problem(format!("{name}: the rule gave no gradient")),
            }
        }
    }
    Ok(())
}

fn parameters(case: &Case<'_>, prefix: &str, trial: &Trial, checks: &mut Checks) -> Result<()> {
    for layer in 0..case.layers() {
        for part in ["kernel", "bias", "B"] {
            let golden = case.parameter(prefix, layer, part)?;
            if let (Some(golden), Some(ours)) = (golden, case.ours(layer, part)) {
                let name = format!("{prefix}.layer{layer}.{part}");
                checks.compare(&name, &trial.tensor(&ours)?, &golden, TOLERANCE)?;
            }
        }
    }
    Ok(())
}

/// bioflax's metrics of gradients, as the host measures them.
fn alignments(case: &Case<'_>, trial: &mut Trial, checks: &mut Checks) -> Result<()> {
    let found = trial.alignment()?;
    let by_layer = |part: fn(&LayerAlignment) -> Option<f64>| -> Vec<f64> {
        let layer = |l: usize| found.layers.get(&format!("blocks.layer{l}.layer"));
        (0..case.layers()).filter_map(|l| part(layer(l)?)).collect()
    };
    for (name, own) in [
        ("bias_grad_alignment", by_layer(|l| l.bias)),
        ("grad_alignment_layer", by_layer(|l| l.gradient)),
        ("grad_alignment_total", vec![found.cosine]),
        ("rel_norm", vec![found.relative_norm]),
        ("weight_alignment_step0", by_layer(|l| l.weight)),
    ] {
        let name = format!("metric.{name}");
        if case.file.has(&name) {
            checks.compare_values(&name, &own, &case.file.values(&name)?, TOLERANCE);
        }
    }
    Ok(())
}

/// Cosine of weight and feedback, as the rule itself reports it.
fn weight_alignments(
    case: &Case<'_>,
    name: &str,
    trial: &Trial,
    checks: &mut Checks,
) -> Result<()> {
    if !case.file.has(name) {
        return Ok(());
    }
    let mut own = Vec::new();
    for layer in 0..case.layers() {
        let metrics = trial.metrics(&case.block(layer))?;
        own.push(
            *metrics
                .get("alignment_cosine")
                .ok_or("the rule reports no cosine")?,
        );
    }
    checks.compare_values(name, &own, &case.file.values(name)?, TOLERANCE);
    Ok(())
}
