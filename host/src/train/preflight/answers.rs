//! Losses against what the data sets have as answers, and the width of the output against both.

use super::subject::held_out;
use crate::data::Answers;
use crate::data::feed::Samples;
use crate::data::feed::TrainData;
use crate::nn::Outline;
use crate::nn::outline::elements;
use crate::plan::{Drive, Loss, MapPlan, PhasePlan, RunPlan};
use crate::train::baseline::Segment;
use crate::{Error, Result};

/// Checks every set that a phase of `segment` is scored on, in training and in evaluation.
///
/// # Errors
/// A usage error that names the phase.
pub(super) fn check(
    plan: &RunPlan,
    segment: &Segment,
    outline: &Outline,
    data: &TrainData,
) -> Result<()> {
    let last = outline.parts.last();
    let width = last.map_or_else(|| data.train.dims(), |part| part.output.clone());
    let width = usize::try_from(elements(&width)).unwrap_or(usize::MAX);
    for phase in &segment.phases {
        let set = data.get(&phase.data)?;
        if (phase.drive != Drive::Local || phase.neuron_labels) && set.lacks_answers() {
            return Err(Error::usage(format!(
                "`phases.{}` learns from labels, and some samples of `{}` have none",
                phase.name, phase.data
            ))
            .hint("samples without labels are for phases of local rules (`stl10`: `data.options.split`)"));
        }
        if phase.drive != Drive::Local {
            scored(
                phase,
                "the samples it learns from",
                data.get(&phase.data)?,
                width,
            )?;
        }
        let aligned = plan.output.alignment_every > 0 && phase.drive != Drive::Local;
        if phase.evaluate_every > 0 || aligned {
            scored(phase, held_out(data).0, held_out(data).1, width)?;
        }
        neurons(segment, phase, data)?;
    }
    match segment.result_phase() {
        Some(phase) => scored(phase, "test", &*data.test, width),
        None => Ok(()),
    }
}

/// Whether the loss of `phase` can be taken of `width` outputs and the answers of `samples`.
fn scored(phase: &PhasePlan, part: &str, samples: &dyn Samples, width: usize) -> Result<()> {
    let path = format!("phases.{}", phase.name);
    if !samples.classes() {
        if phase.loss_on(false) == Loss::CrossEntropy {
            return Err(Error::usage(format!(
                "`{path}.loss` is `cross-entropy`, which needs classes, and the answers ({part}) are {} values to regress",
                samples.outputs()
            ))
            .hint("set `loss = \"mse\"` in the phase (`training.gradient.loss`)"));
        }
        if samples.outputs() != width {
            return Err(misfit(
                &path,
                part,
                width,
                samples.outputs(),
                "target values",
            ));
        }
        return Ok(());
    }
    // A narrower network can still be scored where all labels lie below its width.
    if width < samples.outputs() {
        let needed = labels(samples)?;
        if width < needed {
            return Err(misfit(&path, part, width, needed, "classes"));
        }
    }
    Ok(())
}

/// Classes up to the largest label that occurs.
fn labels(samples: &dyn Samples) -> Result<usize> {
    let all: Vec<u32> = (0..samples.len() as u32).collect();
    let Answers::Classes(labels) = samples.answers(&all)? else {
        return Ok(0);
    };
    let largest = labels.to_vec1::<u32>()?.into_iter().max();
    Ok(largest.map_or(0, |label| label as usize + 1))
}

fn misfit(path: &str, part: &str, width: usize, needed: usize, what: &str) -> Error {
    Error::usage(format!(
        "`{path}`: the network gives {width} values, scoring its answers ({part}) needs {needed}, one for each of the {what}"
    ))
    .hint("end with a dense block of `out = \"classes\"`")
}

/// Units are labelled by classes.
fn neurons(segment: &Segment, phase: &PhasePlan, data: &TrainData) -> Result<()> {
    if !phase.neuron_labels || phase.drive != Drive::Local {
        return Ok(());
    }
    let mut blocks = segment.blocks.iter().rev();
    let last = blocks.find(|b| phase.blocks.contains(&b.name));
    let dense = last
        .and_then(|b| b.layer.as_ref())
        .is_some_and(|layer| layer.map == MapPlan::Dense);
    let sets = [data.get(&phase.data)?, held_out(data).1];
    if dense && sets.iter().any(|set| !set.classes()) {
        return Err(Error::usage(format!(
            "`phases.{}.neuron_labels` needs classes, and this data set has values to regress",
            phase.name
        ))
        .hint("remove `neuron_labels` from the phase"));
    }
    Ok(())
}
