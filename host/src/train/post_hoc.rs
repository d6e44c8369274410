//! Post-hoc loss (SoftHebb, `post_hoc_loss.py`): the loss that a read-out trained afterwards gives to a
//! network while it learned without labels.
//!
//! The blocks of a local phase are put back to their initial weights and learn again as they did, beside
//! the other blocks as they are in the end. Before each step the whole network is scored on the batch.
//! The reference's own program fails on Hebbian presets, whose step it takes from the wrong block; this is
//! what it is meant to do.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::Tensor;

use super::init;
use super::meter::Meter;
use super::run::{Job, Trainer, fresh};
use super::step::StepInput;
use crate::data::feed::EpochSpec;
use crate::nn::Pass;
use crate::plan::{Drive, PhasePlan};
use crate::text::nearest;
use crate::threads::in_pool;
use crate::{Error, Result};

/// The network before one step of the phase that is repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Steps done, of how many.
    pub step: (u64, u64),
    /// Samples that were learned from.
    pub samples: u64,
    /// Mean loss of the whole network on the batch that comes next.
    pub loss: f64,
    /// Share of the batch that is right; `None` for regression.
    pub accuracy: Option<f64>,
    /// What the rules of the phase's blocks report, by block and name.
    pub rules: Vec<(String, f64)>,
}

/// The phase that is repeated: the one named, or the first that local rules drive alone.
///
/// # Errors
/// A usage error where there is none.
pub fn phase<'a>(job: &Job<'a>, name: Option<&str>) -> Result<&'a PhasePlan> {
    let local = |p: &&PhasePlan| p.drive == Drive::Local;
    let mut phases = job.plan.phases.iter();
    let Some(name) = name else {
        return phases.find(local).ok_or_else(|| {
            Error::usage("no phase of this run learns by local rules alone").hint(
                "the post-hoc loss is that of a network while it learns without labels, by the read-out that it had afterwards",
            )
        });
    };
    match phases.find(|p| p.name == name) {
        Some(phase) if phase.drive == Drive::Local => Ok(phase),
        Some(_) => Err(
            Error::usage(format!("phase `{name}` is driven by the loss"))
                .hint("its loss while it learned is in `metrics.csv`"),
        ),
        None => {
            let e = Error::usage(format!("no phase `{name}`"));
            let names = || {
                job.plan
                    .phases
                    .iter()
                    .filter(local)
                    .map(|p| p.name.as_str())
            };
            Err(match nearest(name, names()) {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => {
                    let all: Vec<&str> = names().collect();
                    e.hint(format!("phases of local rules are `{}`", all.join("`, `")))
                }
            })
        }
    }
}

/// Repeats `phase` of the run whose final values are `tensors`; `from` are the weights that it was
/// started with, where these come from a file. `see` hears of each step before it is made.
///
/// # Errors
/// As for training, and those of `see`.
pub fn repeat(
    job: &Job<'_>,
    tensors: &HashMap<String, Tensor>,
    phase: &PhasePlan,
    from: Option<(PathBuf, HashMap<String, Tensor>)>,
    see: &mut (dyn FnMut(Scored) -> Result<()> + Send),
) -> Result<()> {
    fresh(job, |trainer| {
        if let (Some(file), Some(init)) = (from, &job.plan.init) {
            init::apply(&trainer.engine.network, &trainer.segment.blocks, init, file)?;
        }
        let own: HashMap<String, Tensor> = trainer
            .engine
            .network
            .tensors()
            .into_iter()
            .map(|slot| (slot.name.to_string(), slot.tensor))
            .collect();
        let starts: Vec<String> = phase
            .blocks
            .iter()
            .map(|b| format!("blocks.{b}."))
            .collect();
        let again = |name: &str| starts.iter().any(|start| name.starts_with(start));
        let find = |name: &str| match again(name) {
            true => own.get(name).map(Tensor::copy).transpose().ok().flatten(),
            false => tensors.get(name).cloned(),
        };
        trainer.engine.network.load(&find)?;
        in_pool(|| steps(trainer, phase, see))
    })
}

fn steps(
    trainer: &mut Trainer<'_>,
    phase: &PhasePlan,
    see: &mut (dyn FnMut(Scored) -> Result<()> + Send),
) -> Result<()> {
    let criterion = trainer.result_criterion()?;
    // The samples that the read-out learned from: those of the phase may have no answers.
    let set = trainer
        .segment
        .result_phase()
        .map_or("train", |p| p.data.as_str());
    let samples = trainer.data.get(set)?;
    let is_classes = samples.classes();
    trainer.engine.begin(phase, criterion.clone())?;
    trainer.engine.network.start_phase();
    let first = trainer.engine.network.first_active();
    let (mut step, mut seen) = (0, 0);
    for epoch in 0..phase.epochs.max(1) {
        trainer.position.epoch = epoch;
        let spec = EpochSpec {
            seed: phase.seed.unwrap_or(trainer.seed),
            epoch,
            batch: phase.batch,
            shuffle: phase.shuffle,
            drop_last: phase.drop_last,
            augment: phase.augment,
            start: 0,
        };
        let each = spec.steps(samples.len());
        for batch in samples.epoch(&spec)? {
            let batch = batch?;
            trainer.place.go_on()?;
            let clock = trainer.clock(phase, step, each, samples.len());
            let x = trainer.prefixed(&batch.x, first)?;
            let answers = batch.answers.beside(&x)?;
            let network = &mut trainer.engine.network;
            let blocks = first..network.len();
            let y = network.forward(&mut Pass::forward_only(clock.clone()), &x, blocks)?;
            let y = if y.rank() == 2 { y } else { y.flatten_from(1)? };
            let count = answers.len();
            let mut meter = Meter::new(&trainer.place.device)?;
            meter.add(&criterion.score(&y, &answers)?.sums, count)?;
            let (loss, accuracy) = meter.read()?;
            let mut rules = Vec::new();
            for (block, values) in network.metrics(&clock)? {
                if phase.blocks.contains(&block) {
                    let named = values.into_iter();
                    rules.extend(named.map(|(name, x)| (format!("{block}/{name}"), x)));
                }
            }
            see(Scored {
                step: (step, each * phase.epochs.max(1)),
                samples: seen,
                loss,
                accuracy: is_classes.then_some(accuracy),
                rules,
            })?;
            trainer.engine.clock = clock;
            trainer.engine.step(&StepInput {
                x,
                answers,
                dropped: false,
            })?;
            step += 1;
            seen += count as u64;
        }
    }
    Ok(())
}
