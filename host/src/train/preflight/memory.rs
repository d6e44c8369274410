//! What a run takes at least, from the shapes alone: data sets, weights and rule state (the
//! rules' own lists), optimiser, activations of a step, cached features, loader, checkpoint.
//! Scratch space of kernels is not counted, so a run that is not refused may still be too large;
//! one that is refused cannot run.

use super::subject::{Subject, held_out, learns};
use crate::data::feed::Samples;
use crate::nn::Outline;
use crate::nn::outline::{Part, PartKind, elements};
use crate::nn::rule::Role;
use crate::plan::{CachePrecision, Drive, OptimizerPlan, PhasePlan};
use crate::text::human;
use crate::train::baseline::Segment;
use crate::train::cache::FILL_BATCH;
use crate::train::evaluate::EVALUATION_BATCH;
use crate::{Error, Result};

/// Memory of a run when it takes most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// What takes it.
    pub rows: Vec<Row>,
    /// The block that takes most, and how much, all its tensors together.
    pub largest: Option<(String, u128)>,
    /// The phase in which it is so.
    pub phase: String,
}

/// One use of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What for.
    pub what: &'static str,
    /// How much.
    pub bytes: u128,
    /// On the device of the network, which may be a GPU; else in the machine's memory.
    pub on_device: bool,
    /// Settings that decide it.
    pub settings: &'static str,
}

impl Need {
    /// Bytes in all.
    #[must_use]
    pub fn total(&self) -> u128 {
        sum(self.rows.iter())
    }

    /// Refuses what does not fit.
    ///
    /// # Errors
    /// A usage error with what is needed, what there is, and what takes most.
    pub(super) fn check(&self, subject: &Subject<'_>) -> Result<()> {
        let (gpu, here): (Vec<&Row>, Vec<&Row>) = match subject.gpu {
            Some(_) => self.rows.iter().partition(|row| row.on_device),
            None => (Vec::new(), self.rows.iter().collect()),
        };
        if let Some(free) = subject.gpu {
            self.fits(&gpu, free.into(), "free on the GPU")?;
        }
        match &subject.room {
            Some(room) => self.fits(&here, room.bytes.into(), room.by),
            None => self.fits(&here, isize::MAX as u128, "what can be addressed"),
        }
    }

    fn fits(&self, rows: &[&Row], room: u128, by: &str) -> Result<()> {
        let needed = sum(rows.iter().copied());
        if needed <= room {
            return Ok(());
        }
        let most = rows.iter().max_by_key(|row| row.bytes);
        let block = self.largest.as_ref();
        let block = block.filter(|_| most.is_some_and(|row| row.settings == BLOCK));
        let (largest, hint) = match (block, most) {
            (Some((name, bytes)), _) => (
                format!("block `{name}` takes {}", human(*bytes)),
                format!("make block `{name}` smaller, or `batch`"),
            ),
            (None, Some(row)) => (
                format!("{} take {}", row.what, human(row.bytes)),
                format!("lower {}", row.settings),
            ),
            (None, None) => (String::new(), String::new()),
        };
        Err(Error::usage(format!(
            "`phases.{}` needs at least {} of memory, there is {} ({by}); {largest}",
            self.phase,
            human(needed),
            human(room)
        ))
        .hint(hint))
    }
}

/// Rows whose size the blocks decide.
const BLOCK: &str = "the size of blocks, or `batch`";

fn sum<'a>(rows: impl Iterator<Item = &'a Row>) -> u128 {
    rows.map(|row| row.bytes).fold(0, u128::saturating_add)
}

/// The need of the phase that takes most, over all `segments`.
///
/// # Errors
/// A data set that is not there.
pub(super) fn need(subject: &Subject<'_>, segments: &[(&Segment, Outline)]) -> Result<Need> {
    let number = subject.dtype().size_in_bytes() as u128;
    let mut most = Need::default();
    let mut carried = 0;
    for (segment, outline) in segments {
        let held = times(held(&outline.parts, |_| true), number);
        for (index, phase) in segment.phases.iter().enumerate() {
            let one = Phase {
                subject,
                segment,
                outline,
                phase,
                index,
                number,
                carried,
            }
            .need()?;
            if most.rows.is_empty() || one.total() > most.total() {
                most = one;
            }
        }
        // The finished network stays for the checkpoints of its baselines.
        if carried == 0 {
            carried = held;
        }
    }
    Ok(most)
}

/// A phase, and what is known around it.
struct Phase<'a> {
    subject: &'a Subject<'a>,
    segment: &'a Segment,
    outline: &'a Outline,
    phase: &'a PhasePlan,
    index: usize,
    /// Bytes of a number of the network.
    number: u128,
    /// Bytes of the network that was finished before.
    carried: u128,
}

impl Phase<'_> {
    fn need(&self) -> Result<Need> {
        let subject = self.subject;
        let samples = subject.data.get(&self.phase.data)?;
        let first = self.first();
        let cached = self.is_cached(samples, first);
        let state = times(held(&self.outline.parts, |_| true), self.number);
        let moments = times(
            self.trained(&self.outline.parts),
            self.number * self.moments(),
        );
        let gradients = times(self.trained(&self.outline.parts), self.number);
        let row = |what, bytes, on_device, settings| Row {
            what,
            bytes,
            on_device,
            settings,
        };
        // Drawn in f64 before it has the type of the network.
        let parts = self.outline.parts.iter();
        let shapes = parts.flat_map(|part| &part.state);
        let drawn = shapes.map(|s| times(elements(&s.shape), 8)).max();
        let activations = self.activations(samples.len(), first);
        let step = gradients.saturating_add(activations);
        let checkpoint = state
            .saturating_add(moments)
            .saturating_add(self.carried)
            .saturating_mul(2);
        let passing = drawn.unwrap_or(0).max(step).max(checkpoint);
        // They come one after the other.
        let passing = match passing {
            most if most == step => row("gradients and activations", step, true, BLOCK),
            most if most == checkpoint => row("a checkpoint", checkpoint, false, BLOCK),
            most => row("initial values", most, false, BLOCK),
        };
        let rows = vec![
            row(
                "data sets",
                subject.data_bytes,
                false,
                "`data.limit_train`, or take a smaller set",
            ),
            row(
                "weights and rule state",
                state.saturating_add(self.carried),
                true,
                BLOCK,
            ),
            row("the optimiser's moments", moments, true, BLOCK),
            passing,
            row(
                "cached features",
                self.features(samples, first, cached),
                false,
                "`cache.memory_limit`, or set `cache = false`",
            ),
            row(
                "batches of the loader",
                if cached { 0 } else { self.loader(samples) },
                false,
                "`data.prefetch`, `data.threads` or `batch`",
            ),
        ];
        Ok(Need {
            rows,
            largest: self.largest(samples.len(), first),
            phase: self.phase.name.clone(),
        })
    }

    /// Numbers in the tensors that the optimiser changes.
    fn trained(&self, parts: &[Part]) -> u128 {
        if self.phase.drive == Drive::Local {
            return 0;
        }
        let learning: Vec<Part> = parts
            .iter()
            .filter(|part| learns(part, self.phase))
            .cloned()
            .collect();
        held(&learning, Role::is_trained)
    }

    /// Moments of each number that the optimiser changes, at least.
    fn moments(&self) -> u128 {
        let moments = |plan: &OptimizerPlan| match plan {
            OptimizerPlan::Sgd { momentum, .. } => u128::from(*momentum != 0.0),
            OptimizerPlan::Adam { .. } => 2,
        };
        let groups = self.phase.groups.iter().map(|g| &g.optimizer);
        let all = groups.chain([&self.phase.optimizer]);
        all.map(moments).min().unwrap_or(0)
    }

    /// The first block that changes: what stands before it is frozen.
    fn first(&self) -> usize {
        let eval_updates = |part: &&Part| {
            matches!(
                part.kind,
                PartKind::Layer {
                    in_evaluation: true,
                    ..
                }
            )
        };
        let mut parts = self.outline.parts.iter();
        parts
            .find(|part| learns(part, self.phase) || eval_updates(part))
            .map_or(self.segment.blocks.len(), |part| part.block)
    }

    /// As the trainer decides it.
    fn is_cached(&self, samples: &dyn Samples, first: usize) -> bool {
        let augmented = |p: &PhasePlan| p.augment && samples.augments();
        let phase = self.phase;
        if !phase.cache.enabled || first == 0 || augmented(phase) {
            return false;
        }
        let mut later = self.segment.phases[self.index + 1..].iter();
        phase.epochs != 1 || later.any(|p| p.data == phase.data && p.cache.enabled && !augmented(p))
    }

    /// Bytes of the features that are in memory, of the samples to learn from and of those held
    /// out; past the limit they are in a file.
    fn features(&self, samples: &dyn Samples, first: usize, cached: bool) -> u128 {
        let phase = self.phase;
        let each = match phase.cache.store {
            CachePrecision::Bf16 if self.number == 4 => 2,
            _ => self.number,
        };
        let before = self.outline.parts.iter().rfind(|part| part.block < first);
        let Some(width) = before.map(Part::outputs) else {
            return 0;
        };
        let of = |samples: usize| {
            let bytes = times(times(samples as u128, width), each);
            if bytes > u128::from(phase.cache.memory_limit) {
                0
            } else {
                bytes
            }
        };
        let every = phase.evaluate_every;
        let repeats = every > 0 && (phase.epochs == 0 || phase.epochs / every > 1);
        let learned = if cached { of(samples.len()) } else { 0 };
        let scored = if phase.cache.enabled && first > 0 && repeats {
            of(held_out(self.subject.data).1.len())
        } else {
            0
        };
        learned.saturating_add(scored)
    }

    /// Bytes of the batches that are prepared ahead.
    fn loader(&self, samples: &dyn Samples) -> u128 {
        let Some(plan) = self.subject.plan.data_of(&self.phase.data) else {
            return 0;
        };
        let batch = self.phase.batch.min(samples.len()) as u128;
        let one = times(times(batch, elements(&samples.dims())), 4);
        let ahead = times(
            plan.threads as u128,
            (plan.prefetch as u128).saturating_add(1),
        );
        times(one, ahead.max(1))
    }

    /// Bytes of the activations that are there at the same time.
    fn activations(&self, samples: usize, first: usize) -> u128 {
        let input = elements(&self.subject.data.train.dims());
        let batch = self.phase.batch.min(samples) as u128;
        let all = &self.outline.parts;
        let frozen = all.iter().position(|part| part.block >= first);
        let (frozen, active) = all.split_at(frozen.unwrap_or(all.len()));
        let step = if self.phase.drive == Drive::Local {
            passing(input, active)
        } else {
            // Kept for the backward pass, and the error at the widest place.
            let kept = active.iter().filter(|part| !part.repeated);
            let kept = kept.map(Part::outputs);
            let widest = active.iter().map(Part::outputs).max().unwrap_or(0);
            kept.fold(input, u128::saturating_add)
                .saturating_add(times(widest, 2))
        };
        // A padded sample for each thread.
        let copies = all.iter().map(|part| part.copy).max().unwrap_or(0);
        let threads = rayon::current_num_threads() as u128;
        let copies = times(times(copies, threads.min(batch)), self.number);
        let many = |numbers, count: usize, of: u128| {
            times(times(numbers, of.min(count as u128)), self.number)
        };
        let test = self.subject.data.test.len();
        times(times(step, batch), self.number)
            .max(many(passing(input, frozen), samples, FILL_BATCH as u128))
            .max(many(passing(input, all), test, EVALUATION_BATCH as u128))
            .saturating_add(copies)
    }

    /// The block that takes most.
    fn largest(&self, samples: usize, first: usize) -> Option<(String, u128)> {
        let batch = self.phase.batch.min(samples) as u128;
        let blocks = self.segment.blocks.iter().enumerate();
        blocks
            .map(|(index, block)| {
                let all = self.outline.parts.iter();
                let own: Vec<Part> = all.filter(|p| p.block == index).cloned().collect();
                let state = held(&own, |_| true);
                let trained = times(self.trained(&own), self.moments() + 1);
                let kept = match self.phase.drive {
                    Drive::Local => passing(0, &own),
                    _ if index < first => passing(0, &own),
                    _ => {
                        let kept = own.iter().filter(|part| !part.repeated);
                        kept.map(Part::outputs).fold(0, u128::saturating_add)
                    }
                };
                let numbers = state
                    .saturating_add(trained)
                    .saturating_add(times(kept, batch));
                (block.name.clone(), times(numbers, self.number))
            })
            .max_by_key(|(_, bytes)| *bytes)
    }
}

/// Numbers of a sample that are there while it passes `parts`: the input and the output of the
/// widest of them.
fn passing(input: u128, parts: &[Part]) -> u128 {
    let mut before = input;
    let mut most = input;
    for part in parts {
        let after = part.outputs();
        most = most.max(before.saturating_add(after));
        before = after;
    }
    most
}

fn held(parts: &[Part], count: impl Fn(Role) -> bool + Copy) -> u128 {
    let parts = parts.iter();
    parts
        .map(|part| part.held(count))
        .fold(0, u128::saturating_add)
}

fn times(a: u128, b: u128) -> u128 {
    a.saturating_mul(b)
}
