//! Files of whole search steps on a tiny supernet: the step of the architecture, of both orders, and
//! that of the weights, by the step that a search makes and by the passes that it is made of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use biorule::config::{
    CachePlan, CachePrecision, Drive, GradientClip, Loss, OptimizerPlan, PhasePlan, SchedulePlan,
};
use biorule::data::Answers;
use biorule::data::feed::{Samples, TrainData};
use biorule::nn::{Mode, Network, Pass, Tables, Wants};
use biorule::search::derive;
use biorule::search::network::{self, Size, Stem, Supernet};
use biorule::search::relax::Relaxation;
use biorule::search::relaxed::unrolled::{Descent, unrolled};
use biorule::search::relaxed::{Method, Relaxed, RelaxedPlan, Searcher};
use biorule::search::space::Space;
use biorule::train::criterion::Criterion;
use biorule::train::optimizer::Optimizer;
use biorule::train::{Architecture, Engine, StepInput, Steps};
use candle_core::{DType, Device, Tensor};
use serde_json::json;

use super::given::Given;
use super::maths::space;
use super::names::Names;
use super::{Outcome, compare_all};
use crate::Result;
use crate::feedback::record::{Tape, Zeros, locked};
use crate::golden::{Checks, File, Recogniser};
use crate::numbers::values;

/// Kinds of files.
pub(super) fn recognisers() -> Vec<Recogniser> {
    vec![Recogniser {
        name: "search step",
        understands: |file| file.has("arch.dalpha.normal") && file.has("weight.logits"),
        run,
    }]
}

fn run(file: &File, checks: &mut Checks) -> Result<()> {
    let is_input = |name: &str| {
        ["train.", "valid.", "alpha."]
            .iter()
            .any(|p| name.starts_with(p))
    };
    compare_all(file, checks, &is_input, &|dtype, recompute| {
        let case = Case::new(file, dtype, recompute)?;
        let mut out = Outcome::new(file, dtype);
        case.passes(&mut out)?;
        case.step(&mut out)?;
        Ok(out)
    })
}

const KINDS: [&str; 2] = ["normal", "reduce"];

/// What the weights learn by in all files.
const SGD: OptimizerPlan = OptimizerPlan::Sgd {
    lr: 0.025,
    momentum: 0.9,
    weight_decay: 3e-4,
    decoupled_decay: 0.0,
};
const CLIP: GradientClip = GradientClip::Norm { norm: 5.0 };

struct Case<'a> {
    file: &'a File,
    dtype: DType,
    recompute: bool,
    second: bool,
    space: Space,
    relaxed: Relaxed,
    names: Names,
}

impl<'a> Case<'a> {
    fn new(file: &'a File, dtype: DType, recompute: bool) -> Result<Self> {
        let space = space(&file.json("space")?)?;
        Ok(Self {
            file,
            dtype,
            recompute,
            second: file.has("arch.R"),
            relaxed: Relaxed::new(space.clone(), Relaxation::Softmax, false),
            names: Names {
                prefix: String::new(),
                candidates: space.candidates.clone(),
            },
            space,
        })
    }

    fn network(&self) -> Result<(Network, Arc<Mutex<Tape>>)> {
        let size = Size::new(
            self.file.count("C")?,
            self.file.count("layers")?,
            Stem::Cifar,
        );
        let what = Supernet {
            recompute: self.recompute,
            edge_weights: false,
            auxiliary_skip: false,
        };
        let blocks = network::supernet(&self.space, &size, what)?;
        let side = self.file.count("HW")?;
        self.names
            .recorded(&blocks, &[3, side, side], self.dtype, &|_| None)
    }

    fn alphas(&self, prefix: &str) -> Result<Tables> {
        let columns = self.space.candidates.len();
        let one = |kind: &str| -> Result<(String, Vec<Vec<f64>>)> {
            let numbers = self.file.values(&format!("{prefix}.{kind}"))?;
            Ok((
                kind.to_owned(),
                numbers.chunks(columns).map(Vec::from).collect(),
            ))
        };
        KINDS.into_iter().map(one).collect()
    }

    fn batch(&self, part: &str) -> Result<StepInput> {
        let labels = self.file.tensor(&format!("{part}.y"))?;
        Ok(StepInput {
            x: self
                .file
                .tensor(&format!("{part}.x"))?
                .to_dtype(self.dtype)?,
            answers: Answers::Classes(labels.to_dtype(DType::U32)?),
            dropped: false,
        })
    }

    fn phase(&self, network: &Network) -> PhasePlan {
        PhasePlan {
            name: "search".into(),
            blocks: network.block_names(),
            drive: Drive::Gradient,
            data: "train".into(),
            epochs: 1,
            seed: None,
            batch: 4,
            shuffle: false,
            drop_last: true,
            augment: false,
            evaluate_every: 0,
            loss: Loss::CrossEntropy,
            class_weights: None,
            label_smoothing: 0.0,
            optimizer: SGD,
            groups: Vec::new(),
            schedule: SchedulePlan::Constant,
            warmup_epochs: 0,
            warmup_steps: 0,
            local_rate: None,
            stop: None,
            neuron_labels: false,
            gradient_clip: CLIP,
            cache: CachePlan {
                enabled: false,
                memory_limit: 0,
                store: CachePrecision::Exact,
            },
        }
    }

    /// Losses and gradients of each pass, which a step does not tell.
    fn passes(&self, out: &mut Outcome<'_>) -> Result<()> {
        let criterion = Criterion::from(Loss::CrossEntropy);
        let (network, tape) = self.network()?;
        locked(&tape).zeros = Some(Zeros::new());
        let phase = self.phase(&network);
        let mut engine = Engine::new(network);
        engine.begin(&phase, criterion.clone())?;
        let (train, valid) = (self.batch("train")?, self.batch("valid")?);
        let alphas = self.alphas("alpha")?;
        let mixture = self.relaxed.mixture(&alphas);
        engine.network.set_mixture(&mixture)?;
        let (by_weight, passes) = if self.second {
            let eta = self.file.number("eta")?;
            let descent = Descent::of(&phase.optimizer)?;
            let both = (&train, &valid);
            let found = unrolled(&mut engine, both, &criterion, &mixture, (descent, eta))?;
            out.numbers("arch.R", vec![found.radius])?;
            out.numbers("arch.losses", found.losses.to_vec())?;
            for kind in KINDS {
                for (name, table) in [
                    (format!("arch.dalpha_direct.{kind}"), &found.direct),
                    (format!("arch.hvp.{kind}"), &found.product),
                ] {
                    let by_alpha = self.relaxed.gradient(&mixture, table);
                    out.numbers(&name, by_alpha[kind].concat())?;
                }
            }
            (found.gradient(eta), 4)
        } else {
            let mut pass = Pass::gradient(engine.clock.clone()).wanting(Wants::ARCHITECTURE);
            pass.local = false;
            let passed = engine.pass(pass, &valid, &criterion)?;
            let loss = passed.sums.to_vec1::<f64>()?[0] / valid.answers.len() as f64;
            out.numbers("arch.loss_valid", vec![loss])?;
            (passed.architecture.sums(&mixture)?, 1)
        };
        out.zeros = locked(&tape).zeros.take().unwrap_or_default();
        let mut architecture = Architecture::new(&alphas, &RelaxedPlan::ADAM)?;
        let rate = architecture.base_rate();
        architecture.step(&self.relaxed.gradient(&mixture, &by_weight), rate)?;
        let mixture = self.relaxed.mixture(&architecture.values()?);
        engine.network.set_mixture(&mixture)?;
        let mut pass = Pass::gradient(engine.clock.clone());
        pass.clock.pass = passes;
        let passed = engine.pass(pass, &train, &criterion)?;
        out.tensor("weight.logits", &passed.y);
        let loss = passed.sums.to_vec1::<f64>()?[0] / train.answers.len() as f64;
        out.numbers("weight.loss", vec![loss])?;
        self.gradients(out, &engine.network, passed.gradients)
    }

    fn gradients(
        &self,
        out: &mut Outcome<'_>,
        network: &Network,
        gradients: Vec<(Arc<str>, Tensor)>,
    ) -> Result<()> {
        // What clips them is the optimiser: its velocity after one step is the clipped gradient.
        let plain = OptimizerPlan::Sgd {
            lr: 0.0,
            momentum: 0.9,
            weight_decay: 0.0,
            decoupled_decay: 0.0,
        };
        let mut optimizer = Optimizer::new(&plain, CLIP, &network.tensors())?;
        optimizer.step(gradients.clone(), 0.0)?;
        let mut clipped = 0.0;
        for (_, velocity) in optimizer.tensors() {
            clipped += squares(&velocity)?;
        }
        let edge_op = self.file.tensor("weight.grad_norm.edge_op")?;
        let (_, edges, ops) = edge_op.dims3()?;
        let mut by_edge = vec![0.0; edge_op.elem_count()];
        let mut by_input = vec![0.0; self.file.tensor("weight.grad_norm.pre")?.elem_count()];
        let mut total = 0.0;
        for (full, gradient) in &gradients {
            let (_, name) = self.names.of(full).ok_or("a gradient without a name")?;
            let square = squares(gradient)?;
            total += square;
            if let Some([cell, edge, op]) = Names::edge(&name) {
                by_edge[(cell * edges + edge) * ops + op] += square;
            } else if let Some((cell, input)) = input_block(&name) {
                by_input[2 * cell + input] += square;
            } else {
                out.numbers(&format!("weight.grad_norm.{name}"), vec![square.sqrt()])?;
            }
            out.tensor(&format!("weight.grad.{name}"), gradient);
        }
        let roots = |squares: Vec<f64>| squares.into_iter().map(f64::sqrt).collect();
        out.numbers("weight.grad_norm.edge_op", roots(by_edge))?;
        out.numbers("weight.grad_norm.pre", roots(by_input))?;
        out.numbers("weight.total_grad_norm", vec![total.sqrt()])?;
        out.numbers("weight.clip_coef", vec![(clipped / total).sqrt()])
    }

    /// The step as a search makes it, resumed at the file's parameters.
    fn step(&self, out: &mut Outcome<'_>) -> Result<()> {
        let criterion = Criterion::from(Loss::CrossEntropy);
        let (train, valid) = (self.batch("train")?, self.batch("valid")?);
        let given = |batch: &StepInput| -> Result<Box<dyn Samples>> {
            Ok(Box::new(Given {
                x: batch.x.to_dtype(DType::F32)?.to_device(&Device::Cpu)?,
                answers: batch.answers.on(&Device::Cpu)?,
            }))
        };
        let data = TrainData {
            train: given(&train)?,
            validation: None,
            test: given(&train)?,
            parts: BTreeMap::from([("architecture".to_owned(), given(&valid)?)]),
            extra: BTreeMap::new(),
        };
        let plan = RelaxedPlan {
            method: match self.second {
                true => Method::SecondOrder,
                false => Method::FirstOrder,
            },
            recompute: self.recompute,
            ..RelaxedPlan::darts("architecture")
        };
        let searcher = Searcher {
            plan: plan.clone(),
            space: self.space.clone(),
            seed: 1,
            on_epoch: None,
            on_answer: None,
        };
        let (network, _) = self.network()?;
        let phase = self.phase(&network);
        let mut engine = Engine::new(network);
        engine.begin(&phase, criterion.clone())?;
        let samples = |name: &str| data.get(name).map(|s| s as _);
        let kind = searcher.kind("search", &phase, &criterion, &samples, &mut engine)?;
        engine.set_kind(kind.ok_or("a search has no step of its own")?);
        let alphas = self.alphas("alpha")?;
        let mut saved: BTreeMap<String, Tensor> = BTreeMap::new();
        for (name, tensor) in engine.tensors() {
            let kind = name.strip_prefix("architecture.");
            let value = match kind.and_then(|kind| alphas.get(kind)) {
                Some(rows) => Tensor::from_vec(rows.concat(), tensor.dims(), &Device::Cpu)?,
                None => tensor.zeros_like()?,
            };
            saved.insert(name, value);
        }
        let state = json!({"steps": 0, "frozen": false});
        engine.load(0, &state, &|name| saved.get(name).cloned())?;
        engine.step(&train)?;
        self.after(out, engine, (&train, &valid), &criterion)
    }

    /// What a step leaves behind.
    fn after(
        &self,
        out: &mut Outcome<'_>,
        mut engine: Engine<'_>,
        (train, valid): (&StepInput, &StepInput),
        criterion: &Criterion,
    ) -> Result<()> {
        let OptimizerPlan::Adam {
            betas,
            weight_decay,
            ..
        } = RelaxedPlan::ADAM
        else {
            return Err("the architecture has another optimiser".into());
        };
        let before = self.alphas("alpha")?;
        let all: BTreeMap<String, Tensor> = engine.tensors().into_iter().collect();
        let mut alphas = Tables::new();
        for kind in KINDS {
            let now = &all[&format!("architecture.{kind}")];
            alphas.insert(kind.to_owned(), now.to_vec2::<f64>()?);
            out.numbers(&format!("arch.alpha_after.{kind}"), values(now)?)?;
            // The first moment after one step is (1 − β₁)(g + decay·α).
            let moment = values(&all[&format!("architecture.optimizer.{kind}.0")])?;
            let pairs = moment.iter().zip(before[kind].concat());
            let gradient = pairs.map(|(m, alpha)| m / (1.0 - betas[0]) - weight_decay * alpha);
            out.numbers(&format!("arch.dalpha.{kind}"), gradient.collect())?;
        }
        let mixture = self.relaxed.mixture(&alphas);
        for kind in KINDS {
            let chosen = derive::strongest(&self.space, &mixture.tables[kind])?;
            let pair = |c: &derive::Chosen| [c.candidate as f64, c.place.from as f64];
            let pairs = chosen.iter().flat_map(pair).collect();
            out.numbers(&format!("genotype.{kind}"), pairs)?;
        }
        let mut sum = 0.0;
        for slot in engine.network.tensors().iter().filter(|t| t.learns) {
            sum += squares(&slot.tensor)?;
        }
        out.numbers("weight.param_sq_sum_after", vec![sum])?;
        for slot in engine.network.tensors() {
            if let Some((_, which)) = slot.name.split_once("stem-conv0.norm_inner.running_") {
                out.tensor(&format!("stem.running_{which}"), &slot.tensor.copy()?);
            }
        }
        engine.network.set_mixture(&mixture)?;
        let mut pass = Pass::local(engine.clock.clone());
        let y = engine.network.forward_all(&mut pass, &train.x)?;
        let loss = criterion.score(&y, &train.answers)?.sums.to_vec1::<f64>()?[0];
        let loss = loss / train.answers.len() as f64;
        out.tensor("after.logits_train_mode", &y);
        out.numbers("after.loss_train_mode", vec![loss])?;
        engine.network.set_mode(&Mode::default());
        let y = engine
            .network
            .forward_all(&mut Pass::inference(), &valid.x)?;
        out.tensor("after.logits_eval_mode", &y);
        Ok(())
    }
}

/// Cell and number of the input block that a canonical name belongs to.
fn input_block(name: &str) -> Option<(usize, usize)> {
    let mut parts = name.split('.');
    let mut number = |word: &str| parts.next()?.strip_prefix(word)?.parse().ok();
    Some((number("cell")?, number("pre")?))
}

/// The sum of the squares of all elements.
pub(super) fn squares(t: &Tensor) -> Result<f64> {
    Ok(values(t)?.iter().map(|v| v * v).sum())
}
