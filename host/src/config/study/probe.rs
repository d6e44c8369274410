//! A look at a study before anything runs: both ends of every parameter make a whole configuration
//! that can be trained, and every metric is one that its runs will have.

use super::checked::StudyConfig;
use crate::config::Warnings;
use crate::config::context::PlanContext;
use crate::config::value::nearest;
use crate::config::{RunPlan, before_training};
use crate::plan::PhasePlan;
use crate::plan::metric::EpochMetric;
use crate::search::network::Counts;
use crate::sweep::plan::{SamplerPlan, Score, Study};
use crate::sweep::sampler::{numbers, own};
use crate::sweep::{Assignment, Domain, Parameter, Value};
use crate::{Error, Result};

/// Choices of one parameter that are tried at most.
const CHOICES: usize = 64;

/// What is counted of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Counted {
    /// Trained numbers.
    pub parameters: Option<u64>,
    /// Products for one sample, forward.
    pub multiply_adds: Option<u64>,
    /// Epochs of its phases together; `None` where a stop rule may end one.
    pub epochs: Option<u64>,
    /// Epochs of those that measure the first objective; `None` where that is not known.
    pub measured: Option<u64>,
}

impl Counted {
    /// What is counted of `plan`, a trial of `study`.
    ///
    /// # Errors
    /// Data error of the context.
    pub fn of(plan: &RunPlan, study: &Study, context: &dyn PlanContext) -> Result<Self> {
        let counts = match context.dataset(&plan.data)? {
            Some(shape) => Some(Counts::of(&plan.blocks, &shape)?),
            None => None,
        };
        let sum = |phases: &[&PhasePlan]| {
            let fixed = phases.iter().all(|p| p.epochs > 0 && p.stop.is_none());
            (fixed && !phases.is_empty()).then(|| phases.iter().map(|p| p.epochs).sum())
        };
        let validation = plan.data.holds_back();
        let classes = context.has_classes(&plan.data)?.unwrap_or(true);
        let first = study
            .objectives
            .first()
            .and_then(|o| EpochMetric::parse(&o.metric));
        let measures = |phase: &&PhasePlan| {
            let metrics = EpochMetric::of_phase(phase, validation, classes);
            first.is_some_and(|first| metrics.contains(&first))
        };
        Ok(Self {
            parameters: counts.map(|c| c.parameters),
            multiply_adds: counts.map(|c| c.multiply_adds),
            epochs: sum(&plan.phases.iter().collect::<Vec<_>>()),
            measured: sum(&plan.phases.iter().filter(measures).collect::<Vec<_>>()),
        })
    }

    /// The counted metric `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "parameters" => self.parameters.map(|n| n as f64),
            "multiply_adds" => self.multiply_adds.map(|n| n as f64),
            _ => None,
        }
    }
}

impl StudyConfig {
    pub(super) fn check(&mut self, context: &dyn PlanContext) -> Result<()> {
        let study = &self.study;
        let middle = study.space.fill(|p| p.domain.at(0.5));
        let first = self
            .resolve(&middle, context)
            .map_err(|e| e.within("with each parameter in the middle of its range"))?;
        let mut warnings = Warnings::default();
        before_training(&first.plan, context, &mut warnings)?;
        first
            .warnings
            .iter()
            .chain(warnings.iter())
            .for_each(|text| self.warnings.add(text));
        let seeds = match study.seeds.is_empty() {
            true => first.plan.seeds.len(),
            false => study.seeds.len(),
        };
        if study.score == Score::LowerBound && seeds < 2 {
            self.warnings
                .add("`score = \"lower-bound\"` has no effect: a trial has one seed");
        }
        self.check_metrics(&first.plan, context)?;
        for parameter in self.study.space.parameters() {
            for value in ends(&parameter.domain) {
                self.probe(parameter, value, context)?;
            }
        }
        self.warn_of_sampler();
        // One that the sampler refuses is refused now.
        if !matches!(self.study.sampler, SamplerPlan::Command { .. }) {
            own(&self.study)?;
        }
        Ok(())
    }

    /// Tries a trial in which `parameter` has `value` and the others lie in the middle.
    fn probe(&self, parameter: &Parameter, value: Value, context: &dyn PlanContext) -> Result<()> {
        let mut wanted = vec![(parameter.name.clone(), value)];
        // What has to be chosen for it to be active, and for that.
        let mut i = 0;
        while let Some((name, _)) = wanted.get(i).cloned() {
            let when = self.study.space.find(&name).map(|p| p.when.clone());
            for (other, allowed) in when.unwrap_or_default() {
                if let Some(choice) = allowed.first()
                    && !wanted.iter().any(|(n, _)| *n == other)
                {
                    wanted.push((other, Value::Choice(*choice)));
                }
            }
            i += 1;
        }
        let values: Assignment = self.study.space.fill(|p| {
            let own = wanted.iter().find(|(name, _)| *name == p.name);
            own.map_or_else(|| p.domain.at(0.5), |(_, v)| *v)
        });
        let shown = parameter.domain.to_json(value);
        self.resolve(&values, context).map(|_| ()).map_err(|e| {
            e.within(format_args!("parameter `{}` at {shown}", parameter.name))
                .or_hint("narrow its range, or correct its path")
        })
    }

    /// Refuses metrics that no run will have.
    fn check_metrics(&mut self, plan: &RunPlan, context: &dyn PlanContext) -> Result<()> {
        let validation = plan.data.holds_back();
        let classes = context.has_classes(&plan.data)?.unwrap_or(true);
        let epoch: Vec<String> = plan
            .phases
            .iter()
            .flat_map(|phase| EpochMetric::of_phase(phase, validation, classes))
            .map(|m| m.to_string())
            .collect();
        let mut known = epoch.clone();
        let measures: &[&str] = match classes {
            true => &["loss", "accuracy", "balanced_accuracy"],
            false => &["loss"],
        };
        known.extend(measures.iter().map(|m| format!("test/{m}")));
        known.extend(["parameters", "multiply_adds"].map(str::to_owned));
        let objectives = self.study.objectives.iter().map(|o| o.metric.clone());
        let constraints = self.study.constraints.iter().map(|c| c.metric.clone());
        let wanted: Vec<String> = objectives.chain(constraints).collect();
        let missing = |known: &[String]| wanted.iter().find(|name| !known.contains(name)).cloned();
        let mut of_rules = Vec::new();
        if missing(&known).is_some()
            && let Some(rules) = context.rule_metrics(plan)?
        {
            for (block, names) in rules {
                of_rules.extend(names.iter().map(|name| format!("{block}/{name}")));
            }
            known.extend(of_rules.iter().cloned());
        }
        if let Some(name) = missing(&known) {
            let text = format!("the runs of this study have no metric `{name}`");
            if name.starts_with("validation/") && !validation {
                return Err(Error::usage(text)
                    .hint("hold samples back: `[config]` with `data.validation = 0.2`"));
            }
            let near = nearest(&name, known.iter().map(String::as_str));
            return Err(match near {
                Some(near) => Error::usage(text).hint(format!("did you mean `{near}`?")),
                None => Error::usage(text).hint(format!("they have `{}`", known.join("`, `"))),
            });
        }
        if let (true, Some(first)) = (self.study.prunes(), self.study.objectives.first()) {
            let by_epoch = epoch.contains(&first.metric) || of_rules.contains(&first.metric);
            if !by_epoch {
                let text = format!(
                    "`pruner` goes by the first objective, and `{}` is not a metric of epochs",
                    first.metric
                );
                return Err(Error::usage(text).hint(format!(
                    "take `pruner = \"none\"`, or one of `{}`",
                    epoch.join("`, `")
                )));
            }
        }
        for name in wanted.iter().filter(|name| name.starts_with("test/")) {
            self.warnings.add(format!(
                "`{name}` chooses on the test set: the best trial's value is too good an estimate; hold samples back with `data.validation`"
            ));
        }
        Ok(())
    }

    /// Warns about what a sampler does not do.
    fn warn_of_sampler(&mut self) {
        let space = &self.study.space;
        if let SamplerPlan::Cma { .. } = self.study.sampler {
            let moved = numbers(space);
            let names = space.parameters().iter().map(|p| p.name.as_str());
            let drawn: Vec<&str> = names
                .filter(|name| !moved.iter().any(|m| m == name))
                .collect();
            if !drawn.is_empty() {
                self.warnings.add(format!(
                    "`cma` moves numbers that are always active; drawn at random: `{}`",
                    drawn.join("`, `")
                ));
            }
        }
        if !matches!(self.study.sampler, SamplerPlan::Grid) {
            for one in space.parameters() {
                if let Domain::Real {
                    points: Some(_), ..
                } = one.domain
                {
                    self.warnings.add(format!(
                        "`parameters.{}.points` has no effect: only `grid` reads it",
                        one.name
                    ));
                }
            }
        }
    }
}

/// The values that are tried of a domain.
fn ends(domain: &Domain) -> Vec<Value> {
    match domain {
        Domain::Choices(all) => (0..all.len().min(CHOICES)).map(Value::Choice).collect(),
        _ => {
            let (low, high) = (domain.at(0.0), domain.at(1.0));
            if low == high {
                vec![low]
            } else {
                vec![low, high]
            }
        }
    }
}
