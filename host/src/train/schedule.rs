//! How rates move: the optimiser's by epoch, the local rules' by batch or epoch.
//! Every rate is a function of where training stands, so a resumed run needs no state.

use crate::plan::rates::softhebb_thresholds;
use crate::plan::{LocalRatePlan, Moment, PhasePlan, SchedulePlan, Warmup};
use crate::{Error, Result};

/// The optimiser's learning rate at `at` of a phase, from its base rate: that of the warm-up, or
/// once this is over, of the schedule.
pub fn phase_rate(phase: &PhasePlan, base: f64, at: &Moment) -> f64 {
    warmed(&phase.schedule, phase.warmup().as_ref(), base, at)
}

/// What `schedule` makes of the base rate at `at`, or `warmup` until it is over.
pub fn warmed(schedule: &SchedulePlan, warmup: Option<&Warmup>, base: f64, at: &Moment) -> f64 {
    match warmup.and_then(|warmup| warmup.share(at)) {
        Some(share) => base * share,
        None => rate(schedule, base, at),
    }
}

/// What `plan` makes of the base rate at `at`. Only a formula changes it inside an epoch.
pub fn rate(plan: &SchedulePlan, base: f64, at: &Moment) -> f64 {
    let Moment { epoch, epochs, .. } = *at;
    let share = || (epoch as f64 / epochs.max(1) as f64).min(1.0);
    match plan {
        SchedulePlan::Constant => base,
        SchedulePlan::Steps { epochs: at, gamma } => base * gamma.powi(passed(at, epoch)),
        SchedulePlan::Softhebb => base * 0.5f64.powi(passed(&softhebb_thresholds(epochs), epoch)),
        SchedulePlan::Cosine { floor } => {
            floor + 0.5 * (base - floor) * (1.0 + (std::f64::consts::PI * share()).cos())
        }
        SchedulePlan::Linear { floor } => base * (1.0 - share()) + floor * share(),
        SchedulePlan::Exponential { gamma } => base * gamma.powf(epoch as f64),
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

    /// The three figures of an epoch of 50 that logs of DARTS print.
    #[test]
    fn cosine_moves_by_epoch_as_in_darts() {
        let cosine = SchedulePlan::Cosine { floor: 0.001 };
        let at = |b| rate(&cosine, 0.025, &Moment::at_batch(b, 391, 50));
        assert_eq!(at(0), 0.025);
        assert_eq!(at(0), at(390));
        let last = at(49 * 391 + 7);
        assert!((last - 1.023_679_2e-3).abs() < 1e-10, "{last}");
    }

    #[test]
    fn exponential_and_linear_move_by_epoch() {
        let at = |plan: &SchedulePlan, b| rate(plan, 0.1, &Moment::at_batch(b, 4, 5));
        let exponential = SchedulePlan::Exponential { gamma: 0.97 };
        let linear = SchedulePlan::Linear { floor: 0.02 };
        for b in 0..20 {
            let epoch = (b / 4) as i32;
            let want = 0.1 * 0.97f64.powi(epoch);
            assert!((at(&exponential, b) - want).abs() < 1e-15, "{b}");
            let want = 0.1 - 0.016 * f64::from(epoch);
            assert!((at(&linear, b) - want).abs() < 1e-15, "{b}");
        }
        assert_eq!(at(&linear, 20), 0.02);
    }

    #[test]
    fn a_warm_up_rises_to_the_rate_and_then_the_schedule_goes_on() {
        let schedule = SchedulePlan::Linear { floor: 0.0 };
        let with = |warmup_epochs, warmup_steps| {
            PhasePlan {
            schedule: schedule.clone(),
            warmup_epochs,
            warmup_steps,
            ..crate::testing::plan_of(
                "name = \"n\"\ndata = \"digits\"\n[[blocks]]\nlayer = \"dense\"\nout = \"classes\"\nrule = \"backprop\"",
            )
            .phases
            .remove(0)
        }
        };
        let of = |phase: &PhasePlan, b| phase_rate(phase, 0.5, &Moment::at_batch(b, 10, 20));
        let plain = with(0, 0);
        let epochs = with(5, 0);
        let steps = with(0, 25);
        for b in 0..200 {
            let by_epoch = match b / 10 {
                epoch @ 0..5 => 0.5 * (epoch + 1) as f64 / 5.0,
                _ => of(&plain, b),
            };
            let by_step = if b < 25 {
                0.5 * (b + 1) as f64 / 25.0
            } else {
                of(&plain, b)
            };
            assert!((of(&epochs, b) - by_epoch).abs() < 1e-15, "{b}");
            assert!((of(&steps, b) - by_step).abs() < 1e-15, "{b}");
        }
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
