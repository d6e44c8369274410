//! The training of a plan: phases, losses, optimisers, schedules, stop rules.

use serde::{Deserialize, Serialize};

use super::formula::{Formula, Moment};

/// One stretch of training: which blocks learn, from what, for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhasePlan {
    /// Name, unique among the phases.
    pub name: String,
    /// Names of the blocks that learn. All others are frozen, in evaluation mode.
    pub blocks: Vec<String>,
    /// What drives them.
    pub drive: Drive,
    /// `train`, or a name in `data.parts` or `extra_data`.
    pub data: String,
    /// Passes over the data; 0 goes on until `stop` says so.
    pub epochs: u64,
    /// Samples per step.
    pub batch: usize,
    /// New order each epoch.
    pub shuffle: bool,
    /// Leave out a last, smaller batch.
    pub drop_last: bool,
    /// Augment the samples as `data.augment` says.
    pub augment: bool,
    /// Evaluate on the test (or validation) set every so many epochs, and after the last; 0 never.
    pub evaluate_every: u64,
    /// Error at the output, for gradient-driven phases.
    pub loss: Loss,
    /// Weight of each class in the cross-entropy; absent: all the same.
    #[serde(default)]
    pub class_weights: Option<ClassWeights>,
    /// Share ε of the target spread evenly over all classes, in the loss that drives the phase
    /// and not in evaluations (PyTorch's `label_smoothing`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    /// Changes parameters from gradients.
    pub optimizer: OptimizerPlan,
    /// Tensors with an optimiser of their own; the first group that takes a tensor has it.
    #[serde(default)]
    pub groups: Vec<GroupPlan>,
    /// How the optimiser's rate (and that of local rules, where `local_rate` is set) moves.
    pub schedule: SchedulePlan,
    /// Linear rise of the optimiser's learning rate at the start of the phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Warmup>,
    /// Rate handed to local rules in place of their own `lr`; follows `local_schedule`.
    pub local_rate: Option<LocalRatePlan>,
    /// Ends the phase before `epochs`.
    pub stop: Option<StopPlan>,
    /// Local phases that end in a dense layer: report how well its units' classes do.
    pub neuron_labels: bool,
    /// How gradients are limited before the optimiser takes them.
    pub gradient_clip: GradientClip,
    /// Keep the frozen prefix's output instead of computing it each epoch.
    pub cache: CachePlan,
}

// Plans written before a field was there are to read and write as they did.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

impl PhasePlan {
    /// The loss that evaluations in this phase have, on answers that are classes or values. A
    /// local phase has no loss of its own; on values the squared error is meant.
    #[must_use]
    pub fn loss_on(&self, classes: bool) -> Loss {
        match self.drive {
            Drive::Local if !classes => Loss::Mse,
            _ => self.loss,
        }
    }
}

/// What drives the blocks of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drive {
    /// Local rules learn from their own activity; no loss, no backward pass.
    Local,
    /// Gradient rules learn from the loss; local rules in the phase do not.
    Gradient,
    /// Both in each step: local changes, then the optimiser (SoftHebb `simultaneous`).
    Both,
}

/// Error at the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Mean over the batch of the softmax cross-entropy with whole-number labels.
    CrossEntropy,
    /// Mean over all elements of `½ (y − t)²` (bioflax); one-hot targets where labels are classes.
    Mse,
}

impl Loss {
    /// As people read it.
    #[must_use]
    pub fn describe(self, weighted: bool) -> &'static str {
        match (self, weighted) {
            (Self::CrossEntropy, false) => "cross-entropy",
            (Self::CrossEntropy, true) => "cross-entropy with class weights",
            (Self::Mse, _) => "half mean squared error",
        }
    }
}

/// How much each class counts in the loss, as in PyTorch's `CrossEntropyLoss(weight=)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// `N / (C·nᶜ)` for a class with `nᶜ` of the phase's `N` samples, over the `C` classes that
    /// have any; 1 for a class without.
    Balanced,
    /// These, one for each class.
    Given(Vec<f64>),
}

/// An optimiser and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum OptimizerPlan {
    /// `v ← μ v + g; p ← p − η v`.
    Sgd {
        /// Rate η.
        lr: f64,
        /// Momentum μ.
        momentum: f64,
        /// Added to the gradient as `decay · p` (PyTorch).
        weight_decay: f64,
        /// With the step `p ← p − decay · p`, of the value before it, not scaled by the rate (bioflax's documented decay).
        decoupled_decay: f64,
    },
    /// Adam with bias correction, `eps` outside the root.
    Adam {
        /// Rate.
        lr: f64,
        /// Decay of the first and second moment.
        betas: [f64; 2],
        /// Added to the root of the second moment.
        eps: f64,
        /// Added to the gradient as `decay · p` (PyTorch).
        weight_decay: f64,
        /// With the step `p ← p − decay · p`, of the value before it, not scaled by the rate.
        decoupled_decay: f64,
    },
}

impl OptimizerPlan {
    /// Its learning rate, before any schedule.
    #[must_use]
    pub fn lr(&self) -> f64 {
        match self {
            Self::Sgd { lr, .. } | Self::Adam { lr, .. } => *lr,
        }
    }
}

/// Tensors that have an optimiser of their own, with its learning rate and weight decay (PyTorch's
/// parameter groups). The phase's schedule moves the learning rate of every group alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPlan {
    /// Beginnings of tensor names, such as `blocks.head.`; empty: of any.
    pub prefixes: Vec<String>,
    /// What the tensors are; empty: anything.
    pub roles: Vec<TensorRole>,
    /// Changes them.
    pub optimizer: OptimizerPlan,
}

/// What a tensor that learns is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TensorRole {
    /// Weights of layers.
    Weight,
    /// Biases of layers.
    Bias,
    /// Gain and shift of normalisations.
    Norm,
    /// Feedback weights that learn.
    Feedback,
}

/// How gradients are limited.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum GradientClip {
    /// Every element to ± this; 0 is off (PyTorch's `clip_grad_value_`).
    Value(f64),
    /// All gradients of a step are scaled by one factor so that their Euclidean norm together is
    /// at most `norm`; 0 is off (PyTorch's `clip_grad_norm_`).
    Norm {
        /// Largest norm.
        norm: f64,
    },
}

impl GradientClip {
    /// Limit of every element; 0 where there is none.
    #[must_use]
    pub fn by_element(self) -> f64 {
        match self {
            Self::Value(limit) => limit,
            Self::Norm { .. } => 0.0,
        }
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_off(self) -> bool {
        matches!(self, Self::Value(limit) | Self::Norm { norm: limit } if limit == 0.0)
    }
}

impl Default for GradientClip {
    fn default() -> Self {
        Self::Value(0.0)
    }
}

impl From<f64> for GradientClip {
    fn from(limit: f64) -> Self {
        Self::Value(limit)
    }
}

/// How a rate moves over the epochs of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum SchedulePlan {
    /// No change.
    Constant,
    /// Times `gamma` after each listed epoch (`SoftHebb` `CustomStepLR`, torch `MultiStepLR`).
    Steps {
        /// Finished epochs after which the rate falls.
        epochs: Vec<u64>,
        /// Factor.
        gamma: f64,
    },
    /// SoftHebb's thresholds from the number of epochs (softhebb.md 2.6), factor one half.
    Softhebb,
    /// Half a cosine from the rate to `floor`.
    Cosine {
        /// Last rate.
        floor: f64,
    },
    /// A straight line from the rate to `floor`, which it reaches at the end of the last epoch.
    Linear {
        /// Last rate.
        floor: f64,
    },
    /// Times `gamma` after each epoch (PyTorch's `ExponentialLR`).
    Exponential {
        /// Factor.
        gamma: f64,
    },
    /// The optimiser's rate times an expression of the batch.
    Formula {
        /// Factor on the rate.
        factor: Formula,
    },
}

/// A linear rise of the learning rate: the `i`-th of `n` epochs or steps, from 0, has `(i + 1)/n` of
/// the optimiser's `lr`, whatever the schedule says; then the schedule goes on as if it had been in
/// effect from the start (Goyal et al. 2017, as EG-NAS and P-DARTS have it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warmup {
    /// By epoch, over this many.
    Epochs(u64),
    /// By step, over this many.
    Steps(u64),
}

impl Warmup {
    /// Share of the learning rate at `at`, or `None` when it is over.
    #[must_use]
    pub fn share(self, at: &Moment) -> Option<f64> {
        let (done, of) = match self {
            Self::Epochs(of) => (at.epoch, of),
            Self::Steps(of) => (at.b, of),
        };
        (done < of).then(|| (done + 1) as f64 / of as f64)
    }
}

/// Rate handed to local rules, by batch (krotov_hebbian.md section 4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum LocalRatePlan {
    /// The same at every batch.
    Constant {
        /// The rate.
        value: f64,
    },
    /// `end − (end − start)·exp(−speed·b/B)`, batch `b` of `B` in an epoch, counted from 0 through all epochs.
    Exponential {
        /// First rate.
        start: f64,
        /// Limit.
        end: f64,
        /// Speed per epoch.
        speed: f64,
    },
    /// `start·(1 − epoch/epochs)`, by epoch (Krotov and Hopfield's notebook).
    Linear {
        /// First rate.
        start: f64,
    },
    /// An expression of the batch (BioPyTorch takes any function of it).
    Formula {
        /// The rate.
        value: Formula,
    },
}

/// When a phase ends early: looked at after each epoch (krotov_hebbian.md section 4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopPlan {
    /// Metric of an epoch (`EpochMetric`), or one reported by the rules, such as
    /// `convergence`, of which the largest over the phase's layers counts.
    pub metric: String,
    /// Stop when the metric reaches this; one of rules when it is below after the last batch.
    pub threshold: Option<f64>,
    /// Stop when it has not become better for this many evaluations; one of rules for this many
    /// epochs' worth of batches.
    pub patience: Option<f64>,
    /// Which way is better; absent: known from the name.
    #[serde(default)]
    pub mode: Option<Direction>,
    /// Smaller gains do not count as better; absent: 0, and for metrics of rules level is no failure.
    #[serde(default)]
    pub min_delta: Option<f64>,
}

/// Which way a metric gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Down.
    Min,
    /// Up.
    Max,
}

/// Keeping the output of a frozen prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CachePlan {
    /// Off recomputes the prefix each epoch.
    pub enabled: bool,
    /// Past this many bytes the features go to a memory-mapped file in the run folder.
    pub memory_limit: u64,
    /// Precision the features are kept in; `f32` keeps results bit-identical to no cache.
    pub store: CachePrecision,
}

/// Precision of kept features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CachePrecision {
    /// As computed.
    Exact,
    /// Half the bytes, eight bits of mantissa.
    Bf16,
}
