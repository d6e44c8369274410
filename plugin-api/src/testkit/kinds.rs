//! Checks of what a rule declares and of every kind of layer: manifest, state and contract.

use super::bound::{Bound, Call, Config, Facts, Held, Missed, Seen, Subject, apply};
use super::chain::{Chain, sample};
use super::compare::Outcome::{self, Failed, Passed, Skipped};
use super::compare::{compare, train, trained};
use super::{Array, Site};
use crate::abi::sound;
use crate::sdk::{Credit, DType, PadMode, Result, Role, RuleError};

/// Hyperparameters and presentation.
pub(super) fn schema(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let (name, summary) = subject.presented();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        let text =
            format!("the rule's name `{name}` is not made of letters, digits, `-`, `_` and `/`");
        return Ok(Failed(text));
    }
    if summary.trim().is_empty() {
        return Ok(Failed(
            "the rule has no summary: `RuleInfo::summary`".into(),
        ));
    }
    let specs = subject.schema();
    Ok(match sound::schema(&specs) {
        Ok(()) => Passed(format!(
            "{} hyperparameters, all defaults allowed",
            specs.len()
        )),
        Err(what) => Failed(what),
    })
}

/// A layer in the place of others in a test, with its name in reports.
fn sites(subject: &dyn Subject) -> Vec<(&'static str, Site)> {
    let facts = subject.facts();
    let mut sites = Vec::new();
    if facts.dense {
        sites.push(("dense", Site::dense(7, 5)));
        sites.push(("dense with bias", Site::dense(7, 5).with_bias()));
        sites.push(("dense to one unit", Site::dense(4, 1)));
    }
    if facts.conv {
        let conv = || Site::conv([4, 5, 7], 6, 3);
        sites.push(("convolution", conv()));
        sites.push(("convolution with bias", conv().with_bias()));
        sites.push(("1x1 convolution", Site::conv([4, 5, 7], 6, 1)));
        sites.push(("2x3 kernel", conv().with(|c| c.kernel = [2, 3])));
        sites.push(("stride 2", conv().with(|c| c.stride = [2, 2])));
        sites.push(("dilation 2", conv().with(|c| c.dilation = [2, 2])));
        sites.push(("2 groups", conv().with(|c| c.groups = 2)));
        sites.push((
            "depthwise",
            Site::conv([4, 5, 7], 4, 3).with(|c| c.groups = 4),
        ));
        for (name, mode) in [
            ("zero padding", PadMode::Zeros),
            ("reflect padding", PadMode::Reflect),
            ("replicate padding", PadMode::Replicate),
            ("circular padding", PadMode::Circular),
        ] {
            let site = conv().with(|c| {
                c.padding = [1, 1, 1, 1];
                c.pad_mode = mode;
            });
            sites.push((name, site));
        }
        let uneven = conv().with(|c| c.padding = [1, 0, 2, 1]);
        sites.push(("uneven padding", uneven));
    }
    sites
}

/// One step of a rule on one layer: output, local changes, gradients; everything looked at.
pub(super) struct OneStep<'a> {
    facts: Facts,
    rule: &'a dyn Bound,
    classes: usize,
}

impl<'a> OneStep<'a> {
    /// Steps of `rule`, which is that of `subject` on `site`.
    pub(super) fn new(subject: &dyn Subject, rule: &'a dyn Bound, site: &Site) -> Self {
        Self {
            facts: subject.facts(),
            rule,
            classes: site.classes,
        }
    }

    /// Makes the step on `x` and gives the state after it, with the gradients added as a descent
    /// would.
    pub(super) fn run(&self, state: &[Held], x: &Array) -> Result<Vec<Held>> {
        let (facts, batch) = (self.facts, x.shape()[0]);
        let call = Call {
            batch: batch as u64,
            ..Call::default()
        };
        let labels: Vec<usize> = (0..batch).map(|i| i % self.classes).collect();
        let target = Array::one_hot(&labels, self.classes).to(x.dtype());
        let losses = Array::full(&[batch], 1.0).to(x.dtype());
        let taught = facts.wants_target;
        let mut after = state.to_vec();
        let out = self.rule.forward(&call, state, x)?;
        if facts.learns_locally() {
            let seen = Seen {
                x,
                y: &out.y,
                kept: &out.kept,
                target: taught.then_some(&target),
            };
            let changes = self.rule.learn(&call, state, seen)?;
            apply(&mut after, &changes)?;
        }
        if facts.credit != Credit::Local {
            let grad_y = Array::noise(3, out.y.shape()).to(x.dtype());
            let error = Array::noise(4, &[batch, self.classes]).to(x.dtype());
            let missed = Missed {
                x,
                y: &out.y,
                kept: &out.kept,
                grad_y: &grad_y,
                output_error: (facts.credit == Credit::Direct).then_some(&error),
                target: taught.then_some(&target),
                losses: taught.then_some(&losses),
                want_grad_x: true,
            };
            let grads = self.rule.backward(&call, state, missed)?;
            for (name, grad) in &grads.own {
                for held in after.iter_mut().filter(|held| held.name == *name) {
                    held.value = held.value.zip(grad, |w, g| w - 0.1 * g)?;
                }
            }
        }
        Ok(after)
    }
}

/// The first value of a state that is not a finite number, in words.
pub(super) fn not_finite(state: &[Held]) -> Option<String> {
    state.iter().find_map(|held| {
        let bad = held.value.values().iter().find(|v| !v.is_finite())?;
        Some(format!("`{}` holds {bad}", held.name))
    })
}

/// State tensors that can be made, each the same from the same seed.
pub(super) fn state(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let mut tensors = 0;
    for (name, site) in sites(subject) {
        let Ok(rule) = subject.bind(&site) else {
            continue;
        };
        let (first, again) = (rule.start(5)?, rule.start(5)?);
        if let Some(what) = not_finite(&first) {
            return Ok(Failed(format!("{name}: {what} at the start")));
        }
        if first != again {
            return Ok(Failed(format!("{name}: another start from the same seed")));
        }
        tensors = tensors.max(first.len());
    }
    Ok(Passed(format!(
        "up to {tensors} tensors a layer, each with a start of its own"
    )))
}

/// Every kind of layer, each refused by `check` or served.
pub(super) fn layers(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let (mut served, mut refused) = (0, Vec::new());
    let sites = sites(subject);
    if sites.is_empty() {
        return Ok(Failed(
            "the rule serves neither dense layers nor convolutions".into(),
        ));
    }
    for (name, site) in &sites {
        let rule = match subject.bind(site) {
            Ok(rule) => rule,
            Err(_) => {
                refused.push(*name);
                continue;
            }
        };
        let batch = rule.least_batch().max(3);
        let x = Array::noise(11, &[&[batch], site.input.as_slice()].concat()).to(DType::F32);
        let step = OneStep::new(subject, &*rule, site);
        let after = rule.start(5).and_then(|state| step.run(&state, &x));
        let after = after.map_err(|e| RuleError::rule(format!("{name}: {e}")))?;
        if let Some(what) = not_finite(&after) {
            return Ok(Failed(format!("{name}: {what} after a step")));
        }
        served += 1;
    }
    if served == 0 {
        return Ok(Failed(format!("it refuses all of {} layers", sites.len())));
    }
    Ok(Passed(match refused.as_slice() {
        [] => format!("all of {served} layers served"),
        refused => format!("{served} layers served, refused: {}", refused.join(", ")),
    }))
}

/// The first layer that the rule serves.
pub(super) fn some_layer(subject: &dyn Subject, params: &Config) -> Result<(Site, Box<dyn Bound>)> {
    let mut first = None;
    for (_, site) in sites(subject) {
        match subject.bind_with(&site, params, DType::F32) {
            Ok(rule) => return Ok((site, rule)),
            Err(e) => first = first.or(Some(e)),
        }
    }
    Err(first.unwrap_or_else(|| RuleError::unsupported("the rule serves no layer")))
}

/// A batch of one sample.
pub(super) fn batch_one(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let (site, rule) = some_layer(subject, &Config::new())?;
    let least = rule.least_batch();
    if least > 1 {
        return Ok(Skipped(format!(
            "it takes batches of {least} or more, as it says"
        )));
    }
    let x = Array::noise(12, &[&[1], site.input.as_slice()].concat()).to(DType::F32);
    let step = OneStep::new(subject, &*rule, &site);
    let after = step.run(&rule.start(5)?, &x)?;
    Ok(match not_finite(&after) {
        Some(what) => Failed(format!(
            "{what} after a batch of one sample: `least_batch` can say that it takes more"
        )),
        None => Passed("a step with one sample".into()),
    })
}

/// What `learn` may change.
pub(super) fn roles(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let facts = subject.facts();
    if !facts.learns_locally() {
        return Ok(Skipped("the rule learns from an error alone".into()));
    }
    let chain = Chain::new(subject, None)?;
    let (x, target) = sample(0, 0);
    let trace = chain.forward(&x)?;
    for (index, link) in chain.links.iter().enumerate() {
        for change in chain.learn(index, &trace, &target)? {
            let Some(held) = link.state.iter().find(|s| s.name == change.name) else {
                continue;
            };
            let owner = match held.role {
                Role::Plastic | Role::Statistic => continue,
                Role::FixedFeedback => "which never changes",
                // A rule that also learns from errors may share a tensor with the optimiser.
                Role::Weight | Role::Bias | Role::LearnedFeedback if facts.also_local => continue,
                Role::Weight | Role::Bias | Role::LearnedFeedback => "which the optimiser owns",
            };
            return Ok(Failed(format!(
                "`learn` changes `{}` of layer {index}, declared as `Role::{:?}`, {owner}: `Role::Plastic` is \
                 what `learn` changes",
                held.name, held.role
            )));
        }
    }
    Ok(Passed(
        "`learn` changes the rule's own tensors alone".into(),
    ))
}

/// What the rule reports, before and after a few steps.
pub(super) fn metrics(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let mut names = Vec::new();
    for chain in [Chain::new(subject, None)?, trained(subject, 0..3, 0)?] {
        for (index, found) in chain.metrics()?.into_iter().enumerate() {
            for (name, value) in found {
                if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c == '/') {
                    return Ok(Failed(format!(
                        "a metric of layer {index} is named `{name}`"
                    )));
                }
                if !value.is_finite() {
                    return Ok(Failed(format!(
                        "the metric `{name}` of layer {index} is {value}"
                    )));
                }
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    Ok(match names.as_slice() {
        [] => Skipped("the rule reports none".into()),
        names => Passed(format!("finite: {}", names.join(", "))),
    })
}

/// Tensors that the rule keeps.
pub(super) fn leaks(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let chain = trained(subject, 0..2, 0)?;
    chain.metrics()?;
    let leaked: u64 = chain.links.iter().map(super::chain::Link::leaked).sum();
    Ok(match leaked {
        0 => Passed("every tensor was given back".into()),
        n => Failed(format!("{n} tensors were not given back in 2 steps")),
    })
}

/// Two networks in turn, beside one alone.
pub(super) fn instances(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    if !subject
        .facts()
        .claims
        .contains(crate::sdk::Claims::DETERMINISTIC)
    {
        return Ok(Skipped(
            "the rule does not claim to be deterministic".into(),
        ));
    }
    let alone = trained(subject, 0..4, 0)?;
    let (mut one, mut other) = (Chain::new(subject, None)?, Chain::new(subject, None)?);
    for step in 0..4 {
        train(&mut one, step..step + 1, 0)?;
        train(&mut other, 10 + step..11 + step, 2)?;
    }
    Ok(
        match compare(&alone, &one, "when another network learns in turn") {
            Passed(_) => Passed("another network in the same process changes nothing".into()),
            other => other,
        },
    )
}

/// How far f64 may be from f32 after a step, beside the size of the tensor.
const ROUNDING: f64 = 1e-3;

/// The same step in both types.
pub(super) fn types(subject: &dyn Subject, _seed: u64) -> Result<Outcome> {
    let (site, _) = some_layer(subject, &Config::new())?;
    let mut after = Vec::new();
    for dtype in [DType::F32, DType::F64] {
        let rule = subject.bind_with(&site, &Config::new(), dtype)?;
        let batch = rule.least_batch().max(4);
        let x = Array::noise(13, &[&[batch], site.input.as_slice()].concat()).to(DType::F32);
        let step = OneStep::new(subject, &*rule, &site);
        after.push(step.run(&rule.start(5)?, &x.to(dtype))?);
    }
    let (single, double) = (&after[0], &after[1]);
    let mut farthest: f64 = 0.0;
    for (a, b) in single.iter().zip(double) {
        let apart = a.value.apart(&b.value);
        if apart.is_nan() || apart > ROUNDING {
            return Ok(Failed(format!(
                "`{}` differs by {apart:.1e} of its size between f32 and f64",
                a.name
            )));
        }
        farthest = farthest.max(apart);
    }
    Ok(Passed(format!(
        "f32 and f64 differ by {farthest:.0e} after a step"
    )))
}
