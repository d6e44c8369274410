//! Whether a phase that has begun may get more epochs: only where what is done would have been the
//! same bits had it been planned with the new number from the start.

use super::run::{Job, Trainer, open, place};
use super::schedule::{local_rate, phase_rate};
use super::sets::Sets;
use super::state::Position;
use super::step::{GradientStep, StepInput};
use crate::Result;
use crate::data::Answers;
use crate::data::feed::EpochSpec;
use crate::device::Place;
use crate::nn::Clock;
use crate::plan::{CachePrecision, Drive, Moment, PhasePlan};

/// Samples of the step that is tried with both numbers of epochs.
const TRIED: usize = 8;

/// A phase of the plan and the number of epochs it had when it began.
#[derive(Clone, Copy, Debug)]
pub struct Began<'a> {
    /// The phase as it is planned now.
    pub phase: &'a PhasePlan,
    /// Its epochs as they were.
    pub epochs: u64,
    /// What is done of it.
    pub position: Position,
}

/// What would have been different in the part that is done; `None` where nothing would.
///
/// # Errors
/// Failures of data and rules.
pub fn what_differs(job: &Job<'_>, began: &Began<'_>) -> Result<Option<String>> {
    if let Some(why) = evaluations(began) {
        return Ok(Some(why));
    }
    let sets = Sets::given(job.data);
    let samples = sets.get(&began.phase.data)?.len();
    let steps = spec(began.phase).steps(samples);
    if let Some(why) = rates(began, steps) {
        return Ok(Some(why));
    }
    rules(job, &sets, began, (steps, samples))
}

/// An evaluation only because it was the last epoch; features cached in other precision.
fn evaluations(began: &Began<'_>) -> Option<String> {
    let (phase, was, now) = (began.phase, began.epochs, began.phase.epochs);
    let every = phase.evaluate_every;
    let regular = every > 0 && was.is_multiple_of(every);
    let extra = every > 0 || phase.neuron_labels;
    if began.position.epoch == was && extra && !regular {
        return Some(format!(
            "epoch {was} was evaluated only because it was the last, and `evaluate_every` is {every}"
        ));
    }
    let repeats = |epochs: u64| every > 0 && epochs / every > 1;
    let cached = phase.cache.enabled && phase.cache.store == CachePrecision::Bf16;
    if cached && (was == 1 || repeats(was) != repeats(now)) {
        return Some(
            "`cache.store` is `bf16`, and features are cached only for more epochs".into(),
        );
    }
    None
}

/// Rates of epochs and steps that are done.
fn rates(began: &Began<'_>, steps: u64) -> Option<String> {
    let (phase, was, now) = (began.phase, began.epochs, began.phase.epochs);
    let at = began.position;
    let moved = |step: &u64| {
        let one = |epochs| {
            let at = Moment::at_batch(*step, steps, epochs);
            phase_rate(phase, 1.0, &at).to_bits()
        };
        one(was) != one(now)
    };
    if phase.drive != Drive::Local
        && let Some(step) = (0..at.step).find(moved)
    {
        let epoch = step / steps.max(1) + 1;
        return Some(format!(
            "its `schedule` gives epoch {epoch} another rate in {now} epochs than in {was}"
        ));
    }
    let local = phase.local_rate.as_ref()?;
    let moved = |step: &u64| {
        let one = |epochs| local_rate(local, *step, steps, epochs).to_bits();
        one(was) != one(now)
    };
    let step = (0..at.step).find(moved)?;
    Some(format!(
        "its `local_rate` gives step {} another rate in {now} epochs than in {was}",
        step + 1
    ))
}

/// Rules are told the number of epochs too. Whether they use it is tried: the same step, with each
/// number, at the beginning, in the middle and at the end of what is done.
fn rules(
    job: &Job<'_>,
    sets: &Sets<'_>,
    began: &Began<'_>,
    (steps, samples): (u64, usize),
) -> Result<Option<String>> {
    let done = began.position.step;
    let place = place(job)?;
    let mut at = vec![0, done / 2, done.saturating_sub(1)];
    at.dedup();
    for step in at {
        let mut both = Vec::new();
        for epochs in [began.epochs, began.phase.epochs] {
            let clock = Clock {
                pass: 0,
                epoch: step / steps.max(1),
                epochs,
                step,
                steps_per_epoch: steps,
                batch: began.phase.batch,
                samples,
                seed: job.seed,
                local_rate: (began.phase.local_rate.as_ref())
                    .map(|r| local_rate(r, step, steps, epochs)),
            };
            both.push(one_step(job, sets, &place, began.phase, &clock)?);
        }
        let (was, now) = (&both[0], &both[1]);
        if let Some((name, _)) = was
            .iter()
            .zip(now)
            .find(|(a, b)| a.1 != b.1)
            .map(|(a, _)| a)
        {
            return Ok(Some(format!(
                "the rule that changes `{name}` makes its steps depend on the number of epochs"
            )));
        }
    }
    Ok(None)
}

/// Every tensor of a fresh network after one step at `clock`, as bits.
fn one_step(
    job: &Job<'_>,
    sets: &Sets<'_>,
    place: &Place,
    phase: &PhasePlan,
    clock: &Clock,
) -> Result<Vec<(String, Vec<u64>)>> {
    let segments = super::baseline::segments(job.plan);
    let mut trainer = open(job, sets, place, &segments[0], (Position::default(), None))?;
    let samples = sets.get(&phase.data)?;
    let indices: Vec<u32> = (0..samples.len().min(TRIED) as u32).collect();
    let batch = samples.read(&indices)?;
    trainer.engine.network.set_mode(&Trainer::mode(phase));
    let first = trainer.engine.network.first_active();
    let x = trainer.prefixed(&batch.x, first)?;
    let answers: Answers = batch.answers.beside(&x)?;
    let input = StepInput {
        x,
        answers,
        dropped: false,
    };
    let engine = &mut trainer.engine;
    let counted = engine.network.counters().into_iter();
    let counted: Vec<_> = counted.map(|(name, _)| (name, clock.step)).collect();
    engine.network.load_counters(&counted);
    engine.begin(phase, phase.loss)?;
    if phase.drive != Drive::Local {
        // What a schedule makes of the number of epochs is compared elsewhere.
        engine.set_kind(Box::new(GradientStep::new(phase.loss)));
    }
    engine.clock = clock.clone();
    engine.step(&input)?;
    let bits = |t: &candle_core::Tensor| -> Result<Vec<u64>> {
        let all = t.to_dtype(candle_core::DType::F64)?.flatten_all()?;
        Ok(all
            .to_vec1::<f64>()?
            .into_iter()
            .map(f64::to_bits)
            .collect())
    };
    let tensors = engine.network.tensors();
    let all = tensors
        .iter()
        .map(|t| Ok((t.name.to_string(), bits(&t.tensor)?)));
    all.collect()
}

fn spec(phase: &PhasePlan) -> EpochSpec {
    EpochSpec {
        seed: 0,
        epoch: 0,
        batch: phase.batch,
        shuffle: phase.shuffle,
        drop_last: phase.drop_last,
        augment: phase.augment,
        start: 0,
    }
}

#[cfg(test)]
#[path = "longer_tests.rs"]
mod tests;
