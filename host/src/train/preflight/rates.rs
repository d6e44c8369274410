//! Rates that are 0 in every batch: a phase that changes nothing is a wish that does nothing.

use super::subject::learns;
use crate::Result;
use crate::data::feed::TrainData;
use crate::nn::Outline;
use crate::nn::outline::PartKind;
use crate::plan::{
    Drive, LocalRatePlan, Moment, OptimizerPlan, ParamValue, PhasePlan, SchedulePlan,
};
use crate::plan::{LayerPlan, every_block};
use crate::train::baseline::Segment;
use crate::train::schedule;

/// Batches that are looked at one by one, and as many more, spread over the rest.
const LOOKED_AT: u64 = 1000;

/// Says of each phase of `segment` whose rate is 0 throughout.
///
/// # Errors
/// A set that is not there.
pub(super) fn warnings(
    segment: &Segment,
    outline: &Outline,
    data: &TrainData,
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for phase in &segment.phases {
        let samples = data.get(&phase.data)?.len();
        let steps = crate::data::feed::steps(samples, phase.batch, phase.drop_last);
        let learning = || outline.parts.iter().filter(|part| learns(part, phase));
        let kinds = || learning().map(|part| &part.kind);
        let by_loss = |kind: &PartKind| match kind {
            PartKind::Layer { error_driven, .. } => *error_driven,
            PartKind::Norm | PartKind::Transform => false,
        };
        if phase.drive != Drive::Local && kinds().any(by_loss) && is_still(phase, steps) {
            found.push(format!(
                "`phases.{}`: the rate of the optimiser is 0 in every batch{}: nothing learns from the loss",
                phase.name,
                match phase.schedule {
                    SchedulePlan::Constant => String::new(),
                    _ => " (`optimizer.lr` times `schedule`)".to_owned(),
                }
            ));
        }
        let local = |kind: &PartKind| matches!(kind, PartKind::Layer { local: true, .. });
        if !kinds().any(local) {
            continue;
        }
        match &phase.local_rate {
            Some(plan) if is_zero(phase, steps, |at| local_rate(plan, at)) => found.push(format!(
                "`phases.{}.local_rate` is 0 in every batch: no local rule learns",
                phase.name
            )),
            Some(_) => {}
            None => {
                for part in learning().filter(|part| local(&part.kind)) {
                    let name = part.names.last().map_or("", String::as_str);
                    let blocks = every_block(&segment.blocks);
                    let layer = blocks.iter().find(|block| block.name == name);
                    if layer
                        .and_then(|b| b.layer.as_ref())
                        .is_some_and(has_no_rate)
                    {
                        found.push(format!(
                            "`blocks.{name}.rule.lr` is 0, and phase `{}` sets no `local_rate`: its rule does not learn",
                            phase.name
                        ));
                    }
                }
            }
        }
    }
    Ok(found)
}

fn has_no_rate(layer: &LayerPlan) -> bool {
    match layer.params.get("lr") {
        Some(ParamValue::Float(lr)) => *lr == 0.0,
        Some(ParamValue::Int(lr)) => *lr == 0,
        _ => false,
    }
}

fn is_still(phase: &PhasePlan, steps: u64) -> bool {
    let (OptimizerPlan::Sgd { lr, .. } | OptimizerPlan::Adam { lr, .. }) = &phase.optimizer;
    is_zero(phase, steps, |at| schedule::rate(&phase.schedule, *lr, at))
}

fn local_rate(plan: &LocalRatePlan, at: &Moment) -> f64 {
    schedule::local_rate(plan, at.b, at.steps, at.epochs)
}

/// Whether `rate` is 0 wherever it is looked at.
fn is_zero(phase: &PhasePlan, steps: u64, rate: impl Fn(&Moment) -> f64) -> bool {
    let epochs = match phase.epochs {
        0 => LOOKED_AT,
        epochs => epochs,
    };
    let batches = epochs.saturating_mul(steps);
    let stride = (batches / LOOKED_AT).max(1) as usize;
    let spread = (0..batches).step_by(stride);
    let mut looked_at = (0..batches.min(LOOKED_AT)).chain(spread);
    looked_at.all(|b| rate(&Moment::at_batch(b, steps, phase.epochs)) == 0.0)
}
