//! The objective `robustness`: the network of an evaluation is attacked on held-out samples, and what
//! came of it stands in `attacks/` of the run's folder, where a search that goes on finds it.

use std::path::Path;

use super::super::eval::locate;
use super::super::{Assault, Host};
use super::task::{Search, stopped};
use crate::attack::method::{Pgd, Wishes};
use crate::attack::{Attack, Gradient, Method, Norm, Spec};
use crate::config::{Credit, Resolved, SearchConfig};
use crate::run::attacks::AttackRecord;
use crate::search::pareto::{Goal, Objective};
use crate::search::robustness::{Ball, RobustnessPlan, Slope};
use crate::search::strategy::Request;
use crate::{Error, ExitCode, Result};

/// The part of the data that is attacked; never the test set, which decides nothing in a search.
const SPLIT: &str = "validation";
/// Samples attacked together.
const BATCH: usize = 100;

/// The attack of `plan`.
pub(super) fn attack(plan: &RobustnessPlan) -> Result<Attack> {
    let wishes = Wishes {
        norm: Some(match plan.norm {
            Ball::Linf => Norm::Linf,
            Ball::L2 => Norm::L2,
        }),
        steps: plan.steps.map(|n| n as usize),
        step_size: plan.step_size.map(|size| size.0),
        no_random_start: plan.random_start == Some(false),
        ..Wishes::default()
    };
    Ok(Attack {
        method: Method::named(plan.method.word(), &wishes)?,
        strength: plan.strength.0,
        gradient: Some(match plan.gradient {
            Slope::True => Gradient::True,
            Slope::Rule => Gradient::Rule,
        }),
    })
}

/// Refuses what can be known to fail before anything is trained: a strength that means nothing on
/// these samples, rules that send no error below, samples that are no pixels.
pub(super) fn check(search: &SearchConfig, one: &Resolved, host: &dyn Host) -> Result<()> {
    let Some(plan) = &search.plan.robustness else {
        return Ok(());
    };
    let within = |e: Error| e.within("`search.robustness`");
    let attack = attack(plan)?;
    if let Some(shape) = host.dataset(&one.plan.data)? {
        attack
            .method
            .check(attack.strength, &shape.sample)
            .map_err(within)?;
    }
    if plan.gradient == Slope::Rule {
        for rule in search.space.rules() {
            if host.rule(rule)?.credit == Credit::Local {
                return Err(within(Error::usage(format!(
                    "the rule `{rule}` of the space learns from its own activity and sends no error below, so there is no gradient of the rules"
                ))
                .hint("set `gradient = \"true\"`, or leave the rule out of the space")));
            }
        }
    }
    host.attackable(&one.plan, SPLIT).map_err(within)
}

/// Puts what an attack gave among `values`, one for each goal.
pub(super) fn put(goals: &[Goal], values: &mut [f64], robust: Option<Robust>) {
    for (goal, value) in goals.iter().zip(values) {
        if goal.objective == Objective::Robustness {
            *value = robust.as_ref().map_or(f64::NAN, |r| r.accuracy);
        }
    }
}

/// What an attack gave.
pub(super) struct Robust {
    /// Share right on the changed pictures.
    pub(super) accuracy: f64,
    /// Forward passes' worth of products of the network that it took, all samples together.
    pub(super) passes: f64,
}

impl Search<'_> {
    /// Attacks the network of the run `name` in `folder`, which has ended, of the search in `root`, or
    /// reads what was found before.
    ///
    /// # Errors
    /// Those of an attack; [`ExitCode::Stopped`] on request.
    pub(super) fn robustness(
        &self,
        plan: &RobustnessPlan,
        request: &Request,
        (name, folder, root): (&str, &Path, &Path),
    ) -> Result<Robust> {
        let attacks = vec![attack(plan)?];
        let (_, checkpoint) = locate(folder, false)?;
        let limit = Some(plan.images as usize);
        let seed = self.scene.seed;
        let mut record = AttackRecord::new(&checkpoint, (SPLIT, limit), seed, &attacks)?;
        let path = record.path(folder);
        let known = AttackRecord::read(&path).ok();
        let known = known.filter(|k| k.complete && k.list == record.list && k.rows.len() == 1);
        if let Some(known) = known {
            record = known;
        } else {
            let resolved = self
                .config
                .evaluation(&request.genotype, name, &*self.host)?
                .with_share(request.share);
            let what = Assault {
                checkpoint,
                split: SPLIT.to_owned(),
                limit,
                spec: Spec {
                    attacks: attacks.clone(),
                    seed,
                    batch: BATCH,
                },
                protocol: None,
                stop: self.stop.clone(),
            };
            let report = self.host.attack(&resolved.plan, &what, &mut |_| {});
            record.rows = report
                .map_err(|e| match e.code {
                    ExitCode::Stopped => stopped(root),
                    _ => e.within(format!("`{name}`")),
                })?
                .rows;
            record.complete = true;
            record.write(&path)?;
        }
        let row = record.rows.first();
        let row = row.ok_or_else(|| Error::internal("an attack without a row"))?;
        Ok(Robust {
            accuracy: row.robust_accuracy(),
            passes: passes(&attacks[0].method) * row.samples as f64,
        })
    }
}

/// Forward passes' worth of products that one sample takes: an answer is one, a gradient by the
/// pixels two. APGD leaves alone what the network gets wrong, so it takes no more than that.
fn passes(method: &Method) -> f64 {
    // On clean and on changed pixels.
    let answers = 2.0;
    answers
        + match method {
            Method::Fgsm { .. } => 2.0,
            Method::Pgd(Pgd { steps, .. }) => 2.0 * *steps as f64,
            Method::Tpgd { steps, .. } => 1.0 + 2.0 * *steps as f64,
            Method::Apgd(settings) => 1.0 + 2.0 * (settings.steps + 1) as f64,
            _ => 0.0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::method::StepSize;

    #[test]
    fn what_is_left_out_is_what_the_field_takes() {
        let plan = RobustnessPlan {
            method: crate::search::robustness::AttackName::Pgd,
            strength: crate::search::robustness::Fraction(8.0 / 255.0),
            norm: Ball::Linf,
            steps: None,
            step_size: None,
            random_start: None,
            gradient: Slope::True,
            images: 1000,
        };
        let one = attack(&plan).expect("an attack");
        let Method::Pgd(settings) = &one.method else {
            panic!("{one:?}");
        };
        assert_eq!((settings.steps, settings.random_start), (20, true));
        assert_eq!(settings.step_size, StepSize::Absolute(2.0 / 255.0));
        assert_eq!(passes(&one.method), 42.0);
    }
}
