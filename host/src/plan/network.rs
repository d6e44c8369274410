//! The network of a plan: blocks, and graphs of blocks.

use serde::{Deserialize, Serialize};

use super::define::words;
use super::layer::{ActivationPlan, LayerPlan, NormPlan, PoolPlan};
use super::mixed::{DropPathPlan, RowPlan, TransformPlan};

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

impl EdgePlan {
    /// An edge from `source` through `blocks`.
    #[must_use]
    pub fn new(source: impl Into<String>, blocks: Vec<BlockPlan>) -> Self {
        Self {
            source: source.into(),
            blocks,
            mixed: None,
            partial: 1,
            weight: None,
            drop_path: None,
        }
    }

    /// An edge from `source` through a weighted sum of candidates.
    #[must_use]
    pub fn mixed(source: impl Into<String>, mixed: MixedPlan) -> Self {
        Self {
            mixed: Some(mixed),
            ..Self::new(source, Vec::new())
        }
    }

    /// The lists of blocks on this edge: its own, then those of its candidates.
    pub fn inside(&self) -> impl Iterator<Item = &[BlockPlan]> {
        let candidates = self.mixed.iter().flat_map(|m| &m.candidates);
        std::iter::once(self.blocks.as_slice()).chain(candidates.map(|c| c.blocks.as_slice()))
    }

    /// Rule layers on this edge.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.inside().flatten().map(BlockPlan::layers).sum()
    }
}

/// The default of [`EdgePlan::partial`].
fn all_channels() -> usize {
    1
}

/// A weighted sum of candidates on one edge, `y = Σₖ pₖ·opₖ(x)` (Liu, Simonyan and Yang 2019,
/// DARTS, equation 2). The weights are row `row` of the table `table` of the mixture that the
/// network was given last, so that many edges can share a row; until then all are `1/K`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixedPlan {
    /// Table of weights, such as `normal` or `reduce`.
    pub table: String,
    /// Row of the table: its numbers belong to the candidates, in order.
    pub row: usize,
    /// At least one; all have the same output shape.
    pub candidates: Vec<CandidatePlan>,
    /// Keep only the input of each candidate in the forward pass and repeat its forward pass in
    /// the backward pass, one candidate at a time. Gradients are the same bits.
    #[serde(default)]
    pub recompute: bool,
}

/// One candidate of a mixed edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidatePlan {
    /// Name of the primitive, such as `sep_conv_3x3@feedback-alignment/fa`, for messages.
    pub name: String,
    /// Its modules, in order; none is the identity. Their names are unique in the whole network,
    /// as all names of blocks are.
    pub blocks: Vec<BlockPlan>,
}

/// An auxiliary head: a side branch to further logits, run in training only. The block hands its
/// own output on unchanged; the loss is that of the network plus `weight` times that of the head
/// (Szegedy et al. 2015).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidePlan {
    /// Factor on the loss of the head.
    pub weight: f64,
    /// The head; its output is one number for each class.
    pub blocks: Vec<BlockPlan>,
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
