//! A step over architecture and weights in turn (Liu et al. 2019, algorithm 1): the architecture
//! from samples of its own, then the weights from the batch.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde_json::{Value, json};

use super::feed::Feed;
use super::perturb::Perturbation;
use super::plan::{Method, RelaxedPlan};
use super::record::Record;
use super::tables::Relaxed;
use super::unrolled::{Descent, unrolled};
use crate::nn::{Clock, Mixture, Pass, Tables, Wants};
use crate::search::draw::{Draw, Purpose};
use crate::search::relax::zero_one;
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
    /// Derives by perturbation once all epochs are over.
    pub(super) perturbed: Option<Perturbation<'a>>,
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
                let mut by_weight = one_pass(engine, &mixture, &self.criterion)?;
                self.add_zero_one(&mixture, &mut by_weight);
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
                let eta = self.rate(engine, &engine.clock);
                let (Some(eta), Some(descent)) = (eta, self.descent) else {
                    return Err(Error::internal("the second order without descent"));
                };
                let criterion = &self.criterion;
                let both = (batch, &validation);
                let found = unrolled(engine, both, criterion, &mixture, (descent, eta))?;
                let mut by_weight = found.gradient(eta);
                self.add_zero_one(&mixture, &mut by_weight);
                (self.relaxed.gradient(&mixture, &by_weight), 4)
            }
            Method::Explore(_) => return Err(Error::internal("an exploration has no gradient")),
        };
        is_finite(&gradient)?;
        let rate = self.architecture.base_rate();
        self.architecture.step(&gradient, rate)?;
        Ok(passes)
    }

    /// Adds the derivative of the zero-one loss over all weights of candidates (Chu et al. 2020) to
    /// `by_weight`.
    fn add_zero_one(&self, mixture: &Mixture, by_weight: &mut Tables) {
        if self.plan.zero_one <= 0.0 {
            return;
        }
        let columns = self.relaxed.space().candidates.len();
        let kinds = self.relaxed.space().skeleton.cells();
        let rows = kinds.iter().flat_map(|kind| &mixture.tables[*kind]);
        let all: Vec<f64> = rows.flat_map(|row| &row[..columns]).copied().collect();
        let (_, gradient) = zero_one(&all);
        let mut gradient = gradient.into_iter();
        for kind in kinds {
            let rows = by_weight.get_mut(*kind).into_iter().flatten();
            for (own, g) in rows.flat_map(|row| &mut row[..columns]).zip(&mut gradient) {
                *own += self.plan.zero_one * g;
            }
        }
    }

    /// The weight of the identity beside mixtures in epoch `clock.epoch`.
    fn set_auxiliary(&mut self, clock: &Clock) {
        let left = clock.epochs.saturating_sub(clock.epoch) as f64;
        let share = left / clock.epochs.max(1) as f64;
        self.relaxed.set_auxiliary(self.plan.auxiliary_skip * share);
    }

    /// `clock` as the epochs before a derivation by perturbation see it.
    fn own_clock(&self, clock: &Clock) -> Clock {
        match &self.plan.perturb {
            Some(plan) => plan.before(clock),
            None => clock.clone(),
        }
    }

    /// One question of a derivation by perturbation, where one is due.
    fn piece(&mut self, engine: &mut Engine<'_>) -> Result<bool> {
        let Some(perturbed) = &mut self.perturbed else {
            return Ok(false);
        };
        if perturbed.plan.is_tuning(engine.clock.epoch) {
            self.relaxed.set_auxiliary(0.0);
        }
        let alphas = self.architecture.values()?;
        perturbed.piece(engine, &mut self.relaxed, &alphas)
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
            let columns = self.relaxed.space().candidates.len();
            for (cell, kind) in self.relaxed.space().skeleton.cells().iter().enumerate() {
                let mut draw = Draw::new(Purpose::Noise, self.seed, number, cell as u64);
                let rows = mixture.tables.get_mut(*kind).into_iter().flatten();
                let table = rows.flat_map(|row| &mut row[..columns]);
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
        engine.clock = self.own_clock(&engine.clock);
        let clock = engine.clock.clone();
        self.set_auxiliary(&clock);
        let passes = match learns {
            true => self.architecture_step(engine, batch)?,
            false => 0,
        };
        let mixture = self.for_weights(&clock)?;
        engine.network.set_mixture(&mixture)?;
        engine.clock.pass = passes;
        let tuning = self.perturbed.as_ref().map(|p| p.plan);
        let sums = match tuning.filter(|plan| plan.is_tuning(clock.epoch)) {
            Some(plan) => {
                let rate = plan.rate(&clock, self.relaxed.space());
                GradientStep::at_rate(self.criterion.clone(), rate).step(engine, batch)?
            }
            None => self.weights.step(engine, batch)?,
        };
        engine.clock.pass = 0;
        Ok(sums)
    }

    fn rate(&self, engine: &Engine<'_>, clock: &Clock) -> Option<f64> {
        let tuning = self.perturbed.as_ref().map(|p| p.plan);
        match tuning.filter(|plan| plan.is_tuning(clock.epoch)) {
            Some(plan) => Some(plan.rate(clock, self.relaxed.space())),
            None => self.weights.rate(engine, &self.own_clock(clock)),
        }
    }

    fn prepare(&mut self, engine: &mut Engine<'_>) -> Result<bool> {
        self.piece(engine)
    }

    fn conclude(&mut self, engine: &mut Engine<'_>) -> Result<bool> {
        let found = self.piece(engine)?;
        engine.network.set_mixture(&self.for_evaluation()?)?;
        Ok(found)
    }

    fn end_epoch(
        &mut self,
        engine: &mut Engine<'_>,
        metrics: &mut BTreeMap<String, f64>,
    ) -> Result<()> {
        engine.network.set_mixture(&self.for_evaluation()?)?;
        let alphas = self.architecture.values()?;
        if let Some(weight) = self.relaxed.auxiliary() {
            metrics.insert("search/auxiliary_skip".into(), weight);
        }
        let skips = (self.record).epoch(engine.clock.epoch, &self.relaxed, &alphas, metrics)?;
        self.frozen |= self.plan.stop_on_skips.is_some_and(|most| skips >= most);
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        self.architecture.tensors()
    }

    fn state(&self) -> Value {
        json!({
            "steps": self.architecture.steps(),
            "frozen": self.frozen,
            "auxiliary": self.relaxed.auxiliary().map(f64::to_bits),
            "answers": self.perturbed.as_ref().map(Perturbation::state),
        })
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
        if let Some(bits) = state["auxiliary"].as_u64() {
            self.relaxed.set_auxiliary(f64::from_bits(bits));
        }
        if let Some(perturbed) = &mut self.perturbed {
            perturbed.load(&state["answers"], &mut self.relaxed)?;
        }
        engine.network.set_mixture(&self.for_evaluation()?)
    }
}
