//! Data and reporters for tests of the trainer.

use std::collections::{BTreeMap, HashMap};

use biorule::Result;
use biorule::config::plan::*;
use biorule::data::Answers;
use biorule::data::feed::Batches;
use biorule::ops::dropout::mix;
use biorule::train::*;
use candle_core::{Device, Tensor};

/// Images of `classes` patterns with noise.
pub struct Patterns {
    x: Vec<f32>,
    labels: Vec<u32>,
    dims: Vec<usize>,
    classes: usize,
}

fn unit(words: &[u64]) -> f32 {
    (mix(words) >> 40) as f32 / (1u32 << 24) as f32
}

impl Patterns {
    /// `n` samples of shape `dims`; `seed` tells train from test.
    pub fn new(n: usize, dims: &[usize], classes: usize, seed: u64) -> Self {
        let width: usize = dims.iter().product();
        let label = |i: usize| (mix(&[seed, 1, i as u64]) % classes as u64) as u32;
        let labels: Vec<u32> = (0..n).map(label).collect();
        let value = |i: usize, j: usize| {
            let pattern = unit(&[9, u64::from(labels[i]), j as u64]);
            0.6 * pattern + 0.4 * unit(&[seed, 2, i as u64, j as u64])
        };
        Self {
            x: (0..n * width)
                .map(|k| value(k / width, k % width))
                .collect(),
            labels,
            dims: dims.to_vec(),
            classes,
        }
    }
}

impl Samples for Patterns {
    fn len(&self) -> usize {
        self.labels.len()
    }
    fn dims(&self) -> Vec<usize> {
        self.dims.clone()
    }
    fn outputs(&self) -> usize {
        self.classes
    }
    fn classes(&self) -> bool {
        true
    }
    fn augments(&self) -> bool {
        false
    }
    fn order(&self, seed: u64, epoch: u64, shuffle: bool) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        if shuffle {
            order.sort_by_key(|i| mix(&[seed, epoch, u64::from(*i)]));
        }
        order
    }
    fn read(&self, indices: &[u32]) -> Result<Batch> {
        let width: usize = self.dims.iter().product();
        let rows = indices.iter().flat_map(|i| {
            let i = *i as usize;
            self.x[i * width..(i + 1) * width].iter().copied()
        });
        let mut dims = vec![indices.len()];
        dims.extend(&self.dims);
        Ok(Batch {
            x: Tensor::from_vec(rows.collect::<Vec<f32>>(), dims, &Device::Cpu)?,
            answers: self.answers(indices)?,
        })
    }
    fn answers(&self, indices: &[u32]) -> Result<Answers> {
        let labels: Vec<u32> = indices.iter().map(|i| self.labels[*i as usize]).collect();
        Ok(Answers::Classes(Tensor::new(labels, &Device::Cpu)?))
    }
    fn epoch(&self, spec: &EpochSpec) -> Result<Batches<'_>> {
        let order = self.order(spec.seed, spec.epoch, spec.shuffle);
        let (spec, n) = (spec.clone(), self.len());
        Ok(Box::new(
            (spec.start..spec.steps(n)).map(move |i| self.read(&order[spec.range(i, n)])),
        ))
    }
}

/// Train and test patterns.
pub fn patterns(n: usize, dims: &[usize], classes: usize) -> TrainData {
    TrainData {
        train: Box::new(Patterns::new(n, dims, classes, 1)),
        validation: None,
        test: Box::new(Patterns::new(n / 2, dims, classes, 2)),
        parts: BTreeMap::new(),
        extra: BTreeMap::new(),
    }
}

/// The training samples of [`patterns`] with the labels of other samples.
pub fn relabelled(n: usize, dims: &[usize], classes: usize) -> TrainData {
    let mut train = Patterns::new(n, dims, classes, 1);
    train.labels.rotate_left(1);
    TrainData {
        train: Box::new(train),
        ..patterns(n, dims, classes)
    }
}

/// Keeps every report and the last checkpoint; stops after some steps.
#[derive(Default)]
pub struct Recorder {
    pub epochs: Vec<(String, u64, BTreeMap<String, f64>)>,
    pub phases: Vec<(String, usize, bool)>,
    pub steps: u64,
    pub stop_after: Option<u64>,
    pub tensors: HashMap<String, Tensor>,
    pub state: Option<serde_json::Value>,
    pub scratch: Option<std::path::PathBuf>,
}

impl Recorder {
    /// Stops after `steps`.
    pub fn stopping(steps: u64) -> Self {
        Self {
            stop_after: Some(steps),
            ..Self::default()
        }
    }
    /// The last checkpoint.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            tensors: self.tensors.clone(),
            // Through text, as a file would do it.
            state: serde_json::from_str(&self.state.as_ref().unwrap().to_string()).unwrap(),
        }
    }
}

impl Progress for Recorder {
    fn phase(&mut self, e: &PhaseEvent<'_>) {
        self.phases.push((e.phase.to_owned(), e.frozen, e.cached));
    }
    fn step(&mut self, _: &StepEvent) {
        self.steps += 1;
    }
    fn epoch(&mut self, e: &EpochEvent<'_>) -> Result<()> {
        let name = format!("{}/{}", e.segment, e.phase);
        self.epochs.push((name, e.epoch, e.metrics.clone()));
        Ok(())
    }
    fn checkpoint(
        &mut self,
        tensors: &[(String, Tensor)],
        state: &serde_json::Value,
        _: bool,
    ) -> Result<()> {
        self.tensors.clear();
        for (name, tensor) in tensors {
            let twin = self.tensors.insert(name.clone(), tensor.copy()?);
            assert!(twin.is_none(), "two tensors named {name}");
        }
        self.state = Some(state.clone());
        Ok(())
    }
    fn should_stop(&self) -> bool {
        self.stop_after.is_some_and(|n| self.steps >= n)
    }
    fn scratch(&self) -> Option<&std::path::Path> {
        self.scratch.as_deref()
    }
}

/// A phase with plain settings.
pub fn phase(name: &str, blocks: &[&str], drive: Drive, epochs: u64) -> PhasePlan {
    PhasePlan {
        name: name.into(),
        blocks: blocks.iter().map(|b| (*b).to_owned()).collect(),
        drive,
        data: "train".into(),
        epochs,
        batch: 16,
        shuffle: true,
        seed: None,
        drop_last: false,
        augment: false,
        evaluate_every: 1,
        loss: Loss::CrossEntropy,
        class_weights: None,
        label_smoothing: 0.0,
        optimizer: adam(0.01),
        schedule: SchedulePlan::Constant,
        warmup_epochs: 0,
        warmup_steps: 0,
        local_rate: None,
        stop: None,
        groups: Vec::new(),
        gradient_clip: 0.0.into(),
        neuron_labels: false,
        cache: CachePlan {
            enabled: true,
            memory_limit: u64::MAX,
            store: CachePrecision::Exact,
        },
    }
}

/// Adam without decay.
pub fn adam(lr: f64) -> OptimizerPlan {
    OptimizerPlan::Adam {
        lr,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    }
}

/// A plan of blocks and phases.
pub fn plan(blocks: Vec<BlockPlan>, phases: Vec<PhasePlan>) -> RunPlan {
    RunPlan {
        name: "test".into(),
        experiment: None,
        seeds: vec![3],
        device: "cpu".into(),
        dtype: Precision::F32,
        tf32: false,
        gpu_memory_share: 0.5,
        threads: 0,
        data: biorule::data::DataPlan::default(),
        extra_data: BTreeMap::new(),
        blocks,
        init: None,
        phases,
        output: OutputPlan {
            runs: "runs".into(),
            checkpoint_seconds: 0,
            log_every: 0,
            tensorboard: false,
            pictures: false,
            best: None,
            alignment_every: 0,
        },
        plugin_folders: vec![],
        baselines: vec![],
    }
}

/// Runs `plan` on the toys of `support`.
pub fn train(
    plan: &RunPlan,
    data: &TrainData,
    recorder: &mut Recorder,
    resume: Option<Checkpoint>,
) -> Result<Outcome> {
    let job = Job {
        plan,
        seed: 3,
        rules: &super::Toys,
        data,
        device: Device::Cpu,
        steps: None,
    };
    run(&job, recorder, resume)
}
