//! The checks, one function each. All comparisons are of bits, but for that of a
//! gradient with differences.

use std::collections::HashMap;

use biorule_plugin_api::sdk::Claims;
use candle_core::{DType, Device, Tensor};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Verdict;
use super::chain::{BATCH, CLASSES, Chain};
use crate::Result;
use crate::nn::rule::{ChangeKind, Credit, Role, StateTensor};
use crate::plugins::Registry;
use crate::plugins::registry::RuleEntry;

type Outcome = (Verdict, String);

/// What is checked of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It binds to its layer kinds and makes finite steps.
    Steps,
    /// Shuffled labels give the same weights.
    Unsupervised,
    /// A change of a later layer changes nothing here.
    Local,
    /// What goes below does not depend on the forward weight.
    NoWeightTransport,
    /// The same inputs and seed give the same bits.
    Deterministic,
    /// Saved and reloaded state goes on as if nothing had happened.
    StateRoundTrip,
    /// Rate 0 changes no weight.
    ZeroRate,
    /// The exact gradient is the derivative of what `forward` computes.
    InputGradient,
}

impl Check {
    /// All of them, in the order they run.
    pub const ALL: [Self; 8] = [
        Self::Steps,
        Self::Unsupervised,
        Self::Local,
        Self::NoWeightTransport,
        Self::Deterministic,
        Self::StateRoundTrip,
        Self::ZeroRate,
        Self::InputGradient,
    ];

    /// Name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Unsupervised => "unsupervised",
            Self::Local => "local",
            Self::NoWeightTransport => "no-weight-transport",
            Self::Deterministic => "deterministic",
            Self::StateRoundTrip => "state-round-trip",
            Self::ZeroRate => "zero-rate",
            Self::InputGradient => "input-gradient",
        }
    }

    /// The claim it belongs to; the others hold for every rule.
    fn claim(self) -> Option<Claims> {
        Claims::NAMED
            .iter()
            .find(|(_, name)| *name == self.name())
            .map(|(claim, _)| *claim)
    }

    /// Runs it.
    ///
    /// # Errors
    /// The rule fails in a call.
    pub fn run(self, registry: &Registry, entry: &RuleEntry) -> Result<Outcome> {
        if self
            .claim()
            .is_some_and(|claim| !entry.claims.contains(claim))
        {
            return Ok((Verdict::Skipped, "not claimed".into()));
        }
        match self {
            Self::Steps => steps(registry, entry),
            Self::Unsupervised => unsupervised(registry, entry),
            Self::Local => local(registry, entry),
            Self::NoWeightTransport => no_weight_transport(registry, entry),
            Self::Deterministic => deterministic(registry, entry),
            Self::StateRoundTrip => state_round_trip(registry, entry),
            Self::ZeroRate => zero_rate(registry, entry),
            Self::InputGradient => input_gradient(registry, entry),
        }
    }
}

/// Inputs `[BATCH, 3, 6, 6]` and one-hot labels of step `step`; labels are shifted by `shift` classes.
fn sample(step: u64, shift: usize) -> Result<(Tensor, Tensor)> {
    let mut rng = ChaCha8Rng::seed_from_u64(100 + step);
    let x: Vec<f32> = (0..BATCH * 108)
        .map(|_| rng.random::<f32>() * 2.0 - 1.0)
        .collect();
    let mut hot = vec![0f32; BATCH * CLASSES];
    for row in 0..BATCH {
        hot[row * CLASSES + (rng.random_range(0..CLASSES) + shift) % CLASSES] = 1.0;
    }
    Ok((
        Tensor::from_vec(x, (BATCH, 3, 6, 6), &Device::Cpu)?,
        Tensor::from_vec(hot, (BATCH, CLASSES), &Device::Cpu)?,
    ))
}

fn trained(registry: &Registry, entry: &RuleEntry, steps: u64, shift: usize) -> Result<Chain> {
    let mut chain = Chain::new(registry, entry, 5, None)?;
    for step in 0..steps {
        let (x, target) = sample(step, shift)?;
        chain.train(&x, &target)?;
    }
    Ok(chain)
}

fn bits(state: &[StateTensor]) -> Result<Vec<(String, Vec<u32>)>> {
    state
        .iter()
        .map(|s| {
            Ok((
                s.name.clone(),
                s.tensor
                    .flatten_all()?
                    .to_vec1::<f32>()?
                    .iter()
                    .map(|v| v.to_bits())
                    .collect(),
            ))
        })
        .collect()
}

fn compare(a: &Chain, b: &Chain, what: &str) -> Result<Outcome> {
    for (index, (a, b)) in a.links.iter().zip(&b.links).enumerate() {
        for ((name, a), (_, b)) in bits(&a.state)?.iter().zip(&bits(&b.state)?) {
            let differing = a.iter().zip(b).filter(|(a, b)| a != b).count();
            if differing > 0 {
                return Ok((
                    Verdict::Failed,
                    format!(
                        "{differing} of {} values of `{name}` in layer {index} differ {what}",
                        a.len()
                    ),
                ));
            }
        }
    }
    Ok((
        Verdict::Passed,
        format!("all state is bit-identical {what}"),
    ))
}

fn steps(registry: &Registry, entry: &RuleEntry) -> Result<Outcome> {
    let before = Chain::new(registry, entry, 5, None)?;
    let after = trained(registry, entry, 4, 0)?;
    let mut moved = 0;
    for (index, (a, b)) in before.links.iter().zip(&after.links).enumerate() {
        for ((name, a), (_, b)) in bits(&a.state)?.iter().zip(&bits(&b.state)?) {
            if let Some(bad) = b.iter().find(|v| !f32::from_bits(**v).is_finite()) {
                return Ok((
                    Verdict::Failed,
                    format!("`{name}` of layer {index} holds {}", f32::from_bits(*bad)),
                ));
            }
            moved += usize::from(a != b);
        }
    }
    Ok(match moved {
        0 => (Verdict::Failed, "four steps changed nothing".into()),
        n => (
            Verdict::Passed,
            format!("four steps, all values finite, {n} tensors moved"),
        ),
    })
}

fn unsupervised(registry: &Registry, entry: &RuleEntry) -> Result<Outcome> {
    compare(
        &trained(registry, entry, 4, 0)?,
        &trained(registry, entry, 4, 1)?,
        "after training on other labels",
    )
}

fn local(registry: &Registry, entry: &RuleEntry) -> Result<Outcome> {
    let mut chain = Chain::new(registry, entry, 5, None)?;
    let (x, target) = sample(0, 0)?;
    let first = |chain: &Chain| -> Result<Vec<Vec<u32>>> {
        let trace = chain.forward(&x)?;
        let changes = chain.learn(0, &trace, &target)?;
        changes
            .iter()
            .map(|c| {
                Ok(c.tensor
                    .flatten_all()?
                    .to_vec1::<f32>()?
                    .iter()
                    .map(|v| v.to_bits())
                    .collect())
            })
            .collect()
    };
    let before = first(&chain)?;
    for link in &mut chain.links[1..] {
        for held in &mut link.state {
            held.tensor = (&held.tensor * 1.5)?;
        }
    }
    Ok(match first(&chain)? == before {
        true => (
            Verdict::Passed,
            "changes of the first layer do not depend on later ones".into(),
        ),
        false => (
            Verdict::Failed,
            "changes of the first layer moved when later layers did".into(),
        ),
    })
}

fn no_weight_transport(registry: &Registry, entry: &RuleEntry) -> Result<Outcome> {
    if entry.credit == Credit::Local {
        return Ok((Verdict::Skipped, "the rule sends no error below".into()));
    }
    let mut chain = Chain::new(registry, entry, 5, None)?;
    let Some(above) = (1..chain.links.len()).next() else {
        return Ok((Verdict::Skipped, "the rule serves no dense layer".into()));
    };
    let (x, target) = sample(0, 0)?;
    let trace = chain.forward(&x)?;
    let grad_y = (&trace.y[above] * 0.3)?;
    let before = chain.backward(above, &trace, &grad_y, &target)?.grad_x;
    for held in chain.links[above]
        .state
        .iter_mut()
        .filter(|s| s.role == Role::Weight || s.name == "weight")
    {
        // Another sign and size for every second entry.
        let n = held.tensor.elem_count();
        let factor: Vec<f32> = (0..n)
            .map(|i| if i % 2 == 0 { -1.7 } else { 0.6 })
            .collect();
        held.tensor =
            (&held.tensor * Tensor::from_vec(factor, held.tensor.shape(), &Device::Cpu)?)?;
    }
    let after = chain.backward(above, &trace, &grad_y, &target)?.grad_x;
    let flat = |t: Option<Tensor>| -> Result<Vec<f32>> {
        Ok(t.map(|t| t.flatten_all())
            .transpose()?
            .map(|t| t.to_vec1())
            .transpose()?
            .unwrap_or_default())
    };
    Ok(match flat(before)? == flat(after)? {
        true => (
            Verdict::Passed,
            "the error sent below does not depend on the forward weight".into(),
        ),
        false => (
            Verdict::Failed,
            "the error sent below changed with the forward weight".into(),
        ),
    })
}

fn deterministic(registry: &Registry, entry: &RuleEntry) -> Result<Outcome> {
    compare(
        &trained(registry, entry, 4, 0)?,
        &trained(registry, entry, 4, 0)?,
        "in a second run from the same seed",
    )
}

fn state_round_trip(registry: &Registry, entry: &RuleEntry) -> Result<Outcome> {
    let through = trained(registry, entry, 4, 0)?;
    let mut halves = trained(registry, entry, 2, 0)?;
    for link in &mut halves.links {
        let tensors: HashMap<String, Tensor> = link
            .state
            .iter()
            .map(|s| (s.name.clone(), s.tensor.clone()))
            .collect();
        let saved = safetensors::serialize(&tensors, None)
            .map_err(|e| crate::Error::internal(e.to_string()))?;
        let loaded = candle_core::safetensors::load_buffer(&saved, &Device::Cpu)?;
        for held in &mut link.state {
            held.tensor = loaded[&held.name].to_dtype(DType::F32)?;
        }
    }
    for step in 2..4 {
        let (x, target) = sample(step, 0)?;
        halves.train(&x, &target)?;
    }
    compare(
        &through,
        &halves,
        "after saving and reloading in the middle",
    )
}

fn zero_rate(registry: &Registry, entry: &RuleEntry) -> Result<Outcome> {
    if entry.credit != Credit::Local && !entry.also_local {
        return Ok((Verdict::Skipped, "the optimiser has the rate".into()));
    }
    let chain = Chain::new(registry, entry, 5, Some(0.0))?;
    let (x, target) = sample(0, 0)?;
    let trace = chain.forward(&x)?;
    for (index, link) in chain.links.iter().enumerate() {
        for change in chain.learn(index, &trace, &target)? {
            let held = link
                .state
                .iter()
                .find(|s| s.name == change.name)
                .expect("the binding has checked names");
            if held.role == Role::Statistic {
                continue;
            }
            let delta = match change.kind {
                ChangeKind::Add => change.tensor.clone(),
                ChangeKind::Set => (&change.tensor - &held.tensor)?,
            };
            let largest = delta.abs()?.max_all()?.to_scalar::<f32>()?;
            if largest != 0.0 {
                return Ok((
                    Verdict::Failed,
                    format!(
                        "`{}` of layer {index} moved by {largest:e} at rate 0",
                        change.name
                    ),
                ));
            }
        }
    }
    Ok((
        Verdict::Passed,
        "rate 0 leaves every weight as it was".into(),
    ))
}

/// Step of the differences: outputs are of order 1 and in `f32`.
const DIFFERENCE: f64 = 0.02;

fn input_gradient(registry: &Registry, entry: &RuleEntry) -> Result<Outcome> {
    let chain = trained(registry, entry, 2, 0)?;
    let trace = chain.forward(&sample(7, 0)?.0)?;
    for (index, (x, y)) in trace.x.iter().zip(&trace.y).enumerate() {
        let (c, along) = (scattered(y, 1)?, scattered(x, 2)?);
        let Some(grad) = chain.input_gradient(index, x, &c)? else {
            return Ok((
                Verdict::Skipped,
                "the plugin is older than this question".into(),
            ));
        };
        let at = |h: f64| chain.weighted(index, &(x + (&along * h)?)?, &c);
        let slope = (at(DIFFERENCE)? - at(-DIFFERENCE)?) / (2.0 * DIFFERENCE);
        let (dot, size) = (product(&grad, &along)?, product(&grad, &grad)?.sqrt());
        // `along` has entries of size 1, so the product is of this size.
        if (slope - dot).abs() > 0.05 * size.max(slope.abs()) {
            let text = format!(
                "layer {index}: `input_gradient` gives a slope of {dot:.4}, `forward` has {slope:.4}"
            );
            return Ok((Verdict::Failed, text));
        }
    }
    Ok((
        Verdict::Passed,
        "`input_gradient` is the derivative of `forward`".into(),
    ))
}

/// Entries of 1 and −1, as many and as scattered as `seed` says.
fn scattered(like: &Tensor, seed: u64) -> Result<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..like.elem_count())
        .map(|_| if rng.random::<bool>() { 1.0 } else { -1.0 })
        .collect();
    Ok(Tensor::from_vec(values, like.shape(), &Device::Cpu)?)
}

fn product(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (a, b) = (a.to_dtype(DType::F64)?, b.to_dtype(DType::F64)?);
    Ok((a * b)?.sum_all()?.to_scalar()?)
}
