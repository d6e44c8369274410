//! The rule trait.
//!
//! # Life of a rule
//! 1. The host reads [`LearningRule::info`] and the schema, without a layer.
//! 2. For each layer of a plan that names the rule, it sets the parameters, calls
//!    [`check`](LearningRule::check) and [`state`](LearningRule::state), and holds the
//!    tensors asked for from then on.
//! 3. Each step it calls [`forward`](LearningRule::forward); in a phase where the layer
//!    learns, then [`learn`](LearningRule::learn) (local credit) or
//!    [`backward`](LearningRule::backward) (feedback, direct). Local changes are
//!    applied after the whole network's forward pass, gradients by the optimiser.
//! 4. [`metrics`](LearningRule::metrics) at the end of epochs and when a stop rule asks.
//!
//! All calls for one layer come one after the other; those for two layers may come
//! from two threads. Tensors handed in are borrowed for the call; those returned
//! belong to the host. An error or a panic ends the run with the rule's and the
//! layer's name, its last checkpoint intact.

use std::mem::ManuallyDrop;
use std::ops::BitOr;

use crate::abi::root::{RawRuleInfo, credit, flags, kinds};
use crate::abi::types::Code;
use crate::sdk::{
    Changes, Context, Hyperparameters, LayerSpec, ParamSpec, Result, RuleError, State, StateSpec,
    Tensor,
};

/// How a rule learns; all that the trainer must know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// From its own input and output (and the target, where it says [`RuleInfo::uses_target`]).
    Local,
    /// An error arrives from above, a replaced error goes below.
    Feedback,
    /// The network's output error is broadcast to the layer.
    Direct,
}

impl Credit {
    /// The word users read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Feedback => "feedback",
            Self::Direct => "direct",
        }
    }
    /// From the boundary.
    pub fn from_code(code: Code) -> Option<Self> {
        match code {
            credit::LOCAL => Some(Self::Local),
            credit::FEEDBACK => Some(Self::Feedback),
            credit::DIRECT => Some(Self::Direct),
            _ => None,
        }
    }
    fn code(self) -> Code {
        match self {
            Self::Local => credit::LOCAL,
            Self::Feedback => credit::FEEDBACK,
            Self::Direct => credit::DIRECT,
        }
    }
}

/// What a rule claims of itself; `biorule rules check` tests each claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Claims(pub u64);

impl Claims {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Shuffled labels give the same weights.
    pub const UNSUPERVISED: Self = Self(1);
    /// A change of a later layer changes nothing here.
    pub const LOCAL: Self = Self(2);
    /// The update does not depend on the forward weights above.
    pub const NO_WEIGHT_TRANSPORT: Self = Self(4);
    /// The same inputs and seed give the same bits.
    pub const DETERMINISTIC: Self = Self(8);
    /// [`LearningRule::learn`] reads neither the output nor what `forward` kept. The host relies on
    /// it: where nobody else reads the output, it learns without calling `forward`, and
    /// [`Activity::y`] is then an empty tensor.
    pub const FROM_INPUT: Self = Self(16);
    /// Whether all of `other` is claimed.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Claims with the names that `rules check` uses.
    pub const NAMED: [(Self, &'static str); 5] = [
        (Self::UNSUPERVISED, "unsupervised"),
        (Self::LOCAL, "local"),
        (Self::NO_WEIGHT_TRANSPORT, "no-weight-transport"),
        (Self::DETERMINISTIC, "deterministic"),
        (Self::FROM_INPUT, "from-input"),
    ];
}

impl BitOr for Claims {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// How a rule presents itself.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleInfo {
    name: String,
    summary: String,
    paper: String,
    credit: Credit,
    kinds: u64,
    flags: u64,
    claims: Claims,
}

impl RuleInfo {
    /// `name` as configs use it: `softhebb`, or `plugin/rule` where a plugin has several.
    pub fn new(name: &str, credit: Credit) -> Self {
        Self {
            name: name.into(),
            summary: String::new(),
            paper: String::new(),
            credit,
            kinds: kinds::DENSE | kinds::CONV,
            flags: 0,
            claims: Claims::NONE,
        }
    }
    /// One line.
    #[must_use]
    pub fn summary(mut self, summary: &str) -> Self {
        self.summary = summary.into();
        self
    }
    /// Authors, title or journal, year.
    #[must_use]
    pub fn paper(mut self, paper: &str) -> Self {
        self.paper = paper.into();
        self
    }
    /// What `biorule rules check` is to verify.
    #[must_use]
    pub fn claims(mut self, claims: Claims) -> Self {
        self.claims = claims;
        self
    }
    /// The rule serves dense layers only.
    #[must_use]
    pub fn dense_only(mut self) -> Self {
        self.kinds = kinds::DENSE;
        self
    }
    /// `learn` and `backward` want the target where there is one: [`Activity::target`],
    /// [`Errors::target`] and [`Errors::losses`]. Every layer of the rule gets it, not the last alone.
    #[must_use]
    pub fn uses_target(mut self) -> Self {
        self.flags |= flags::TARGET;
        self
    }
    /// A feedback or direct rule that also has [`LearningRule::learn`].
    #[must_use]
    pub fn also_local(mut self) -> Self {
        self.flags |= flags::ALSO_LOCAL;
        self
    }
    /// `forward` or `backward` draws random numbers at each step.
    #[must_use]
    pub fn stochastic(mut self) -> Self {
        self.flags |= flags::STOCHASTIC;
        self
    }
    /// [`LearningRule::learn`] is called after each `forward` in evaluation too (where
    /// [`Context::training`] is false), and its changes count at once. A rule that is so only
    /// with some parameters returns no changes with the others. Evaluation then changes the
    /// network, and the order of samples matters: for rules whose reference does it.
    #[must_use]
    pub fn learns_in_evaluation(mut self) -> Self {
        self.flags |= flags::IN_EVALUATION;
        self
    }
    pub(crate) fn to_raw(&self, schema: Vec<ParamSpec>) -> RawRuleInfo {
        RawRuleInfo {
            name: self.name.as_str().into(),
            summary: self.summary.as_str().into(),
            paper: self.paper.as_str().into(),
            credit: self.credit.code(),
            kinds: self.kinds,
            flags: self.flags,
            claims: self.claims.0,
            params: schema.iter().map(ParamSpec::to_raw).collect(),
        }
    }
}

/// What `forward` returns.
#[derive(Debug)]
pub struct Forward {
    /// Output: `[B, K, P, Q]` or `[B, …, K]`.
    pub y: Tensor,
    /// Tensors that `learn` or `backward` of the same step will get back.
    pub kept: Vec<(String, Tensor)>,
}

impl Forward {
    /// An output and nothing kept.
    pub fn new(y: Tensor) -> Self {
        Self {
            y,
            kept: Vec::new(),
        }
    }
    /// Keeps a tensor until `learn` or `backward`.
    #[must_use]
    pub fn keep(mut self, name: &str, tensor: Tensor) -> Self {
        self.kept.push((name.into(), tensor));
        self
    }
}

/// What a local rule learns from.
pub struct Activity<'a> {
    /// Input.
    pub x: ManuallyDrop<Tensor>,
    /// Output of `forward`; empty for a rule that claims [`Claims::FROM_INPUT`] and is not read above.
    pub y: ManuallyDrop<Tensor>,
    /// What `forward` kept.
    pub kept: State<'a>,
    /// What the network is to predict, `[B, classes]` of the input's float type: one-hot labels, or
    /// the values of a regression. A sample without a label is a row of zeros. Every layer gets it
    /// whose rule says [`RuleInfo::uses_target`], in every phase that has answers.
    pub target: Option<ManuallyDrop<Tensor>>,
}

/// What a feedback or direct rule learns from.
pub struct Errors<'a> {
    /// Input.
    pub x: ManuallyDrop<Tensor>,
    /// Output of `forward`.
    pub y: ManuallyDrop<Tensor>,
    /// What `forward` kept.
    pub kept: State<'a>,
    /// Derivative of the loss by the output, as delivered from above.
    pub grad_y: ManuallyDrop<Tensor>,
    /// Derivative of the loss by the network's output, `[B, classes]`; direct rules only.
    pub output_error: Option<ManuallyDrop<Tensor>>,
    /// What the network is to predict, as [`Activity::target`] has it; from hosts of 0.1.3.
    pub target: Option<ManuallyDrop<Tensor>>,
    /// The loss of each sample, `[B]`, without class weights; where there is a target.
    pub losses: Option<ManuallyDrop<Tensor>>,
    /// Whether the error for the layer below is wanted.
    pub want_grad_x: bool,
    /// Whether the layer's own gradients are wanted.
    pub want_grads: bool,
}

/// What a feedback or direct rule returns.
#[derive(Debug, Default)]
pub struct Gradients {
    /// Error for the layer below, shaped as the input.
    pub grad_x: Option<Tensor>,
    /// Gradients by state name.
    pub grads: Vec<(String, Tensor)>,
}

impl Gradients {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// The error for the layer below.
    #[must_use]
    pub fn below(mut self, grad_x: Tensor) -> Self {
        self.grad_x = Some(grad_x);
        self
    }
    /// The gradient of the state tensor `name`.
    #[must_use]
    pub fn of(mut self, name: &str, grad: Tensor) -> Self {
        self.grads.push((name.into(), grad));
        self
    }
}

/// A number worth logging, per layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Name: `radius`, `convergence`, `winner_share` …
    pub name: String,
    /// Value.
    pub value: f64,
}

impl Metric {
    /// A number with its name.
    pub fn new(name: &str, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
        }
    }
}

/// A learning rule. The implementing struct *is* its hyperparameters (see
/// [`hyperparameters!`](crate::hyperparameters)); all else is an argument.
pub trait LearningRule: Hyperparameters + Send + Sync + 'static {
    /// Name, summary, paper, credit, claims.
    fn info() -> RuleInfo;

    /// Refuses a layer or a combination of parameters, early and clearly.
    ///
    /// # Errors
    /// The rule cannot serve the layer.
    fn check(&self, _layer: &LayerSpec) -> Result<()> {
        Ok(())
    }

    /// Samples that [`learn`](Self::learn) and [`backward`](Self::backward) need in a batch at
    /// least. A rule that divides by the deviation over the batch cannot work with one value:
    /// it answers 2, and the host refuses a plan in which a batch has fewer before it trains,
    /// the last one of an epoch included.
    fn least_batch(&self, _layer: &LayerSpec) -> usize {
        1
    }

    /// The tensors that the host is to hold for this layer.
    ///
    /// # Errors
    /// The rule cannot serve the layer.
    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>>;

    /// Output for `x: [B, C, H, W]` or `[B, …, D]`. The default is the layer's map with the
    /// state tensor `weight`, plus `bias` where there is one.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn forward(&self, cx: &Context<'_>, s: &State<'_>, x: &Tensor) -> Result<Forward> {
        let u = cx.layer().forward(x, &*s.get("weight")?)?;
        Ok(Forward::new(match s.find("bias") {
            Some(bias) => cx.layer().add_bias(&u, &bias)?,
            None => u,
        }))
    }

    /// Local credit: changes from the layer's own activity.
    ///
    /// # Errors
    /// Whatever the rule finds wrong.
    fn learn(&self, _cx: &Context<'_>, _s: &State<'_>, _a: &Activity<'_>) -> Result<Changes> {
        Err(RuleError::unsupported("this rule does not learn locally"))
    }

    /// Feedback and direct credit: gradients, and the error for the layer below.
    ///
    /// # Errors
    /// Whatever the rule finds wrong.
    fn backward(&self, _cx: &Context<'_>, _s: &State<'_>, _e: &Errors<'_>) -> Result<Gradients> {
        Err(RuleError::unsupported(
            "this rule takes no error from above",
        ))
    }

    /// The derivative of the loss by the input `x`, through what [`forward`](Self::forward)
    /// computes: what backpropagation sends below, whatever the rule does. Exact gradients
    /// through mixed networks (attacks, alignment, layers below a local one that learn from
    /// errors) come from here.
    ///
    /// The default belongs to the default `forward`. A rule with one of its own, be it another
    /// weight or a normalisation, writes its derivative; `biorule rules check` compares the two.
    ///
    /// # Errors
    /// Whatever the rule finds wrong.
    fn input_gradient(&self, cx: &Context<'_>, s: &State<'_>, e: &Errors<'_>) -> Result<Tensor> {
        cx.layer().feedback(&e.grad_y, &*s.get("weight")?)
    }

    /// Numbers worth logging, from the state.
    ///
    /// # Errors
    /// Whatever the rule finds wrong.
    fn metrics(&self, _cx: &Context<'_>, _s: &State<'_>) -> Result<Vec<Metric>> {
        Ok(Vec::new())
    }
}

impl LayerSpec {
    /// `u + b`: `b` `[K]` along axis 1 of a convolution's output, along the last axis of a dense one's.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn add_bias(&self, u: &Tensor, bias: &Tensor) -> Result<Tensor> {
        match self.kind {
            crate::sdk::LayerKind::Dense => u.add(bias),
            crate::sdk::LayerKind::Conv => u.add_per_unit(bias),
        }
    }
    /// The gradient of the bias: `g` summed over all axes but that of the units, `[K]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn sum_bias(&self, g: &Tensor) -> Result<Tensor> {
        match self.kind {
            crate::sdk::LayerKind::Dense => g.sum(&(0..g.rank()? - 1).collect::<Vec<_>>()),
            crate::sdk::LayerKind::Conv => g.sum_per_unit(),
        }
    }
}
