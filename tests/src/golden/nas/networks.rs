//! Files of derived networks: a training pass with drop path and an auxiliary head, clipped
//! gradients, and the outputs in evaluation.

use std::sync::{Arc, Mutex};

use biorule::config::{Drive, DropPathPlan, GradientClip, Loss, OptimizerPlan};
use biorule::data::Answers;
use biorule::nn::{Clock, Draws, Mode, Network, Pass};
use biorule::search::Genotype;
use biorule::search::network::{self, Size, Stem};
use biorule::train::criterion::Criterion;
use biorule::train::optimizer::Optimizer;
use biorule::train::{Engine, StepInput};
use candle_core::{DType, Tensor};
use serde_json::Value;

use super::names::Names;
use super::recipe::{self, Kind};
use super::steps::squares;
use super::{Outcome, compare_all};
use crate::Result;
use crate::golden::{Checks, File, Recogniser};

/// Kinds of files.
pub(super) fn recognisers() -> Vec<Recogniser> {
    vec![Recogniser {
        name: "network",
        understands: |file| file.has("logits_aux") && file.has("grad_norm.cell"),
        run,
    }]
}

fn run(file: &File, checks: &mut Checks) -> Result<()> {
    let is_input = |name: &str| ["x", "y"].contains(&name);
    compare_all(file, checks, &is_input, &|dtype, _| outcome(file, dtype))
}

/// The masks of the recipe, numbered in the order in which they are first asked for.
#[derive(Debug)]
struct Masks {
    tag: String,
    asked: Mutex<Vec<String>>,
}

impl Masks {
    fn count(&self) -> usize {
        self.asked.lock().map_or(0, |asked| asked.len())
    }
}

impl Draws for Masks {
    fn uniform(&self, name: &str, n: usize) -> Vec<f64> {
        let mut asked = self.asked.lock().expect("no thread has failed");
        let known = asked.iter().position(|one| one == name);
        let k = known.unwrap_or_else(|| {
            asked.push(name.to_owned());
            asked.len() - 1
        });
        recipe::unit(&format!("{}.mask{k}", self.tag), n)
    }
}

/// The genotype of the metadata, by way of DARTS's text.
fn genotype(file: &File) -> Result<Genotype> {
    let cell = |kind: &str| -> Result<String> {
        let list = file.json(kind)?;
        let pair = |p: &Value| Some(format!("('{}', {})", p[0].as_str()?, p[1].as_u64()?));
        let pairs = list.as_array().into_iter().flatten().map(pair);
        let pairs: Option<Vec<String>> = pairs.collect();
        let pairs = pairs.ok_or("a list of operations and sources")?;
        Ok(format!("[{}]", pairs.join(", ")))
    };
    let text = format!(
        "Genotype(normal={}, normal_concat=range(2, 6), reduce={}, reduce_concat=range(2, 6))",
        cell("normal")?,
        cell("reduce")?
    );
    Ok(Genotype::read(&text)?)
}

fn outcome(file: &File, dtype: DType) -> Result<Outcome<'_>> {
    let stem = match file.has("grad_norm.stem0.conv0.weight") {
        true => Stem::ImageNet,
        false => Stem::Cifar,
    };
    let p = file.number("drop_path")?;
    let size = Size {
        auxiliary: Some(file.number("auxiliary_weight")?),
        drop_path: (p > 0.0).then_some(DropPathPlan { p, ramp: false }),
        ..Size::new(file.count("C")?, file.count("layers")?, stem)
    };
    let blocks = network::blocks(&genotype(file)?, &size)?;
    let tag = file.text("recipe_tag")?;
    let side = file.count("HW")?;
    let x = match file.has("x") {
        true => file.tensor("x")?,
        false => {
            let dims = [file.count("batch")?, 3, side, side];
            recipe::tensor(Kind::Image, &format!("{tag}.x"), &dims)?
        }
    };
    let names = Names::default();
    let mut network = names.network(&blocks, &[3, side, side], dtype, &|_| None)?;
    network.set_mode(&Mode {
        blocks: network.block_names(),
        drive: Some(Drive::Gradient),
    });
    let batch = StepInput {
        x: x.to_dtype(dtype)?,
        answers: Answers::Classes(file.tensor("y")?.to_dtype(DType::U32)?),
        dropped: false,
    };
    let mut out = Outcome::new(file, dtype);
    out.recomputes = false;
    let learns = network.tensors().into_iter().filter(|t| t.learns);
    let trainable: usize = learns.map(|t| t.tensor.elem_count()).sum();
    out.numbers("n_trainable", vec![trainable as f64])?;
    let masks = Arc::new(Masks {
        tag: tag.to_owned(),
        asked: Mutex::default(),
    });
    losses(&mut network, &batch, &masks, &mut out)?;
    out.numbers("masks_used", vec![masks.count() as f64])?;
    let mut engine = Engine::new(network);
    let mut pass = Pass::gradient(Clock::default());
    pass.draws = Some(masks.clone());
    let criterion = Criterion::from(Loss::CrossEntropy);
    let passed = engine.pass(pass, &batch, &criterion)?;
    gradients(&names, &engine.network, passed.gradients, &mut out)?;
    engine.network.set_mode(&Mode::default());
    let y = engine
        .network
        .forward_all(&mut Pass::inference(), &batch.x)?;
    out.tensor("logits_eval", &y);
    Ok(out)
}

/// Logits and losses of network and head, from a pass that moves no statistics.
fn losses(
    network: &mut Network,
    batch: &StepInput,
    masks: &Arc<Masks>,
    out: &mut Outcome<'_>,
) -> Result<()> {
    let criterion = Criterion::from(Loss::CrossEntropy);
    let mut pass = Pass::measuring(Clock::default());
    pass.draws = Some(masks.clone());
    let y = network.forward_all(&mut pass, &batch.x)?;
    let mean = |y: &Tensor| -> Result<f64> {
        let sums = criterion.score(y, &batch.answers)?.sums;
        Ok(sums.to_vec1::<f64>()?[0] / batch.answers.len() as f64)
    };
    let [head] = &pass.sides[..] else {
        return Err("no auxiliary head, or several".into());
    };
    let main = mean(&y)?;
    out.tensor("logits", &y);
    out.tensor("logits_aux", &head.logits);
    out.numbers("loss_main", vec![main])?;
    let total = main + head.weight * mean(&head.logits)?;
    out.numbers("loss_total", vec![total])
}

fn gradients(
    names: &Names,
    network: &Network,
    gradients: Vec<(Arc<str>, Tensor)>,
    out: &mut Outcome<'_>,
) -> Result<()> {
    let mut by_cell = vec![0.0; out.count("grad_norm.cell")?];
    let mut total = 0.0;
    for (full, gradient) in &gradients {
        let (_, name) = names.of(full).ok_or("a gradient without a name")?;
        let square = squares(gradient)?;
        total += square;
        let cell = name.split('.').next().and_then(|c| c.strip_prefix("cell"));
        match cell.and_then(|c| c.parse::<usize>().ok()) {
            Some(cell) => by_cell[cell] += square,
            None => out.numbers(&format!("grad_norm.{name}"), vec![square.sqrt()])?,
        }
    }
    let by_cell = by_cell.into_iter().map(f64::sqrt).collect();
    out.numbers("grad_norm.cell", by_cell)?;
    out.numbers("total_grad_norm", vec![total.sqrt()])?;
    // The optimiser clips: its velocity after one step is the clipped gradient.
    let plain = OptimizerPlan::Sgd {
        lr: 0.0,
        momentum: 0.9,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    };
    let clip = GradientClip::Norm { norm: 5.0 };
    let mut optimizer = Optimizer::new(&plain, clip, &network.tensors())?;
    optimizer.step(gradients, 0.0)?;
    for (moment, velocity) in optimizer.tensors() {
        let full = moment
            .trim_start_matches("optimizer.")
            .trim_end_matches(".0");
        let (_, name) = names.of(full).ok_or("a velocity without a name")?;
        out.tensor(&format!("grad_clipped.{name}"), &velocity);
    }
    Ok(())
}
