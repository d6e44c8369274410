//! A kind of step from outside the trainer: first-order search over weights and architecture
//! (Liu, Simonyan and Yang 2019), with work before each epoch that may be interrupted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use biorule::config::plan::*;
use biorule::data::feed::{EpochSpec, Samples};
use biorule::nn::{Mixture, Pass, Tables, Wants};
use biorule::train::architecture::Architecture;
use biorule::train::criterion::Criterion;
use biorule::train::{
    Engine, EpochEvent, Job, Outcome, PhaseEvent, Progress, Step, StepEvent, StepInput, Steps, run,
};
use biorule::{Error, Result};
use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use crate::support::data::*;
use crate::support::*;

const DIMS: [usize; 3] = [1, 4, 4];

/// A mixed edge of two convolutions and an identity before a classifier.
fn supernet() -> Vec<BlockPlan> {
    let conv = |name: &str, kernel: usize| BlockPlan {
        layer: conv_layer("backprop", 1, [kernel; 2], [kernel / 2; 4], "zeros"),
        norm_inner: norm(true),
        ..empty(name)
    };
    let candidate = |name: &str, blocks| CandidatePlan {
        name: name.to_owned(),
        blocks,
    };
    let mixed = MixedPlan {
        table: "normal".into(),
        row: 0,
        candidates: vec![
            candidate("conv_1x1", vec![conv("small", 1)]),
            candidate("conv_3x3", vec![conv("large", 3)]),
            candidate("skip", Vec::new()),
        ],
        recompute: true,
    };
    let node = NodePlan {
        name: "out".into(),
        join: Join::Sum,
        from: vec![EdgePlan::mixed("input", mixed)],
    };
    vec![
        BlockPlan {
            graph: Some(GraphPlan { nodes: vec![node] }),
            ..empty("cell")
        },
        BlockPlan {
            flatten: true,
            layer: dense_layer("backprop", 0),
            ..empty("head")
        },
    ]
}

/// Weights by softmax over the rows.
fn softmax(alphas: &Tables) -> Mixture {
    let row = |row: &Vec<f64>| {
        let sum: f64 = row.iter().map(|a| a.exp()).sum();
        row.iter().map(|a| a.exp() / sum).collect()
    };
    let tables = alphas.iter();
    let tables = tables.map(|(name, rows)| (name.clone(), rows.iter().map(row).collect()));
    Mixture {
        tables: tables.collect(),
    }
}

/// `∂L/∂αₖ = pₖ(∂L/∂pₖ − Σⱼ pⱼ ∂L/∂pⱼ)`.
fn through_softmax(mixture: &Mixture, by_weight: &Tables) -> Tables {
    let row = |(p, g): (&Vec<f64>, &Vec<f64>)| {
        let mean: f64 = p.iter().zip(g).map(|(p, g)| p * g).sum();
        p.iter().zip(g).map(|(p, g)| p * (g - mean)).collect()
    };
    let tables = by_weight.iter();
    let tables = tables.map(|(name, rows)| {
        let weights = mixture.tables[name].iter();
        (name.clone(), weights.zip(rows).map(row).collect())
    });
    tables.collect()
}

/// Pieces of work before an epoch.
const PIECES: u64 = 2;

/// Alternates a step of the architecture on other samples with one of the weights.
struct FirstOrder<'a> {
    architecture: Architecture,
    /// What the architecture learns from.
    samples: &'a dyn Samples,
    criterion: Criterion,
    /// Epochs begun and pieces of work done before the present one.
    epoch: u64,
    pieces: u64,
}

impl FirstOrder<'_> {
    fn batch(&self, step: u64) -> Result<StepInput> {
        let spec = EpochSpec {
            seed: 5,
            epoch: step,
            batch: 16,
            shuffle: true,
            drop_last: true,
            augment: false,
            start: 0,
        };
        let mut batches = self.samples.epoch(&spec)?;
        let batch = batches
            .next()
            .ok_or_else(|| Error::internal("no samples"))??;
        Ok(StepInput {
            answers: batch.answers.beside(&batch.x)?,
            x: batch.x,
            dropped: false,
        })
    }
}

impl Step for FirstOrder<'_> {
    fn step(&mut self, engine: &mut Engine<'_>, batch: &StepInput) -> Result<Option<Tensor>> {
        let mixture = softmax(&self.architecture.values()?);
        engine.network.set_mixture(&mixture)?;
        let mut pass = Pass::gradient(engine.clock.clone()).wanting(Wants::ARCHITECTURE);
        pass.local = false;
        let held_out = self.batch(engine.clock.step)?;
        let passed = engine.pass(pass, &held_out, &self.criterion)?;
        assert!(passed.gradients.is_empty());
        let by_weight = passed.architecture.sums(&mixture)?;
        let rate = self.architecture.base_rate();
        self.architecture
            .step(&through_softmax(&mixture, &by_weight), rate)?;
        let mixture = softmax(&self.architecture.values()?);
        engine.network.set_mixture(&mixture)?;
        let mut pass = Pass::gradient(engine.clock.clone());
        pass.clock.pass = 1;
        let passed = engine.pass(pass, batch, &self.criterion)?;
        engine.update(passed.gradients, &|base| base)?;
        Ok(Some(passed.sums))
    }

    fn rate(&self, engine: &Engine<'_>, _: &biorule::nn::Clock) -> Option<f64> {
        Some(engine.optimizer.base_rate())
    }

    fn prepare(&mut self, engine: &mut Engine<'_>) -> Result<bool> {
        if self.epoch <= engine.clock.epoch {
            (self.epoch, self.pieces) = (engine.clock.epoch + 1, 0);
        }
        if self.pieces == PIECES {
            return Ok(false);
        }
        self.pieces += 1;
        let mut alphas = self.architecture.values()?;
        for alpha in alphas.values_mut().flatten().flatten() {
            *alpha *= 0.5 + 0.1 * self.pieces as f64;
        }
        self.architecture.set(&alphas)?;
        Ok(true)
    }

    fn end_epoch(
        &mut self,
        engine: &mut Engine<'_>,
        metrics: &mut BTreeMap<String, f64>,
    ) -> Result<()> {
        let alphas = self.architecture.values()?;
        engine.network.set_mixture(&softmax(&alphas))?;
        metrics.insert("alpha".into(), alphas["normal"][0][0]);
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        self.architecture.tensors()
    }

    fn state(&self) -> Value {
        json!({"steps": self.architecture.steps(), "epoch": self.epoch, "pieces": self.pieces})
    }

    fn load(
        &mut self,
        engine: &mut Engine<'_>,
        state: &Value,
        find: &dyn Fn(&str) -> Option<Tensor>,
    ) -> Result<()> {
        let number = |key: &str| state[key].as_u64().unwrap();
        self.architecture.load(number("steps"), find)?;
        (self.epoch, self.pieces) = (number("epoch"), number("pieces"));
        engine
            .network
            .set_mixture(&softmax(&self.architecture.values()?))
    }
}

/// Steps of the search for every phase.
struct Search<'a>(&'a dyn Samples);

impl Steps for Search<'_> {
    fn kind<'s>(
        &'s self,
        segment: &str,
        phase: &PhasePlan,
        criterion: &Criterion,
        _: &dyn Fn(&str) -> Result<&'s (dyn Samples + 's)>,
        engine: &mut Engine<'_>,
    ) -> Result<Option<Box<dyn Step + 's>>> {
        assert_eq!((segment, phase.name.as_str()), ("network", "search"));
        let start = Tables::from([("normal".to_owned(), vec![vec![0.1, -0.2, 0.3]])]);
        let plan = OptimizerPlan::Adam {
            lr: 0.05,
            betas: [0.5, 0.999],
            eps: 1e-8,
            weight_decay: 1e-3,
            decoupled_decay: 0.0,
        };
        engine.network.set_mixture(&softmax(&start))?;
        Ok(Some(Box::new(FirstOrder {
            architecture: Architecture::new(&start, &plan)?,
            samples: self.0,
            criterion: criterion.clone(),
            epoch: 0,
            pieces: 0,
        })))
    }
}

/// Stops when it is asked so many times whether to stop.
struct Asked {
    inner: Recorder,
    asked: AtomicU64,
    stop_at: u64,
}

impl Asked {
    fn stopping(stop_at: u64) -> Self {
        Self {
            inner: Recorder::default(),
            asked: AtomicU64::new(0),
            stop_at,
        }
    }
}

impl Progress for Asked {
    fn phase(&mut self, event: &PhaseEvent<'_>) {
        self.inner.phase(event);
    }
    fn step(&mut self, event: &StepEvent) {
        self.inner.step(event);
    }
    fn epoch(&mut self, event: &EpochEvent<'_>) -> Result<()> {
        self.inner.epoch(event)
    }
    fn checkpoint(
        &mut self,
        tensors: &[(String, Tensor)],
        state: &Value,
        best: bool,
    ) -> Result<()> {
        Progress::checkpoint(&mut self.inner, tensors, state, best)
    }
    fn should_stop(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) + 1 >= self.stop_at
    }
}

fn search(progress: &mut Asked, resume: Option<&Recorder>) -> Outcome {
    let data = patterns(48, &DIMS, 3);
    let held_out = patterns(48, &DIMS, 3);
    let steps = Search(&*held_out.train);
    let mut phase = phase("search", &["cell", "head"], Drive::Gradient, 2);
    phase.gradient_clip = GradientClip::Norm { norm: 1.0 };
    let plan = plan(supernet(), vec![phase]);
    let job = Job {
        plan: &plan,
        seed: 3,
        rules: &Toys,
        data: &data,
        device: Device::Cpu,
        steps: Some(&steps),
    };
    run(&job, progress, resume.map(Recorder::checkpoint)).unwrap()
}

/// Wherever it is stopped, between two steps or two pieces of what comes before an epoch, it goes
/// on to the same bits: weights, both optimisers, architecture.
#[test]
fn a_search_from_outside_goes_on_with_the_same_bits() {
    let mut whole = Asked::stopping(u64::MAX);
    let expected = search(&mut whole, None);
    let tensors = &whole.inner.tensors;
    assert!(!expected.stopped && whole.inner.steps == 6);
    let alphas = whole
        .inner
        .epochs
        .iter()
        .map(|(_, _, metrics)| metrics["alpha"]);
    let alphas: Vec<f64> = alphas.collect();
    assert!(alphas.len() == 2 && alphas[0] != alphas[1]);
    assert!(
        tensors
            .keys()
            .all(|name| !name.starts_with("architecture.")),
        "of the phase alone"
    );
    let asked = whole.asked.into_inner();
    // Each epoch: pieces, steps and its end.
    assert_eq!(asked, 2 * (PIECES + 3 + 1));
    for stop in 1..asked {
        let mut first = Asked::stopping(stop);
        assert!(search(&mut first, None).stopped, "at {stop}");
        let held = &first.inner.tensors;
        for name in ["architecture.normal", "architecture.optimizer.normal.1"] {
            assert!(held.contains_key(name), "{name} at {stop}");
        }
        let mut second = Asked::stopping(u64::MAX);
        let resumed = search(&mut second, Some(&first.inner));
        assert_eq!(expected, resumed, "at {stop}");
        assert_eq!(first.inner.steps + second.inner.steps, 6);
        for (name, tensor) in tensors {
            let other = &second.inner.tensors[name];
            assert_eq!(values(tensor), values(other), "{name} at {stop}");
        }
        let epochs = first.inner.epochs.iter().chain(&second.inner.epochs);
        assert_eq!(whole.inner.epochs, epochs.cloned().collect::<Vec<_>>());
    }
}
