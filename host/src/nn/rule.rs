//! The seam between network and rules: what the host asks of a rule bound to a
//! layer, in Candle tensors. `plugins::bind` implements it over the plugin
//! boundary; the network knows nothing of libraries or handles.

use candle_core::{DType, Device, Tensor};

use crate::Result;
use crate::ops::{optim, shape, synapses};
use crate::plan::LayerPlan;

pub use biorule_plugin_api::sdk::{Credit, Role};

/// A tensor that the host holds for a rule.
#[derive(Clone, Debug)]
pub struct StateTensor {
    /// Name, unique in the layer.
    pub name: String,
    /// Value.
    pub tensor: Tensor,
    /// Who changes it.
    pub role: Role,
}

/// A tensor that the host is to hold for a rule, before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateOutline {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Who changes it.
    pub role: Role,
}

/// Where a layer stands; shapes without the batch axis.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerShape {
    /// Name in the plan.
    pub name: String,
    /// Position among the rule layers.
    pub index: usize,
    /// `[D]` or `[C, H, W]`.
    pub input: Vec<usize>,
    /// `[K]` or `[K, P, Q]`.
    pub output: Vec<usize>,
    /// Classes, or target values, at the network's output.
    pub classes: usize,
    /// No layer learns below.
    pub first: bool,
    /// The output is the network's.
    pub last: bool,
    /// A normalisation stands in front.
    pub normalised: bool,
}

/// Circumstances of a call.
#[derive(Clone, Debug)]
pub struct RuleCall {
    /// Updates that this layer has seen in this phase.
    pub step: u64,
    /// Passes that the step has made before this one; what a rule draws for a pass is keyed by it.
    pub pass: u64,
    /// Finished epochs of the phase.
    pub epoch: u64,
    /// Epochs of the phase; 0 if open-ended.
    pub epochs: u64,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
    /// Samples in a full batch.
    pub batch: u64,
    /// Training samples in an epoch.
    pub samples: u64,
    /// Seed of run and layer, the same in every phase and in evaluation.
    pub seed: u64,
    /// Rate of the phase's schedule, if it sets one.
    pub rate: Option<f64>,
    /// The block is in training mode.
    pub training: bool,
    /// `learn` or `backward` will follow.
    pub learning: bool,
}

impl RuleCall {
    /// A call outside training.
    pub fn evaluation(seed: u64) -> Self {
        Self {
            step: 0,
            pass: 0,
            epoch: 0,
            epochs: 0,
            steps_per_epoch: 0,
            batch: 0,
            samples: 0,
            seed,
            rate: None,
            training: false,
            learning: false,
        }
    }
}

/// Tensors with names.
pub type Named = Vec<(String, Tensor)>;

/// What `forward` gives.
#[derive(Debug)]
pub struct Forwarded {
    /// Output.
    pub y: Tensor,
    /// What the rule wants back in `learn` or `backward`.
    pub kept: Named,
}

/// What a local rule learns from.
#[derive(Debug)]
pub struct Activity<'a> {
    /// Input.
    pub x: &'a Tensor,
    /// Output of `forward`.
    pub y: &'a Tensor,
    /// What `forward` kept.
    pub kept: &'a Named,
    /// One-hot labels or target values, `[B, classes]` of the type of `x`.
    pub target: Option<&'a Tensor>,
}

/// What a feedback or direct rule learns from.
#[derive(Debug)]
pub struct Errors<'a> {
    /// Input.
    pub x: &'a Tensor,
    /// Output of `forward`.
    pub y: &'a Tensor,
    /// What `forward` kept.
    pub kept: &'a Named,
    /// Derivative of the loss by the output.
    pub grad_y: &'a Tensor,
    /// Derivative of the loss by the network's output, for direct rules.
    pub output_error: Option<&'a Tensor>,
    /// One-hot labels or target values, `[B, classes]` of the type of `x`, for rules that want them.
    pub target: Option<&'a Tensor>,
    /// Loss of each sample, `[B]`, for rules that want the target.
    pub losses: Option<&'a Tensor>,
    /// Whether the error for the layer below is wanted.
    pub want_grad_x: bool,
    /// Whether the layer's own gradients are wanted.
    pub want_grads: bool,
}

/// How a change meets the state tensor.
#[derive(Clone, Debug)]
pub enum ChangeKind {
    /// Add to it.
    Add,
    /// Add each row, multiplied by its entry of this tensor, `[K]`.
    AddRows(Tensor),
    /// Replace it.
    Set,
}

/// A change of one state tensor.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which.
    pub name: String,
    /// How.
    pub kind: ChangeKind,
    /// By what.
    pub tensor: Tensor,
}

impl Change {
    /// Changes `held` in place; shapes are the caller's to check.
    ///
    /// # Errors
    /// The device failed.
    pub fn apply(&self, held: &Tensor) -> Result<()> {
        match &self.kind {
            ChangeKind::Add => optim::add_in_place(held, &self.tensor),
            ChangeKind::AddRows(scale) => synapses::add_rows_in_place(held, &self.tensor, scale),
            ChangeKind::Set => shape::copy_in_place(held, &self.tensor),
        }
    }

    /// What `held` would become, as a tensor of its own.
    ///
    /// # Errors
    /// The device failed.
    pub fn applied(&self, held: &Tensor) -> Result<Tensor> {
        let copy = held.copy()?;
        self.apply(&copy)?;
        Ok(copy)
    }
}

/// What `backward` gives.
#[derive(Debug, Default)]
pub struct RuleGradients {
    /// Error for the layer below.
    pub grad_x: Option<Tensor>,
    /// Gradients by state name.
    pub grads: Named,
}

/// What the host must know of a rule to train with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleFacts {
    /// How it learns.
    pub credit: Credit,
    /// A feedback or direct rule whose `learn` is to be called too.
    pub also_local: bool,
    /// `learn` and `backward` want the target where there is one.
    pub wants_target: bool,
    /// `forward` or `backward` draws random numbers at each step.
    pub stochastic: bool,
    /// `learn` is to be called after `forward` in evaluation too, its changes count at once.
    pub learns_in_evaluation: bool,
    /// `learn` reads neither the output nor what `forward` kept, so that it can be called without.
    pub learns_from_input: bool,
    /// Samples that a batch needs at least when the rule learns; depends on the layer, so 1 until
    /// the rule is bound to one.
    pub least_batch: usize,
}

impl RuleFacts {
    /// A rule that learns in this way and has no other peculiarity.
    pub const fn new(credit: Credit) -> Self {
        Self {
            credit,
            also_local: false,
            wants_target: false,
            stochastic: false,
            learns_in_evaluation: false,
            learns_from_input: false,
            least_batch: 1,
        }
    }

    /// Whether the rule changes its state by `learn`, in training.
    pub fn learns_locally(&self) -> bool {
        self.credit == Credit::Local || self.also_local
    }
}

/// One rule, bound to one layer with checked parameters. A pure function of its
/// arguments.
pub trait Rule: Send + Sync {
    /// Name as in the plan.
    fn name(&self) -> &str;
    /// What the host must know of it.
    fn facts(&self) -> RuleFacts;

    /// What [`Self::init`] will make; nothing is allocated. Empty where the rule does not say.
    ///
    /// # Errors
    /// The rule failed.
    fn outline(&self) -> Result<Vec<StateOutline>> {
        Ok(Vec::new())
    }

    /// Hyperparameters that it does not read, because of the others or of its layer.
    fn unread(&self) -> Vec<String> {
        Vec::new()
    }

    /// Fresh state from `seed`; the same numbers on every device.
    ///
    /// # Errors
    /// The rule failed.
    fn init(&self, seed: u64, device: &Device, dtype: DType) -> Result<Vec<StateTensor>>;
    /// Output for `x`.
    ///
    /// # Errors
    /// The rule failed or broke its contract (shape, NaN in strict mode).
    fn forward(&self, call: &RuleCall, state: &[StateTensor], x: &Tensor) -> Result<Forwarded>;
    /// Local changes.
    ///
    /// # Errors
    /// As for `forward`.
    fn learn(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        a: &Activity<'_>,
    ) -> Result<Vec<Change>>;
    /// Gradients.
    ///
    /// # Errors
    /// As for `forward`.
    fn backward(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        e: &Errors<'_>,
    ) -> Result<RuleGradients>;
    /// Numbers worth logging.
    ///
    /// # Errors
    /// As for `forward`.
    fn metrics(&self, call: &RuleCall, state: &[StateTensor]) -> Result<Vec<(String, f64)>>;
    /// The derivative of the loss by the input, through what `forward` computes, whatever
    /// the rule itself sends below. None stands for that of the layer's map with the state
    /// tensor `weight`.
    ///
    /// # Errors
    /// As for `forward`.
    fn input_gradient(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        e: &Errors<'_>,
    ) -> Result<Option<Tensor>> {
        let _ = (call, state, e);
        Ok(None)
    }
}

/// Where rules come from.
pub trait RuleSource {
    /// Binds the rule that `plan` names to the layer.
    ///
    /// # Errors
    /// No such rule, bad parameters, or a layer that it cannot serve.
    fn bind(&self, plan: &LayerPlan, layer: &LayerShape, dtype: DType) -> Result<Box<dyn Rule>>;
}
