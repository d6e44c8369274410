//! Which finished parts are the same in a longer run.

use super::*;
use crate::plan::{LocalRatePlan, SchedulePlan};
use crate::testing::plan_of;

fn phase(epochs: u64) -> PhasePlan {
    let text = "
        name = \"n\"
        data = \"digits\"
        [[blocks]]
        layer = \"dense\"
        out = \"classes\"
        rule = \"backprop\"
    ";
    let plan = plan_of(text);
    let phase = plan.phases.into_iter().next().unwrap();
    PhasePlan { epochs, ..phase }
}

fn began(phase: &PhasePlan, epochs: u64, epoch: u64, step: u64) -> Began<'_> {
    let position = Position {
        epoch,
        step,
        ..Position::default()
    };
    Began {
        phase,
        epochs,
        position,
    }
}

#[test]
fn schedules_are_asked_at_what_is_done_and_nowhere_else() {
    let with = |schedule, epochs| PhasePlan {
        schedule,
        ..phase(epochs)
    };
    let steps = SchedulePlan::Steps {
        epochs: vec![2, 5],
        gamma: 0.5,
    };
    let cosine = SchedulePlan::Cosine { floor: 0.0 };
    for (schedule, was, now, done, same) in [
        (SchedulePlan::Constant, 2, 9, 2, true),
        (steps, 4, 9, 4, true),
        // The first epoch has the full rate in any number of epochs.
        (cosine.clone(), 4, 9, 1, true),
        (cosine, 4, 9, 2, false),
        // No thresholds below 20 epochs, others from there on.
        (SchedulePlan::Softhebb, 10, 19, 10, true),
        (SchedulePlan::Softhebb, 10, 20, 10, true),
        (SchedulePlan::Softhebb, 12, 20, 12, false),
        (SchedulePlan::Softhebb, 50, 100, 11, false),
    ] {
        let phase = with(schedule.clone(), now);
        let found = rates(&began(&phase, was, done, 10 * done), 10);
        assert_eq!(
            found.is_none(),
            same,
            "{schedule:?} {was} {now} {done}: {found:?}"
        );
    }
}

#[test]
fn local_rates_are_asked_step_by_step() {
    let linear = LocalRatePlan::Linear { start: 0.1 };
    let exponential = LocalRatePlan::Exponential {
        start: 0.1,
        end: 0.0,
        speed: 1.0,
    };
    for (rate, steps, same) in [
        (exponential, 40, true),
        (linear.clone(), 10, true),
        (linear, 11, false),
    ] {
        let phase = PhasePlan {
            local_rate: Some(rate),
            drive: Drive::Local,
            ..phase(8)
        };
        let found = rates(&began(&phase, 4, steps / 10, steps), 10);
        assert_eq!(found.is_none(), same, "{found:?}");
    }
}

#[test]
fn an_evaluation_that_a_longer_run_would_not_have_had_is_named() {
    for (every, labels, was, epoch, same) in [
        (1, false, 3, 3, true),
        (2, false, 4, 4, true),
        (2, false, 3, 3, false),
        // In the middle of the phase nothing was the last.
        (2, false, 3, 2, true),
        (0, false, 3, 3, true),
        (0, true, 3, 3, false),
    ] {
        let phase = PhasePlan {
            evaluate_every: every,
            neuron_labels: labels,
            ..phase(9)
        };
        let found = evaluations(&began(&phase, was, epoch, 10 * epoch));
        assert_eq!(
            found.is_none(),
            same,
            "{every} {labels} {was} {epoch}: {found:?}"
        );
    }
}
