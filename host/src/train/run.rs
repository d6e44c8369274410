//! A run: the network through its phases, then the baselines, each a segment
//! with its own network; checkpoints in between, and resume from them.

use std::collections::{BTreeSet, HashMap};

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::baseline::{self, Segment};
use super::best::Best;
use super::cache::FeatureCache;
use super::classes::{self, ClassScore};
use super::criterion::Criterion;
use super::divergence::InitialNorms;
use super::engine::{Engine, Steps};
use super::eval_updates::{self, Warning};
use super::evaluate::{Evaluated, SavedScores, Scores, evaluate};
use super::phase::Flow;
use super::progress::Progress;
use super::sets::Sets;
use super::state::{Checkpoint, Position, Saved};
use crate::data::feed::{Samples, TrainData, steps};
use crate::device::Place;
use crate::device::budget::Budget;
use crate::nn::build::Placement;
use crate::nn::{InputShape, Network, RuleSource};
use crate::plan::EpochMetric;
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
    /// Makes steps of other kinds than a phase's usual one, such as those of a search.
    pub steps: Option<&'a dyn Steps>,
}

/// How a segment ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentResult {
    /// `network`, or the baseline's name.
    pub segment: String,
    /// On the test set.
    scores: SavedScores,
    /// How well each class is recognised there; empty for regression.
    #[serde(default)]
    pub classes: Vec<ClassScore>,
    /// The class that each sample was taken for; see [`Confusion::taken`]. Empty for regression, and
    /// in checkpoints of earlier versions.
    ///
    /// [`Confusion::taken`]: super::classes::Confusion::taken
    #[serde(default, with = "packed", skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<u32>,
}

/// Answers as text in a checkpoint's state: base64 of 16 bits each, low byte first. As a list of
/// numbers those of ImageNet would take longer to write than the weights.
mod packed {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(taken: &[u32], out: S) -> Result<S::Ok, S::Error> {
        let low = |class: &u32| u16::try_from(*class).unwrap_or(u16::MAX).to_le_bytes();
        let bytes: Vec<u8> = taken.iter().flat_map(low).collect();
        out.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let pairs = bytes.chunks_exact(2);
        Ok(pairs
            .map(|b| u32::from(u16::from_le_bytes([b[0], b[1]])))
            .collect())
    }
}

impl SegmentResult {
    /// The result of `segment`.
    pub(super) fn new(segment: &str, evaluated: &Evaluated) -> Self {
        let confusion = evaluated.confusion.as_ref();
        Self {
            segment: segment.to_owned(),
            scores: evaluated.scores.into(),
            classes: confusion.map_or_else(Vec::new, |c| c.scores()),
            taken: confusion.map_or_else(Vec::new, |c| c.taken().to_vec()),
        }
    }

    /// Scores on the test set, with the loss of the last phase that learns from one.
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
    /// The epoch whose weights are the best checkpoint, where there is one.
    pub best: Option<Best>,
}

/// One segment under way.
pub(super) struct Trainer<'a> {
    pub(super) plan: &'a RunPlan,
    pub(super) seed: u64,
    pub(super) data: &'a Sets<'a>,
    pub(super) place: Place,
    pub(super) segment: &'a Segment,
    pub(super) engine: Engine<'a>,
    /// Makes the kinds of step that are not the usual ones.
    pub(super) steps: Option<&'a dyn Steps>,
    pub(super) cache: FeatureCache,
    pub(super) position: Position,
    pub(super) initial: InitialNorms,
    pub(super) best: Option<Best>,
    /// Result that the network would have as it is, where that is known.
    pub(super) current: Option<SegmentResult>,
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
    let usual = EpochMetric::usual(sets.validation.is_some(), sets.test.classes());
    let mut best = saved.and_then(|s| Best::of(s, usual));
    warn_of_empty_classes(job.plan, &sets, progress)?;
    let mut carried = match &resume {
        Some(r) if position.segment > 0 => finished(&r.tensors),
        _ => Vec::new(),
    };
    let mut warned = false;
    while let Some(segment) = segments.get(position.segment) {
        let mut trainer = open(job, &sets, &place, segment, (position, resume.as_ref()))?;
        if let Some(w) = eval_updates::warning(&trainer.engine.network).filter(|_| !warned) {
            progress.warn(w.code, &w.text, Some(&w.hint));
            warned = true;
        }
        if let (None, 0, Some(init)) = (&resume, position.segment, &job.plan.init) {
            let file = progress.initial_weights(&init.from)?;
            let taken = super::init::apply(&trainer.engine.network, &segment.blocks, init, file)?;
            progress.initialised(&taken)?;
        }
        trainer.carried = std::mem::take(&mut carried);
        trainer.results = results;
        trainer.best = best;
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
                best: trainer.best,
            });
        }
        position = position.next_segment();
        carried = trainer.carried;
        results = trainer.results;
        best = trainer.best;
    }
    Ok(Outcome {
        stopped: false,
        results,
        best,
    })
}

/// Names the classes that no sample teaches.
fn warn_of_empty_classes(
    plan: &RunPlan,
    sets: &Sets<'_>,
    progress: &mut dyn Progress,
) -> Result<()> {
    let names: BTreeSet<&str> = plan.phases.iter().map(|p| p.data.as_str()).collect();
    for name in names {
        let samples = sets.get(name)?;
        // Samples without labels are of no class, and the phase needs none.
        if samples.lacks_answers() {
            continue;
        }
        let counts = classes::counts(samples)?;
        let empty: Vec<String> = (0..counts.len())
            .filter(|class| counts[*class] == 0)
            .map(|class| format!("`{}`", samples.class_name(class as u32)))
            .collect();
        if empty.is_empty() {
            continue;
        }
        let more = match empty.len().saturating_sub(NAMED_CLASSES) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let list = empty[..empty.len().min(NAMED_CLASSES)].join(", ");
        let text = format!(
            "{} of {} classes have no sample in `{name}`: {list}{more}",
            empty.len(),
            counts.len()
        );
        let hint = "they cannot be learned; take more samples, or leave them out with `classes`";
        progress.warn("empty-class", &text, Some(hint));
    }
    Ok(())
}

/// Classes that a warning names.
const NAMED_CLASSES: usize = 10;

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

/// Evaluates a finished run's network, its values in `tensors`, on `samples`, as the run did for
/// its result; what should be known of it goes to `warn`.
///
/// # Errors
/// As for [`run`], and a data error where `tensors` lacks one of the network's.
pub fn score(
    job: &Job<'_>,
    tensors: &HashMap<String, Tensor>,
    samples: &dyn Samples,
    warn: &mut dyn FnMut(&Warning),
) -> Result<Evaluated> {
    with_trained(job, tensors, |trainer| {
        eval_updates::warning(&trainer.engine.network)
            .iter()
            .for_each(warn);
        in_pool(|| {
            let loss = trainer.result_criterion()?;
            let network = &mut trainer.engine.network;
            evaluate(network, samples, None, &loss, &trainer.place)
        })
    })
}

/// A finished run's network, its values in `tensors`, and where it lives.
///
/// # Errors
/// As for [`score`].
pub fn trained(job: &Job<'_>, tensors: &HashMap<String, Tensor>) -> Result<(Network, Place)> {
    let empty = || Network::new(Vec::new(), 0);
    with_trained(job, tensors, |trainer| {
        let network = std::mem::replace(&mut trainer.engine.network, empty());
        Ok((network, trainer.place.clone()))
    })
}

/// Calls `then` with the network of the plan, its values in `tensors`.
fn with_trained<T>(
    job: &Job<'_>,
    tensors: &HashMap<String, Tensor>,
    then: impl FnOnce(&mut Trainer<'_>) -> Result<T>,
) -> Result<T> {
    fresh(job, |trainer| {
        let network = &mut trainer.engine.network;
        network.load(&|name: &str| tensors.get(name).cloned())?;
        then(trainer)
    })
}

/// Calls `then` with the network of the plan as it is built.
pub(super) fn fresh<T>(
    job: &Job<'_>,
    then: impl FnOnce(&mut Trainer<'_>) -> Result<T>,
) -> Result<T> {
    let segments = baseline::segments(job.plan);
    let segment = segments
        .first()
        .ok_or_else(|| Error::usage("the plan has no network"))?;
    let place = place(job)?;
    let given = Sets::given(job.data);
    let mut trainer = open(job, &given, &place, segment, (Position::default(), None))?;
    then(&mut trainer)
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
    if segment.settle {
        network.hold_still();
    }
    let initial = InitialNorms::of(&network)?;
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
        engine: Engine::new(network),
        steps: job.steps,
        cache: FeatureCache::default(),
        position,
        initial,
        best: None,
        current: resume.and_then(|r| r.saved.current.clone()),
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

    /// The loss that the segment's result has.
    pub(super) fn result_criterion(&self) -> Result<Criterion> {
        match self.segment.result_phase() {
            Some(phase) => {
                let driving = Criterion::of(phase, self.data.get(&phase.data)?, &self.place)?;
                Ok(driving.for_evaluation())
            }
            None => Ok(Loss::CrossEntropy.into()),
        }
    }

    /// Scores the segment on the test set and makes that durable: these scores are those of the
    /// tensors in the checkpoint, as `score` finds them there.
    fn finish(&mut self, progress: &mut dyn Progress) -> Result<Flow> {
        if self.position.segment == 0 {
            progress.phases_done()?;
        }
        let mut own = named(&self.engine.network, "");
        if self.engine.network.updates_in_eval() {
            // The evaluation below changes them.
            for (_, tensor) in &mut own {
                *tensor = tensor.copy()?;
            }
        }
        let loss = self.result_criterion()?;
        let result = match self.current.take() {
            Some(result) => result,
            None => {
                // Rules count their steps from 0, as in a network that was just loaded.
                self.engine.network.start_phase();
                let test = &*self.data.test;
                let evaluated = evaluate(&mut self.engine.network, test, None, &loss, &self.place)?;
                SegmentResult::new(&self.segment.name, &evaluated)
            }
        };
        self.check_result(&result.scores(), loss.loss(), progress)?;
        self.results.push(result);
        if self.carried.is_empty() {
            self.carried = own;
        }
        let saved = Saved {
            version: super::state::VERSION,
            seed: self.seed,
            position: self.position.next_segment(),
            results: self.results.clone(),
            best: self.best.as_ref().map(Best::bits),
            chosen: self.best.clone(),
            ..Saved::default()
        };
        progress.checkpoint(&self.carried, &saved.write()?, false)?;
        Ok(Flow::Done)
    }
}
