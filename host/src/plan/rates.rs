//! Formulas that give no rate at some batch, found before training.

use super::Variable::{B, Epoch, Step, Steps};
use super::{Drive, Formula, LocalRatePlan, Moment, PhasePlan, SchedulePlan};
use crate::{Error, Result};

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
pub fn formulas_without_data(plan: &PhasePlan) -> Result<()> {
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

/// Finished epochs after which the rate halves (SoftHebb, `CustomStepLR`).
pub fn softhebb_thresholds(epochs: u64) -> Vec<u64> {
    let shares: &[f64] = match epochs {
        0..20 => &[],
        20..50 => &[0.5, 0.75],
        _ => &[0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9],
    };
    shares.iter().map(|s| (s * epochs as f64) as u64).collect()
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
