//! Steps of a search by a supernet: one of the architecture on its batch, then one of the weights on
//! theirs, as `biorule search` makes them.

use candle_core::DType;
use serde_json::json;

use super::super::case::{Bench, Case, Cost, Named, Work, labels, noise, snapshot};
use super::steps::{Shaped, sources};
use crate::config::{self, DataShape};
use crate::data::Answers;
use crate::data::feed::{Batch, Batches, EpochSpec, Samples};
use crate::nn::build::Placement;
use crate::nn::{Clock, InputShape, NamedTensor, Network};
use crate::plan::{BlockPlan, Drive};
use crate::search::network::Counts;
use crate::search::relaxed::{self, Searcher};
use crate::search::space::sets;
use crate::train::criterion::Criterion;
use crate::train::step::StepInput;
use crate::train::{Engine, Steps};
use crate::{Error, Result};

const DIMS: [usize; 3] = [3, 32, 32];
const CLASSES: usize = 10;

/// Passes that a step needs: forward and back to the input for the architecture; forward, back to
/// the input and to the weights for the weights.
const PASSES: f64 = 5.0;

/// A supernet to be stepped.
#[derive(Clone, Copy)]
struct Supernet {
    space: &'static str,
    batch: usize,
    recompute: bool,
}

/// `supernet-step-{darts,bionas22}-c16-b16`: eight cells, candidates run again in the backward pass;
/// `…-kept`: with all of their outputs kept.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for space in ["darts", "bionas22"] {
        for recompute in [true, false] {
            let net = Supernet {
                space,
                batch: 16,
                recompute,
            };
            cases.push(net.case());
        }
    }
    cases
}

impl Supernet {
    fn case(self) -> Case {
        let kept = if self.recompute { "" } else { "-kept" };
        let space = sets::named(self.space);
        let candidates = space.iter().flat_map(|s| &s.candidates);
        let candidates: Vec<String> = candidates.map(ToString::to_string).collect();
        Case {
            name: format!("supernet-step-{}-c16-b{}{kept}", self.space, self.batch),
            torch: "supernet-step",
            params: json!({
                "candidates": candidates, "channels": 16, "cells": 8,
                "lr": 0.025, "momentum": 0.9, "weight_decay": 3e-4, "clip": 5.0,
                "architecture_lr": 3e-4, "architecture_decay": 1e-3,
            }),
            // Two steps stand behind the results, and Adam's first one has the size of its rate
            // whatever the gradient; rules that draw at random draw other numbers.
            tolerance: match self.space {
                "darts" => 5e-3,
                _ => 5e-2,
            },
            make: Box::new(move |bench| Ok(Box::new(self.step(bench)?))),
        }
    }

    fn step(self, bench: &Bench<'_>) -> Result<Step> {
        let shape = DataShape {
            sample: DIMS.to_vec(),
            classes: CLASSES,
        };
        let Self {
            space,
            batch,
            recompute,
        } = self;
        let toml = format!(
            r#"[data]
set = "cifar10"
validation = 5000
parts = {{ weights = ":50%", architecture = "50%:" }}
[search]
space = "{space}"
strategy = "darts"
[search.supernet]
batch = {batch}
recompute = {recompute}
[training.gradient]
epochs = 1
"#
        );
        let sources = sources(bench, &format!("supernet-{space}"), &toml)?;
        let context = Shaped {
            app: bench.app,
            shape: &shape,
        };
        let search = config::search(config::merge(&sources)?, &context)?;
        let none = || Error::internal("a supernet without its plan");
        let plan = search.plan.supernet.as_ref().ok_or_else(none)?;
        let how = search.plan.strategy.relaxed(plan).ok_or_else(none)?;
        let size = plan.size(&search.size);
        let blocks = relaxed::blocks(&how, &search.space, &size)?;
        let mut phase = search
            .supernet(&context)?
            .plan
            .phases
            .pop()
            .ok_or_else(none)?;
        phase.blocks = blocks.iter().map(|b| b.name.clone()).collect();
        phase.drive = Drive::Gradient;
        plan.train(&mut phase);
        // Steps borrow who makes them, and a row's work ends with the process.
        let searcher: &'static Searcher = Box::leak(Box::new(Searcher {
            plan: how,
            space: search.space.clone(),
            seed: 0,
            on_epoch: None,
            on_answer: None,
        }));
        let validation: &'static OneBatch = Box::leak(Box::new(OneBatch::new(bench, 3, batch)?));
        let mut engine = Engine::new(network(bench, &blocks)?);
        engine.begin(&phase, phase.loss)?;
        let criterion = Criterion::from(phase.loss);
        let samples = |_: &str| Ok::<&'static dyn Samples, Error>(validation);
        let kind = searcher.kind("supernet", &phase, &criterion, &samples, &mut engine)?;
        engine.set_kind(kind.ok_or_else(none)?);
        engine.network.start_phase();
        engine.clock = Clock {
            epochs: phase.epochs,
            steps_per_epoch: 1000,
            batch,
            samples: 1000 * batch,
            ..Clock::default()
        };
        let weights = OneBatch::new(bench, 1, batch)?;
        Ok(Step {
            flop: 2.0 * PASSES * Counts::of(&blocks, &shape)?.multiply_adds as f64 * batch as f64,
            engine,
            input: StepInput {
                x: weights.batch.x,
                answers: weights.batch.answers,
                dropped: false,
            },
            validation,
        })
    }
}

fn network(bench: &Bench<'_>, blocks: &[BlockPlan]) -> Result<Network> {
    let input = InputShape {
        dims: DIMS.to_vec(),
        outputs: CLASSES,
    };
    let place = Placement {
        device: bench.device.clone(),
        dtype: DType::F32,
        seed: 0,
    };
    Network::build(blocks, &input, bench.app.registry(), &place)
}

/// The same batch again and again.
struct OneBatch {
    batch: Batch,
}

impl OneBatch {
    fn new(bench: &Bench<'_>, seed: u64, samples: usize) -> Result<Self> {
        let dims = [vec![samples], DIMS.to_vec()].concat();
        let answers = labels(seed + 1, samples, CLASSES as u64, &bench.device)?;
        Ok(Self {
            batch: Batch {
                x: noise(seed, &dims, &bench.device)?,
                answers: Answers::Classes(answers),
            },
        })
    }
}

impl Samples for OneBatch {
    fn len(&self) -> usize {
        self.batch.answers.len()
    }
    fn dims(&self) -> Vec<usize> {
        DIMS.to_vec()
    }
    fn outputs(&self) -> usize {
        CLASSES
    }
    fn classes(&self) -> bool {
        true
    }
    fn augments(&self) -> bool {
        false
    }
    fn order(&self, _seed: u64, _epoch: u64, _shuffle: bool) -> Vec<u32> {
        (0..self.len() as u32).collect()
    }
    fn read(&self, _indices: &[u32]) -> Result<Batch> {
        Ok(self.batch.clone())
    }
    fn answers(&self, _indices: &[u32]) -> Result<Answers> {
        Ok(self.batch.answers.clone())
    }
    fn epoch(&self, _spec: &EpochSpec) -> Result<Batches<'_>> {
        Ok(Box::new(std::iter::once(Ok(self.batch.clone()))))
    }
}

/// A supernet in the first epoch of its search, with a batch for each of its two steps.
struct Step {
    engine: Engine<'static>,
    input: StepInput,
    validation: &'static OneBatch,
    flop: f64,
}

impl Step {
    /// Whatever a layer holds but running statistics.
    fn held(&self) -> Vec<NamedTensor> {
        let mut tensors = self.engine.network.tensors();
        tensors.retain(|t| !t.name.contains(".running_"));
        tensors
    }
}

/// The tables of the architecture, among the tensors of the step.
fn is_table(name: &str) -> bool {
    name.starts_with("architecture.") && !name.starts_with("architecture.optimizer.")
}

impl Work for Step {
    fn inputs(&self) -> Result<Named> {
        let mut inputs = vec![
            ("x".to_owned(), self.input.x.clone()),
            ("labels".to_owned(), self.input.answers.raw().clone()),
            ("validation.x".to_owned(), self.validation.batch.x.clone()),
            (
                "validation.labels".to_owned(),
                self.validation.batch.answers.raw().clone(),
            ),
        ];
        for t in self.held() {
            inputs.push((t.name.to_string(), snapshot(&t.tensor)?));
        }
        let own = self.engine.tensors().into_iter();
        inputs.extend(own.filter(|(name, _)| is_table(name)));
        Ok(inputs)
    }

    /// The loss of the weights' step, and the first moments of both optimisers: gradients up to a
    /// factor. Of the weights' only those of the classifier, which all others lead to.
    fn results(&mut self) -> Result<Named> {
        self.engine.step(&self.input)?;
        let mut results = Named::new();
        for (name, tensor) in self.engine.tensors() {
            let moment = name.strip_prefix("architecture.optimizer.");
            if let Some(table) = moment.and_then(|name| name.strip_suffix(".0")) {
                results.push((format!("architecture.{table}"), snapshot(&tensor)?));
            }
        }
        for (name, moment) in self.engine.optimizer.tensors() {
            if name.contains("classifier") {
                results.push((name, snapshot(&moment)?));
            }
        }
        Ok(results)
    }

    fn call(&mut self) -> Result<()> {
        self.engine.step(&self.input).map(drop)
    }

    fn cost(&self) -> Cost {
        Cost {
            flop: self.flop,
            bytes: 0.0,
        }
    }
}
