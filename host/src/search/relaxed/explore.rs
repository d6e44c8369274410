//! Architecture parameters that move towards what an evolution strategy finds before each epoch
//! (Cai et al. 2024, EG-NAS): rounds of CMA-ES around the present weights of candidates, each
//! scored by the supernet on one batch; the best round gives the direction.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use serde_json::{Value, json};

use super::feed::Feed;
use super::fitness;
use super::perturb::Perturbation;
use super::plan::ExplorePlan;
use super::record::Record;
use super::tables::Relaxed;
use crate::nn::{Clock, Mixture, Mode, Pass, Tables};
use crate::search::cma::CmaEs;
use crate::search::draw::{Draw, Purpose};
use crate::search::relax::softmax;
use crate::train::architecture::table;
use crate::train::criterion::Criterion;
use crate::train::step::GradientStep;
use crate::train::{Engine, Step, StepInput};
use crate::{Error, Result};

/// Deviation of the noise on the mean of a round.
const NOISE: f64 = 0.01;

/// Explores before each epoch, and lets the weights learn in it.
pub struct Exploration<'a> {
    pub(super) plan: &'a ExplorePlan,
    /// Epochs before which nothing is explored.
    pub(super) warmup_epochs: u64,
    pub(super) relaxed: Relaxed,
    pub(super) alphas: Tables,
    /// The direction of the last exploration.
    pub(super) previous: Option<Tables>,
    pub(super) feed: Feed<'a>,
    pub(super) criterion: Criterion,
    pub(super) weights: GradientStep,
    pub(super) seed: u64,
    pub(super) record: Record<'a>,
    pub(super) under_way: UnderWay,
    /// In which the supernet learns.
    pub(super) mode: Mode,
    /// Derives by perturbation once all epochs are over.
    pub(super) perturbed: Option<Perturbation<'a>>,
}

/// The seed of the released program's evolution strategy, which it makes anew in every round.
const RELEASED_SEED: u64 = 1;

/// Where the exploration of an epoch stands.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay {
    /// Finished epochs when it began; `None` before the first.
    epoch: Option<u64>,
    /// Rounds done.
    rounds: u64,
    /// The best round's accuracy and weights.
    best: Option<(f64, Tables)>,
}

impl Exploration<'_> {
    /// One question of a derivation by perturbation, where one is due.
    fn piece(&mut self, engine: &mut Engine<'_>) -> Result<bool> {
        let Some(perturbed) = &mut self.perturbed else {
            return Ok(false);
        };
        let answered = perturbed.piece(engine, &mut self.relaxed, &self.alphas)?;
        engine
            .network
            .set_mixture(&self.relaxed.mixture(&self.alphas))?;
        Ok(answered)
    }

    /// Rounds before an epoch; those of the released program are one and the same.
    fn rounds(&self) -> u64 {
        if self.plan.released {
            1
        } else {
            self.plan.rounds
        }
    }

    /// One round: generations of CMA-ES on `batch`. The best individual's weights of candidates,
    /// with their accuracy.
    fn round(
        &self,
        engine: &mut Engine<'_>,
        batch: &StepInput,
        at: (u64, u64),
    ) -> Result<(f64, Tables)> {
        let running = self.plan.running_statistics || self.plan.released;
        if running {
            engine.network.set_mode(&Mode::default());
        }
        let found = self.explored(engine, batch, at);
        engine.network.set_mode(&self.mode);
        found
    }

    fn explored(
        &self,
        engine: &mut Engine<'_>,
        batch: &StepInput,
        (epoch, round): (u64, u64),
    ) -> Result<(f64, Tables)> {
        let now = self.relaxed.mixture(&self.alphas);
        let (_, at_least) = self.score(engine, batch, &now)?;
        let mut mean = flat(&now.tables);
        let number = epoch * self.rounds() + round;
        let mut draw = Draw::new(Purpose::Noise, self.seed, number, 0);
        mean.iter_mut().for_each(|m| *m += NOISE * draw.normal());
        let released = self.plan.released;
        // The released program passes the epoch 0 whatever the epoch is.
        let deviation = fitness::sigma(if released { 0 } else { epoch });
        let (generations, key) = match released {
            true => (1, (RELEASED_SEED, 0)),
            false => (self.plan.generations, (self.seed, number)),
        };
        let mut cma = CmaEs::new(&mean, deviation, self.plan.population)?;
        let mut best: Option<(f64, f64, Tables)> = None;
        for _ in 0..generations {
            let samples = cma.ask_all(key.0, key.1)?;
            let mut values = Vec::with_capacity(samples.len());
            for sample in &samples {
                let individual = like(&now.tables, sample);
                let mixture = Mixture {
                    tables: match released {
                        true => fitness::weights(&individual),
                        false => fitness::rows(&individual, softmax),
                    },
                };
                let (loss, accuracy) = self.score(engine, batch, &mixture)?;
                let near = fitness::similarity(&now.tables, &individual);
                let value =
                    fitness::fitness(loss, near, self.plan.similarity, accuracy >= at_least);
                if best.as_ref().is_none_or(|(least, ..)| value < *least) {
                    best = Some((value, accuracy, mixture.tables));
                }
                values.push(value);
            }
            cma.tell(&samples, &values)?;
        }
        let best = best.ok_or_else(|| Error::internal("a round without individuals"))?;
        match released {
            true => Ok((best.1, fitness::again(&best.2))),
            false => Ok((best.1, best.2)),
        }
    }

    /// Mean loss and accuracy of the supernet under `mixture`.
    fn score(
        &self,
        engine: &mut Engine<'_>,
        batch: &StepInput,
        mixture: &Mixture,
    ) -> Result<(f64, f64)> {
        engine.network.set_mixture(mixture)?;
        // Norms go by the mode; rules that learn in evaluation do not learn from what is only tried.
        let mut pass = Pass::forward_only(engine.clock.clone());
        let blocks = engine.first..engine.network.len();
        let y = engine.network.forward(&mut pass, &batch.x, blocks)?;
        let scored = self.criterion.score(&y.flatten_from(1)?, &batch.answers)?;
        let sums = scored.sums.to_vec1::<f64>()?;
        let n = batch.answers.len() as f64;
        match sums[0].is_finite() {
            true => Ok((sums[0] / n, sums[1] / n)),
            false => Err(Error::new(
                crate::ExitCode::Diverged,
                "the loss of the supernet is not a number in an exploration",
            )
            .hint("a smaller learning rate of the weights")),
        }
    }
}

/// All numbers of `tables`, in the order of their names.
fn flat(tables: &Tables) -> Vec<f64> {
    tables.values().flatten().flatten().copied().collect()
}

/// `numbers` in the shape of `tables`.
fn like(tables: &Tables, numbers: &[f64]) -> Tables {
    let mut numbers = numbers.iter();
    let mut out = tables.clone();
    for (place, number) in out.values_mut().flatten().flatten().zip(&mut numbers) {
        *place = *number;
    }
    out
}

fn stored(prefix: &str, tables: &Tables, out: &mut Vec<(String, Tensor)>) -> Result<()> {
    for (name, rows) in tables {
        out.push((format!("{prefix}.{name}"), table(rows)?));
    }
    Ok(())
}

fn found(prefix: &str, like: &Tables, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<Tables> {
    let read = |name: &String| {
        let name_in_file = format!("{prefix}.{name}");
        let tensor = find(&name_in_file).ok_or_else(|| {
            Error::usage(format!("the checkpoint has no tensor `{name_in_file}`"))
        })?;
        Ok((name.clone(), tensor.to_dtype(DType::F64)?.to_vec2::<f64>()?))
    };
    like.keys().map(read).collect()
}

impl Step for Exploration<'_> {
    fn prepare(&mut self, engine: &mut Engine<'_>) -> Result<bool> {
        let epoch = engine.clock.epoch;
        if let Some(perturbed) = &self.perturbed
            && perturbed.plan.is_tuning(epoch)
        {
            return self.piece(engine);
        }
        if epoch < self.warmup_epochs {
            return Ok(false);
        }
        if self.under_way.epoch != Some(epoch) {
            self.under_way = UnderWay {
                epoch: Some(epoch),
                ..UnderWay::default()
            };
        }
        if self.under_way.rounds == self.rounds() {
            return Ok(false);
        }
        let batch = self.feed.at(epoch, &engine.network)?;
        let found = self.round(engine, &batch, (epoch, self.under_way.rounds))?;
        self.under_way.rounds += 1;
        let better = |best: &(f64, Tables)| found.0 > best.0;
        if self.under_way.best.as_ref().is_none_or(better) {
            self.under_way.best = Some(found);
        }
        if self.under_way.rounds == self.rounds()
            && let Some((_, direction)) = self.under_way.best.take()
        {
            let before = self.previous.as_ref();
            let how = (self.plan.step_size, self.plan.momentum);
            let (alphas, taken) = fitness::moved(&self.alphas, &direction, before, how);
            (self.alphas, self.previous) = (alphas, Some(taken));
        }
        engine
            .network
            .set_mixture(&self.relaxed.mixture(&self.alphas))?;
        Ok(true)
    }

    fn conclude(&mut self, engine: &mut Engine<'_>) -> Result<bool> {
        self.piece(engine)
    }

    fn step(&mut self, engine: &mut Engine<'_>, batch: &StepInput) -> Result<Option<Tensor>> {
        let Some(plan) = self.perturbed.as_ref().map(|p| p.plan) else {
            return self.weights.step(engine, batch);
        };
        engine.clock = plan.before(&engine.clock);
        if plan.is_tuning(engine.clock.epoch) {
            let rate = plan.rate(&engine.clock, self.relaxed.space());
            return GradientStep::at_rate(self.criterion.clone(), rate).step(engine, batch);
        }
        self.weights.step(engine, batch)
    }

    fn rate(&self, engine: &Engine<'_>, clock: &Clock) -> Option<f64> {
        match self.perturbed.as_ref().map(|p| p.plan) {
            Some(plan) if plan.is_tuning(clock.epoch) => {
                Some(plan.rate(clock, self.relaxed.space()))
            }
            Some(plan) => self.weights.rate(engine, &plan.before(clock)),
            None => self.weights.rate(engine, clock),
        }
    }

    fn end_epoch(
        &mut self,
        engine: &mut Engine<'_>,
        metrics: &mut BTreeMap<String, f64>,
    ) -> Result<()> {
        let (record, alphas) = (&self.record, &self.alphas);
        record.epoch(engine.clock.epoch, &self.relaxed, alphas, metrics)?;
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut out = Vec::new();
        let best = self.under_way.best.as_ref().map(|(_, tables)| tables);
        let all = [
            ("architecture", Some(&self.alphas)),
            ("exploration.previous", self.previous.as_ref()),
            ("exploration.best", best),
        ];
        for (prefix, tables) in all {
            // Tables of numbers always become tensors.
            let _ = tables.map(|tables| stored(prefix, tables, &mut out));
        }
        out
    }

    fn state(&self) -> Value {
        let best = self.under_way.best.as_ref();
        json!({
            "epoch": self.under_way.epoch,
            "rounds": self.under_way.rounds,
            "best": best.map(|(accuracy, _)| accuracy.to_bits()),
            "answers": self.perturbed.as_ref().map(Perturbation::state),
        })
    }

    fn load(
        &mut self,
        engine: &mut Engine<'_>,
        state: &Value,
        find: &dyn Fn(&str) -> Option<Tensor>,
    ) -> Result<()> {
        self.alphas = found("architecture", &self.alphas, find)?;
        let known = find(&format!(
            "exploration.previous.{}",
            self.alphas.keys().next().map_or("", String::as_str)
        ));
        self.previous = match known {
            Some(_) => Some(found("exploration.previous", &self.alphas, find)?),
            None => None,
        };
        let best = match state["best"].as_u64() {
            Some(bits) => Some((
                f64::from_bits(bits),
                found("exploration.best", &self.alphas, find)?,
            )),
            None => None,
        };
        self.under_way = UnderWay {
            epoch: state["epoch"].as_u64(),
            rounds: state["rounds"].as_u64().unwrap_or(0),
            best,
        };
        if let Some(perturbed) = &mut self.perturbed {
            perturbed.load(&state["answers"], &mut self.relaxed)?;
        }
        engine
            .network
            .set_mixture(&self.relaxed.mixture(&self.alphas))
    }
}
