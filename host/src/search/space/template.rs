//! Templates: what a primitive is, in blocks of a plan. Convolutions have no bias.

use std::collections::BTreeMap;

use super::operation::Operation;
use super::primitive::Primitive;
use crate::plan::define::words;
use crate::plan::{
    ActivationPlan, BlockPlan, EdgePlan, GraphPlan, Join, LayerPlan, MapPlan, NodePlan, NormKind,
    NormPlan, PadMode, ParamValue, PoolKind, PoolPlan, TransformPlan, shapes::INPUT,
};

/// The rule of layers that no primitive decides on.
pub const PLAIN: &str = "backprop";

/// Hyperparameters of rules, by the rule's name.
pub type Hyperparameters = BTreeMap<String, BTreeMap<String, ParamValue>>;

words! {
    /// Which layers of a network the rules of its primitives fill.
    pub enum RuleScope = Ops {
        /// The layers of operations that are layers at any stride; all else learns by
        /// backpropagation, as in the reference.
        Ops = "ops",
        /// Those, and the reduction that `skip_connect@rule` is at stride 2.
        OpsAndSkip = "ops+skip",
        /// Those, and all other layers of the network by one further rule.
        All = "all",
        /// Every layer by one rule, whatever the primitives name: the ablation `--mode` of BioNAS.
        One = "one",
    }
}

/// Where templates stand and what is common to a network's layers.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// Normalisations have a gain and a shift, as in networks that are trained from the start;
    /// those of a supernet have none.
    pub affine: bool,
    /// Pooling candidates are normalised, as in the supernets of DARTS and BioNAS.
    pub pool_norm: bool,
    /// Which layers the primitives' rules fill.
    pub scope: RuleScope,
    /// With [`RuleScope::All`] the rule of stem, input blocks and classifier, with
    /// [`RuleScope::One`] of all layers.
    pub elsewhere: Option<String>,
    /// Hyperparameters of the rules.
    pub params: Hyperparameters,
}

impl Style {
    /// The rule of layers outside of operations.
    #[must_use]
    pub fn outside(&self) -> &str {
        match (self.scope, &self.elsewhere) {
            (RuleScope::All | RuleScope::One, Some(rule)) => rule,
            _ => PLAIN,
        }
    }

    /// A convolution by `rule`; `dims` is kernel, stride and dilation of each axis.
    fn conv(&self, rule: &str, out: usize, groups: usize, axes: [Axis; 2]) -> LayerPlan {
        let [rows, columns] = axes;
        let padding = [rows.padding, rows.padding, columns.padding, columns.padding];
        LayerPlan {
            map: MapPlan::Conv {
                kernel: axes.map(|a| a.kernel),
                stride: axes.map(|a| a.stride),
                padding,
                dilation: axes.map(|a| a.dilation),
                groups,
                padding_mode: PadMode::Zeros,
            },
            out,
            bias: false,
            rule: rule.to_owned(),
            params: self.params.get(rule).cloned().unwrap_or_default(),
        }
    }

    /// A square convolution with padding, named `name`.
    pub(crate) fn square(&self, name: String, rule: &str, out: usize, axis: Axis) -> BlockPlan {
        let mut block = BlockPlan::new(name);
        block.layer = Some(self.conv(rule, out, 1, [axis; 2]));
        block
    }

    /// A dense layer with bias from whatever arrives to the classes.
    pub(crate) fn classifier(&self, name: &str) -> BlockPlan {
        let rule = self.outside();
        let mut block = BlockPlan::new(name);
        block.flatten = true;
        block.layer = Some(LayerPlan {
            map: MapPlan::Dense,
            out: 0,
            bias: true,
            rule: rule.to_owned(),
            params: self.params.get(rule).cloned().unwrap_or_default(),
        });
        block
    }

    /// Batch normalisation as this style has it.
    pub(crate) fn norm(&self) -> NormPlan {
        batch_norm(self.affine)
    }
}

/// Batch normalisation with PyTorch's constants.
pub(crate) fn batch_norm(affine: bool) -> NormPlan {
    NormPlan {
        kind: NormKind::Batch,
        affine,
        eps: 1e-5,
        momentum: 0.1,
    }
}

/// A convolution along one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub padding: usize,
}

impl Axis {
    /// One pixel.
    pub(crate) const fn one(stride: usize) -> Self {
        Self {
            kernel: 1,
            stride,
            dilation: 1,
            padding: 0,
        }
    }

    /// `kernel` pixels, `dilation` apart, that keep the size at stride 1.
    pub(crate) const fn same(kernel: usize, stride: usize, dilation: usize) -> Self {
        Self {
            kernel,
            stride,
            dilation,
            padding: dilation * (kernel - 1) / 2,
        }
    }
}

/// A block that is a ReLU.
pub(crate) fn relu(name: String) -> BlockPlan {
    let mut block = BlockPlan::new(name);
    block.activation = Some(ActivationPlan::Relu);
    block
}

/// A block that pools; padding does not count in a mean.
pub(crate) fn pool(
    name: String,
    kind: PoolKind,
    size: usize,
    stride: usize,
    padding: usize,
) -> BlockPlan {
    let mut block = BlockPlan::new(name);
    block.pool = Some(PoolPlan {
        kind,
        kernel: [size; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        count_include_pad: kind == PoolKind::Max || padding == 0,
    });
    block
}

/// ReLU, 1×1 convolution to `out` channels, normalisation: how a cell takes an input of another
/// width. `[C, H, W]` to `[out, H, W]`.
pub fn relu_conv_norm(style: &Style, name: &str, out: usize) -> Vec<BlockPlan> {
    let mut conv = style.square(format!("{name}-conv0"), style.outside(), out, Axis::one(1));
    conv.norm_after = Some(style.norm());
    vec![relu(format!("{name}-relu")), conv]
}

/// The factorised reduction of DARTS: a ReLU, two 1×1 convolutions of stride 2 to half of `out`
/// channels each, the second on the map without its first row and column, side by side, and a
/// normalisation. `[C, H, W]` to `[out, H/2, W/2]`; H, W and `out` are even.
pub fn reduction(style: &Style, name: &str, rule: &str, out: usize) -> Vec<BlockPlan> {
    let grid = |i: usize| style.square(format!("{name}-conv{i}"), rule, out / 2, Axis::one(2));
    let mut shift = BlockPlan::new(format!("{name}-shift"));
    shift.transform = Some(TransformPlan::Shift { by: 1 });
    let edge = |blocks| EdgePlan::new(INPUT, blocks);
    let mut grids = BlockPlan::new(format!("{name}-grids"));
    grids.graph = Some(GraphPlan {
        nodes: vec![NodePlan {
            name: "both".to_owned(),
            join: Join::Concat,
            from: vec![edge(vec![grid(0)]), edge(vec![shift, grid(1)])],
        }],
    });
    grids.norm_after = Some(style.norm());
    vec![relu(format!("{name}-relu")), grids]
}

/// `primitive` on maps of `channels` channels at `stride`, its blocks named `name-…`; none where
/// the value passes unchanged. `[channels, H, W]` to `[channels, ⌈H/stride⌉, ⌈W/stride⌉]`.
#[must_use]
pub fn blocks(
    primitive: &Primitive,
    style: &Style,
    name: &str,
    channels: usize,
    stride: usize,
) -> Vec<BlockPlan> {
    let named = |part: &str| format!("{name}-{part}");
    let rule = match style.scope {
        RuleScope::One => style.outside(),
        _ => primitive.rule(),
    };
    match primitive.operation {
        Operation::None => {
            let mut zero = BlockPlan::new(named("zero"));
            zero.transform = Some(TransformPlan::Zero { stride });
            vec![zero]
        }
        Operation::Skip if stride == 1 => Vec::new(),
        Operation::Skip => {
            let rule = match style.scope {
                RuleScope::Ops => PLAIN,
                RuleScope::One => style.outside(),
                _ => primitive.rule.as_deref().unwrap_or_else(|| style.outside()),
            };
            reduction(style, name, rule, channels)
        }
        // A block's own normalisations come before its pooling: this one is another block's.
        Operation::MaxPool | Operation::AvgPool => {
            let kind = match primitive.operation {
                Operation::MaxPool => PoolKind::Max,
                _ => PoolKind::Avg,
            };
            let mut all = vec![pool(named("pool"), kind, 3, stride, 1)];
            if style.pool_norm {
                let mut norm = BlockPlan::new(named("norm"));
                norm.norm = Some(batch_norm(false));
                all.push(norm);
            }
            all
        }
        Operation::SepConv(size) => {
            let mut all = vec![relu(named("relu"))];
            for (half, stride) in [stride, 1].into_iter().enumerate() {
                let axis = Axis::same(size, stride, 1);
                all.extend(separable(style, name, rule, channels, axis, 2 * half));
            }
            let end = all.len();
            // A ReLU stands between the halves, behind the first normalisation.
            let (first, last) = (end - 3, end - 1);
            all[first].norm_inner = Some(style.norm());
            all[first].activation = Some(ActivationPlan::Relu);
            all[last].norm_after = Some(style.norm());
            all
        }
        Operation::DilConv(size) => {
            let axis = Axis::same(size, stride, 2);
            let mut all = vec![relu(named("relu"))];
            all.extend(separable(style, name, rule, channels, axis, 0));
            if let Some(last) = all.last_mut() {
                last.norm_after = Some(style.norm());
            }
            all
        }
        Operation::Conv(size) => {
            let axis = Axis::same(size, stride, 1);
            let mut conv = style.square(named("conv0"), rule, channels, axis);
            conv.norm_after = Some(style.norm());
            vec![relu(named("relu")), conv]
        }
        Operation::Conv7x1 => {
            let part = |i: usize, axes| {
                let mut block = BlockPlan::new(named(&format!("conv{i}")));
                block.layer = Some(style.conv(rule, channels, 1, axes));
                block
            };
            let along = Axis::same(7, stride, 1);
            let wide = part(0, [Axis::one(1), along]);
            let mut high = part(1, [along, Axis::one(1)]);
            high.norm_after = Some(style.norm());
            vec![relu(named("relu")), wide, high]
        }
        Operation::Hebbian => {
            let axis = Axis::same(3, stride, 1);
            let mut conv = style.square(named("conv0"), rule, channels, axis);
            conv.norm_after = Some(batch_norm(true));
            vec![conv]
        }
    }
}

/// A depthwise and a pointwise convolution, numbered from `number`.
fn separable(
    style: &Style,
    name: &str,
    rule: &str,
    channels: usize,
    axis: Axis,
    number: usize,
) -> [BlockPlan; 2] {
    let mut depthwise = BlockPlan::new(format!("{name}-conv{number}"));
    depthwise.layer = Some(style.conv(rule, channels, channels, [axis; 2]));
    let next = format!("{name}-conv{}", number + 1);
    [depthwise, style.square(next, rule, channels, Axis::one(1))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::shapes::{DataShape, propagate};
    use crate::search::space::operation::OPERATIONS;

    #[test]
    fn every_operation_keeps_the_channels_and_divides_the_map_by_its_stride() {
        let style = Style::default();
        for (operation, name, _) in OPERATIONS {
            for (stride, size) in [(1, 9), (2, 8)] {
                let sample = vec![6, size, size];
                let blocks = blocks(&Primitive::plain(operation), &style, "op", 6, stride);
                let data = DataShape { sample, classes: 3 };
                let shapes = propagate(&blocks, &data).expect(name);
                let output = shapes.last().map_or(&data.sample, |s| &s.output);
                assert_eq!(
                    *output,
                    [6, size / stride, size / stride],
                    "{name} {stride}"
                );
            }
        }
    }

    #[test]
    fn the_scope_decides_on_the_rule_of_a_reduction() {
        let rules = |scope, primitive: &str| {
            let style = Style {
                scope,
                elsewhere: Some("other".to_owned()),
                ..Style::default()
            };
            let blocks = blocks(&primitive.parse().expect("one"), &style, "op", 4, 2);
            let all = crate::plan::every_block(&blocks);
            let layers = all.iter().filter_map(|b| b.layer.as_ref());
            layers.map(|l| l.rule.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            rules(RuleScope::Ops, "skip_connect@r"),
            ["backprop", "backprop"]
        );
        assert_eq!(rules(RuleScope::OpsAndSkip, "skip_connect@r"), ["r", "r"]);
        assert_eq!(
            rules(RuleScope::OpsAndSkip, "skip_connect"),
            ["backprop", "backprop"]
        );
        assert_eq!(rules(RuleScope::All, "skip_connect"), ["other", "other"]);
        assert_eq!(rules(RuleScope::Ops, "dil_conv_3x3@r"), ["r", "r"]);
        for primitive in [
            "skip_connect@r",
            "skip_connect",
            "dil_conv_3x3@r",
            "dil_conv_3x3",
        ] {
            assert_eq!(
                rules(RuleScope::One, primitive),
                ["other", "other"],
                "{primitive}"
            );
        }
    }
}
