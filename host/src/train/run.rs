//! A run: the network through its phases, then the baselines, each a segment
//! with its own network; checkpoints in between and the way back into them.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::baseline::{self, Segment};
use super::cache::FeatureCache;
use super::evaluate::{Place, SavedScores, Scores, evaluate};
use super::phase::Flow;
use super::progress::Progress;
use super::restless::{self, Warning};
use super::sets::Sets;
use super::source::{Samples, TrainData, steps};
use super::state::{Checkpoint, Position, Saved};
use crate::device::budget::Budget;
use crate::nn::build::Placement;
use crate::nn::{InputShape, Network, RuleSource};
use crate::plan::rates;
use crate::plan::{Loss, Precision, RunPlan};
use crate::threads::in_pool;
use crate::{Error, ExitCode, Result};

/// Everything a run needs.
pub struct Job<'a> {
    /// The checked plan.
    pub plan: &'a RunPlan,
    /// One of its seeds.
    pub seed: u64,
    /// Where rules come from.
    pub rules: &'a dyn RuleSource,
    /// What is learned from.
    pub data: &'a TrainData,
    /// The device that `plan.device` stands for.
    pub device: Device,
}

/// How a segment ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentResult {
    /// `network`, or the baseline's name.
    pub segment: String,
    /// On the test set.
    scores: SavedScores,
}

impl SegmentResult {
    /// Scores on the test set.
    pub fn scores(&self) -> Scores {
        self.scores.into()
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Stopped on request after a checkpoint; not all is done.
    pub stopped: bool,
    /// Results of the segments that are done, the network first.
    pub results: Vec<SegmentResult>,
}

/// One segment under way.
pub(super) struct Trainer<'a> {
    pub(super) plan: &'a RunPlan,
    pub(super) seed: u64,
    pub(super) data: &'a Sets<'a>,
    pub(super) place: Place,
    pub(super) segment: &'a Segment,
    pub(super) network: Network,
    pub(super) cache: FeatureCache,
    pub(super) position: Position,
    pub(super) best: Option<f64>,
    pub(super) last_scores: Option<Scores>,
    /// Tensors of the finished network, while a baseline runs.
    pub(super) carried: Vec<(String, Tensor)>,
    pub(super) results: Vec<SegmentResult>,
}

/// What a checkpoint gives back, while its phase opens.
pub(super) struct Resume {
    pub(super) saved: Saved,
    pub(super) tensors: HashMap<String, Tensor>,
}

/// Carries out the plan, from the start or from a checkpoint.
///
/// # Errors
/// Everything that can go wrong in plan, data, rules and files; divergence as
/// [`crate::ExitCode::Diverged`] with the block named.
pub fn run(
    job: &Job<'_>,
    progress: &mut dyn Progress,
    resume: Option<Checkpoint>,
) -> Result<Outcome> {
    let segments = baseline::segments(job.plan);
    let mut place = place(job)?;
    place.stop = progress.stop_flag();
    let sets = Sets::new(job.data, &place)?;
    for phase in segments.iter().flat_map(|segment| &segment.phases) {
        let samples = sets.get(&phase.data)?.len();
        rates::formulas_at_every_batch(phase, steps(samples, phase.batch, phase.drop_last))?;
    }
    let mut resume = resume
        .map(|c| {
            Ok::<_, Error>(Resume {
                saved: Saved::read(&c.state, job.seed)?,
                tensors: c.tensors,
            })
        })
        .transpose()?;
    let saved = resume.as_ref().map(|r| &r.saved);
    let mut position = saved.map(|s| s.position).unwrap_or_default();
    let mut results = saved.map(|s| s.results.clone()).unwrap_or_default();
    let mut carried = match &resume {
        Some(r) if position.segment > 0 => finished(&r.tensors),
        _ => Vec::new(),
    };
    let mut warned = false;
    while let Some(segment) = segments.get(position.segment) {
        let mut trainer = open(job, &sets, &place, segment, (position, resume.as_ref()))?;
        if let Some(w) = restless::warning(&trainer.network).filter(|_| !warned) {
            progress.warn(w.code, &w.text, Some(&w.hint));
            warned = true;
        }
        if let (None, 0, Some(init)) = (&resume, position.segment, &job.plan.init) {
            let taken = super::init::apply(&trainer.network, &segment.blocks, init)?;
            progress.initialised(&taken)?;
        }
        trainer.carried = std::mem::take(&mut carried);
        trainer.results = results;
        let from = resume.take().filter(|_| !position.is_segment_start());
        let flow = match in_pool(|| trainer.run(from, progress)) {
            // Left between two batches of a loop in which nothing learns.
            Err(e) if e.code == ExitCode::Stopped => Flow::Stopped,
            flow => flow?,
        };
        if let Flow::Stopped = flow {
            return Ok(Outcome {
                stopped: true,
                results: trainer.results,
            });
        }
        position = position.next_segment();
        carried = match trainer.carried {
            none if none.is_empty() => named(&trainer.network, ""),
            kept => kept,
        };
        results = trainer.results;
    }
    Ok(Outcome {
        stopped: false,
        results,
    })
}

/// Tensors of the finished network in a checkpoint, in a fixed order.
fn finished(tensors: &HashMap<String, Tensor>) -> Vec<(String, Tensor)> {
    let mut out: Vec<_> = tensors
        .iter()
        .filter(|(name, _)| name.starts_with("blocks."))
        .map(|(name, t)| (name.clone(), t.clone()))
        .collect();
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

/// Tensors of a network under checkpoint names.
pub(super) fn named(network: &Network, prefix: &str) -> Vec<(String, Tensor)> {
    let tensors = network.tensors().into_iter();
    tensors
        .map(|t| (format!("{prefix}{}", t.name), t.tensor))
        .collect()
}

/// Scores of a finished run's network, its values in `tensors`, on `samples`; what should be
/// known of them goes to `warn`.
///
/// # Errors
/// As for [`run`], and a data error where `tensors` lacks one of the network's.
pub fn score(
    job: &Job<'_>,
    tensors: &HashMap<String, Tensor>,
    samples: &dyn Samples,
    warn: &mut dyn FnMut(&Warning),
) -> Result<Scores> {
    let segments = baseline::segments(job.plan);
    let segment = segments
        .first()
        .ok_or_else(|| Error::usage("the plan has no network"))?;
    let place = place(job)?;
    let given = Sets::given(job.data);
    let mut trainer = open(job, &given, &place, segment, (Position::default(), None))?;
    trainer
        .network
        .load(&|name: &str| tensors.get(name).cloned())?;
    restless::warning(&trainer.network).iter().for_each(warn);
    let loss = segment.phases.last().map_or(Loss::CrossEntropy, |p| p.loss);
    in_pool(|| evaluate(&mut trainer.network, samples, None, loss, &trainer.place))
}

pub(super) fn place(job: &Job<'_>) -> Result<Place> {
    Ok(Place {
        device: job.device.clone(),
        dtype: match job.plan.dtype {
            Precision::F32 => DType::F32,
            Precision::F64 => DType::F64,
        },
        budget: Budget::of(&job.device, job.plan.gpu_memory_share)?,
        stop: Default::default(),
    })
}

/// Builds a segment's network and puts the checkpoint's values into it.
pub(super) fn open<'a>(
    job: &Job<'a>,
    data: &'a Sets<'a>,
    place: &Place,
    segment: &'a Segment,
    (position, resume): (Position, Option<&Resume>),
) -> Result<Trainer<'a>> {
    let input = InputShape {
        dims: job.data.train.dims(),
        outputs: job.data.train.outputs(),
    };
    let placement = Placement {
        device: place.device.clone(),
        dtype: place.dtype,
        seed: job.seed,
    };
    let mut network = Network::build(&segment.blocks, &input, job.rules, &placement)?;
    let resume = resume.filter(|_| !position.is_segment_start());
    if let Some(r) = resume {
        let find = |name: &str| r.tensors.get(&format!("{}{name}", segment.prefix)).cloned();
        network.load(&find)?;
        network.load_counters(&r.saved.counters);
    }
    Ok(Trainer {
        plan: job.plan,
        seed: job.seed,
        data,
        place: place.clone(),
        segment,
        network,
        cache: FeatureCache::default(),
        position,
        best: resume.and_then(|r| r.saved.best).map(f64::from_bits),
        last_scores: resume.and_then(|r| r.saved.last_scores).map(Scores::from),
        carried: Vec::new(),
        results: Vec::new(),
    })
}

impl Trainer<'_> {
    /// The rest of the segment.
    fn run(&mut self, mut resume: Option<Resume>, progress: &mut dyn Progress) -> Result<Flow> {
        if resume.is_none() && self.segment.settle {
            self.settle_statistics()?;
        }
        while let Some(phase) = self.segment.phases.get(self.position.phase) {
            let context = |e: Error| e.within(format_args!("phase `{}`", phase.name));
            let flow = self
                .phase(phase, resume.take(), progress)
                .map_err(context)?;
            if let Flow::Stopped = flow {
                return Ok(Flow::Stopped);
            }
            self.position = self.position.next_phase();
        }
        self.finish(progress)
    }

    /// Scores the segment on the test set and makes that durable.
    fn finish(&mut self, progress: &mut dyn Progress) -> Result<Flow> {
        if self.position.segment == 0 {
            progress.phases_done()?;
        }
        let scores = match self.last_scores {
            Some(scores) if self.data.validation.is_none() => scores,
            _ => {
                let loss = self
                    .segment
                    .phases
                    .last()
                    .map_or(Loss::CrossEntropy, |p| p.loss);
                let test = &*self.data.test;
                evaluate(&mut self.network, test, None, loss, &self.place)?
            }
        };
        self.results.push(SegmentResult {
            segment: self.segment.name.clone(),
            scores: scores.into(),
        });
        let saved = Saved {
            version: super::state::VERSION,
            seed: self.seed,
            position: self.position.next_segment(),
            results: self.results.clone(),
            ..Saved::default()
        };
        let tensors = match &self.carried {
            none if none.is_empty() => named(&self.network, ""),
            kept => kept.clone(),
        };
        progress.checkpoint(&tensors, &saved.write()?, false)?;
        Ok(Flow::Done)
    }
}
