//! Rates of a phase that can be known to be wrong before training: formulas without a value, and
//! schedules that need a number of epochs which is not there.

use super::Variable::{self, B, Epoch, Step, Steps};
use super::context::{Credit, PlanContext};
use super::formula::{Formula, Moment};
use super::plan::{Drive, LocalRatePlan, ParamValue, PhasePlan, RunPlan, SchedulePlan};
use super::resolve::{every_block, trains};
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
            .filter(|_| trains(plan, phase, &block.name))
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

/// Batches up to which a formula is looked at one by one before training.
const LOOKED_AT: u64 = 20_000_000;
/// Epochs that are looked at where their number is not known.
const WITHOUT_END: u64 = 100;

/// Refuses formulas of `plan` that give no rate at some batch of its epochs of `steps` batches.
///
/// # Errors
/// Usage error that names the setting, the batch and the value there.
pub fn formulas_at_every_batch(plan: &PhasePlan, steps: u64) -> Result<()> {
    if steps == 0 {
        return Ok(());
    }
    for (key, formula) in formulas(plan) {
        let epochs = match plan.epochs {
            0 => WITHOUT_END,
            epochs => epochs,
        };
        let batches = epochs.saturating_mul(steps);
        let stride = batches.div_ceil(LOOKED_AT).max(1) as usize;
        let sampled = (0..batches).step_by(stride);
        let ends = (1..=epochs)
            .take(if stride > 1 { LOOKED_AT as usize } else { 0 })
            .flat_map(|epoch| [(epoch - 1) * steps, epoch * steps - 1]);
        for b in sampled.chain(ends) {
            defined(plan, key, formula, &Moment::at_batch(b, steps, plan.epochs))?;
        }
    }
    Ok(())
}

/// Refuses formulas of `plan` that give no rate where the number of batches does not matter: at
/// the first batch, and of epochs alone at every one.
///
/// # Errors
/// As for [`formulas_at_every_batch`].
fn formulas_without_data(plan: &PhasePlan) -> Result<()> {
    for (key, formula) in formulas(plan) {
        if formula.depends_on(Steps) {
            continue;
        }
        let by_epoch =
            formula.depends_on(Epoch) && !formula.depends_on(B) && !formula.depends_on(Step);
        let epochs = match (by_epoch, plan.epochs) {
            (false, _) => 1,
            (true, 0) => WITHOUT_END,
            (true, epochs) => epochs.min(LOOKED_AT),
        };
        for epoch in 0..epochs {
            defined(plan, key, formula, &Moment::at_epoch(epoch, plan.epochs))?;
        }
    }
    Ok(())
}

/// The formulas that are read in `plan`, by key.
fn formulas(plan: &PhasePlan) -> impl Iterator<Item = (&'static str, &Formula)> {
    let schedule = match &plan.schedule {
        SchedulePlan::Formula { factor } if plan.drive != Drive::Local => {
            Some(("schedule", factor))
        }
        _ => None,
    };
    let local = match &plan.local_rate {
        Some(LocalRatePlan::Formula { value }) => Some(("local_rate", value)),
        _ => None,
    };
    schedule.into_iter().chain(local)
}

fn defined(plan: &PhasePlan, key: &str, formula: &Formula, at: &Moment) -> Result<()> {
    let x = formula.value(at);
    if x >= 0.0 && x.is_finite() {
        return Ok(());
    }
    let found = if x.is_nan() {
        "not a number".to_owned()
    } else {
        x.to_string()
    };
    let place = if at.steps == 1 && at.b == at.epoch && at.b > 0 {
        format!("epoch = {}", at.epoch)
    } else {
        format!("b = {} (epoch = {}, step = {})", at.b, at.epoch, at.step)
    };
    let text = format!(
        "`phases.{}.{key}`: `{formula}` is {found} at {place}, expected a number, 0 or more",
        plan.name
    );
    Err(Error::usage(text).hint("keep it in range, such as with `max(0, …)` or `b + 1` for `b`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(drive: Drive, epochs: u64, schedule: &str, local: &str) -> PhasePlan {
        let read = |text: &str| text.parse().expect("a formula");
        let toml = format!(
            "name = \"p\"\nblocks = [\"a\"]\ndata = \"train\"\nepochs = {epochs}\nbatch = 1\n\
             shuffle = true\ndrop_last = false\naugment = false\nevaluate_every = 0\n\
             loss = \"mse\"\nneuron_labels = false\ngradient_clip = 0.0\ndrive = \"gradient\"\n\
             optimizer = {{ kind = \"sgd\", lr = 1.0, momentum = 0.0, weight_decay = 0.0, decoupled_decay = 0.0 }}\n\
             schedule = {{ kind = \"constant\" }}\n\
             cache = {{ enabled = true, memory_limit = 0, store = \"exact\" }}\n"
        );
        PhasePlan {
            drive,
            schedule: SchedulePlan::Formula {
                factor: read(schedule),
            },
            local_rate: Some(LocalRatePlan::Formula { value: read(local) }),
            ..toml::from_str(&toml).expect("a phase")
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_wherever_it_happens() {
        // 2 epochs of 5 batches: b is 0 to 9.
        let cases = [
            ("1/(b-9)", true),
            ("1/(b-10)", true),
            ("10-b", false),
            ("9-b", false),
            ("8-b", true),
            ("sqrt(8-b)", true),
            ("1/(steps*epochs-1-b)", true),
            ("exp(1000*b)", true),
            ("log(b)", true),
            ("1 - epoch/epochs", false),
        ];
        for (text, refused) in cases {
            for (drive, schedule, local) in
                [(Drive::Local, "1", text), (Drive::Gradient, text, "1")]
            {
                let plan = phase(drive, 2, schedule, local);
                let checked = formulas_at_every_batch(&plan, 5);
                assert_eq!(checked.is_err(), refused, "{text}: {checked:?}");
                if let Err(e) = checked {
                    assert!(e.text.contains(&format!("`{text}` is ")), "{e}");
                }
            }
        }
        // A schedule that nobody reads decides nothing.
        formulas_at_every_batch(&phase(Drive::Local, 2, "1/b", "1"), 5)
            .expect("only the local rate is read");
        let early = |text| formulas_without_data(&phase(Drive::Local, 3, "1", text)).is_err();
        assert!(early("1/b") && early("1/(epoch-2)") && early("1 - epoch"));
        assert!(!early("1/(steps - 1)") && !early("0.02/(1+b)") && !early("1/(3-epoch)"));
    }
}
