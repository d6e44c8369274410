//! Checks of what only a training needs: metrics that stop a phase or choose the best checkpoint,
//! class weights, baselines. An evaluation of an older run goes without them.

use super::context::{Credit, PlanContext};
use super::metric::{EpochMetric, Part};
use super::plan::{Baseline, ClassWeights, Drive, Loss, PhasePlan, RunPlan, StopPlan};
use super::read_out::{read_out, read_out_phases, with_inner};
use super::{Warnings, every_block, value};
use crate::plan::RuleMetrics;
use crate::{Error, Result};

/// What the data of a plan decide.
struct Facts<'a> {
    plan: &'a RunPlan,
    /// Samples are held back for validation.
    validation: bool,
    /// The answers are classes.
    classes: bool,
}

/// Refuses a plan that cannot be trained as it says; what is allowed but should be known goes to
/// `warnings`.
///
/// # Errors
/// Usage error; data and plugin errors of `context`.
pub fn before_training(
    plan: &RunPlan,
    context: &dyn PlanContext,
    warnings: &mut Warnings,
) -> Result<()> {
    let facts = Facts {
        plan,
        validation: plan.data.holds_back(),
        classes: context.has_classes(&plan.data)?.unwrap_or(true),
    };
    for phase in &plan.phases {
        class_weights(phase, &facts, context)?;
        label_smoothing(phase, &facts)?;
    }
    let rules = rule_metrics(plan, context)?;
    for phase in &plan.phases {
        stop(phase, &facts, rules.as_deref(), warnings)?;
    }
    best(&facts)?;
    for baseline in &plan.baselines {
        match baseline {
            Baseline::RandomWeights => random_weights(plan, context, warnings)?,
            Baseline::LinearPixels => linear_pixels(plan)?,
        }
    }
    Ok(())
}

fn path(phase: &PhasePlan) -> String {
    format!("phases.{}", phase.name)
}

fn label_smoothing(phase: &PhasePlan, facts: &Facts<'_>) -> Result<()> {
    match phase.label_smoothing > 0.0 {
        true => of_classes(phase, "label_smoothing", facts),
        false => Ok(()),
    }
}

/// Refuses the setting `key` of a cross-entropy in a phase that is not driven by one.
fn of_classes(phase: &PhasePlan, key: &str, facts: &Facts<'_>) -> Result<()> {
    let at = format!("`{}.{key}`", path(phase));
    if phase.drive == Drive::Local {
        return Err(
            Error::usage(format!("{at} is set in a local phase, which has no loss"))
                .hint("set it in a phase with `drive = \"gradient\"` or `\"both\"`"),
        );
    }
    if !facts.classes {
        return Err(Error::usage(format!(
            "{at} needs classes, and `{}` has values to regress",
            facts.plan.data.set
        ))
        .hint("remove it"));
    }
    if phase.loss != Loss::CrossEntropy {
        return Err(
            Error::usage(format!("{at} needs `loss = \"cross-entropy\"`"))
                .hint("remove it, or change the loss"),
        );
    }
    Ok(())
}

fn class_weights(phase: &PhasePlan, facts: &Facts<'_>, context: &dyn PlanContext) -> Result<()> {
    let Some(weights) = &phase.class_weights else {
        return Ok(());
    };
    let at = format!("`{}.class_weights`", path(phase));
    of_classes(phase, "class_weights", facts)?;
    if let ClassWeights::Given(weights) = weights {
        if let Some(data) = context.dataset(&facts.plan.data)?
            && data.classes != weights.len()
        {
            let text = format!(
                "{at} has {} weights for {} classes",
                weights.len(),
                data.classes
            );
            return Err(Error::usage(text).hint("give one number for each class, or \"balanced\""));
        }
        if weights.iter().sum::<f64>() <= 0.0 {
            return Err(Error::usage(format!("{at} gives no class any weight")));
        }
    }
    Ok(())
}

/// What the rules report, where a phase asks for it.
fn rule_metrics(plan: &RunPlan, context: &dyn PlanContext) -> Result<Option<RuleMetrics>> {
    let mut stops = plan.phases.iter().filter_map(|p| p.stop.as_ref());
    match stops.any(|s| s.epoch_metric().is_none()) {
        true => context.rule_metrics(plan),
        false => Ok(None),
    }
}

/// Refuses a phase whose only end is a metric of its epochs: a loss may fall for ever, by less and
/// less.
fn has_an_end(phase: &PhasePlan, metric: EpochMetric, key: &str) -> Result<()> {
    if phase.epochs > 0 {
        return Ok(());
    }
    let epochs = format!("{}.epochs", path(phase));
    let text = format!(
        "`{key}` is `{metric}`, which may get better for ever, and `{epochs}` is 0: the phase may never end"
    );
    Err(Error::usage(text).hint(format!(
        "set `{epochs}` to the most epochs that it may take, such as 1000"
    )))
}

/// Epochs' worth of patience at most, where nothing else ends a phase.
const MOST_PATIENCE: f64 = 1e6;

/// Refuses a phase whose only end is a metric of rules that is asked to fall below 0, or waited for
/// for ever.
fn can_be_reached(phase: &PhasePlan, stop: &StopPlan) -> Result<()> {
    let reached = stop.threshold.is_some_and(|t| t > 0.0);
    let waited = stop.patience.is_some_and(|p| p <= MOST_PATIENCE);
    if phase.epochs > 0 || reached || waited {
        return Ok(());
    }
    let path = path(phase);
    let text =
        format!("`{path}.stop` is never met, and `{path}.epochs` is 0: the phase never ends");
    Err(Error::usage(text).hint(format!(
        "set `{path}.stop.threshold` above 0, a `patience` in epochs, or `{path}.epochs`"
    )))
}

/// Refuses a stop rule that would never see its metric.
fn stop(
    phase: &PhasePlan,
    facts: &Facts<'_>,
    rules: Option<&[(String, Vec<String>)]>,
    warnings: &mut Warnings,
) -> Result<()> {
    let Some(stop) = &phase.stop else {
        return Ok(());
    };
    let key = format!("{}.stop.metric", path(phase));
    let measured = EpochMetric::of_phase(phase, facts.validation, facts.classes);
    match stop.epoch_metric() {
        Some(metric) if measured.contains(&metric) => {
            has_an_end(phase, metric, &key)?;
            warn_of_stop(phase, metric, &key, warnings);
            return Ok(());
        }
        None => {
            can_be_reached(phase, stop)?;
            if rules.is_none() {
                return Ok(());
            }
        }
        _ => {}
    }
    let listed = with_inner(&facts.plan.blocks, &phase.blocks);
    let reported: Vec<(&str, &str)> = rules
        .unwrap_or_default()
        .iter()
        .filter(|(block, _)| listed.contains(&block.as_str()))
        .flat_map(|(block, names)| names.iter().map(move |n| (block.as_str(), n.as_str())))
        .collect();
    let named = |(block, name): &(&str, &str)| {
        *name == stop.metric || stop.metric == format!("{block}/{name}")
    };
    if reported.iter().any(named) {
        return Ok(());
    }
    let mut known: Vec<String> = measured.iter().map(EpochMetric::to_string).collect();
    for (_, name) in &reported {
        if !known.iter().any(|k| k == name) {
            known.push((*name).to_owned());
        }
    }
    Err(unknown(
        &key,
        &stop.metric,
        &known,
        &facts.absent(&stop.metric, &[phase]),
    ))
}

/// The refusal of a metric that nothing measures.
fn unknown(key: &str, metric: &str, known: &[String], why: &str) -> Error {
    let text = format!("`{key}` is `{metric}`, which nothing measures{why}");
    let list = known.join("`, `");
    let near = value::nearest(metric, known.iter().map(String::as_str));
    Error::usage(text).hint(match (near, known) {
        (_, []) => "set `evaluate_every`, or remove the setting".to_owned(),
        (Some(near), _) => format!("did you mean `{near}`? there are `{list}`"),
        (None, _) => format!("there are `{list}`"),
    })
}

impl Facts<'_> {
    /// Why `metric` is not measured in `phases`, where the name is one of an epoch's.
    fn absent(&self, metric: &str, phases: &[&PhasePlan]) -> String {
        let Some(metric) = EpochMetric::parse(metric) else {
            return String::new();
        };
        let never = phases.iter().all(|p| p.evaluate_every == 0);
        let local = phases.iter().all(|p| p.drive == Drive::Local);
        let why = match metric.part {
            Part::Validation if !self.validation => {
                "no samples are held back, `data.validation` is 0"
            }
            Part::Test if self.validation => {
                "with `data.validation` the test set is left to the result"
            }
            Part::Train if local => "a local phase has no loss",
            Part::Validation | Part::Test if never => "`evaluate_every` is 0",
            _ if !self.classes => "the data set has values to regress",
            _ => return String::new(),
        };
        format!(" ({why})")
    }
}

fn warn_of_stop(phase: &PhasePlan, metric: EpochMetric, key: &str, warnings: &mut Warnings) {
    if metric.part == Part::Test {
        warnings.add(format!(
            "`{key}` is `{metric}`: the test set decides when to stop, so the result on it is too good; hold samples back with `data.validation`"
        ));
    }
    if metric.part != Part::Train && phase.epochs > 0 && phase.evaluate_every >= phase.epochs {
        warnings.add(format!(
            "`{}.stop` cannot stop anything: the phase is evaluated after its last epoch only, `evaluate_every` is {}",
            path(phase),
            phase.evaluate_every
        ));
    }
}

/// Refuses to choose the best checkpoint by what no phase measures.
fn best(facts: &Facts<'_>) -> Result<()> {
    let Some(name) = &facts.plan.output.best else {
        return Ok(());
    };
    let mut known: Vec<String> = Vec::new();
    for phase in &facts.plan.phases {
        for metric in EpochMetric::of_phase(phase, facts.validation, facts.classes) {
            let metric = metric.to_string();
            if !known.contains(&metric) {
                known.push(metric);
            }
        }
    }
    if known.contains(name) {
        return Ok(());
    }
    let phases: Vec<&PhasePlan> = facts.plan.phases.iter().collect();
    Err(unknown(
        "output.best",
        name,
        &known,
        &facts.absent(name, &phases),
    ))
}

/// Refuses the baseline `random-weights` where there is no read-out that the loss trains.
fn random_weights(
    plan: &RunPlan,
    context: &dyn PlanContext,
    warnings: &mut Warnings,
) -> Result<()> {
    let refuse = |why: String| {
        Err(Error::usage(format!("baseline `random-weights` trains the read-out alone, {why}"))
            .hint("remove it from `baselines`, or end the network with a layer of an error-driven rule, such as `backprop`"))
    };
    let Some(at) = read_out(&plan.blocks) else {
        return refuse("and no block has a layer".to_owned());
    };
    let name = &plan.blocks[at].name;
    for block in every_block(&plan.blocks[at..=at]) {
        if let Some(layer) = &block.layer
            && context.rule(&layer.rule)?.credit == Credit::Local
        {
            return refuse(format!(
                "and that of this network, block `{name}`, learns by the local rule `{}`",
                layer.rule
            ));
        }
    }
    let phases = read_out_phases(plan);
    if phases.is_empty() {
        return refuse(format!("and no phase trains block `{name}` by the loss"));
    }
    let whole = |p: &PhasePlan| {
        plan.phases
            .iter()
            .any(|q| (&q.name, &q.blocks) == (&p.name, &p.blocks))
    };
    let cut: Vec<PhasePlan> = phases.into_iter().filter(|p| !whole(p)).collect();
    endless("random-weights", &cut)?;
    let layers = every_block(&plan.blocks[..at]);
    if !layers.iter().any(|b| b.layer.is_some()) {
        warnings.add(format!(
            "baseline `random-weights` is the network itself: `{name}` is its only layer"
        ));
    }
    Ok(())
}

/// Refuses the baseline `linear-pixels` where no phase says how it is trained.
fn linear_pixels(plan: &RunPlan) -> Result<()> {
    let driven: Vec<PhasePlan> = (plan.phases.iter())
        .filter(|p| p.drive != Drive::Local)
        .cloned()
        .collect();
    match driven.last() {
        Some(last) => endless("linear-pixels", std::slice::from_ref(last)),
        None => Err(Error::usage(
            "baseline `linear-pixels` is trained as the last phase that learns from the loss, and there is none",
        )
        .hint("remove it from `baselines`")),
    }
}

/// Refuses phases that only a rule's metric ends: in a baseline other layers learn.
fn endless(baseline: &str, phases: &[PhasePlan]) -> Result<()> {
    let by_rules = |p: &&PhasePlan| {
        p.epochs == 0 && p.stop.as_ref().is_some_and(|s| s.epoch_metric().is_none())
    };
    match phases.iter().find(by_rules) {
        Some(phase) => Err(Error::usage(format!(
            "baseline `{baseline}` would not end: `{}.epochs` is 0, and only a metric of the network's rules stops the phase",
            path(phase)
        ))
        .hint("set `epochs`, or stop on a metric such as `train/loss`")),
        None => Ok(()),
    }
}
