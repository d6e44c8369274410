//! What the network needs of a learning rule: Candle tensors in, Candle tensors
//! out, no plugin boundary in sight. A [`Rule`] is one rule bound to one layer
//! and checked parameters; everything it learns lives in [`StateTensor`]s that
//! the layer owns and hands over with every call.

use candle_core::{DType, Device, Tensor};

use super::map::LayerMap;
use crate::Result;
use crate::config::plan::LayerPlan;

/// Where a rule's teaching signal comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// Its own input and output (and a target, in a supervised last layer).
    Local,
    /// An error from above; a replaced error goes below.
    Feedback,
    /// The network's output error, broadcast to the layer.
    Direct,
}

/// What a state tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Changed by the optimiser from gradients.
    Weight,
    /// Changed by the optimiser from gradients.
    Bias,
    /// A feedback matrix that the optimiser changes with the weights' settings.
    LearnedFeedback,
    /// A feedback matrix that never changes, and never decays.
    FixedFeedback,
    /// Changed by the rule's own [`Change`]s.
    Plastic,
    /// Counters and running values; changed by [`Change`]s.
    Statistic,
}

impl Role {
    /// Whether an optimiser may change such a tensor.
    pub fn optimised(self) -> bool {
        matches!(self, Self::Weight | Self::Bias | Self::LearnedFeedback)
    }
}

/// One named tensor of a layer's state.
#[derive(Clone, Debug)]
pub struct StateTensor {
    /// Name within the layer, such as `weight`.
    pub name: String,
    /// The value. In-place changes keep the storage.
    pub tensor: Tensor,
    /// What it is for.
    pub role: Role,
}

/// Where and when a rule is called.
#[derive(Clone, Debug)]
pub struct RuleCall<'a> {
    /// Block of the layer.
    pub layer: &'a str,
    /// Index of the layer, input first.
    pub layer_index: usize,
    /// Updates of this layer so far, through all phases.
    pub step: u64,
    /// Finished epochs of the phase.
    pub epoch: u64,
    /// Epochs of the phase; 0 where a stop rule ends it.
    pub epochs: u64,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
    /// Samples in a full step.
    pub batch: usize,
    /// Training samples in an epoch.
    pub samples: usize,
    /// Seed of the phase's random streams.
    pub phase_seed: u64,
    /// Rate in place of the rule's own, where the phase sets one.
    pub rate: Option<f64>,
    /// The layer's block is being trained.
    pub training: bool,
    /// The rule learns in this pass.
    pub learning: bool,
}

/// Result of [`Rule::forward`].
#[derive(Debug)]
pub struct Forwarded {
    /// Pre-activations, `[B, K]` or `[B, K, P, Q]`.
    pub y: Tensor,
    /// What the learning or backward call will want again.
    pub kept: Vec<(String, Tensor)>,
}

/// What a local rule learns from.
#[derive(Debug)]
pub struct Activity<'a> {
    /// The layer's input.
    pub x: &'a Tensor,
    /// Its output, before the update.
    pub y: &'a Tensor,
    /// What forward kept.
    pub kept: &'a [(String, Tensor)],
    /// One-hot labels or regression targets, `[B, O]`.
    pub target: Option<&'a Tensor>,
}

/// How a change is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Added to the value.
    Add,
    /// Takes its place.
    Set,
}

/// One change of state, applied after the whole network's pass.
#[derive(Clone, Debug)]
pub struct Change {
    /// State tensor.
    pub name: String,
    /// Add or set.
    pub kind: ChangeKind,
    /// Same shape as the state tensor.
    pub tensor: Tensor,
}

/// What a feedback or direct rule gets on the way back.
#[derive(Debug)]
pub struct Errors<'a> {
    /// The layer's input.
    pub x: &'a Tensor,
    /// Its output.
    pub y: &'a Tensor,
    /// What forward kept.
    pub kept: &'a [(String, Tensor)],
    /// Error at the output, shape of `y`.
    pub grad_y: &'a Tensor,
    /// Gradient of the loss at the network's output, `[B, O]`.
    pub output_error: Option<&'a Tensor>,
    /// Something below learns: `grad_x` is needed.
    pub want_grad_x: bool,
    /// The layer itself learns: its gradients are needed.
    pub want_grads: bool,
}

/// Result of [`Rule::backward`].
#[derive(Debug, Default)]
pub struct RuleGradients {
    /// Error for the layer below, shape of `x`.
    pub grad_x: Option<Tensor>,
    /// Gradients of named state tensors (weights, biases, learned feedback).
    pub grads: Vec<(String, Tensor)>,
}

/// A rule bound to one layer.
pub trait Rule: Send + Sync {
    /// Name, such as `feedback-alignment/usf`.
    fn name(&self) -> &str;
    /// Kind of credit.
    fn credit(&self) -> Credit;
    /// A feedback or direct rule that also implements [`Rule::learn`].
    fn also_local(&self) -> bool {
        false
    }
    /// Whether `learn` needs a target.
    fn wants_target(&self) -> bool {
        false
    }
    /// Initial state.
    ///
    /// # Errors
    /// Whatever goes wrong in the rule, as a plugin error.
    fn init(&self, seed: u64, device: &Device, dtype: DType) -> Result<Vec<StateTensor>>;
    /// The layer's output.
    ///
    /// # Errors
    /// As above.
    fn forward(&self, call: &RuleCall<'_>, state: &[StateTensor], x: &Tensor) -> Result<Forwarded>;
    /// Changes from the layer's own activity.
    ///
    /// # Errors
    /// As above; a rule without local learning refuses.
    fn learn(
        &self,
        call: &RuleCall<'_>,
        state: &[StateTensor],
        activity: &Activity<'_>,
    ) -> Result<Vec<Change>>;
    /// Gradients from an error.
    ///
    /// # Errors
    /// As above; a local rule refuses.
    fn backward(
        &self,
        call: &RuleCall<'_>,
        state: &[StateTensor],
        errors: &Errors<'_>,
    ) -> Result<RuleGradients>;
    /// Numbers the rule reports, such as `radius` or `convergence`.
    ///
    /// # Errors
    /// As above.
    fn metrics(&self, call: &RuleCall<'_>, state: &[StateTensor]) -> Result<Vec<(String, f64)>> {
        let _ = (call, state);
        Ok(Vec::new())
    }
    /// The weight that the forward map really uses, for exact gradients through
    /// a local layer; the state tensor `weight` unless the rule says otherwise.
    ///
    /// # Errors
    /// As above.
    fn effective_weight(&self, state: &[StateTensor]) -> Result<Option<Tensor>> {
        Ok(state
            .iter()
            .find(|s| s.name == "weight")
            .map(|s| s.tensor.clone()))
    }
}

/// The layer a rule is bound to.
#[derive(Clone, Debug)]
pub struct LayerShape {
    /// Index of the layer, input first.
    pub index: usize,
    /// Block of the layer.
    pub name: String,
    /// The synaptic map with all its sizes.
    pub map: LayerMap,
    /// Additive bias.
    pub bias: bool,
    /// Width of the network's output, for direct rules.
    pub outputs: usize,
    /// No rule layer stands below.
    pub first: bool,
    /// The last rule layer of the network.
    pub last: bool,
    /// A normalisation stands between the layer and its input.
    pub normalised: bool,
}

/// Finds rules by name and binds them to layers.
pub trait RuleSource: Sync {
    /// The rule that `plan` names, bound to `layer`, its parameters checked.
    ///
    /// # Errors
    /// Unknown rules and parameters, as usage or plugin errors.
    fn bind(&self, plan: &LayerPlan, layer: &LayerShape) -> Result<Box<dyn Rule>>;
}
