//! Rates of a phase that can be known to be wrong before training: formulas without a value, and
//! schedules that need a number of epochs which is not there.

use super::context::{Credit, PlanContext};
use crate::plan::every_block;
use crate::plan::rates::formulas_without_data;
use crate::plan::{Drive, LocalRatePlan, ParamValue, PhasePlan, RunPlan, SchedulePlan, Variable};
use crate::{Error, Result};

/// Checks the rates of every phase of `plan`, as far as they are known without data.
///
/// # Errors
/// Usage error that names the phase and the setting.
pub(super) fn plan(plan: &RunPlan, context: &dyn PlanContext) -> Result<()> {
    for phase in &plan.phases {
        if phase.epochs == 0 {
            without_end(phase)?;
            rules_without_end(phase, plan, context)?;
        }
        formulas_without_data(phase)?;
    }
    Ok(())
}

fn needs_epochs(phase: &PhasePlan, what: &str, instead: &str) -> Error {
    let name = &phase.name;
    Error::usage(format!(
        "{what} needs the number of epochs, and `phases.{name}.epochs` is 0"
    ))
    .hint(format!("set `phases.{name}.epochs`, or {instead}"))
}

/// Refuses schedules of a phase without a number of epochs that are functions of it.
fn without_end(phase: &PhasePlan) -> Result<()> {
    let path = format!("phases.{}", phase.name);
    let schedule = match &phase.schedule {
        _ if phase.drive == Drive::Local => None,
        SchedulePlan::Cosine { .. } => Some("cosine".to_owned()),
        SchedulePlan::Linear { .. } => Some("linear".to_owned()),
        SchedulePlan::Softhebb => Some("softhebb".to_owned()),
        SchedulePlan::Formula { factor } if factor.depends_on(Variable::Epochs) => {
            Some(factor.to_string())
        }
        _ => None,
    };
    if let Some(word) = schedule {
        let what = format!("`{path}.schedule`: `{word}`");
        return Err(needs_epochs(
            phase,
            &what,
            "use `schedule = \"constant\"` or `steps`",
        ));
    }
    let local = match &phase.local_rate {
        Some(LocalRatePlan::Linear { .. }) => Some("linear".to_owned()),
        Some(LocalRatePlan::Formula { value }) if value.depends_on(Variable::Epochs) => {
            Some(value.to_string())
        }
        _ => None,
    };
    let Some(word) = local else { return Ok(()) };
    let what = format!("`{path}.local_rate`: `{word}`");
    Err(needs_epochs(
        phase,
        &what,
        "use another `local_rate`, such as `exponential`",
    ))
}

/// Refuses rules whose own rate falls towards the end of a phase that has none.
fn rules_without_end(phase: &PhasePlan, plan: &RunPlan, context: &dyn PlanContext) -> Result<()> {
    if phase.drive == Drive::Gradient || phase.local_rate.is_some() {
        return Ok(());
    }
    for block in every_block(&plan.blocks) {
        let Some(layer) = block
            .layer
            .as_ref()
            .filter(|_| plan.trains(phase, &block.name))
        else {
            continue;
        };
        let falls = matches!(
            layer.params.get("rate"),
            Some(ParamValue::Text(word)) if word == "linear" || word == "exp"
        );
        if falls && context.rule(&layer.rule)?.credit == Credit::Local {
            let what = format!("`blocks.{}.rule.rate`: a rate that falls", block.name);
            let instead = "use `rate = \"constant\"` or a `local_rate`";
            return Err(needs_epochs(phase, &what, instead));
        }
    }
    Ok(())
}
