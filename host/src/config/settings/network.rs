//! Settings of blocks: the network.

use super::{Kind, SectionDoc, Setting};
use crate::plan::define::{Described, Field, Tagged};
use crate::plan::{
    ActivationPlan, DropPathPlan, Join, NormPlan, PoolKind, Shortcut, TransformPlan,
};

/// The settings of one block.
pub const BLOCK: &[Setting] = &[
    Setting::new(
        "name",
        Kind::Text,
        "",
        "unique in the network; prefix of its tensors in checkpoints; absent: `conv1`, `dense1`, `block1` … by kind",
    ),
    Setting::new(
        "norm",
        NormPlan::KIND,
        "",
        "normalisation of the block's input; `\"batch\"` for short",
    ),
    Setting::new(
        "flatten",
        Kind::Flag,
        "",
        "flatten `[C, H, W]` to `[C·H·W]` after the norm; absent: true for dense layers",
    ),
    Setting::new(
        "divide_by_max",
        Kind::Flag,
        "false",
        "divide each sample by its largest value, after flatten",
    )
    .source("SoftHebb operation `max`"),
    Setting::new(
        "unit_length",
        Kind::Flag,
        "false",
        "scale to length 10 along the channels",
    )
    .source("SoftHebb operation `normnorm`"),
    Setting::new(
        "dropout",
        Kind::Number,
        "0.0",
        "inverted dropout on the layer's input; 0 is none",
    )
    .range(0.0, 0.999_999),
    Setting::new(
        "layer",
        Kind::Choice(&["dense", "conv"]),
        "",
        "the synaptic map; absent in blocks that only transform",
    ),
    Setting::new(
        "out",
        Kind::Whole,
        "",
        "output units or channels of the layer; 0 or `\"classes\"` stands for the classes of the data set",
    ),
    Setting::new(
        "bias",
        Kind::Flag,
        "",
        "additive bias; absent: true for dense layers of error-driven rules, false otherwise",
    ),
    Setting::new(
        "rule",
        Kind::Table("blocks[].rule"),
        "",
        "the learning rule, a word or `{ name = …, <hyperparameters> }` (`biorule rules list`)",
    ),
    Setting::new(
        "kernel",
        Kind::Pair,
        "",
        "conv: rows and columns of the kernel",
    )
    .min(1.0),
    Setting::new("stride", Kind::Pair, "1", "conv: step between outputs").min(1.0),
    Setting::new(
        "padding",
        Kind::Sides,
        "0",
        "conv: pixels added around; `\"same\"` keeps the size at stride 1",
    ),
    Setting::new(
        "dilation",
        Kind::Pair,
        "1",
        "conv: step between kernel elements",
    )
    .min(1.0),
    Setting::new("groups", Kind::Whole, "1", "conv: channel groups").min(1.0),
    Setting::new(
        "padding_mode",
        Kind::Choice(&["zeros", "reflect", "replicate", "circular"]),
        "\"zeros\"",
        "conv: what the padding holds",
    ),
    Setting::new(
        "norm_inner",
        NormPlan::KIND,
        "",
        "normalisation between layer and activation",
    ),
    Setting::new(
        "activation",
        ActivationPlan::KIND,
        "",
        "nonlinearity, such as `\"relu\"` or `\"triangle(0.7)\"`; absent: none",
    ),
    Setting::new(
        "norm_after",
        NormPlan::KIND,
        "",
        "normalisation after the activation",
    ),
    Setting::new(
        "pool",
        Kind::Table("blocks[].pool"),
        "",
        "pooling, `\"max 4/2/1\"` for kernel/stride/padding, `\"avg 2\"`, `\"avg global\"`; absent: none",
    ),
    Setting::new(
        "transform",
        TransformPlan::KIND,
        "",
        "a change of shape in place of a layer: `\"zero\"`, `\"zero 2\"` (every second pixel) or `\"shift 1\"`; absent: none",
    ),
    Setting::new(
        "side",
        Kind::Table("blocks[].side"),
        "",
        "an auxiliary head on the block's output, run in training alone; absent: none",
    ),
    Setting::new(
        "recompute",
        Kind::Flag,
        "",
        "keep only the block's input for the backward pass and compute the rest again: less memory, the same bits; absent: false",
    ),
    Setting::new(
        "residual",
        Kind::Table("blocks[].residual"),
        "",
        "makes this a residual block: `y = activation(inner(x) + shortcut(x))`",
    ),
    Setting::new(
        "graph",
        Kind::Tables("blocks[].graph[]"),
        "",
        "makes this block a graph: its nodes, each after those it is made from; the last is the output",
    ),
];

/// The settings of a pooling.
pub const POOL: &[Setting] = &[
    Setting::new(
        "kind",
        PoolKind::KIND,
        "",
        "largest value, or mean",
    ),
    Setting::new(
        "kernel",
        Kind::Pair,
        "",
        "rows and columns of the window; 0 covers the whole map",
    ),
    Setting::new("stride", Kind::Pair, "", "step; absent: the kernel").min(1.0),
    Setting::new("padding", Kind::Pair, "0", "pixels added around"),
    Setting::new(
        "count_include_pad",
        Kind::Flag,
        "true",
        "`avg`: the mean is over the whole window, with zeros outside the map; false: over the pixels inside the map",
    )
    .source("PyTorch `AvgPool2d(count_include_pad=)`"),
];

/// The settings of one node of a graph.
pub const NODE: &[Setting] = &[
    Setting::new(
        "name",
        Kind::Text,
        "",
        "unique in the graph; `input` is the block's input",
    ),
    Setting::new(
        "join",
        Join::KIND,
        "\"sum\"",
        "how the edges' values become one: element by element, or along the channels",
    ),
    Setting::new(
        "from",
        Kind::Tables("blocks[].graph[].from[]"),
        "",
        "the edges that arrive here",
    ),
];

/// The settings of one edge of a graph.
pub const EDGE: &[Setting] = &[
    Setting::new(
        "source",
        Kind::Text,
        "",
        "`input`, or a node listed before this one",
    ),
    Setting::new(
        "blocks",
        Kind::Tables("blocks[]"),
        "",
        "what stands on the edge, in order; absent: nothing, the value arrives unchanged",
    ),
    Setting::new(
        "drop_path",
        DropPathPlan::KIND,
        "",
        "drops the edge for some samples, in training; a number alone is `p`; absent: never",
    ),
];

/// The settings of an auxiliary head.
pub const SIDE: &[Setting] = &[
    Setting::new(
        "weight",
        Kind::Number,
        "0.4",
        "factor on the loss of the head, which is added to the network's",
    )
    .min(0.0)
    .source("Liu et al. 2019"),
    Setting::new(
        "blocks",
        Kind::Tables("blocks[]"),
        "",
        "the head; it ends in a number for each class",
    ),
];

/// The settings of a residual block's inside.
pub const RESIDUAL: &[Setting] = &[
    Setting::new("blocks", Kind::Tables("blocks[]"), "", "the inner path"),
    Setting::new(
        "shortcut",
        Shortcut::KIND,
        "\"identity\"",
        "how the input joins: unchanged, or every second pixel with zero channels added",
    )
    .source("He et al. 2016, shortcut A"),
];

/// A rule: its name; everything else is a hyperparameter of the plugin.
pub const RULE: &[Setting] = &[Setting::new(
    "name",
    Kind::Text,
    "",
    "rule name, such as `softhebb` or `feedback-alignment/usf`; the other keys are its hyperparameters (`biorule rules describe NAME`)",
)];

/// Sections of this file.
pub(super) fn sections() -> Vec<SectionDoc> {
    let section = |place, doc, settings| SectionDoc {
        place,
        doc,
        settings,
    };
    vec![
        section(
            "blocks[]",
            "One block. Its steps run in this order, each optional: norm, flatten, divide_by_max, unit_length, dropout, layer, norm_inner, activation, norm_after, pool.",
            BLOCK,
        ),
        section(
            "blocks[].norm",
            "Also `norm_inner` and `norm_after`.",
            NormPlan::SETTINGS,
        ),
        section("blocks[].rule", "The learning rule of a layer.", RULE),
        section(
            "blocks[].activation",
            "`triangle(p)` and `repu(p)` take an exponent.",
            ActivationPlan::settings("triangle"),
        ),
        section(
            "blocks[].activation (gain)",
            "`softmax(g)`, `exp(g)`, `tanh(g)` and `sigmoid(g)` take a gain; `relu` takes nothing.",
            ActivationPlan::settings("softmax"),
        ),
        section("blocks[].pool", "Pooling.", POOL),
        section("blocks[].residual", "Inside of a residual block.", RESIDUAL),
        section(
            "blocks[].graph[]",
            "A node of a block that is a graph.",
            NODE,
        ),
        section("blocks[].graph[].from[]", "An edge of a graph.", EDGE),
        section(
            "blocks[].graph[].from[].drop_path",
            "Drop path of an edge.",
            DropPathPlan::SETTINGS,
        ),
        section(
            "blocks[].transform (zero)",
            "Zeros in place of the value.",
            TransformPlan::settings("zero"),
        ),
        section(
            "blocks[].transform (shift)",
            "The map without its first rows and columns.",
            TransformPlan::settings("shift"),
        ),
        section("blocks[].side", "An auxiliary head.", SIDE),
    ]
}
