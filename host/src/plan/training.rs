//! The training of a plan: phases, losses, optimisers, schedules, stop rules.

use serde::{Deserialize, Serialize};

use super::define::{Field, Reader, kinds, settings, words};
use super::formula::{Formula, Moment};
use super::setting::Kind;
use crate::Result;

settings! {
    /// One stretch of training: which blocks learn, from what, for how long.
    pub struct PhasePlan at "phases[]" {
        /// unique among the phases
        name: String;
        /// names of the blocks that learn; all others are frozen, in evaluation mode
        blocks: Vec<String>;
        /// what drives them: their own activity, the loss, or both in each step
        drive: Drive;
        /// `train`, or a name in `data.parts` or `extra_data`
        data: String = "train";
        /// passes over the data; 0 goes on until `stop` says so
        epochs: u64 = 1;
        /// samples per step
        batch: usize = 64, range 1.0 => f64::INFINITY;
        /// new order each epoch
        shuffle: bool = true;
        /// seed of the order of samples, of augmentation and of dropout in this phase; absent: that of the
        /// run, which initial weights and what rules draw follow in any case. SoftHebb's runs over seeds
        /// have 0 in their gradient phase
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>, source "SoftHebb ray_search.py";
        /// leave out a last, smaller batch
        drop_last: bool = false;
        /// augment the samples as `data` says
        augment: bool = false;
        /// evaluate every N epochs and after the last; 0 never
        evaluate_every: u64 = 1, unit "epochs";
        /// error at the output: softmax cross-entropy, or ½(y − t)² averaged over all elements
        loss: Loss = "cross-entropy";
        /// weight of each class in the cross-entropy, whose mean is then over the weights: one number
        /// for each class, or `balanced` for the inverse of the class's share of the training samples;
        /// in effect in all losses of the phase, also those of evaluations; absent: all 1
        #[serde(default)]
        class_weights: Option<ClassWeights>, range 0.0 => f64::INFINITY, source "PyTorch `CrossEntropyLoss(weight=)`";
        /// share of the target that is spread evenly over all classes, in the cross-entropy that drives
        /// the phase; evaluations compare with the labels as they are
        #[serde(default, skip_serializing_if = "is_zero")]
        label_smoothing: f64 = 0.0, range 0.0 => 1.0, source "PyTorch `CrossEntropyLoss(label_smoothing=)`";
        /// clip every gradient element to ± this; `{ norm = 5.0 }` scales all gradients of a step so that
        /// their Euclidean norm together is at most 5; 0 is off
        gradient_clip: GradientClip = 0.0, range 0.0 => f64::INFINITY, source "PyTorch `clip_grad_value_`, `clip_grad_norm_`";
        /// changes parameters from gradients
        optimizer: OptimizerPlan = "adam";
        /// tensors with an optimiser of their own; the first group that takes a tensor has it, all others
        /// have `optimizer`
        #[serde(default)]
        groups: Vec<GroupPlan>, source "PyTorch parameter groups";
        /// how the optimiser's learning rate moves over the epochs
        schedule: SchedulePlan = "constant";
        /// linear rise of the learning rate, by epoch: the first of N epochs has 1/N of the optimiser's
        /// `lr`, the N-th all of it; then the schedule goes on as if it had been in effect from the start
        #[serde(default, skip_serializing_if = "is_zero")]
        warmup_epochs: u64 = 0, unit "epochs", source "Goyal et al. 2017; EG-NAS";
        /// the same by step, in place of `warmup_epochs`
        #[serde(default, skip_serializing_if = "is_zero")]
        warmup_steps: u64 = 0, unit "steps";
        /// learning rate handed to local rules in place of their own `lr`; absent: their own
        local_rate: Option<LocalRatePlan>;
        /// ends the phase before `epochs`; absent: never
        stop: Option<StopPlan>;
        /// local phases that end in a dense layer: give each unit the class that it wins most often,
        /// and report the share of winners with the right class; when evaluating, and after the last
        /// epoch
        neuron_labels: bool = false, source "SoftHebb engine.py";
        /// cache the frozen prefix's output instead of computing it each epoch; true or false for short
        cache: CachePlan = true;
    }
}

// Plans written before a field was there are to read and write as they did.
fn is_zero<T: Default + PartialEq>(x: &T) -> bool {
    *x == T::default()
}

impl PhasePlan {
    /// Its warm-up; where both are set, which the configuration refuses, that by epoch.
    #[must_use]
    pub fn warmup(&self) -> Option<Warmup> {
        match (self.warmup_epochs, self.warmup_steps) {
            (0, 0) => None,
            (0, steps) => Some(Warmup::Steps(steps)),
            (epochs, _) => Some(Warmup::Epochs(epochs)),
        }
    }

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

words! {
    /// What drives the blocks of a phase.
    pub enum Drive {
        /// Local rules learn from their own activity; no loss, no backward pass.
        Local = "local",
        /// Gradient rules learn from the loss; local rules in the phase do not.
        Gradient = "gradient",
        /// Both in each step: local changes, then the optimiser (SoftHebb `simultaneous`).
        Both = "both",
    }
}

words! {
    /// Error at the output.
    pub enum Loss {
        /// Mean over the batch of the softmax cross-entropy with whole-number labels.
        CrossEntropy = "cross-entropy",
        /// Mean over all elements of `½ (y − t)²` (bioflax); one-hot targets where labels are classes.
        Mse = "mse",
    }
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

impl Field for ClassWeights {
    const KIND: Kind = Kind::WordOrNumbers("balanced");
    fn read_optional(from: &mut dyn Reader, key: &str) -> Result<Option<Self>> {
        let weights = from.word_or_numbers(key)?;
        Ok(weights.map(|weights| match weights {
            none if none.is_empty() => Self::Balanced,
            given => Self::Given(given),
        }))
    }
}

kinds! {
    /// An optimiser and its settings.
    pub enum OptimizerPlan at "phases[].optimizer", "which optimiser" {
        /// `v ← μ v + g; p ← p − η v`.
        Sgd = "sgd" {
            /// learning rate
            lr: f64 = 0.01, range 0.0 => f64::INFINITY;
            /// share of the former velocity
            momentum: f64 = 0.0, range 0.0 => 1.0;
            /// added to the gradient as decay · p
            weight_decay: f64 = 0.0, range 0.0 => f64::INFINITY, source "PyTorch";
            /// with the step p ← p − decay · p, not scaled by the learning rate; below 0 all grows, as under a
            /// positive `weight_decay` of bioflax
            decoupled_decay: f64 = 0.0, source "bioflax";
        }
        /// Adam with bias correction, `eps` outside the root.
        Adam = "adam" {
            /// learning rate
            lr: f64 = 0.001, range 0.0 => f64::INFINITY, source "SoftHebb `lr_sup`";
            /// decay of the first and second moment
            betas: [f64; 2] = [0.9, 0.999], range 0.0 => 0.999_999_9, source "Kingma and Ba 2015";
            /// added to the root of the second moment
            eps: f64 = 1e-8, range 0.0 => f64::INFINITY;
            /// added to the gradient as decay · p
            weight_decay: f64 = 0.0, range 0.0 => f64::INFINITY, source "PyTorch";
            /// with the step p ← p − decay · p, not scaled by the learning rate; below 0 all grows, as under a
            /// positive `weight_decay` of bioflax
            decoupled_decay: f64 = 0.0, source "bioflax";
        }
    }
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

settings! {
    /// Tensors that have an optimiser of their own, with its learning rate and weight decay (PyTorch's
    /// parameter groups). The phase's schedule moves the learning rate of every group alike.
    pub struct GroupPlan at "phases[].groups[]" {
        /// beginnings of the names of its tensors, such as `blocks.head.`; empty: any
        prefixes: Vec<String> = [];
        /// what its tensors are: `weight` and `bias` of layers, `norm` (gain and shift), `feedback` that
        /// learns; empty: anything
        roles: Vec<TensorRole> = [];
        /// changes them; `schedule` moves its learning rate as that of the phase
        optimizer: OptimizerPlan;
    }
}

words! {
    /// What a tensor that learns is.
    pub enum TensorRole {
        /// Weights of layers.
        Weight = "weight",
        /// Biases of layers.
        Bias = "bias",
        /// Gain and shift of normalisations.
        Norm = "norm",
        /// Feedback weights that learn.
        Feedback = "feedback",
    }
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

impl Field for GradientClip {
    const KIND: Kind = Kind::NumberOr("norm");
    fn read_optional(from: &mut dyn Reader, key: &str) -> Result<Option<Self>> {
        let limit = from.number_or(key)?;
        Ok(limit.map(|limit| match limit {
            (limit, false) => Self::Value(limit),
            (norm, true) => Self::Norm { norm },
        }))
    }
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

kinds! {
    /// How a learning rate moves over the epochs of a phase.
    pub enum SchedulePlan at "phases[].schedule", "`softhebb`: halved at the thresholds its number of epochs gives" {
        /// No change.
        Constant = "constant"
        /// Times `gamma` after each listed epoch (`SoftHebb` `CustomStepLR`, torch `MultiStepLR`).
        Steps = "steps" {
            /// `steps`: finished epochs after which the learning rate falls
            epochs: Vec<u64>;
            /// `steps`: factor
            gamma: f64 = 0.5, range 0.0 => 1.0;
        }
        /// Times `gamma` after each epoch (PyTorch's `ExponentialLR`).
        Exponential = "exponential" {
            /// `exponential`: factor after each epoch
            gamma: f64, range 0.0 => 1.0, source "PyTorch ExponentialLR; DARTS on ImageNet: 0.97";
        }
        /// SoftHebb's thresholds from the number of epochs (`CustomStepLR` of its `utils.py`), factor one half.
        Softhebb = "softhebb"
        /// Half a cosine from the learning rate to `floor`.
        Cosine = "cosine" {
            /// `cosine`: last learning rate
            floor: f64 = 0.0, range 0.0 => f64::INFINITY;
        }
        /// A straight line from the learning rate to `floor`, which it reaches at the end of the last epoch.
        Linear = "linear" {
            /// `linear`: learning rate at the end of the last epoch
            floor: f64 = 0.0, range 0.0 => f64::INFINITY;
        }
        /// The optimiser's learning rate times an expression of the batch.
        Formula = "formula" {
            /// `formula`: factor on the optimiser's `lr` at each batch
            factor: Formula, source "PyTorch LambdaLR";
        }
    }
}

/// A linear rise of the learning rate: the `i`-th of `n` epochs or steps, from 0, has `(i + 1)/n` of
/// the optimiser's `lr`, whatever the schedule says; then the schedule goes on as if it had been in
/// effect from the start (Goyal et al. 2017, as EG-NAS and P-DARTS have it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

kinds! {
    /// Learning rate handed to local rules, by batch.
    pub enum LocalRatePlan at "phases[].local_rate", "how the learning rate moves" {
        /// The same at every batch.
        Constant = "constant" {
            /// `constant`: the learning rate
            value: f64, range 0.0 => f64::INFINITY;
        }
        /// `end − (end − start)·exp(−speed·b/B)`, batch `b` of `B` in an epoch, counted from 0 through all epochs.
        Exponential = "exponential" {
            /// first learning rate
            start: f64, range 0.0 => f64::INFINITY;
            /// `exponential`: limit
            end: f64, range 0.0 => f64::INFINITY;
            /// `exponential`: speed
            speed: f64, range 0.0 => f64::INFINITY, unit "1/epoch", source "BioPyTorch";
        }
        /// `start·(1 − epoch/epochs)`, by epoch (Krotov and Hopfield's notebook).
        Linear = "linear" {
            /// first learning rate
            start: f64, range 0.0 => f64::INFINITY, source "Krotov and Hopfield 2019";
        }
        /// An expression of the batch (BioPyTorch takes any function of it).
        Formula = "formula" {
            /// `formula`: the learning rate at each batch, such as `"0.02/(1+b)"`
            value: Formula, source "BioPyTorch";
        }
    }
}

settings! {
    /// When a phase ends early: looked at after each epoch.
    pub struct StopPlan at "phases[].stop" {
        /// what decides: `train/loss`, `train/accuracy`, `validation/loss`, `validation/accuracy`,
        /// `validation/balanced_accuracy` (without `data.validation`: `test/…`), or a metric reported by
        /// the rules, of which the largest over the phase's layers counts (`block/metric`: of one layer)
        metric: String = "convergence";
        /// stop when the metric is this good; one of rules when it is below after the last batch of an
        /// epoch
        threshold: Option<f64>;
        /// stop when the metric has not become better for this many evaluations (`train/…`: epochs); one
        /// of rules for this many epochs' worth of batches
        patience: Option<f64>, range 0.0 => f64::INFINITY;
        /// which way the metric gets better; absent: accuracies up, everything else down
        #[serde(default)]
        mode: Option<Direction>;
        /// smaller gains do not count as better; absent: any gain does, and of a metric of rules also an
        /// equal value
        #[serde(default)]
        min_delta: Option<f64>, range 0.0 => f64::INFINITY;
    }
}

words! {
    /// Which way a metric gets better.
    pub enum Direction {
        /// Down.
        Min = "min",
        /// Up.
        Max = "max",
    }
}

impl Direction {
    /// `value` so that larger is better.
    #[must_use]
    pub fn upward(self, value: f64) -> f64 {
        match self {
            Self::Max => value,
            Self::Min => -value,
        }
    }
}

settings! {
    /// Keeping the output of a frozen prefix.
    pub struct CachePlan at "phases[].cache" {
        /// off recomputes the prefix each epoch
        enabled: bool = true;
        /// past this the features go to a memory-mapped file in the run folder
        memory_limit: u64 = 8589934592, unit "bytes";
        /// precision of the cached features; `exact` keeps results bit-identical to no cache
        store: CachePrecision = "exact";
    }
}

words! {
    /// Precision of cached features.
    pub enum CachePrecision {
        /// As computed.
        Exact = "exact",
        /// Half the bytes, eight bits of mantissa.
        Bf16 = "bf16",
    }
}
