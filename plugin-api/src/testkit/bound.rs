//! A rule bound to a layer, in plain numbers. The checks see rules through this, so
//! that a rule's own tests (over arrays) and `biorule rules check` (over the library
//! file and the real host) run the very same ones.

use super::{Array, Site};
use crate::abi::types::RawCall;
use crate::sdk::{Claims, Credit, DType, ParamSpec, ParamValue, Result, Role};

/// Arrays with names.
pub type Named = Vec<(String, Array)>;

/// A state tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Name.
    pub name: String,
    /// Who changes it.
    pub role: Role,
    /// Value.
    pub value: Array,
}

/// Circumstances of a call; see [`crate::sdk::Context`].
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Updates that the layer has seen.
    pub step: u64,
    /// Finished epochs.
    pub epoch: u64,
    /// Epochs of the phase.
    pub epochs: u64,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
    /// Samples in a full batch.
    pub batch: u64,
    /// Samples in an epoch.
    pub samples: u64,
    /// Seed of run, phase and layer.
    pub seed: u64,
    /// Rate of the phase's schedule, if it sets one.
    pub rate: Option<f64>,
    /// Whether the block is in training mode.
    pub training: bool,
    /// Whether `learn` or `backward` follows.
    pub learning: bool,
}

impl Default for Call {
    /// The first of ten training steps of one epoch, eight samples each, seed 17.
    fn default() -> Self {
        Self {
            step: 0,
            epoch: 0,
            epochs: 1,
            steps_per_epoch: 10,
            batch: 8,
            samples: 80,
            seed: 17,
            rate: None,
            training: true,
            learning: true,
        }
    }
}

impl Call {
    pub(super) fn raw(&self) -> RawCall {
        RawCall {
            size: size_of::<RawCall>(),
            step: self.step,
            epoch: self.epoch,
            epochs: self.epochs,
            steps_per_epoch: self.steps_per_epoch,
            batch: self.batch,
            samples: self.samples,
            seed: self.seed,
            rate: self.rate.unwrap_or(f64::NAN),
            training: self.training,
            learning: self.learning,
            pass: 0,
        }
    }
}

/// What `forward` gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Output.
    pub y: Array,
    /// What `learn` or `backward` gets back.
    pub kept: Named,
}

/// What `learn` sees.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Input.
    pub x: &'a Array,
    /// Output.
    pub y: &'a Array,
    /// What `forward` kept.
    pub kept: &'a Named,
    /// One-hot labels or target values `[B, classes]`.
    pub target: Option<&'a Array>,
}

/// What `backward` sees.
#[derive(Clone, Copy, Debug)]
pub struct Missed<'a> {
    /// Input.
    pub x: &'a Array,
    /// Output.
    pub y: &'a Array,
    /// What `forward` kept.
    pub kept: &'a Named,
    /// Error at the layer's output.
    pub grad_y: &'a Array,
    /// Error at the network's output, for direct rules.
    pub output_error: Option<&'a Array>,
    /// One-hot labels or target values `[B, classes]`, for rules that use the target.
    pub target: Option<&'a Array>,
    /// Loss of each sample `[B]`, for rules that use the target.
    pub losses: Option<&'a Array>,
    /// Whether the error for the layer below is wanted.
    pub want_grad_x: bool,
}

/// A change of a state tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Which.
    pub name: String,
    /// Replaces the value instead of adding to it.
    pub replaces: bool,
    /// By what.
    pub value: Array,
}

/// What `backward` gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grads {
    /// Error for the layer below.
    pub below: Option<Array>,
    /// Gradients by state name.
    pub own: Named,
}

/// A rule on a layer: a pure function of its arguments.
pub trait Bound {
    /// Fresh state from `seed`.
    ///
    /// # Errors
    /// The rule failed; so with all of these.
    fn start(&self, seed: u64) -> Result<Vec<Held>>;
    /// Output for `x`.
    ///
    /// # Errors
    /// The rule failed.
    fn forward(&self, call: &Call, state: &[Held], x: &Array) -> Result<Output>;
    /// Local changes.
    ///
    /// # Errors
    /// The rule failed.
    fn learn(&self, call: &Call, state: &[Held], seen: Seen<'_>) -> Result<Vec<Changed>>;
    /// Gradients.
    ///
    /// # Errors
    /// The rule failed.
    fn backward(&self, call: &Call, state: &[Held], missed: Missed<'_>) -> Result<Grads>;
    /// Numbers that the rule reports, by name.
    ///
    /// # Errors
    /// The rule failed.
    fn metrics(&self, call: &Call, state: &[Held]) -> Result<Vec<(String, f64)>>;
    /// Samples that a step needs at least.
    fn least_batch(&self) -> usize {
        1
    }
    /// Tensors that the rule has not given back, so far.
    fn leaked(&self) -> u64 {
        0
    }
    /// The derivative of what `forward` computes, or nothing from a plugin that is older than
    /// the question.
    ///
    /// # Errors
    /// The rule failed.
    fn input_gradient(
        &self,
        call: &Call,
        state: &[Held],
        missed: Missed<'_>,
    ) -> Result<Option<Array>>;
}

/// What the checks must know of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How it learns.
    pub credit: Credit,
    /// Serves dense layers.
    pub dense: bool,
    /// Serves convolutions.
    pub conv: bool,
    /// `learn` and `backward` want the target.
    pub wants_target: bool,
    /// A feedback or direct rule that also learns locally.
    pub also_local: bool,
    /// What it claims of itself.
    pub claims: Claims,
}

impl Facts {
    /// Whether `learn` is called in training.
    #[must_use]
    pub fn learns_locally(&self) -> bool {
        self.credit == Credit::Local || self.also_local
    }
}

/// Hyperparameters with the values that a check gives them.
pub type Config = Vec<(String, ParamValue)>;

/// A rule to be checked.
pub trait Subject {
    /// What it says of itself.
    fn facts(&self) -> Facts;
    /// Its name and its line of summary.
    fn presented(&self) -> (String, String);
    /// Its hyperparameters.
    fn schema(&self) -> Vec<ParamSpec>;
    /// Bound to a layer with these hyperparameters, the others at their defaults, in f32 or f64.
    ///
    /// # Errors
    /// It refuses the layer or the hyperparameters.
    fn bind_with(&self, site: &Site, params: &Config, dtype: DType) -> Result<Box<dyn Bound>>;
    /// Bound to a layer with its defaults, in f32.
    ///
    /// # Errors
    /// It refuses the layer.
    fn bind(&self, site: &Site) -> Result<Box<dyn Bound>> {
        self.bind_with(site, &Config::new(), DType::F32)
    }
    /// A state written and read back as checkpoints are.
    ///
    /// # Errors
    /// It cannot be written or read.
    fn reload(&self, state: Vec<Held>) -> Result<Vec<Held>>;
}

/// Applies changes to a state.
///
/// # Errors
/// Shapes that do not fit.
pub fn apply(state: &mut [Held], changes: &[Changed]) -> Result<()> {
    for change in changes {
        for held in state.iter_mut().filter(|s| s.name == change.name) {
            held.value = match change.replaces {
                true => change.value.clone(),
                false => held.value.zip(&change.value, |a, b| a + b)?,
            };
        }
    }
    Ok(())
}
