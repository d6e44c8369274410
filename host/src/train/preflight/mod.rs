//! What can be known before training, looked at before the first step: the rules' refusals, the
//! batches of every phase, losses against answers, and memory against what this machine has.
//! Nothing here makes a tensor of the network.

mod answers;
mod batches;
mod memory;
mod rates;
mod subject;

pub use memory::Need;
pub use subject::Subject;

use super::baseline::{self, Segment};
use crate::data::feed::TrainData;
use crate::device::memory::Room;
use crate::nn::outline::{Part, PartKind};
use crate::nn::{InputShape, Outline};
use crate::{Error, Result};

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
    let parts = data.parts.iter();
    all.extend(parts.map(|(name, set)| (format!("`data.parts.{name}`"), set.len())));
    let extra = data.extra.iter();
    all.extend(extra.map(|(name, set)| (format!("`extra_data.{name}`"), set.len())));
    all
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
