//! The network of a plan: blocks, their layers, and graphs of blocks.

use std::collections::BTreeMap;

pub use biorule_kernels::PadMode;
use biorule_kernels::{Conv, Pool};
use serde::{Deserialize, Serialize};

use super::define::{kinds, settings, words};
use super::mixed::{DropPathPlan, MixedPlan, RowPlan, SidePlan, TransformPlan, all_channels};

/// One block: norm → flatten → scaling → dropout → rule layer → norm inner → activation → norm after
/// → pool, each optional; or a residual block; or a graph.
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
    /// A change of shape in place of a layer.
    #[serde(default)]
    pub transform: Option<TransformPlan>,
    /// An auxiliary head on the block's output.
    #[serde(default)]
    pub side: Option<SidePlan>,
    /// Keep only the block's input in the forward pass, and repeat the forward pass in the
    /// backward pass: less memory, the same bits (PyTorch's `checkpoint`).
    #[serde(default)]
    pub recompute: bool,
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
            transform: None,
            side: None,
            recompute: false,
        }
    }

    /// The lists of blocks inside this one: the inner path of a residual block, the edges of a
    /// graph, the auxiliary head.
    pub fn inside(&self) -> impl Iterator<Item = &[Self]> {
        let residual = self.residual.iter().map(|r| r.blocks.as_slice());
        let nodes = self.graph.iter().flat_map(|g| &g.nodes);
        let edges = nodes.flat_map(|n| &n.from).flat_map(EdgePlan::inside);
        let side = self.side.iter().map(|s| s.blocks.as_slice());
        residual.chain(edges).chain(side)
    }

    /// Rule layers between the input and the output of this block: its own and inner ones, without
    /// those of an auxiliary head.
    #[must_use]
    pub fn layers(&self) -> usize {
        let head = self.side.iter().flat_map(|s| &s.blocks);
        let head: usize = head.map(Self::layers).sum();
        let inside: usize = self.inside().flatten().map(Self::layers).sum();
        usize::from(self.layer.is_some()) + inside - head
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
    /// A weighted sum of candidates, after `blocks`.
    #[serde(default)]
    pub mixed: Option<MixedPlan>,
    /// Only the first of this many equal parts of the channels goes through `blocks` and `mixed`
    /// (PC-DARTS): the others pass by, max-pooled where the edge halves the map, and all channels
    /// are then shuffled. 1 sends all through.
    #[serde(default = "all_channels")]
    pub partial: usize,
    /// A weight of the mixture on all that the edge brings.
    #[serde(default)]
    pub weight: Option<RowPlan>,
    /// Drops the edge for some samples, in training.
    #[serde(default)]
    pub drop_path: Option<DropPathPlan>,
}

words! {
    /// How the values that arrive at a node become one.
    pub enum Join {
        /// Element by element; shapes are equal.
        Sum = "sum",
        /// Along the channels, in the order of the edges.
        Concat = "concat",
    }
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

words! {
    /// How the input of a residual block joins the sum.
    pub enum Shortcut {
        /// Unchanged; the inner path keeps the shape.
        Identity = "identity",
        /// Shortcut A of CIFAR ResNets: every second pixel, zero channels added in equal parts before and after.
        SubsamplePad = "subsample-pad",
    }
}

settings! {
    /// Normalisation over batch and positions, per channel.
    pub struct NormPlan at "blocks[].norm" {
        /// batch normalisation
        kind: NormKind = "batch";
        /// learned gain and shift
        affine: bool = false;
        /// added to the variance
        eps: f64 = 1e-5, range 0.0 => f64::INFINITY;
        /// share of the new batch in the running statistics
        momentum: f64 = 0.1, range 0.0 => 1.0;
    }
}

words! {
    /// Kinds of normalisation.
    pub enum NormKind {
        /// Batch normalisation (biased variance in the batch, unbiased in the running value).
        Batch = "batch",
    }
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
        /// How pixels outside the image are filled.
        #[serde(with = "pad_mode")]
        padding_mode: PadMode,
    },
}

impl MapPlan {
    /// The convolution of `channels` into `out` channels; `None` for a dense map.
    #[must_use]
    pub fn convolution(&self, channels: usize, out: usize) -> Option<Conv> {
        match *self {
            Self::Dense => None,
            Self::Conv {
                kernel,
                stride,
                padding,
                dilation,
                groups,
                padding_mode: pad_mode,
            } => Some(Conv {
                channels,
                out,
                kernel,
                stride,
                dilation,
                padding,
                pad_mode,
                groups,
            }),
        }
    }
}

/// Padding modes by their names.
mod pad_mode {
    use biorule_kernels::PadMode;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(mode: &PadMode, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(mode.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PadMode, D::Error> {
        let name = String::deserialize(from)?;
        let unknown = |()| D::Error::custom(format!("`{name}` is not a padding mode"));
        name.parse().map_err(unknown)
    }
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

kinds! {
    /// Nonlinearity and its parameter.
    pub enum ActivationPlan at "blocks[].activation", "which function" {
        /// `max(0, u − mean over axis 1)^power`; the mean carries no gradient (SoftHebb).
        Triangle = "triangle" {
            /// exponent of `triangle` (of the part above the mean over channels) and `repu`
            power: f64 = 1.0, range 0.0 => f64::INFINITY, source "Journé et al. 2023";
        }
        /// `max(0, u)`.
        Relu = "relu"
        /// `max(0, u)^power`.
        Repu = "repu" {
            /// exponent of `triangle` (of the part above the mean over channels) and `repu`
            power: f64 = 1.0, range 0.0 => f64::INFINITY, source "Journé et al. 2023";
        }
        /// `softmax(gain·u)` over axis 1.
        Softmax = "softmax" {
            /// factor on the input of `softmax`, `exp`, `tanh`, `sigmoid`
            gain: f64 = 1.0;
        }
        /// `exp(gain·u)`.
        Exp = "exp" {
            /// factor on the input of `softmax`, `exp`, `tanh`, `sigmoid`
            gain: f64 = 1.0;
        }
        /// `tanh(gain·u)`.
        Tanh = "tanh" {
            /// factor on the input of `softmax`, `exp`, `tanh`, `sigmoid`
            gain: f64 = 1.0;
        }
        /// `1 / (1 + exp(−gain·u))` (SoftHebb's string `sigmoid` means gain 10).
        Sigmoid = "sigmoid" {
            /// factor on the input of `softmax`, `exp`, `tanh`, `sigmoid`
            gain: f64 = 1.0;
        }
    }
}

/// Pooling window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolPlan {
    /// Maximum or average.
    pub kind: PoolKind,
    /// `[rows, columns]`; 0 covers the whole map along its axis (global pooling).
    pub kernel: [usize; 2],
    /// `[rows, columns]`.
    pub stride: [usize; 2],
    /// `[rows, columns]`: −∞ for the maximum, zeros for the average.
    pub padding: [usize; 2],
    /// Whether the zeros of the padding count as pixels of an average (PyTorch's
    /// `count_include_pad`); the maximum never takes them.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub count_include_pad: bool,
}

impl PoolPlan {
    /// Its window on maps of `rows` x `columns`. One that covers the whole map along an axis has one
    /// place there, whatever stride and padding say; a step beyond the map is one to its end.
    #[must_use]
    pub fn window(&self, rows: usize, columns: usize) -> Pool {
        let mut window = Pool {
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
        };
        for (axis, size) in [rows, columns].into_iter().enumerate() {
            if window.kernel[axis] == 0 {
                (window.kernel[axis], window.stride[axis]) = (size, size);
                window.padding[axis] = 0;
                continue;
            }
            let padded = size.saturating_add(window.padding[axis].saturating_mul(2));
            window.stride[axis] = window.stride[axis].min(padded.max(1));
        }
        window
    }
}

fn yes() -> bool {
    true
}

// Plans written before the field was there are to read and write as they did.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_yes(flag: &bool) -> bool {
    *flag
}

words! {
    /// Maximum or average.
    pub enum PoolKind {
        /// Largest value.
        Max = "max",
        /// Mean.
        Avg = "avg",
    }
}
