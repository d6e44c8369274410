//! What can be known before training, looked at before the first step: the rules' refusals, the
//! batches of every phase, losses against answers, and memory against what this machine has.
//! Nothing here makes a tensor of the network.

mod answers;
mod batches;
mod memory;
mod rates;

use candle_core::DType;

pub use memory::Need;

use super::baseline::{self, Segment};
use crate::data::feed::{Samples, TrainData};
use crate::device::memory::Room;
use crate::nn::outline::{Part, PartKind};
use crate::nn::{InputShape, Outline, RuleSource};
use crate::plan::{Drive, PhasePlan, Precision, RunPlan};
use crate::{Error, Result};

/// What is looked at.
pub struct Subject<'a> {
    /// The checked plan.
    pub plan: &'a RunPlan,
    /// Where rules come from.
    pub rules: &'a dyn RuleSource,
    /// Its data, opened.
    pub data: &'a TrainData,
    /// Bytes that the data sets take.
    pub data_bytes: u128,
    /// Memory there was before the data sets were opened, where the system tells.
    pub room: Option<Room>,
    /// Bytes free on the GPU, where the run is on one.
    pub gpu: Option<u64>,
}

impl Subject<'_> {
    fn dtype(&self) -> DType {
        match self.plan.dtype {
            Precision::F32 => DType::F32,
            Precision::F64 => DType::F64,
        }
    }
}

/// What was found where nothing is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Samples of each part: its name and how many.
    pub samples: Vec<(String, usize)>,
    /// Rule layers that were bound to their rules, baselines included.
    pub layers: usize,
    /// Phases, baselines included.
    pub phases: usize,
    /// Memory of the phase that takes most.
    pub need: Need,
    /// Memory there is.
    pub room: Option<Room>,
    /// What is allowed but a user should know.
    pub warnings: Vec<String>,
}

/// Looks at all of it.
///
/// # Errors
/// The first thing that would end the run later: a usage error, or a plugin's failure.
pub fn inspect(subject: &Subject<'_>) -> Result<Report> {
    let (plan, data) = (subject.plan, subject.data);
    let segments = baseline::segments(plan);
    let outlined = outlines(subject, &segments)?;
    for (segment, outline) in &outlined {
        answers::check(plan, segment, outline, data).map_err(|e| within(e, segment))?;
        batches::check(plan, segment, outline, data).map_err(|e| within(e, segment))?;
    }
    let need = memory::need(subject, &outlined)?;
    need.check(subject)?;
    let mut warnings = Vec::new();
    // Baselines are trained as the plan says, with the same rates.
    if let Some((network, outline)) = outlined.first() {
        warnings = rates::warnings(network, outline, data)?;
    }
    let is_layer = |part: &&Part| matches!(part.kind, PartKind::Layer { .. });
    let layers = outlined.iter().flat_map(|(_, o)| &o.parts).filter(is_layer);
    Ok(Report {
        samples: samples(data),
        layers: layers.count(),
        phases: segments.iter().map(|s| s.phases.len()).sum(),
        need,
        room: subject.room.clone(),
        warnings,
    })
}

/// Looks at memory alone, before a network is evaluated.
///
/// # Errors
/// A usage error where there is not enough, or a plugin's failure.
pub fn fits(subject: &Subject<'_>) -> Result<()> {
    let segments = baseline::segments(subject.plan);
    let network = &segments[..segments.len().min(1)];
    memory::need(subject, &outlines(subject, network)?)?.check(subject)
}

/// Each segment with what its network will hold.
fn outlines<'a>(
    subject: &Subject<'_>,
    segments: &'a [Segment],
) -> Result<Vec<(&'a Segment, Outline)>> {
    let data = subject.data;
    let input = InputShape {
        dims: data.train.dims(),
        outputs: data.train.outputs(),
    };
    segments
        .iter()
        .map(|segment| {
            let outline = Outline::of(&segment.blocks, &input, subject.rules, subject.dtype())
                .map_err(|e| within(e, segment))?;
            Ok((segment, outline))
        })
        .collect()
}

/// Names the baseline that an error belongs to; the network itself goes without saying.
fn within(e: Error, segment: &Segment) -> Error {
    match segment.name.as_str() {
        "network" => e,
        name => e.within(format_args!("baseline `{name}`")),
    }
}

fn samples(data: &TrainData) -> Vec<(String, usize)> {
    let mut all = vec![("train".to_owned(), data.train.len())];
    let validation = data.validation.iter();
    all.extend(validation.map(|v| ("validation".to_owned(), v.len())));
    all.push(("test".to_owned(), data.test.len()));
    let extra = data.extra.iter();
    all.extend(extra.map(|(name, set)| (format!("`extra_data.{name}`"), set.len())));
    all
}

/// The set that a phase calls `name`.
fn set<'a>(data: &'a TrainData, name: &str) -> Result<&'a dyn Samples> {
    match name {
        "train" => Ok(&*data.train),
        _ => data.extra.get(name).map(|s| &**s).ok_or_else(|| {
            Error::usage(format!("no data set `{name}` for a phase"))
                .hint("`train`, or a name under `extra_data`")
        }),
    }
}

/// What is evaluated between epochs.
fn held_out(data: &TrainData) -> (&'static str, &dyn Samples) {
    match &data.validation {
        Some(validation) => ("validation", &**validation),
        None => ("test", &*data.test),
    }
}

/// Whether `part` changes in a step of `phase`.
fn learns(part: &Part, phase: &PhasePlan) -> bool {
    let by_loss = phase.drive != Drive::Local;
    part.is_listed(&phase.blocks)
        && match &part.kind {
            PartKind::Transform => false,
            PartKind::Norm => true,
            PartKind::Layer {
                local,
                error_driven,
                ..
            } => {
                (*local && (*error_driven || phase.drive != Drive::Gradient))
                    || (*error_driven && by_loss)
            }
        }
}

impl Report {
    /// What was looked at, in words, for `--dry-run`: no more than that is claimed.
    #[must_use]
    pub fn looked_at(&self) -> String {
        let samples: Vec<String> = self
            .samples
            .iter()
            .map(|(name, n)| format!("{name} {n}"))
            .collect();
        format!(
            "configuration; data, read to the end ({} samples); rules bound to {} layers; shapes; \
             batches and losses of {} phases; memory",
            samples.join(", "),
            self.layers,
            self.phases
        )
    }
}
