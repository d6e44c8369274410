//! The gradient of the architecture after a step of the weights (Liu et al. 2019, equations 7 and
//! 8): the derivative there, less the step size times a finite difference for the mixed second
//! derivatives. With rules that send back other errors than the gradient, both are pseudo-gradients.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::nn::{Mixture, Network, Pass, Tables, Wants};
use crate::ops::optim::add_scaled_in_place;
use crate::ops::shape::copy_in_place;
use crate::plan::OptimizerPlan;
use crate::train::criterion::Criterion;
use crate::train::{Engine, StepInput};
use crate::{Error, Result};

/// Length of the displacement for the difference, over the norm of the gradient.
const RADIUS: f64 = 0.01;

/// What the unrolled step found.
#[derive(Clone, Debug)]
pub struct Unrolled {
    /// Derivative by the weights of candidates after the step.
    pub direct: Tables,
    /// The finite difference, `∇²_{α,w} L_train · v`.
    pub product: Tables,
    /// The displacement's factor, 0.01 over the norm of `v`.
    pub radius: f64,
    /// Losses: training, validation after the step, and training on both sides. Means of a batch.
    pub losses: [f64; 4],
}

impl Unrolled {
    /// `direct − η·product`.
    #[must_use]
    pub fn gradient(&self, eta: f64) -> Tables {
        let mut out = self.direct.clone();
        let all = out.values_mut().flatten().flatten();
        let products = self.product.values().flatten().flatten();
        all.zip(products).for_each(|(d, p)| *d -= eta * p);
        out
    }
}

/// Momentum and decay of the weights' optimiser, which the unrolled step repeats.
#[derive(Clone, Copy, Debug)]
pub struct Descent {
    momentum: f64,
    decay: f64,
}

impl Descent {
    /// Those of `plan`.
    ///
    /// # Errors
    /// Usage error for an optimiser whose step is not of this form.
    pub fn of(plan: &OptimizerPlan) -> Result<Self> {
        match *plan {
            OptimizerPlan::Sgd {
                momentum,
                weight_decay,
                decoupled_decay: 0.0,
                ..
            } => Ok(Self {
                momentum,
                decay: weight_decay,
            }),
            _ => Err(Error::usage(
                "the second order unrolls a step of gradient descent, and the weights have another optimiser",
            )
            .hint("take `optimizer = { kind = \"sgd\", … }` without `decoupled_decay`, or the first order")),
        }
    }
}

/// Passes 0 to 3 of a step: training, validation after the unrolled step of size `eta`, and
/// training on both sides. The weights are then what they were; running statistics moved with the
/// three training passes.
///
/// # Errors
/// Failures of rules and of the device.
pub fn unrolled(
    engine: &mut Engine<'_>,
    (train, validation): (&StepInput, &StepInput),
    criterion: &Criterion,
    mixture: &Mixture,
    (descent, eta): (Descent, f64),
) -> Result<Unrolled> {
    let weights = learning(&engine.network);
    let before = copies(&weights)?;
    let moments: BTreeMap<String, Tensor> = engine.optimizer.tensors().into_iter().collect();
    let (gradient, first) = gradient_of(engine, train, criterion, (0, true))?;
    for (name, weight) in &weights {
        // w' = w − η(m·momentum + g + decay·w), from the weights as they are.
        let own = weight.copy()?;
        if let Some(velocity) = moments.get(&format!("optimizer.{name}.0")) {
            add_scaled_in_place(weight, velocity, -eta * descent.momentum)?;
        }
        if let Some(gradient) = gradient.get(name) {
            add_scaled_in_place(weight, gradient, -eta)?;
        }
        add_scaled_in_place(weight, &own, -eta * descent.decay)?;
    }
    let mut pass = Pass::gradient(engine.clock.clone()).wanting(Wants::ALL);
    (pass.local, pass.statistics, pass.clock.pass) = (false, false, 1);
    let passed = engine.pass(pass, validation, criterion)?;
    let direct = passed.architecture.sums(mixture)?;
    let second = mean_loss(&passed.sums, validation)?;
    let v = summed(passed.gradients)?;
    put_back(&weights, &before)?;
    let radius = RADIUS / norm(&v)?.max(f64::MIN_POSITIVE);
    let mut side = |factor: f64, number: u64| -> Result<(Tables, f64)> {
        for (name, weight) in &weights {
            if let Some(v) = v.get(name) {
                add_scaled_in_place(weight, v, factor)?;
            }
        }
        let mut pass = Pass::gradient(engine.clock.clone()).wanting(Wants::ARCHITECTURE);
        (pass.local, pass.clock.pass) = (false, number);
        let passed = engine.pass(pass, train, criterion)?;
        put_back(&weights, &before)?;
        Ok((
            passed.architecture.sums(mixture)?,
            mean_loss(&passed.sums, train)?,
        ))
    };
    let (above, third) = side(radius, 2)?;
    let (below, fourth) = side(-radius, 3)?;
    let mut product = above;
    let all = product.values_mut().flatten().flatten();
    let other = below.values().flatten().flatten();
    all.zip(other)
        .for_each(|(a, b)| *a = (*a - b) / (2.0 * radius));
    Ok(Unrolled {
        direct,
        product,
        radius,
        losses: [first, second, third, fourth],
    })
}

/// The tensors that the optimiser changes, by name.
fn learning(network: &Network) -> Vec<(Arc<str>, Tensor)> {
    let all = network.tensors().into_iter().filter(|t| t.learns);
    all.map(|t| (t.name, t.tensor)).collect()
}

fn copies(weights: &[(Arc<str>, Tensor)]) -> Result<Vec<Tensor>> {
    let copy = |(_, t): &(Arc<str>, Tensor)| Ok(t.copy()?);
    weights.iter().map(copy).collect()
}

fn put_back(weights: &[(Arc<str>, Tensor)], values: &[Tensor]) -> Result<()> {
    let mut pairs = weights.iter().zip(values);
    pairs.try_for_each(|((_, weight), value)| copy_in_place(weight, value))
}

fn gradient_of(
    engine: &mut Engine<'_>,
    batch: &StepInput,
    criterion: &Criterion,
    (number, statistics): (u64, bool),
) -> Result<(BTreeMap<Arc<str>, Tensor>, f64)> {
    let mut pass = Pass::gradient(engine.clock.clone());
    (pass.local, pass.statistics, pass.clock.pass) = (false, statistics, number);
    let passed = engine.pass(pass, batch, criterion)?;
    let loss = mean_loss(&passed.sums, batch)?;
    Ok((summed(passed.gradients)?, loss))
}

/// Gradients by name, those of one tensor added up.
fn summed(gradients: Vec<(Arc<str>, Tensor)>) -> Result<BTreeMap<Arc<str>, Tensor>> {
    let mut out: BTreeMap<Arc<str>, Tensor> = BTreeMap::new();
    for (name, gradient) in gradients {
        let sum = match out.remove(&name) {
            Some(before) => (before + gradient)?,
            None => gradient,
        };
        out.insert(name, sum);
    }
    Ok(out)
}

fn norm(gradients: &BTreeMap<Arc<str>, Tensor>) -> Result<f64> {
    let mut squares = 0.0;
    for gradient in gradients.values() {
        let square = gradient.to_dtype(DType::F64)?.sqr()?.sum_all()?;
        squares += square.to_scalar::<f64>()?;
    }
    Ok(squares.sqrt())
}

fn mean_loss(sums: &Tensor, batch: &StepInput) -> Result<f64> {
    Ok(sums.to_vec1::<f64>()?[0] / batch.answers.len() as f64)
}
