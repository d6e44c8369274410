//! What is looked at before a search begins.

use super::super::{Host, warn};
use super::robust;
use crate::config::{Resolved, SearchConfig, Warnings, before_training};
use crate::search::plan::EvaluatorPlan;
use crate::{Error, Result};

/// Looks at all that can be known before a genotype is evaluated: every candidate in a network whose
/// cells hold nothing else, its rule on its layers, and the part of the data that decides. How one
/// of these networks is trained.
pub(super) fn check(config: &SearchConfig, host: &dyn Host) -> Result<Resolved> {
    let mut pattern = None;
    let mut warnings = Warnings::default();
    for candidate in config.space.choices() {
        let within = |e: Error| e.within(format!("candidate `{candidate}`"));
        let genotype = config.space.uniform(candidate);
        let one = config.evaluation(&genotype, &config.name, host);
        let one = match (one, &pattern) {
            (Ok(one), _) => one,
            // What is wrong with the first has nothing to do with it.
            (Err(e), None) => return Err(e),
            (Err(e), Some(_)) => return Err(within(e)),
        };
        if pattern.is_none() {
            // Without an accuracy there is nothing to hold back for.
            if !matches!(config.plan.evaluator, EvaluatorPlan::Proxy { .. }) {
                decides(&one)?;
            }
            host.device(&one.plan)?;
            host.serves(&config.space, &config.size, &one.plan)?;
            robust::check(config, &one, host)?;
            before_training(&one.plan, host, &mut warnings)?;
            warn(one.warnings.iter());
            warn(warnings.iter());
            if host.has_classes(&one.plan.data)? == Some(false) {
                return Err(Error::usage(format!(
                    "a search asks for accuracy, and `{}` has values to regress",
                    one.plan.data.set
                ))
                .hint("take a data set with classes"));
            }
            pattern = Some(one);
        }
    }
    pattern.ok_or_else(|| Error::internal("a space without candidates"))
}

/// Refuses an evaluation after which nothing is known that may decide: never is that the test set.
fn decides(one: &Resolved) -> Result<()> {
    if !one.plan.data.holds_back() {
        return Err(Error::usage(
            "`data.validation` is 0: a search decides by held-out samples, and never by the test set",
        )
        .hint("set `data.validation = 0.2`, or name one of `data.parts` in `data.validation_part`"));
    }
    match one.plan.phases.last() {
        Some(last) if last.evaluate_every == 0 => Err(Error::usage(format!(
            "phase `{}` is never evaluated (`evaluate_every` is 0), and a search decides by the \
             accuracy at its end",
            last.name
        ))
        .hint("set `training.gradient.evaluate_every = 1`, or as many as its epochs")),
        _ => Ok(()),
    }
}
