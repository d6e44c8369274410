//! Alignment with the true gradient, on demand, on one held-out batch.
//!
//! Two passes with the same weights and the same batch: one with the rules'
//! own feedback, one with exact back-propagation through every map; nothing is
//! changed by either. Formulas: specs of bioflax (gradient cosine per layer and
//! in total, relative norm) and `BioTorch` (weight angle and norm ratio).

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::criterion::Criterion;
use super::run::Trainer;
use crate::Result;
use crate::data::Answers;
use crate::nn::{Clock, Mode, NamedTensor, Network, Pass, Role};
use crate::plan::{Drive, PhasePlan};

/// Samples in the batch that alignment is measured on.
pub(super) const ALIGNMENT_BATCH: usize = 128;

/// How a network's gradients compare with the true ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alignment {
    /// By layer name (`blocks.conv1.layer`).
    pub layers: BTreeMap<String, LayerAlignment>,
    /// Cosine over all compared gradients together.
    pub cosine: f64,
    /// Norm of all true gradients over that of the rules'.
    pub relative_norm: f64,
}

/// Comparison in one layer. A number is absent where its tensors are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LayerAlignment {
    /// Cosine of weight and bias gradients together.
    pub gradient: Option<f64>,
    /// Cosine of the bias gradients.
    pub bias: Option<f64>,
    /// Cosine of the flattened weight and feedback.
    pub weight: Option<f64>,
    /// Angle of the same in degrees.
    pub angle: Option<f64>,
    /// Norm of the feedback over that of the weight.
    pub ratio: Option<f64>,
}

/// Dot product and squared norms of pairs of gradients: `(h·g, h·h, g·g)`.
#[derive(Clone, Copy, Default)]
struct Products {
    cross: f64,
    truth: f64,
    rule: f64,
}

impl Products {
    fn of(truth: &Tensor, rule: &Tensor) -> Result<Self> {
        Ok(Self {
            cross: dot(truth, rule)?,
            truth: dot(truth, truth)?,
            rule: dot(rule, rule)?,
        })
    }
    fn add(&mut self, other: Self) {
        self.cross += other.cross;
        self.truth += other.truth;
        self.rule += other.rule;
    }
    fn cosine(&self) -> f64 {
        self.cross / (self.truth.sqrt() * self.rule.sqrt())
    }
}

fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (a, b) = (
        a.flatten_all()?.to_dtype(DType::F64)?,
        b.flatten_all()?.to_dtype(DType::F64)?,
    );
    Ok((a * b)?.sum_all()?.to_scalar()?)
}

/// Compares all layers whose rules take part in gradient-driven learning. The
/// mode (which blocks learn) must be set; dropout and norms run as in training,
/// running statistics and weights stay as they are.
pub fn measure(
    network: &mut Network,
    x: &Tensor,
    answers: &Answers,
    loss: impl Into<Criterion>,
    clock: &Clock,
) -> Result<Alignment> {
    let loss = loss.into();
    let rule = gradients(network, x, answers, &loss, clock, false)?;
    let truth = gradients(network, x, answers, &loss, clock, true)?;
    let mut out = compare(&rule, &truth)?;
    weights(&network.tensors(), &mut out.layers)?;
    Ok(out)
}

/// Compares gradients by full tensor name (`blocks.conv1.layer.weight`). Those without a true
/// gradient, of feedback matrices, are left out.
pub fn compare(rule: &[(Arc<str>, Tensor)], truth: &[(Arc<str>, Tensor)]) -> Result<Alignment> {
    let mut out = Alignment::default();
    let mut total = Products::default();
    let mut by_layer: BTreeMap<String, Products> = BTreeMap::new();
    for (name, rule) in rule {
        let Some((_, truth)) = truth.iter().find(|(n, _)| n == name) else {
            continue;
        };
        let products = Products::of(truth, rule)?;
        let (layer, part) = name.rsplit_once('.').unwrap_or((name, ""));
        by_layer.entry(layer.to_owned()).or_default().add(products);
        if part == "bias" {
            let entry = out.layers.entry(layer.to_owned()).or_default();
            entry.bias = Some(products.cosine());
        }
        total.add(products);
    }
    for (layer, products) in by_layer {
        out.layers.entry(layer).or_default().gradient = Some(products.cosine());
    }
    out.cosine = total.cosine();
    out.relative_norm = (total.truth / total.rule).sqrt();
    Ok(out)
}

fn gradients(
    network: &mut Network,
    x: &Tensor,
    answers: &Answers,
    loss: &Criterion,
    clock: &Clock,
    exact: bool,
) -> Result<Vec<(Arc<str>, Tensor)>> {
    let mut pass = Pass::measuring(clock.clone());
    pass.exact = exact;
    let y = network.forward_all(&mut pass, x)?;
    let flat = if y.rank() == 2 {
        y.clone()
    } else {
        y.flatten_from(1)?
    };
    let scored = loss.score(&flat, answers)?;
    let grad = scored.grad.reshape(y.shape())?;
    pass.output_error = Some(scored.grad);
    let blocks = network.len();
    network.backward(&mut pass, &grad, 0..blocks)?;
    Ok(std::mem::take(&mut pass.gradients))
}

/// Weight against feedback of the same shape, in each layer that has both. Tensors of another
/// name, such as the magnitudes of `frsf`, are not what the error goes back through.
fn weights(tensors: &[NamedTensor], out: &mut BTreeMap<String, LayerAlignment>) -> Result<()> {
    let feedback = |t: &&NamedTensor| matches!(t.role, Role::FixedFeedback | Role::LearnedFeedback);
    for b in tensors.iter().filter(feedback) {
        let Some(layer) = b.name.strip_suffix(".feedback") else {
            continue;
        };
        let weight = format!("{layer}.weight");
        let Some(w) = tensors.iter().find(|t| *t.name == weight) else {
            continue;
        };
        if w.tensor.dims() != b.tensor.dims() {
            continue;
        }
        let products = Products::of(&w.tensor, &b.tensor)?;
        let cosine = products.cosine();
        let entry = out.entry(layer.to_owned()).or_default();
        entry.weight = Some(cosine);
        entry.angle = Some(cosine.clamp(-1.0, 1.0).acos().to_degrees());
        entry.ratio = Some((products.rule / products.truth).sqrt());
    }
    Ok(())
}

impl Alignment {
    /// As metrics: `gradient_cosine`, `relative_norm`, `<block>/gradient_cosine` …
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let mut out = vec![
            ("gradient_cosine".to_owned(), self.cosine),
            ("relative_norm".to_owned(), self.relative_norm),
        ];
        for (layer, a) in &self.layers {
            let block = layer
                .trim_start_matches("blocks.")
                .trim_end_matches(".layer");
            let named = [
                ("gradient_cosine", a.gradient),
                ("bias_cosine", a.bias),
                ("weight_cosine", a.weight),
                ("weight_angle", a.angle),
                ("feedback_ratio", a.ratio),
            ];
            let present = named.into_iter().filter_map(|(n, v)| Some((n, v?)));
            out.extend(present.map(|(n, v)| (format!("{block}/{n}"), v)));
        }
        out
    }
}

impl Trainer<'_> {
    /// Adds alignment metrics where the plan asks for them after this epoch.
    pub(super) fn alignment_if_due(
        &mut self,
        plan: &PhasePlan,
        clock: &Clock,
        loss: &Criterion,
        metrics: &mut BTreeMap<String, f64>,
    ) -> Result<()> {
        let every = self.plan.output.alignment_every;
        if plan.drive == Drive::Local || every == 0 || !self.position.epoch.is_multiple_of(every) {
            return Ok(());
        }
        let data = self.data;
        let (_, samples) = data.held_out();
        let indices: Vec<u32> = (0..samples.len().min(ALIGNMENT_BATCH) as u32).collect();
        let batch = samples.read(&indices)?;
        let x = self.prefixed(&batch.x, 0)?;
        let answers = batch.answers.beside(&x)?;
        self.engine.network.set_mode(&Mode {
            blocks: plan.blocks.clone(),
            drive: Some(Drive::Gradient),
        });
        let alignment = measure(&mut self.engine.network, &x, &answers, loss.clone(), clock)?;
        self.engine.network.set_mode(&Mode {
            blocks: plan.blocks.clone(),
            drive: Some(plan.drive),
        });
        metrics.extend(alignment.metrics());
        Ok(())
    }
}
