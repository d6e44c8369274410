//! The batches that each phase will have: at least one, and none with fewer samples than what
//! learns in the phase can take. Samples and batch sizes are known, so the last batch of an
//! epoch is known too.

use super::subject::{held_out, learns};
use crate::data::feed::EpochSpec;
use crate::data::feed::TrainData;
use crate::nn::Outline;
use crate::nn::outline::{Part, PartKind};
use crate::plan::{Drive, PhasePlan, RunPlan};
use crate::train::alignment::ALIGNMENT_BATCH;
use crate::train::baseline::Segment;
use crate::train::baseline::{SETTLING_STEPS, settling_batch};
use crate::{Error, Result};

/// Checks the phases of `segment`, and what else runs in training mode.
///
/// # Errors
/// A usage error that names the phase, its samples and its batch.
pub(super) fn check(
    plan: &RunPlan,
    segment: &Segment,
    outline: &Outline,
    data: &TrainData,
) -> Result<()> {
    if segment.settle {
        let local = plan.phases.iter().filter(|p| p.drive == Drive::Local);
        for phase in local {
            settling(phase, outline, data.get(&phase.data)?.len())?;
        }
    }
    for phase in &segment.phases {
        let samples = data.get(&phase.data)?.len();
        let smallest = some_batch(phase, samples)?;
        let demanding = neediest(outline, |part| learns(part, phase));
        if let Some(part) = demanding.filter(|part| part.least_batch > smallest) {
            return Err(too_small(phase, part, samples, smallest));
        }
        aligned(plan, phase, outline, data)?;
    }
    Ok(())
}

/// The smallest batch of an epoch.
fn some_batch(phase: &PhasePlan, samples: usize) -> Result<usize> {
    smallest(samples, phase.batch, phase.drop_last).ok_or_else(|| {
        Error::usage(format!(
            "`phases.{}`: {samples} samples give no batch of {} with `drop_last = true`",
            phase.name, phase.batch
        ))
        .hint("lower `batch`, take more samples, or set `drop_last = false`")
    })
}

/// The smallest of the batches of `batch` samples that an epoch over `samples` has.
fn smallest(samples: usize, batch: usize, drop_last: bool) -> Option<usize> {
    let spec = EpochSpec {
        seed: 0,
        epoch: 0,
        batch,
        shuffle: false,
        drop_last,
        augment: false,
        start: 0,
    };
    let last = spec.steps(samples).checked_sub(1)?;
    Some(spec.range(last, samples).len())
}

/// The part that needs the largest batch, of those that `counts`.
fn neediest(outline: &Outline, counts: impl Fn(&Part) -> bool) -> Option<&Part> {
    let counted = outline.parts.iter().filter(|part| counts(part));
    // The first of several, as a reader of the plan meets them.
    counted.rev().max_by_key(|part| part.least_batch)
}

/// Whether `part` is a normalisation that takes the statistics of a batch in `phase`.
fn norm(part: &Part, phase: &PhasePlan) -> bool {
    part.kind == PartKind::Norm && part.is_listed(&phase.blocks)
}

/// What a part is, and why it cannot take a smaller batch.
fn why(part: &Part) -> String {
    let name = part.names.join(".");
    let least = part.least_batch;
    match &part.kind {
        PartKind::Layer { rule, .. } => {
            format!("rule `{rule}` of block `{name}` needs {least} or more to learn from")
        }
        _ => format!(
            "the batch normalisation of block `{name}` needs {least} or more for a variance"
        ),
    }
}

fn too_small(phase: &PhasePlan, part: &Part, samples: usize, found: usize) -> Error {
    let (name, batch) = (&phase.name, phase.batch);
    let why = why(part);
    if found == batch || found == samples {
        let text = format!(
            "`phases.{name}`: {samples} samples in batches of {batch} give batches of {found}, and {why}"
        );
        return Error::usage(text).hint(
            "take larger batches, and `drop_last = true` where the last one stays too small",
        );
    }
    Error::usage(format!(
        "`phases.{name}`: {samples} samples in batches of {batch} leave a last batch of {found}, and {why}"
    ))
    .hint("set `drop_last = true` in the phase, or choose a `batch` that leaves no such rest")
}

/// A baseline's running statistics are settled on batches of its own.
fn settling(phase: &PhasePlan, outline: &Outline, samples: usize) -> Result<()> {
    let batch = settling_batch(phase, samples);
    let Some(part) = neediest(outline, |part| norm(part, phase)) else {
        return Ok(());
    };
    let steps = samples.div_ceil(batch.max(1)) as u64;
    let seen = match steps <= SETTLING_STEPS {
        true => smallest(samples, batch, phase.drop_last),
        false => Some(batch),
    };
    match seen {
        Some(found) if found < part.least_batch => Err(Error::usage(format!(
            "statistics settle on batches of {batch} of the {samples} samples of `phases.{}`, the last has {found}, and {}",
            phase.name,
            why(part)
        ))
        .hint("set `drop_last = true` in the phase, or take another number of samples")),
        _ => Ok(()),
    }
}

/// Alignment is measured in training mode, on one held-out batch; rules do not learn in it.
fn aligned(plan: &RunPlan, phase: &PhasePlan, outline: &Outline, data: &TrainData) -> Result<()> {
    if plan.output.alignment_every == 0 || phase.drive == Drive::Local {
        return Ok(());
    }
    let (name, samples) = held_out(data);
    let batch = samples.len().min(ALIGNMENT_BATCH);
    match neediest(outline, |part| norm(part, phase)) {
        Some(part) if part.least_batch > batch => Err(Error::usage(format!(
            "`output.alignment_every`: the {name} part has {batch} samples, and {}",
            why(part)
        ))
        .hint("hold more samples out, or set `alignment_every = 0`")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_batch_is_that_of_the_epoch() {
        for samples in 1..40 {
            for batch in 1..12 {
                for drop_last in [false, true] {
                    let order: Vec<usize> = (0..samples).collect();
                    let chunks = order.chunks(batch);
                    let kept = chunks.filter(|c| !drop_last || c.len() == batch);
                    let expected = kept.map(<[usize]>::len).min();
                    assert_eq!(smallest(samples, batch, drop_last), expected);
                }
            }
        }
    }
}
