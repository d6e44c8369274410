//! Plans of the networks in the feedback vectors: fully connected, convolutional
//! and residual.

use std::collections::BTreeMap;

use biorule::config::{
    ActivationPlan, BlockPlan, LayerPlan, MapPlan, NormKind, NormPlan, ParamValue, PoolKind,
    PoolPlan, ResidualPlan, Shortcut,
};
use biorule::plan::PadMode;

pub use crate::network::block;

/// A rule with values of its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleChoice {
    /// Name in configs.
    pub name: String,
    /// What differs from the defaults.
    pub params: BTreeMap<String, ParamValue>,
}

impl RuleChoice {
    /// A rule with these parameters.
    pub fn new(name: &str, params: &[(&str, ParamValue)]) -> Self {
        Self {
            name: name.into(),
            params: params
                .iter()
                .map(|(name, value)| ((*name).into(), value.clone()))
                .collect(),
        }
    }
}

/// A number as a parameter.
pub fn number(value: f64) -> ParamValue {
    ParamValue::Float(value)
}

/// A word as a parameter.
pub fn word(value: &str) -> ParamValue {
    ParamValue::Text(value.into())
}

/// Geometry of a convolution with square kernels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// Kernel rows and columns.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Padding on each side.
    pub padding: usize,
    /// Dilation.
    pub dilation: usize,
    /// Groups.
    pub groups: usize,
    /// Padding mode.
    pub mode: PadMode,
}

impl Geometry {
    /// Stride 1, no dilation, no groups, zeros outside.
    pub fn plain(kernel: usize, padding: usize) -> Self {
        Self {
            kernel,
            stride: 1,
            padding,
            dilation: 1,
            groups: 1,
            mode: PadMode::Zeros,
        }
    }

    /// As the plan says it.
    pub fn map(self) -> MapPlan {
        MapPlan::Conv {
            kernel: [self.kernel; 2],
            stride: [self.stride; 2],
            padding: [self.padding; 4],
            dilation: [self.dilation; 2],
            groups: self.groups,
            padding_mode: self.mode,
        }
    }
}

/// A rule layer.
pub fn layer(rule: &RuleChoice, map: MapPlan, out: usize, bias: bool) -> LayerPlan {
    LayerPlan {
        map,
        out,
        bias,
        rule: rule.name.clone(),
        params: rule.params.clone(),
    }
}

/// The activation that both references call `name`.
///
/// # Errors
/// An activation that no vector uses.
pub fn activation(name: &str) -> crate::Result<Option<ActivationPlan>> {
    Ok(match name {
        "relu" => Some(ActivationPlan::Relu),
        "sigmoid" => Some(ActivationPlan::Sigmoid { gain: 1.0 }),
        "tanh" => Some(ActivationPlan::Tanh { gain: 1.0 }),
        "none" | "linear" | "identity" => None,
        other => return Err(format!("no activation is called `{other}`").into()),
    })
}

/// Dense layers of these widths; `activations` has one entry for each, none for a linear one.
pub fn dense_blocks(
    rule: &RuleChoice,
    names: &[String],
    widths: &[usize],
    activations: &[Option<ActivationPlan>],
) -> Vec<BlockPlan> {
    (names.iter().zip(widths).zip(activations))
        .map(|((name, &width), activation)| BlockPlan {
            layer: Some(layer(rule, MapPlan::Dense, width, true)),
            activation: activation.clone(),
            ..block(name)
        })
        .collect()
}

/// A pooling window without padding; `[0, 0]` covers the map.
pub fn pool(kind: PoolKind, size: usize) -> Option<PoolPlan> {
    Some(PoolPlan {
        kind,
        kernel: [size; 2],
        stride: [size; 2],
        padding: [0; 2],
        count_include_pad: true,
    })
}

fn norm() -> Option<NormPlan> {
    Some(NormPlan {
        kind: NormKind::Batch,
        affine: true,
        eps: 1e-5,
        momentum: 0.1,
    })
}

/// conv1 → norm → relu → two basic blocks → global average → fc, as BioTorch's CIFAR ResNets
/// begin; the second block halves the map and doubles the `c` channels.
pub fn residual_blocks(rule: &RuleChoice, c: usize, classes: usize) -> Vec<BlockPlan> {
    let conv = |name: &str, out: usize, stride: usize, relu: bool| BlockPlan {
        layer: Some(layer(
            rule,
            Geometry {
                stride,
                ..Geometry::plain(3, 1)
            }
            .map(),
            out,
            false,
        )),
        norm_inner: norm(),
        activation: relu.then_some(ActivationPlan::Relu),
        ..block(name)
    };
    let basic = |name: &str, out: usize, stride: usize, shortcut: Shortcut| BlockPlan {
        residual: Some(ResidualPlan {
            blocks: vec![
                conv(&format!("{name}.conv1"), out, stride, true),
                conv(&format!("{name}.conv2"), out, 1, false),
            ],
            shortcut,
        }),
        activation: Some(ActivationPlan::Relu),
        ..block(name)
    };
    vec![
        conv("conv1", c, 1, true),
        basic("b1", c, 1, Shortcut::Identity),
        BlockPlan {
            pool: pool(PoolKind::Avg, 0),
            ..basic("b2", 2 * c, 2, Shortcut::SubsamplePad)
        },
        BlockPlan {
            flatten: true,
            layer: Some(layer(rule, MapPlan::Dense, classes, true)),
            ..block("fc")
        },
    ]
}
