//! A step over architecture and weights in turn (Liu et al. 2019, algorithm 1): the architecture
//! from samples of its own, then the weights from the batch.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde_json::{Value, json};

use super::feed::Feed;
use super::plan::{Method, RelaxedPlan};
use super::record::Record;
use super::tables::Relaxed;
use super::unrolled::{Descent, unrolled};
use crate::nn::{Clock, Mixture, Pass, Tables, Wants};
use crate::search::draw::{Draw, Purpose};
use crate::train::criterion::Criterion;
use crate::train::step::GradientStep;
use crate::train::{Architecture, Engine, Step, StepInput};
use crate::{Error, Result};

/// Alternates steps of architecture and weights.
pub struct Bilevel<'a> {
    pub(super) plan: &'a RelaxedPlan,
    pub(super) relaxed: Relaxed,
    pub(super) architecture: Architecture,
    pub(super) feed: Feed<'a>,
    pub(super) criterion: Criterion,
    pub(super) weights: GradientStep,
    /// Of the weights' optimiser; the second order needs it.
    pub(super) descent: Option<Descent>,
    pub(super) seed: u64,
    pub(super) record: Record<'a>,
    /// The architecture stays as it is from now on.
    pub(super) frozen: bool,
}

/// Numbers of the draws of one step.
const DRAWS: u64 = 2;

impl Bilevel<'_> {
    fn temperature(&self, clock: &Clock) -> f64 {
        let Method::Gdas { hot, cold } = self.plan.method else {
            return 1.0;
        };
        let last = clock.epochs.saturating_sub(1).max(1) as f64;
        hot + (cold - hot) * (clock.epoch as f64 / last).min(1.0)
    }

    /// A step of the architecture; the passes it took.
    fn architecture_step(&mut self, engine: &mut Engine<'_>, batch: &StepInput) -> Result<u64> {
        let validation = self.feed.at(engine.clock.step, &engine.network)?;
        let alphas = self.architecture.values()?;
        let one_pass = |engine: &mut Engine<'_>, mixture: &Mixture, criterion: &Criterion| {
            engine.network.set_mixture(mixture)?;
            let mut pass = Pass::gradient(engine.clock.clone()).wanting(Wants::ARCHITECTURE);
            (pass.local, pass.clock.pass) = (false, 0);
            let passed = engine.pass(pass, &validation, criterion)?;
            passed.architecture.sums(mixture)
        };
        let (gradient, passes) = match self.plan.method {
            Method::FirstOrder => {
                let mixture = self.relaxed.mixture(&alphas);
                let by_weight = one_pass(engine, &mixture, &self.criterion)?;
                (self.relaxed.gradient(&mixture, &by_weight), 1)
            }
            Method::Gdas { .. } => {
                let number = DRAWS * engine.clock.step;
                let temperature = self.temperature(&engine.clock);
                let (mixture, draws) = self.relaxed.drawn(&alphas, temperature, self.seed, number);
                let by_weight = one_pass(engine, &mixture, &self.criterion)?;
                let gradient = self.relaxed.drawn_gradient(&draws, &mixture, &by_weight);
                (gradient, 1)
            }
            Method::SecondOrder => {
                let mixture = self.relaxed.mixture(&alphas);
                engine.network.set_mixture(&mixture)?;
                let eta = self.weights.rate(engine, &engine.clock);
                let (Some(eta), Some(descent)) = (eta, self.descent) else {
                    return Err(Error::internal("the second order without descent"));
                };
                let criterion = &self.criterion;
                let both = (batch, &validation);
                let found = unrolled(engine, both, criterion, &mixture, (descent, eta))?;
                let by_weight = found.gradient(eta);
                (self.relaxed.gradient(&mixture, &by_weight), 4)
            }
            Method::Explore(_) => return Err(Error::internal("an exploration has no gradient")),
        };
        is_finite(&gradient)?;
        let rate = self.architecture.base_rate();
        self.architecture.step(&gradient, rate)?;
        Ok(passes)
    }

    /// The mixture under which the weights take step `step`.
    fn for_weights(&self, clock: &Clock) -> Result<Mixture> {
        let alphas = self.architecture.values()?;
        let number = DRAWS * clock.step + 1;
        if let Method::Gdas { .. } = self.plan.method {
            let temperature = self.temperature(clock);
            return Ok(self
                .relaxed
                .drawn(&alphas, temperature, self.seed, number)
                .0);
        }
        let mut mixture = self.relaxed.mixture(&alphas);
        if self.plan.perturbation > 0.0 {
            for (cell, kind) in self.relaxed.space().skeleton.cells().iter().enumerate() {
                let mut draw = Draw::new(Purpose::Noise, self.seed, number, cell as u64);
                let table = mixture
                    .tables
                    .get_mut(*kind)
                    .into_iter()
                    .flatten()
                    .flatten();
                table.for_each(|p| *p += self.plan.perturbation * (2.0 * draw.unit() - 1.0));
            }
        }
        Ok(mixture)
    }

    /// The mixture under which the supernet is evaluated.
    fn for_evaluation(&self) -> Result<Mixture> {
        Ok(self.relaxed.mixture(&self.architecture.values()?))
    }
}

/// Refuses parameters that are no longer numbers, with their place.
fn is_finite(gradient: &Tables) -> Result<()> {
    for (table, rows) in gradient {
        for (row, values) in rows.iter().enumerate() {
            if let Some(k) = values.iter().position(|g| !g.is_finite()) {
                return Err(Error::new(crate::ExitCode::Diverged, format!(
                    "the gradient of the architecture is not a number: cell `{table}`, edge {row}, candidate {k}"
                ))
                .hint("a smaller `lr` of the weights, or `gradient_clip = { norm = 5.0 }`"));
            }
        }
    }
    Ok(())
}

impl Step for Bilevel<'_> {
    fn step(&mut self, engine: &mut Engine<'_>, batch: &StepInput) -> Result<Option<Tensor>> {
        let learns = !self.frozen && engine.clock.epoch >= self.plan.warmup_epochs;
        let passes = match learns {
            true => self.architecture_step(engine, batch)?,
            false => 0,
        };
        let mixture = self.for_weights(&engine.clock)?;
        engine.network.set_mixture(&mixture)?;
        engine.clock.pass = passes;
        let sums = self.weights.step(engine, batch)?;
        engine.clock.pass = 0;
        Ok(sums)
    }

    fn rate(&self, engine: &Engine<'_>, clock: &Clock) -> Option<f64> {
        self.weights.rate(engine, clock)
    }

    fn end_epoch(
        &mut self,
        engine: &mut Engine<'_>,
        metrics: &mut BTreeMap<String, f64>,
    ) -> Result<()> {
        engine.network.set_mixture(&self.for_evaluation()?)?;
        let alphas = self.architecture.values()?;
        let skips = (self.record).epoch(engine.clock.epoch, &self.relaxed, &alphas, metrics)?;
        self.frozen |= self.plan.stop_on_skips.is_some_and(|most| skips >= most);
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        self.architecture.tensors()
    }

    fn state(&self) -> Value {
        json!({ "steps": self.architecture.steps(), "frozen": self.frozen })
    }

    fn load(
        &mut self,
        engine: &mut Engine<'_>,
        state: &Value,
        find: &dyn Fn(&str) -> Option<Tensor>,
    ) -> Result<()> {
        let steps = state["steps"].as_u64();
        let steps = steps.ok_or_else(|| Error::usage("the checkpoint is not one of a search"))?;
        self.architecture.load(steps, find)?;
        self.frozen = state["frozen"].as_bool().unwrap_or(false);
        engine.network.set_mixture(&self.for_evaluation()?)
    }
}
