//! What follows a step and an epoch: the search for NaN, stop rules, metrics,
//! evaluation, reports and checkpoints.

use std::collections::BTreeMap;
use std::time::Instant;

use super::best::Best;
use super::evaluate::{Scores, evaluate};
use super::meter::Meter;
use super::phase::Running;
use super::progress::{EpochEvent, Progress};
use super::run::{SegmentResult, Trainer, named};
use super::state::{Saved, VERSION};
use crate::nn::Clock;
use crate::plan::PhasePlan;
use crate::plan::metric::Part;
use crate::plan::read_out::with_inner;
use crate::{ExitCode, Result};

/// Steps between looks for NaN and infinity in the state of local layers, on the CPU. On a GPU a
/// look waits for all that is enqueued, so there it happens only when metrics are read anyway.
const CHECK_EVERY: u64 = 64;

impl Trainer<'_> {
    /// Stop rules, scalars and the search for NaN.
    pub(super) fn after_step(
        &mut self,
        plan: &PhasePlan,
        clock: &Clock,
        running: &mut Running,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let step = self.position.total_step;
        let log = self.plan.output.log_every;
        let log = log > 0 && step.is_multiple_of(log);
        let by_rules = plan.stop.as_ref().filter(|s| s.epoch_metric().is_none());
        if by_rules.is_some() || log {
            let metrics = self.engine.network.metrics(clock)?;
            if let Some(stop) = by_rules {
                let blocks = with_inner(&self.segment.blocks, &plan.blocks);
                running.stop.see_rules(stop, &blocks, &metrics);
            }
            if log {
                progress.rules(step, &metrics);
            }
        }
        let look = match self.place.device.is_cpu() {
            true => self.position.step.is_multiple_of(CHECK_EVERY),
            false => log,
        };
        if look && self.engine.network.diverged_block()?.is_some() {
            return Err(self.diverged()?);
        }
        Ok(())
    }

    pub(super) fn end_epoch(
        &mut self,
        plan: &PhasePlan,
        running: &mut Running,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        if self.engine.network.diverged_block()?.is_some() {
            return Err(self.diverged()?);
        }
        let clock = self.clock(plan, self.position.step, running.steps, running.samples);
        let mut metrics = self.epoch_metrics(&clock, running)?;
        self.engine.end_epoch(&mut metrics)?;
        let before = (
            self.position,
            self.best.clone(),
            self.current.clone(),
            running.stop,
        );
        self.position.epoch += 1;
        self.position.total_epoch += 1;
        (self.position.batch, self.position.prepared) = (0, 0);
        let best = match self.held_out_metrics(plan, running, progress, &mut metrics) {
            // Asked to stop in the middle: the steps are kept, the evaluation is done again.
            Err(e) if e.code == ExitCode::Stopped => {
                let stop;
                (self.position, self.best, self.current, stop) = before;
                running.stop = stop;
                self.checkpoint(running, progress, false)?;
                return Err(e);
            }
            best => best?,
        };
        self.alignment_if_due(plan, &clock, &running.criterion, &mut metrics)?;
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

    /// Scores and labels of the epoch, into `metrics`; whether the network is the best so far.
    fn held_out_metrics(
        &mut self,
        plan: &PhasePlan,
        running: &mut Running,
        progress: &dyn Progress,
        metrics: &mut BTreeMap<String, f64>,
    ) -> Result<bool> {
        // Before the evaluation: a phase that ends here is evaluated.
        see_epoch(plan, running, true, metrics);
        if let Some((name, scores)) = self.evaluate_if_due(plan, running, progress)? {
            metrics.extend(scores.named(name));
        }
        see_epoch(plan, running, false, metrics);
        let best = self.is_best(plan, metrics);
        self.neuron_labels_if_due(plan, running, metrics)?;
        Ok(best)
    }

    fn epoch_metrics(&self, clock: &Clock, running: &Running) -> Result<BTreeMap<String, f64>> {
        let mut out = BTreeMap::new();
        // The rate of the last batch.
        let last = Clock {
            step: clock.step.saturating_sub(1),
            ..clock.clone()
        };
        if let Some(lr) = self.engine.rate(&last) {
            let (loss, accuracy) = running.meter.read()?;
            if !loss.is_finite() {
                return Err(self.diverged()?);
            }
            out.insert("train/loss".into(), loss);
            if self.data.test.classes() {
                out.insert("train/accuracy".into(), accuracy);
            }
            out.insert("rate".into(), lr);
        }
        if let Some(rate) = clock.local_rate {
            out.insert("local_rate".into(), rate);
        }
        for (block, values) in self.engine.network.metrics(clock)? {
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
        // The result is found from the samples themselves, so that it can be found again.
        let like_result = name == "test"
            && features.is_none()
            && !self.engine.network.updates_in_eval()
            && self.has_loss_of_result(plan);
        let loss = &running.criterion.for_evaluation();
        let evaluated = evaluate(
            &mut self.engine.network,
            samples,
            features,
            loss,
            &self.place,
        )?;
        self.engine.network.set_mode(&Self::mode(plan));
        self.current = like_result.then(|| SegmentResult::new(&self.segment.name, &evaluated));
        Ok(Some((name, evaluated.scores)))
    }

    /// Makes everything durable: this network, finished ones, the optimiser, the position.
    pub(super) fn checkpoint(
        &mut self,
        running: &Running,
        progress: &mut dyn Progress,
        best: bool,
    ) -> Result<()> {
        let mut tensors = self.carried.clone();
        tensors.extend(named(&self.engine.network, &self.segment.prefix));
        tensors.extend(self.engine.tensors());
        let saved = Saved {
            version: VERSION,
            seed: self.seed,
            position: self.position,
            counters: self.engine.network.counters(),
            optimizer_steps: self.engine.optimizer.steps(),
            step: self.engine.kind().state(),
            meter: Some(running.meter.save()?),
            meter_weight: running.meter.save_weight()?,
            stop: running.stop,
            seconds: running.seconds + running.started.elapsed().as_secs_f64(),
            results: self.results.clone(),
            best: self.best.as_ref().map(Best::bits),
            chosen: self.best.clone(),
            current: self.current.clone(),
        };
        progress.checkpoint(&tensors, &saved.write()?, best)
    }
}

/// Shows the stop rule the metric that it goes by, where that is one of an epoch and among
/// `metrics`: those of training when `training`, else those of evaluations.
fn see_epoch(
    plan: &PhasePlan,
    running: &mut Running,
    training: bool,
    metrics: &BTreeMap<String, f64>,
) {
    let Some((stop, metric)) = plan
        .stop
        .as_ref()
        .and_then(|s| Some((s, s.epoch_metric()?)))
    else {
        return;
    };
    if (metric.part == Part::Train) == training
        && let Some(value) = metrics.get(&stop.metric)
    {
        running.stop.see(stop, *value);
    }
}
