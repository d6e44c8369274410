//! How rates move: the optimiser's by epoch, the local rules' by batch or epoch.
//! Every rate is a function of where training stands, so a resumed run needs no state.

use crate::plan::rates::softhebb_thresholds;
use crate::plan::{LocalRatePlan, Moment, SchedulePlan};
use crate::{Error, Result};

/// The optimiser's rate at `at`, from its base rate. Only a formula changes it inside an epoch.
pub fn rate(plan: &SchedulePlan, base: f64, at: &Moment) -> f64 {
    let Moment { epoch, epochs, .. } = *at;
    match plan {
        SchedulePlan::Constant => base,
        SchedulePlan::Steps { epochs: at, gamma } => base * gamma.powi(passed(at, epoch)),
        SchedulePlan::Softhebb => base * 0.5f64.powi(passed(&softhebb_thresholds(epochs), epoch)),
        SchedulePlan::Cosine { floor } => {
            let share = epoch as f64 / epochs.max(1) as f64;
            floor + 0.5 * (base - floor) * (1.0 + (std::f64::consts::PI * share.min(1.0)).cos())
        }
        SchedulePlan::Formula { factor } => base * factor.value(at),
    }
}

fn passed(thresholds: &[u64], epoch: u64) -> i32 {
    thresholds.iter().filter(|t| **t <= epoch).count() as i32
}

/// Rate of batch `step` (from 0, through all epochs) for local rules.
pub fn local_rate(plan: &LocalRatePlan, step: u64, steps_per_epoch: u64, epochs: u64) -> f64 {
    let per_epoch = steps_per_epoch.max(1);
    match plan {
        LocalRatePlan::Constant { value } => *value,
        LocalRatePlan::Exponential { start, end, speed } => {
            end - (end - start) * (-speed * step as f64 / per_epoch as f64).exp()
        }
        LocalRatePlan::Linear { start } => {
            let epoch = (step / per_epoch) as f64;
            start * (1.0 - epoch / epochs.max(1) as f64).max(0.0)
        }
        LocalRatePlan::Formula { value } => {
            // Metrics after the last batch ask for the rate of one that does not come.
            let last = match epochs {
                0 => u64::MAX,
                epochs => epochs.saturating_mul(per_epoch).saturating_sub(1),
            };
            value.value(&Moment::at_batch(step.min(last), per_epoch, epochs))
        }
    }
}

/// Refuses what a formula gives that cannot be a learning rate: those of phases without end are
/// looked at before training only for some epochs.
///
/// # Errors
/// Usage error that names `key`.
pub fn is_rate(key: &str, x: f64) -> Result<()> {
    if x >= 0.0 && x.is_finite() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`{key}` gives {x}, expected a number, 0 or more"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softhebb_halves_after_the_published_epochs() {
        assert_eq!(softhebb_thresholds(50), [10, 17, 25, 30, 35, 40, 45]);
        assert_eq!(softhebb_thresholds(100), [20, 35, 50, 60, 70, 80, 90]);
        assert_eq!(softhebb_thresholds(200), [40, 70, 100, 120, 140, 160, 180]);
        assert_eq!(softhebb_thresholds(20), [10, 15]);
        assert!(softhebb_thresholds(19).is_empty());
        let at = |epoch| rate(&SchedulePlan::Softhebb, 0.001, &Moment::at_epoch(epoch, 50));
        assert_eq!((at(9), at(10), at(45)), (0.001, 0.0005, 0.0000078125));
    }

    #[test]
    fn exponential_local_rate_runs_through_epochs() {
        let plan = LocalRatePlan::Exponential {
            start: 0.01,
            end: 0.003,
            speed: 1.0,
        };
        assert_eq!(local_rate(&plan, 0, 625, 3), 0.01);
        let after_one = 0.003 + 0.007 * (-1.0f64).exp();
        assert!((local_rate(&plan, 625, 625, 3) - after_one).abs() < 1e-15);
    }

    #[test]
    fn cosine_and_linear_end_where_they_should() {
        let cosine = SchedulePlan::Cosine { floor: 0.1 };
        let at = |epoch| rate(&cosine, 1.0, &Moment::at_epoch(epoch, 10));
        assert_eq!(at(0), 1.0);
        assert!((at(5) - 0.55).abs() < 1e-12);
        assert!((at(10) - 0.1).abs() < 1e-12);
        let linear = LocalRatePlan::Linear { start: 0.04 };
        assert_eq!(local_rate(&linear, 99, 100, 4), 0.04);
        assert_eq!(local_rate(&linear, 300, 100, 4), 0.01);
    }

    #[test]
    fn a_formula_is_the_rate_of_every_batch() {
        let read = |text: &str| text.parse().expect("a formula");
        let schedule = SchedulePlan::Formula {
            factor: read("0.5^epoch/(1 + step)"),
        };
        let local = LocalRatePlan::Formula {
            value: read("0.02/(1+b)"),
        };
        for b in 0..12 {
            let at = Moment::at_batch(b, 4, 3);
            let (epoch, step) = ((b / 4) as i32, (b % 4) as f64);
            let want = 0.1 * (0.5f64.powi(epoch) / (1.0 + step));
            assert!((rate(&schedule, 0.1, &at) - want).abs() < 1e-15);
            assert_eq!(local_rate(&local, b, 4, 3), 0.02 / (1.0 + b as f64));
        }
        // What metrics after the last batch show is its rate.
        assert_eq!(local_rate(&local, 12, 4, 3), local_rate(&local, 11, 4, 3));
    }
}
