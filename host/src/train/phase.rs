//! One phase: open, epochs of steps, reports, checkpoints, close.

use std::time::Instant;

use candle_core::{Device, Tensor};

use super::cache::Wanted;
use super::criterion::Criterion;
use super::engine::Engine;
use super::meter::Meter;
use super::progress::{PhaseEvent, Progress, StepEvent};
use super::run::{Resume, Trainer};
use super::schedule::{is_rate, local_rate};
use super::step::StepInput;
use super::stop::StopState;
use crate::data::Answers;
use crate::data::feed::{Batches, EpochSpec, Samples};
use crate::nn::{Clock, Mode, Pass};
use crate::plan::{Drive, LocalRatePlan, PhasePlan};
use crate::{Error, Result};

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// All done.
    Done,
    /// Asked to stop; a checkpoint is written.
    Stopped,
}

/// What a phase has of its own.
pub(super) struct Running {
    pub(super) criterion: Criterion,
    pub(super) meter: Meter,
    pub(super) stop: StopState,
    /// Seconds of the unfinished epoch before this process took over.
    pub(super) seconds: f64,
    pub(super) started: Instant,
    pub(super) first: usize,
    pub(super) cached: bool,
    pub(super) steps: u64,
    pub(super) samples: usize,
}

/// Where the batches of an epoch come from.
enum Feed<'a> {
    Loader(Batches<'a>),
    Kept(Order),
}

/// The order of an epoch over cached features.
struct Order {
    samples: Vec<u32>,
    /// The same on a GPU, and the answers in this order: copied there once, so
    /// that a step copies nothing.
    on_device: Option<(Tensor, Answers)>,
}

impl Order {
    fn new(spec: &EpochSpec, samples: &dyn Samples, device: &Device) -> Result<Self> {
        let order = samples.order(spec.seed, spec.epoch, spec.shuffle);
        let on_device = match device.is_cpu() {
            true => None,
            false => {
                let index = Tensor::new(order.as_slice(), device)?;
                Some((index, samples.answers(&order)?.on(device)?))
            }
        };
        Ok(Self {
            samples: order,
            on_device,
        })
    }
}

impl Trainer<'_> {
    /// Runs phase `plan` from where the position says.
    pub(super) fn phase(
        &mut self,
        plan: &PhasePlan,
        resume: Option<Resume>,
        progress: &mut dyn Progress,
    ) -> Result<Flow> {
        let data = self.data;
        let samples = data.get(&plan.data)?;
        let mut running = self.open_phase(plan, samples, resume, progress)?;
        progress.phase(&PhaseEvent {
            segment: &self.segment.name,
            phase: &plan.name,
            index: self.position.phase,
            phases: self.segment.phases.len(),
            epoch: self.position.epoch,
            epochs: plan.epochs,
            steps_per_epoch: running.steps,
            frozen: running.first,
            cached: running.cached,
        });
        while !self.is_over(plan, &running) {
            running.started = Instant::now();
            if let Flow::Stopped = self.epoch(plan, samples, &mut running, progress)? {
                return Ok(Flow::Stopped);
            }
            self.end_epoch(plan, &mut running, progress)?;
            if progress.should_stop() {
                return Ok(Flow::Stopped);
            }
        }
        self.engine.network.set_mode(&Self::mode(plan));
        self.pieces(plan, &running, progress, &|engine| engine.conclude())
    }

    /// Does what comes before or after an epoch, piece by piece.
    fn pieces(
        &mut self,
        plan: &PhasePlan,
        running: &Running,
        progress: &mut dyn Progress,
        piece: &dyn Fn(&mut Engine<'_>) -> Result<bool>,
    ) -> Result<Flow> {
        self.engine.clock = self.clock(plan, self.position.step, running.steps, running.samples);
        while piece(&mut self.engine)? {
            self.current = None;
            self.position.prepared += 1;
            let stop = progress.should_stop();
            if stop || progress.checkpoint_due() {
                self.checkpoint(running, progress, false)?;
            }
            if stop {
                return Ok(Flow::Stopped);
            }
        }
        Ok(Flow::Done)
    }

    pub(super) fn mode(plan: &PhasePlan) -> Mode {
        Mode {
            blocks: plan.blocks.clone(),
            drive: Some(plan.drive),
        }
    }

    pub(super) fn is_over(&self, plan: &PhasePlan, running: &Running) -> bool {
        let epoch = self.position.epoch;
        let all = plan.epochs > 0 && epoch >= plan.epochs;
        // Stop rules look only between epochs, also when a run goes on inside one.
        let between = epoch > 0 && self.position.batch == 0;
        let stop = (plan.stop.as_ref()).is_some_and(|s| running.stop.is_over(s, running.steps));
        all || (between && stop)
    }

    fn open_phase(
        &mut self,
        plan: &PhasePlan,
        samples: &dyn Samples,
        resume: Option<Resume>,
        progress: &dyn Progress,
    ) -> Result<Running> {
        self.engine.network.set_mode(&Self::mode(plan));
        self.check_learns(plan)?;
        let first = self.engine.network.first_active();
        let criterion = Criterion::of(plan, samples, &self.place)?;
        self.cache.block_changes(first);
        let cached = self.is_worth_keeping(plan, samples, first);
        if cached {
            self.keep(plan, &plan.data, samples, first, progress)?;
        }
        let mut running = Running {
            criterion: criterion.clone(),
            meter: Meter::new(&self.place.device)?,
            stop: StopState::default(),
            seconds: 0.0,
            started: Instant::now(),
            first,
            cached,
            steps: self.spec(plan).steps(samples.len()),
            samples: samples.len(),
        };
        if running.steps == 0 {
            return Err(Error::usage(format!(
                "{} samples give no batch of {}",
                samples.len(),
                plan.batch
            )));
        }
        self.engine.begin(plan, criterion.clone())?;
        if let Some(steps) = self.steps {
            let data = self.data;
            let segment = self.segment.name.as_str();
            let samples = |name: &str| data.get(name);
            let engine = &mut self.engine;
            if let Some(kind) = steps.kind(segment, plan, &criterion, &samples, engine)? {
                self.engine.set_kind(kind);
            }
        }
        match resume {
            Some(resume) if !self.position.is_phase_start() => {
                self.restore(&mut running, &resume)?
            }
            _ => self.engine.network.start_phase(),
        }
        Ok(running)
    }

    /// Refuses a phase that would change nothing.
    fn check_learns(&self, plan: &PhasePlan) -> Result<()> {
        if !self.engine.network.is_active()
            || (plan.drive == Drive::Gradient && !self.engine.network.learns())
        {
            return Err(Error::usage(format!(
                "nothing learns in blocks {:?} when driven by `{:?}`",
                plan.blocks, plan.drive
            ))
            .hint("local rules learn in `local` phases, the others in `gradient` phases"));
        }
        Ok(())
    }

    fn restore(&mut self, running: &mut Running, resume: &Resume) -> Result<()> {
        let saved = &resume.saved;
        let find = |name: &str| resume.tensors.get(name).cloned();
        self.engine
            .load(saved.optimizer_steps, &saved.step, &find)?;
        if let Some(meter) = saved.meter {
            running.meter = Meter::load(meter, saved.meter_weight, &self.place.device)?;
        }
        running.stop = saved.stop;
        running.seconds = saved.seconds;
        Ok(())
    }

    /// Whether the prefix's output is asked for more than once, here or later.
    fn is_worth_keeping(&self, plan: &PhasePlan, samples: &dyn Samples, first: usize) -> bool {
        let augmented = |p: &PhasePlan| p.augment && samples.augments();
        if !plan.cache.enabled || first == 0 || augmented(plan) {
            return false;
        }
        let later = &self.segment.phases[self.position.phase + 1..];
        let again = |p: &PhasePlan| p.data == plan.data && p.cache.enabled && !augmented(p);
        plan.epochs != 1 || later.iter().any(again)
    }

    pub(super) fn keep(
        &mut self,
        plan: &PhasePlan,
        set: &str,
        samples: &dyn Samples,
        prefix: usize,
        progress: &dyn Progress,
    ) -> Result<()> {
        let wanted = Wanted {
            set,
            samples,
            prefix,
            plan: &plan.cache,
            scratch: progress.scratch(),
            place: &self.place,
        };
        self.cache.get(&mut self.engine.network, &wanted)?;
        Ok(())
    }

    fn spec(&self, plan: &PhasePlan) -> EpochSpec {
        EpochSpec {
            seed: plan.seed.unwrap_or(self.seed),
            epoch: self.position.epoch,
            batch: plan.batch,
            shuffle: plan.shuffle,
            drop_last: plan.drop_last,
            augment: plan.augment,
            start: self.position.batch,
        }
    }

    /// The clock of step `step` of a phase with `steps` an epoch over `samples`.
    pub(super) fn clock(&self, plan: &PhasePlan, step: u64, steps: u64, samples: usize) -> Clock {
        let local = plan.local_rate.as_ref();
        Clock {
            epoch: self.position.epoch,
            epochs: plan.epochs,
            step,
            pass: 0,
            steps_per_epoch: steps,
            batch: plan.batch,
            samples,
            seed: plan.seed.unwrap_or(self.seed),
            local_rate: local.map(|r| local_rate(r, step, steps, plan.epochs)),
        }
    }

    /// `x` on the device, through the frozen blocks before `first`.
    pub(super) fn prefixed(&mut self, x: &Tensor, first: usize) -> Result<Tensor> {
        let x = x
            .to_device(&self.place.device)?
            .to_dtype(self.place.dtype)?;
        self.engine
            .network
            .forward(&mut Pass::inference(), &x, 0..first)
    }

    fn epoch(
        &mut self,
        plan: &PhasePlan,
        samples: &dyn Samples,
        running: &mut Running,
        progress: &mut dyn Progress,
    ) -> Result<Flow> {
        let spec = self.spec(plan);
        let mut feed = if running.cached {
            Feed::Kept(Order::new(&spec, samples, &self.place.device)?)
        } else {
            Feed::Loader(samples.epoch(&spec)?)
        };
        self.engine.clock = self.clock(plan, self.position.step, running.steps, running.samples);
        if self.position.batch == 0
            && let Flow::Stopped =
                self.pieces(plan, running, progress, &|engine| engine.prepare())?
        {
            return Ok(Flow::Stopped);
        }
        while self.position.batch < running.steps {
            let clock = self.clock(plan, self.position.step, running.steps, running.samples);
            if let Some(LocalRatePlan::Formula { .. }) = plan.local_rate {
                is_rate("local_rate", clock.local_rate.unwrap_or_default())?;
            }
            let input = self.input(plan, samples, &mut feed, &spec, &clock, running.first)?;
            let seen = input.answers.len();
            self.step(&input, clock.clone(), running)?;
            self.position.batch += 1;
            self.position.step += 1;
            self.position.total_step += 1;
            progress.step(&StepEvent {
                epoch: self.position.epoch,
                step: self.position.batch,
                steps_per_epoch: running.steps,
                samples: seen,
            });
            self.after_step(plan, &clock, running, progress)?;
            let stop = progress.should_stop();
            let inside = self.position.batch < running.steps;
            if inside && (stop || progress.checkpoint_due()) {
                self.checkpoint(running, progress, false)?;
            }
            if inside && stop {
                return Ok(Flow::Stopped);
            }
        }
        Ok(Flow::Done)
    }

    /// The next batch, as the first active block sees it.
    fn input(
        &mut self,
        plan: &PhasePlan,
        samples: &dyn Samples,
        feed: &mut Feed<'_>,
        spec: &EpochSpec,
        clock: &Clock,
        first: usize,
    ) -> Result<StepInput> {
        match feed {
            Feed::Loader(batches) => {
                let batch = batches
                    .next()
                    .ok_or_else(|| Error::internal("the loader ended before the epoch did"))??;
                let x = self.prefixed(&batch.x, first)?;
                Ok(StepInput {
                    answers: batch.answers.beside(&x)?,
                    x,
                    dropped: false,
                })
            }
            Feed::Kept(order) => {
                let range = spec.range(self.position.batch, order.samples.len());
                let mut pass = Pass::inference();
                pass.clock = clock.clone();
                let drop = self.engine.network.leading_dropout(first, &pass);
                let features = self
                    .cache
                    .peek(&plan.data, first)
                    .ok_or_else(|| Error::internal("the cached features are gone"))?;
                let dropped = drop.is_some();
                if let Some((index, answers)) = &order.on_device {
                    let index = index.narrow(0, range.start, range.len())?;
                    if let Some(x) = features.gather_on_device(&index, drop, &self.place) {
                        return Ok(StepInput {
                            answers: answers.range(range)?,
                            x: x?,
                            dropped,
                        });
                    }
                }
                let indices = &order.samples[range];
                let x = features.gather(indices, drop, &self.place)?;
                Ok(StepInput {
                    answers: samples.answers(indices)?.beside(&x)?,
                    x,
                    dropped,
                })
            }
        }
    }

    fn step(&mut self, input: &StepInput, clock: Clock, running: &mut Running) -> Result<()> {
        self.current = None;
        self.engine.clock = clock;
        let Some(sums) = self.engine.step(input)? else {
            return Ok(());
        };
        if self.place.device.is_cpu() && !sums.to_vec1::<f64>()?[0].is_finite() {
            return Err(self.diverged()?);
        }
        running.meter.add(&sums, input.answers.len())
    }
}
