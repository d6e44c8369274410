//! The run plan: every setting of an experiment, checked, complete and
//! printable. Only this reaches the trainer, and it is stored with the results.
//!
//! What files, environment and flags say (with shorthands, presets and missing
//! values) is the raw configuration; `resolve` turns it into this.

pub mod formula;
pub mod metric;
pub mod rates;
pub mod read_out;
pub mod shapes;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use formula::{Formula, Moment, Variable};
pub use metric::EpochMetric;
pub use shapes::DataShape;

/// A whole experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPlan {
    /// Name of the experiment; names the run folder.
    pub name: String,
    /// Seeds; one run for each.
    pub seeds: Vec<u64>,
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// Arithmetic of weights and activations.
    pub dtype: Precision,
    /// TF32 matrix products on CUDA (changes results at the 1e-3 level).
    pub tf32: bool,
    /// Share of the GPU's free memory that data sets and kept features may take, 0 to 1.
    pub gpu_memory_share: f64,
    /// Threads of kernels; 0 takes the cores there are.
    pub threads: usize,
    /// The data set and what is done to it.
    pub data: crate::data::DataPlan,
    /// Further data sets by name, for phases that learn from another one.
    pub extra_data: BTreeMap<String, crate::data::DataPlan>,
    /// The network, input first.
    pub blocks: Vec<BlockPlan>,
    /// Initial weights from elsewhere.
    #[serde(default)]
    pub init: Option<InitPlan>,
    /// What is trained, in order.
    pub phases: Vec<PhasePlan>,
    /// What is written, and how often.
    pub output: OutputPlan,
    /// Folders with rule plugins, searched in order.
    pub plugin_folders: Vec<PathBuf>,
    /// Baselines trained after the phases for comparison, each with the same read-out.
    pub baselines: Vec<Baseline>,
}

/// Initial weights from another run or file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitPlan {
    /// A run's folder, or a safetensors file.
    pub from: PathBuf,
    /// Blocks of the network with their names in the file; `None` takes all under their own names.
    pub blocks: Option<BTreeMap<String, String>>,
}

/// Arithmetic of weights and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
}

/// What the quickstart sets beside the trained network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// The same network with its random initial weights, read-out trained.
    RandomWeights,
    /// A linear classifier on pixels.
    LinearPixels,
}

/// One block: dropout → norm → flatten → rule layer → activation → norm after → pool, each optional;
/// or a residual block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockPlan {
    /// Name, unique in the network; prefix of its tensors in checkpoints.
    pub name: String,
    /// Normalisation of the block's input.
    pub norm: Option<NormPlan>,
    /// Flatten `[B, C, H, W]` to `[B, C·H·W]` after the norm.
    pub flatten: bool,
    /// Divide each sample by its largest value, after flatten (SoftHebb `max`).
    pub divide_by_max: bool,
    /// Scale to length 10 along axis 1 (SoftHebb `normnorm`).
    pub unit_length: bool,
    /// Inverted dropout on the layer's input; 0 is none.
    pub dropout: f64,
    /// The synaptic map and its rule. `None` in blocks that only transform.
    pub layer: Option<LayerPlan>,
    /// Nonlinearity.
    pub activation: Option<ActivationPlan>,
    /// Normalisation after the activation.
    pub norm_after: Option<NormPlan>,
    /// Normalisation between layer and activation (conv → norm → relu of residual networks).
    pub norm_inner: Option<NormPlan>,
    /// Pooling.
    pub pool: Option<PoolPlan>,
    /// Inner blocks of a residual block: `y = activation(inner(x) + shortcut(x))`.
    pub residual: Option<ResidualPlan>,
    /// Nodes and edges in place of a layer.
    #[serde(default)]
    pub graph: Option<GraphPlan>,
}

impl BlockPlan {
    /// A block that hands its input on unchanged, to be given a layer and what else it needs.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            norm: None,
            flatten: false,
            divide_by_max: false,
            unit_length: false,
            dropout: 0.0,
            layer: None,
            activation: None,
            norm_after: None,
            norm_inner: None,
            pool: None,
            residual: None,
            graph: None,
        }
    }

    /// The lists of blocks inside this one: the inner path of a residual block, the edges of a
    /// graph.
    pub fn inside(&self) -> impl Iterator<Item = &[Self]> {
        let residual = self.residual.iter().map(|r| r.blocks.as_slice());
        let nodes = self.graph.iter().flat_map(|g| &g.nodes);
        let edges = nodes.flat_map(|n| &n.from).map(|e| e.blocks.as_slice());
        residual.chain(edges)
    }

    /// Rule layers in this block, inner ones included.
    #[must_use]
    pub fn layers(&self) -> usize {
        let inside: usize = self.inside().flatten().map(Self::layers).sum();
        usize::from(self.layer.is_some()) + inside
    }
}

/// All blocks, those inside a block after their own.
#[must_use]
pub fn every_block(blocks: &[BlockPlan]) -> Vec<&BlockPlan> {
    let mut all = Vec::new();
    for block in blocks {
        all.push(block);
        for inner in block.inside() {
            all.extend(every_block(inner));
        }
    }
    all
}

/// A directed acyclic graph between a block's input and its output. Layers inside draw their
/// initial values by the names of their tensors, so that one more edge changes no other's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphPlan {
    /// In topological order: an edge starts at `input` or at a node listed before. The last node
    /// is the output.
    pub nodes: Vec<NodePlan>,
}

/// A node of a graph: what its edges bring, joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePlan {
    /// Name, unique in the graph; part of the names of its tensors.
    pub name: String,
    /// How the edges' values become one.
    pub join: Join,
    /// The edges, at least one.
    pub from: Vec<EdgePlan>,
}

/// An edge of a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgePlan {
    /// `input`, or a node listed before.
    pub source: String,
    /// What stands on it, in order; none hands the value on unchanged.
    pub blocks: Vec<BlockPlan>,
}

/// How the values that arrive at a node become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Join {
    /// Element by element; shapes are equal.
    Sum,
    /// Along the channels, in the order of the edges.
    Concat,
}

/// Inner path and shortcut of a residual block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualPlan {
    /// The inner path.
    pub blocks: Vec<BlockPlan>,
    /// How the input joins the sum.
    pub shortcut: Shortcut,
}

/// How the input of a residual block joins the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortcut {
    /// Unchanged; the inner path keeps the shape.
    Identity,
    /// Shortcut A of CIFAR ResNets: every second pixel, zero channels added in equal parts before and after.
    SubsamplePad,
}

/// Normalisation over batch and positions, per channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormPlan {
    /// `batch`: the only kind yet.
    pub kind: NormKind,
    /// Learned gain and shift.
    pub affine: bool,
    /// Added to the variance.
    pub eps: f64,
    /// Share of the new batch in the running statistics.
    pub momentum: f64,
}

/// Kinds of normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// Batch normalisation (biased variance in the batch, unbiased in the running value).
    Batch,
}

/// A synaptic map and the rule that changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerPlan {
    /// Dense or convolution, with its geometry.
    pub map: MapPlan,
    /// Output units or channels. 0 stands for the classes of the data set.
    pub out: usize,
    /// Additive bias.
    pub bias: bool,
    /// Rule name, such as `softhebb` or `feedback-alignment/usf`.
    pub rule: String,
    /// Values of the rule's hyperparameters; what is absent has the plugin's default.
    pub params: BTreeMap<String, ParamValue>,
}

/// Geometry of a synaptic map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum MapPlan {
    /// `y = x Wᵀ + b`.
    Dense,
    /// Two-dimensional convolution.
    Conv {
        /// `[rows, columns]`.
        kernel: [usize; 2],
        /// `[rows, columns]`.
        stride: [usize; 2],
        /// `[top, bottom, left, right]`.
        padding: [usize; 4],
        /// `[rows, columns]`.
        dilation: [usize; 2],
        /// Channel groups.
        groups: usize,
        /// `zeros`, `reflect`, `replicate` or `circular`.
        padding_mode: String,
    },
}

/// A hyperparameter's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// Switch.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Number.
    Float(f64),
    /// Word or choice.
    Text(String),
}

/// Nonlinearity and its parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum ActivationPlan {
    /// `max(0, u − mean over axis 1)^power`; the mean carries no gradient (SoftHebb).
    Triangle {
        /// Exponent.
        power: f64,
    },
    /// `max(0, u)`.
    Relu,
    /// `max(0, u)^power`.
    Repu {
        /// Exponent.
        power: f64,
    },
    /// `softmax(gain·u)` over axis 1.
    Softmax {
        /// Inverse temperature.
        gain: f64,
    },
    /// `exp(gain·u)`.
    Exp {
        /// Factor.
        gain: f64,
    },
    /// `tanh(gain·u)`.
    Tanh {
        /// Factor.
        gain: f64,
    },
    /// `1 / (1 + exp(−gain·u))` (SoftHebb's string `sigmoid` means gain 10).
    Sigmoid {
        /// Factor.
        gain: f64,
    },
}

/// Pooling window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolPlan {
    /// Maximum or average.
    pub kind: PoolKind,
    /// `[rows, columns]`; `[0, 0]` covers the whole map (global pooling).
    pub kernel: [usize; 2],
    /// `[rows, columns]`.
    pub stride: [usize; 2],
    /// `[rows, columns]`: −∞ for the maximum, counted zeros for the average.
    pub padding: [usize; 2],
}

/// Maximum or average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolKind {
    /// Largest value.
    Max,
    /// Mean; padding counts as zeros.
    Avg,
}

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
    /// `train`, or a name in `extra_data`.
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
    /// Changes parameters from gradients.
    pub optimizer: OptimizerPlan,
    /// How the optimiser's rate (and that of local rules, where `local_rate` is set) moves.
    pub schedule: SchedulePlan,
    /// Rate handed to local rules in place of their own `lr`; follows `local_schedule`.
    pub local_rate: Option<LocalRatePlan>,
    /// Ends the phase before `epochs`.
    pub stop: Option<StopPlan>,
    /// Local phases that end in a dense layer: report how well its units' classes do.
    pub neuron_labels: bool,
    /// Clip every gradient element to ±this; 0 is off.
    pub gradient_clip: f64,
    /// Keep the frozen prefix's output instead of computing it each epoch.
    pub cache: CachePlan,
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
    /// The optimiser's rate times an expression of the batch.
    Formula {
        /// Factor on the rate.
        factor: Formula,
    },
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

/// What is written, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputPlan {
    /// Parent of run folders.
    pub runs: PathBuf,
    /// Checkpoint at least every so many seconds inside an epoch (and always at its end); 0 only at epoch ends.
    pub checkpoint_seconds: u64,
    /// Scalars of rules every so many steps; 0 only at epoch ends.
    pub log_every: u64,
    /// TensorBoard event files.
    pub tensorboard: bool,
    /// Metric of an epoch that decides on the best checkpoint; absent: the held-out accuracy, or
    /// for regression the held-out loss.
    #[serde(default)]
    pub best: Option<String>,
    /// Alignment with the true gradient on a held-out batch every so many epochs; 0 never.
    pub alignment_every: u64,
}
