//! One phase: open, epochs of steps, reports, checkpoints, close.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::Tensor;

use super::cache::Wanted;
use super::evaluate::{Scores, evaluate};
use super::meter::Meter;
use super::optimizer::Optimizer;
use super::progress::{EpochEvent, PhaseEvent, Progress, StepEvent};
use super::run::{Resume, Trainer, named};
use super::schedule::{local_rate, rate};
use super::source::{Batches, EpochSpec, Samples};
use super::state::{Saved, VERSION};
use super::step::{StepInput, gradient_step, local_step};
use super::stop::StopState;
use crate::config::plan::{Drive, PhasePlan};
use crate::nn::{Clock, Mode, Pass};
use crate::{Error, ExitCode, Result};

/// Steps between looks for NaN and infinity in the state of local layers.
const CHECK_EVERY: u64 = 64;

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// All done.
    Done,
    /// Asked to stop; a checkpoint is written.
    Stopped,
}

/// What a phase has of its own.
struct Running {
    optimizer: Option<Optimizer>,
    meter: Meter,
    stop: StopState,
    /// Seconds of the unfinished epoch before this process took over.
    seconds: f64,
    started: Instant,
    first: usize,
    cached: bool,
    steps: u64,
    samples: usize,
}

/// Where the batches of an epoch come from.
enum Feed<'a> {
    Loader(Batches<'a>),
    Kept(Vec<u32>),
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
        Ok(Flow::Done)
    }

    fn mode(plan: &PhasePlan) -> Mode {
        Mode {
            blocks: plan.blocks.clone(),
            drive: Some(plan.drive),
        }
    }

    fn is_over(&self, plan: &PhasePlan, running: &Running) -> bool {
        let epoch = self.position.epoch;
        let all = plan.epochs > 0 && epoch >= plan.epochs;
        let stop = plan.stop.as_ref().is_some_and(|s| {
            running.stop.out_of_patience(s, running.steps)
                || (epoch > 0 && self.position.batch == 0 && running.stop.converged(s))
        });
        all || stop
    }

    fn open_phase(
        &mut self,
        plan: &PhasePlan,
        samples: &dyn Samples,
        resume: Option<Resume>,
        progress: &dyn Progress,
    ) -> Result<Running> {
        self.network.set_mode(&Self::mode(plan));
        if !self.network.is_active() || (plan.drive == Drive::Gradient && !self.network.learns()) {
            return Err(Error::usage(format!(
                "nothing learns in blocks {:?} when driven by `{:?}`",
                plan.blocks, plan.drive
            ))
            .hint("local rules learn in `local` phases, the others in `gradient` phases"));
        }
        let first = self.network.first_active();
        self.cache.block_changes(first);
        let cached = self.is_worth_keeping(plan, samples, first);
        if cached {
            self.keep(plan, &plan.data, samples, first, progress)?;
        }
        let mut running = Running {
            optimizer: None,
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
        if plan.drive != Drive::Local {
            let tensors = self.network.tensors();
            let clip = plan.gradient_clip;
            running.optimizer = Some(Optimizer::new(&plan.optimizer, clip, &tensors)?);
        }
        match resume {
            Some(resume) if !self.position.is_phase_start() => {
                self.restore(&mut running, &resume)?
            }
            _ => self.network.start_phase(),
        }
        Ok(running)
    }

    fn restore(&mut self, running: &mut Running, resume: &Resume) -> Result<()> {
        let saved = &resume.saved;
        if let Some(optimizer) = &mut running.optimizer {
            let find = |name: &str| resume.tensors.get(name).cloned();
            optimizer.load(saved.optimizer_steps, &find)?;
        }
        if let Some(meter) = saved.meter {
            running.meter = Meter::load(meter, &self.place.device)?;
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

    fn keep(
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
        self.cache.get(&mut self.network, &wanted)?;
        Ok(())
    }

    fn spec(&self, plan: &PhasePlan) -> EpochSpec {
        EpochSpec {
            seed: self.seed,
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
            steps_per_epoch: steps,
            batch: plan.batch,
            samples,
            seed: self.seed,
            local_rate: local.map(|r| local_rate(r, step, steps, plan.epochs)),
        }
    }

    /// `x` on the device, through the frozen blocks before `first`.
    pub(super) fn prefixed(&mut self, x: &Tensor, first: usize) -> Result<Tensor> {
        let x = x
            .to_device(&self.place.device)?
            .to_dtype(self.place.dtype)?;
        self.network.forward(&mut Pass::inference(), &x, 0..first)
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
            Feed::Kept(samples.order(spec.seed, spec.epoch, spec.shuffle))
        } else {
            Feed::Loader(samples.epoch(&spec)?)
        };
        while self.position.batch < running.steps {
            let clock = self.clock(plan, self.position.step, running.steps, running.samples);
            let input = self.input(plan, samples, &mut feed, &spec, &clock, running.first)?;
            let seen = input.answers.len();
            self.step(plan, &input, &clock, running)?;
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
                let indices = &order[spec.range(self.position.batch, order.len())];
                let mut pass = Pass::inference();
                pass.clock = clock.clone();
                let drop = self.network.leading_dropout(first, &pass);
                let features = self
                    .cache
                    .peek(&plan.data, first)
                    .ok_or_else(|| Error::internal("the kept features are gone"))?;
                let x = features.gather(indices, drop, &self.place)?;
                Ok(StepInput {
                    answers: samples.answers(indices)?.beside(&x)?,
                    x,
                    dropped: drop.is_some(),
                })
            }
        }
    }

    fn step(
        &mut self,
        plan: &PhasePlan,
        input: &StepInput,
        clock: &Clock,
        running: &mut Running,
    ) -> Result<()> {
        let Some(optimizer) = &mut running.optimizer else {
            return local_step(&mut self.network, input, running.first, clock);
        };
        let lr = rate(
            &plan.schedule,
            optimizer.base_rate(),
            clock.epoch,
            plan.epochs,
        );
        let network = &mut self.network;
        let sums = gradient_step(
            network,
            optimizer,
            input,
            running.first,
            clock,
            (plan.loss, lr),
        )?;
        if self.place.device.is_cpu() && !sums.to_vec1::<f64>()?[0].is_finite() {
            return Err(self.diverged()?);
        }
        running.meter.add(&sums, input.answers.len())
    }

    /// The error for NaN or infinity, with the block that holds it.
    fn diverged(&self) -> Result<Error> {
        let place = match self.network.diverged_block()? {
            Some(block) => format!("block `{block}` holds NaN or infinity"),
            None => "the loss is NaN or infinity".to_owned(),
        };
        let (epoch, batch) = (self.position.epoch + 1, self.position.batch + 1);
        let text = format!("{place} in epoch {epoch}, batch {batch}");
        Ok(Error::new(ExitCode::Diverged, text)
            .hint("lower the learning rate, or clip gradients with `gradient_clip`"))
    }

    /// Stop rules, scalars and the search for NaN.
    fn after_step(
        &mut self,
        plan: &PhasePlan,
        clock: &Clock,
        running: &mut Running,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let step = self.position.total_step;
        let log = self.plan.output.log_every;
        let log = log > 0 && step.is_multiple_of(log);
        if plan.stop.is_some() || log {
            let metrics = self.network.metrics(clock)?;
            if let Some(stop) = &plan.stop {
                running.stop.see(stop, &metrics);
            }
            if log {
                progress.rules(step, &metrics);
            }
        }
        if self.position.step.is_multiple_of(CHECK_EVERY)
            && self.network.diverged_block()?.is_some()
        {
            return Err(self.diverged()?);
        }
        Ok(())
    }

    fn end_epoch(
        &mut self,
        plan: &PhasePlan,
        running: &mut Running,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        if self.network.diverged_block()?.is_some() {
            return Err(self.diverged()?);
        }
        let clock = self.clock(plan, self.position.step, running.steps, running.samples);
        let mut metrics = self.epoch_metrics(plan, &clock, running)?;
        self.position.epoch += 1;
        self.position.total_epoch += 1;
        self.position.batch = 0;
        let scores = self.evaluate_if_due(plan, running, progress)?;
        let mut best = false;
        if let Some((name, scores)) = scores {
            metrics.insert(format!("{name}/loss"), scores.loss);
            if let Some(accuracy) = scores.accuracy {
                metrics.insert(format!("{name}/accuracy"), accuracy);
                best = self.best.is_none_or(|b| accuracy > b) && self.position.segment == 0;
                self.best = Some(self.best.map_or(accuracy, |b| b.max(accuracy)));
            }
        }
        self.alignment_if_due(plan, &clock, &mut metrics)?;
        let seconds = running.seconds + running.started.elapsed().as_secs_f64();
        (running.seconds, running.meter) = (0.0, Meter::new(&self.place.device)?);
        progress.epoch(&EpochEvent {
            segment: &self.segment.name,
            phase: &plan.name,
            epoch: self.position.epoch,
            epochs: plan.epochs,
            total_epoch: self.position.total_epoch,
            step: self.position.total_step,
            seconds,
            metrics,
        })?;
        running.started = Instant::now();
        self.checkpoint(running, progress, best)
    }

    fn epoch_metrics(
        &self,
        plan: &PhasePlan,
        clock: &Clock,
        running: &Running,
    ) -> Result<BTreeMap<String, f64>> {
        let mut out = BTreeMap::new();
        if let Some(optimizer) = &running.optimizer {
            let (loss, accuracy) = running.meter.read()?;
            if !loss.is_finite() {
                return Err(self.diverged()?);
            }
            out.insert("train/loss".into(), loss);
            if self.data.test.classes() {
                out.insert("train/accuracy".into(), accuracy);
            }
            let lr = rate(
                &plan.schedule,
                optimizer.base_rate(),
                clock.epoch,
                plan.epochs,
            );
            out.insert("rate".into(), lr);
        }
        if let Some(rate) = clock.local_rate {
            out.insert("local_rate".into(), rate);
        }
        for (block, values) in self.network.metrics(clock)? {
            for (name, value) in values {
                out.insert(format!("{block}/{name}"), value);
            }
        }
        Ok(out)
    }

    fn evaluate_if_due(
        &mut self,
        plan: &PhasePlan,
        running: &Running,
        progress: &dyn Progress,
    ) -> Result<Option<(&'static str, Scores)>> {
        let (every, epoch) = (plan.evaluate_every, self.position.epoch);
        let last = self.is_over(plan, running);
        if every == 0 || !(epoch.is_multiple_of(every) || last) {
            return Ok(None);
        }
        let data = self.data;
        let (name, samples) = data.held_out();
        let repeats = plan.epochs == 0 || plan.epochs / every > 1;
        if plan.cache.enabled && running.first > 0 && repeats {
            self.keep(plan, name, samples, running.first, progress)?;
        }
        let features = self.cache.peek(name, running.first);
        let scores = evaluate(&mut self.network, samples, features, plan.loss, &self.place)?;
        self.network.set_mode(&Self::mode(plan));
        self.last_scores = Some(scores);
        Ok(Some((name, scores)))
    }

    /// Makes everything durable: this network, finished ones, the optimiser, the position.
    fn checkpoint(
        &mut self,
        running: &Running,
        progress: &mut dyn Progress,
        best: bool,
    ) -> Result<()> {
        let mut tensors = self.carried.clone();
        tensors.extend(named(&self.network, &self.segment.prefix));
        tensors.extend(running.optimizer.iter().flat_map(Optimizer::tensors));
        let saved = Saved {
            version: VERSION,
            seed: self.seed,
            position: self.position,
            counters: self.network.counters(),
            optimizer_steps: running.optimizer.as_ref().map_or(0, Optimizer::steps),
            meter: Some(running.meter.save()?),
            stop: running.stop,
            seconds: running.seconds + running.started.elapsed().as_secs_f64(),
            results: self.results.clone(),
            best: self.best.map(f64::to_bits),
            last_scores: self.last_scores.map(Into::into),
        };
        progress.checkpoint(&tensors, &saved.write()?, best)
    }
}
