//! Training steps of whole networks: written as a user writes them, checked and
//! built as `train` does it, with real plugins behind the real boundary.

use candle_core::{DType, Tensor};
use serde_json::{Value, json};

use super::super::case::{Bench, Case, Cost, Named, Work, labels, noise, snapshot};
use super::layers::{BATCHES, LAYERS, Layer};
use crate::app::App;
use crate::config::{self, DataShape, PlanContext, Resolved, RuleSchema, Sources, shapes};
use crate::data::Answers;
use crate::data::DataPlan;
use crate::nn::build::Placement;
use crate::nn::{Clock, InputShape, LayerMap, NamedTensor, Network};
use crate::plan::{BlockPlan, Drive, RunPlan};
use crate::train::Engine;
use crate::train::step::{GradientStep, StepInput};
use crate::{Error, Result};

/// BioTorch's network with its optimiser, as this project's configuration has them.
const LENET: &str =
    include_str!("../../../../configs/reproduce/biotorch/cifar10-lenet-sgd/bp.toml");

/// Classes of CIFAR-10.
const CLASSES: usize = 10;

/// A network to be stepped.
struct Net {
    name: String,
    /// The configuration, without data.
    toml: String,
    /// `[C, H, W]`.
    dims: [usize; 3],
    batch: usize,
    torch: &'static str,
    params: Value,
    tolerance: f64,
}

/// `softhebb-step-…`, `krotov-step-…`, `bp-step-…`, `lenet-step-b128`.
pub fn cases() -> Vec<Case> {
    let mut nets = Vec::new();
    for layer in &LAYERS {
        for batch in BATCHES {
            nets.push(softhebb(layer, batch));
            nets.push(krotov(layer, batch));
        }
    }
    nets.extend(BATCHES.map(backprop));
    nets.push(Net {
        name: "lenet-step-b128".into(),
        toml: LENET.into(),
        dims: [3, 32, 32],
        batch: 128,
        torch: "lenet-step",
        params: json!({"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0001}),
        tolerance: 1e-4,
    });
    nets.into_iter().map(Net::case).collect()
}

/// One convolution that learns by itself.
fn local(layer: &Layer, batch: usize, mode: &str, rule: &str) -> String {
    let Layer { kernel, out, .. } = layer;
    format!(
        r#"[[blocks]]
name = "layer"
layer = "conv"
kernel = {kernel}
padding = "same"
padding_mode = "{mode}"
out = {out}
rule = {{ {rule} }}
[training.local]
batch = {batch}
"#
    )
}

/// The settings of the published three-layer network.
fn softhebb(layer: &Layer, batch: usize) -> Net {
    let (lr, beta) = layer.softhebb;
    let rule = format!(
        r#"name = "softhebb", lr = {lr:?}, t_invert = {beta:?}, power_lr = 0.5, radius = 25.0, weight_init = "normal""#
    );
    Net {
        name: format!("softhebb-step-{}-b{batch}", layer.name),
        toml: local(layer, batch, "reflect", &rule),
        dims: [layer.channels, layer.size, layer.size],
        batch,
        torch: "softhebb-step",
        params: json!({"lr": lr, "beta": beta, "power": 0.5, "padding": layer.padding}),
        // A winner that two sums of different order see differently changes sign.
        tolerance: 1e-4,
    }
}

/// `BioPyTorch`'s convolution with its defaults.
fn krotov(layer: &Layer, batch: usize) -> Net {
    const RATE: f64 = 0.02;
    Net {
        name: format!("krotov-step-{}-b{batch}", layer.name),
        toml: local(
            layer,
            batch,
            "zeros",
            &format!("name = \"krotov\", lr = {RATE:?}"),
        ),
        dims: [layer.channels, layer.size, layer.size],
        batch,
        torch: "krotov-step",
        params: json!({"lr": RATE, "p": 3, "rank": 2, "delta": 0.05, "padding": layer.padding}),
        // A place whose first two are seen in the other order moves whole inputs.
        tolerance: 5e-3,
    }
}

/// The same three convolutions by backpropagation, end to end.
fn backprop(batch: usize) -> Net {
    let mut toml = String::new();
    for (layer, pool) in LAYERS.iter().zip(["max 4/2/1", "max 4/2/1", "avg 2/2/0"]) {
        let Layer {
            name, kernel, out, ..
        } = layer;
        toml.push_str(&format!(
            r#"[[blocks]]
name = "{name}"
norm = "batch"
layer = "conv"
kernel = {kernel}
padding = "same"
padding_mode = "reflect"
out = {out}
rule = "backprop"
activation = "relu"
pool = "{pool}"
"#
        ));
    }
    toml.push_str(&format!(
        r#"[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training]
mode = "end-to-end"
[training.gradient]
batch = {batch}
optimizer = {{ kind = "adam", lr = 0.001 }}
"#
    ));
    Net {
        name: format!("bp-step-b{batch}"),
        toml,
        dims: [3, 32, 32],
        batch,
        torch: "bp-step",
        params: json!({"lr": 0.001}),
        // A unit near the threshold of its ReLU learns from a place, or not.
        tolerance: 5e-3,
    }
}

impl Net {
    fn case(self) -> Case {
        Case {
            name: self.name.clone(),
            torch: self.torch,
            params: self.params.clone(),
            tolerance: self.tolerance,
            make: Box::new(move |bench| Ok(Box::new(self.step(bench)?))),
        }
    }

    fn step(&self, bench: &Bench<'_>) -> Result<Step> {
        let shape = DataShape {
            sample: self.dims.to_vec(),
            classes: CLASSES,
        };
        let sources = sources(bench, &self.name, &self.toml)?;
        let context = Shaped {
            app: bench.app,
            shape: &shape,
        };
        let resolved = config::resolve(&sources, &context)?;
        Step::new(bench, &resolved, &shape, self.batch)
    }
}

/// The configuration `toml`, written to a file as a user's, with what `--set` says.
pub(super) fn sources(bench: &Bench<'_>, name: &str, toml: &str) -> Result<Sources> {
    let file = bench.scratch.join(format!("{name}.toml"));
    std::fs::write(&file, toml).map_err(|e| Error::storage_io(&file, &e))?;
    Ok(Sources {
        files: vec![file],
        sets: bench.sets.to_vec(),
        ..Sources::default()
    })
}

/// The loaded rules, with data of any shape.
pub(super) struct Shaped<'a> {
    pub(super) app: &'a App,
    pub(super) shape: &'a DataShape,
}

impl PlanContext for Shaped<'_> {
    fn rule(&self, name: &str) -> Result<RuleSchema> {
        self.app.rule(name)
    }
    fn dataset(&self, _plan: &DataPlan) -> Result<Option<DataShape>> {
        Ok(Some(self.shape.clone()))
    }
}

/// A network in the first phase of its plan, with one batch.
struct Step {
    engine: Engine<'static>,
    input: StepInput,
    flop: f64,
}

impl Step {
    fn new(
        bench: &Bench<'_>,
        resolved: &Resolved,
        shape: &DataShape,
        batch: usize,
    ) -> Result<Self> {
        let plan = &resolved.plan;
        let phase = plan
            .phases
            .first()
            .ok_or_else(|| Error::internal("a plan without phases"))?;
        let input = InputShape {
            dims: shape.sample.clone(),
            outputs: shape.classes,
        };
        let place = Placement {
            device: bench.device.clone(),
            dtype: DType::F32,
            seed: 0,
        };
        let network = Network::build(&plan.blocks, &input, bench.app.registry(), &place)?;
        let mut engine = Engine::new(network);
        engine.begin(phase, phase.loss)?;
        if phase.drive != Drive::Local {
            engine.set_kind(Box::new(GradientStep::new(phase.loss)));
        }
        engine.network.start_phase();
        // The first layer's input comes from outside, whatever stands before it.
        engine.first = 0;
        engine.clock = Clock {
            epochs: 1,
            steps_per_epoch: 1000,
            batch,
            samples: 1000 * batch,
            ..Clock::default()
        };
        let x = noise(
            1,
            &[vec![batch], shape.sample.clone()].concat(),
            &bench.device,
        )?;
        let answers = labels(2, batch, shape.classes as u64, &bench.device)?;
        Ok(Self {
            flop: flop(plan, shape, batch, phase.drive)?,
            engine,
            input: StepInput {
                x,
                answers: Answers::Classes(answers),
                dropped: false,
            },
        })
    }

    /// A step; the mean loss where there is one.
    fn step(&mut self) -> Result<Option<f64>> {
        let Some(sums) = self.engine.step(&self.input)? else {
            return Ok(None);
        };
        // The trainer looks at the loss after each step on the CPU; on a GPU it would wait.
        if self.input.x.device().is_cpu() {
            let sum = sums.to_vec1::<f64>()?[0];
            return Ok(Some(sum / self.input.answers.len() as f64));
        }
        Ok(None)
    }

    /// Parameters, without statistics.
    fn parameters(&self) -> Vec<NamedTensor> {
        let mut tensors = self.engine.network.tensors();
        tensors.retain(|t| t.name.ends_with(".weight") || t.name.ends_with(".bias"));
        tensors
    }
}

impl Work for Step {
    fn inputs(&self) -> Result<Named> {
        let mut inputs = vec![
            ("x".to_owned(), self.input.x.clone()),
            ("labels".to_owned(), self.input.answers.raw().clone()),
        ];
        for p in self.parameters() {
            inputs.push((p.name.to_string(), snapshot(&p.tensor)?));
        }
        Ok(inputs)
    }

    /// The change of the weights by a local rule. Of an optimiser its first
    /// moment, which is the gradient up to a factor: Adam's own first step only
    /// has the gradient's sign.
    fn results(&mut self) -> Result<Named> {
        let before: Result<Vec<Tensor>> = self
            .parameters()
            .iter()
            .map(|p| snapshot(&p.tensor))
            .collect();
        let loss = self.step()?;
        if let Some(loss) = loss {
            let mut results = Named::new();
            for (name, moment) in self.engine.optimizer.tensors() {
                if let Some(name) = name
                    .strip_prefix("optimizer.")
                    .and_then(|n| n.strip_suffix(".0"))
                {
                    results.push((name.to_owned(), snapshot(&moment)?));
                }
            }
            let loss = Tensor::new(&[loss as f32], &candle_core::Device::Cpu)?;
            results.push(("loss".to_owned(), loss));
            return Ok(results);
        }
        let pairs = self.parameters().into_iter().zip(before?);
        pairs
            .map(|(p, before)| Ok((p.name.to_string(), (&p.tensor - before)?)))
            .collect()
    }

    fn call(&mut self) -> Result<()> {
        self.step().map(drop)
    }

    fn cost(&self) -> Cost {
        Cost {
            flop: self.flop,
            bytes: 0.0,
        }
    }
}

/// Operations of the products that a step needs: forward and correlation in each
/// layer, and for an error that goes back the third map in all but the first.
fn flop(plan: &RunPlan, data: &DataShape, batch: usize, drive: Drive) -> Result<f64> {
    let mut flop = 0.0;
    let shapes = shapes::propagate(&plan.blocks, data)?;
    for (i, (block, shape)) in plan.blocks.iter().zip(&shapes).enumerate() {
        let products = if drive == Drive::Local || i == 0 {
            2.0
        } else {
            3.0
        };
        flop += products * layer_flop(block, &shape.layer_input, data.classes)? * batch as f64;
    }
    Ok(flop)
}

/// Operations of one product of a block's layer for one sample of shape `input`.
fn layer_flop(block: &BlockPlan, input: &[usize], classes: usize) -> Result<f64> {
    let Some(layer) = &block.layer else {
        return Ok(0.0);
    };
    let out = if layer.out == 0 { classes } else { layer.out };
    let map = LayerMap::new(&layer.map, out, input)?;
    let outputs: usize = map.output_dims().iter().product();
    Ok(2.0 * (outputs * map.fan_in()) as f64)
}
