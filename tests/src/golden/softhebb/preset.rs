//! The reference's layer strings (`softkrotov-c96-k5-p2-…`) and block settings as plans.

use std::collections::BTreeMap;

use biorule::config::{
    ActivationPlan, BlockPlan, LayerPlan, MapPlan, ParamValue, PoolKind, PoolPlan,
};
use biorule::plan::PadMode;

use super::competition;
use crate::Result;
use crate::network::{batch_norm, block};

/// A block of the reference, before it has a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings<'a> {
    /// Layer string.
    pub layer: &'a str,
    /// Convolution or dense.
    pub conv: bool,
    /// Operations on the input, such as `flatten+batchnorm1d`.
    pub operation: &'a str,
    /// Name and parameter.
    pub activation: Option<(String, f64)>,
    /// `[type, kernel, stride, padding]`.
    pub pool: Option<(PoolKind, [usize; 3])>,
    /// A batch norm stands after the activation.
    pub norm_after: bool,
}

/// The parts of a block, in the order in which data run through them.
pub(super) struct Parts {
    /// Operations on the input; one or two blocks, because ours norm before they flatten.
    pub operations: Vec<BlockPlan>,
    /// Layer, activation, norm after it, pool.
    pub rest: BlockPlan,
}

impl Settings<'_> {
    /// Plans named `name`, and `name-in` where a norm stands behind a flatten.
    pub fn parts(&self, name: &str) -> Result<Parts> {
        let has = |word: &str| self.operation.contains(word);
        let (flatten, norm_1d) = (has("flatten"), has("batchnorm1d"));
        let norm = has("batchnorm2d").then(|| batch_norm(false));
        let mut first = BlockPlan {
            norm,
            flatten,
            ..block(name)
        };
        let mut operations = Vec::new();
        if norm_1d && flatten {
            first.name = format!("{name}-in");
            operations.push(std::mem::replace(&mut first, block(name)));
        }
        if norm_1d {
            first.norm = Some(batch_norm(false));
        }
        first.divide_by_max = has("max");
        first.unit_length = has("normnorm");
        operations.push(first);
        let rest = BlockPlan {
            layer: Some(layer(self.layer, self.conv)?),
            activation: self
                .activation
                .as_ref()
                .map(|(n, p)| activation(n, *p))
                .transpose()?,
            norm_after: self.norm_after.then(|| batch_norm(false)),
            pool: self.pool.map(|(kind, [kernel, stride, padding])| PoolPlan {
                kind,
                kernel: [kernel; 2],
                stride: [stride; 2],
                padding: [padding; 2],
                count_include_pad: true,
            }),
            ..block(name)
        };
        Ok(Parts { operations, rest })
    }
}

impl Parts {
    /// All parts in as few blocks as there can be.
    pub fn whole(mut self) -> Vec<BlockPlan> {
        let last = self.operations.pop().expect("there is an operations block");
        self.operations.push(BlockPlan {
            norm: last.norm,
            flatten: last.flatten,
            divide_by_max: last.divide_by_max,
            unit_length: last.unit_length,
            ..self.rest
        });
        self.operations
    }
}

/// `name` or `name_parameter`, as block settings have it.
pub(super) fn split_activation(text: &str) -> Result<(String, f64)> {
    Ok(match text.split_once('_') {
        Some((name, parameter)) => (name.into(), parameter.parse()?),
        None => (text.into(), 1.0),
    })
}

/// An activation by the reference's name.
pub(super) fn activation(name: &str, parameter: f64) -> Result<ActivationPlan> {
    Ok(match name {
        "triangle" => ActivationPlan::Triangle { power: parameter },
        "relu" => ActivationPlan::Relu,
        "repu" => ActivationPlan::Repu { power: parameter },
        "softmax" => ActivationPlan::Softmax { gain: parameter },
        "exp" => ActivationPlan::Exp { gain: parameter },
        "tanh" => ActivationPlan::Tanh { gain: parameter },
        // The reference ignores the parameter.
        "sigmoid" => ActivationPlan::Sigmoid { gain: 10.0 },
        other => return Err(format!("no activation `{other}`").into()),
    })
}

/// `type_kernel_stride_padding`.
pub(super) fn pool(text: &str) -> Result<(PoolKind, [usize; 3])> {
    let parts: Vec<&str> = text.split('_').collect();
    let [kind, kernel, stride, padding] = parts[..] else {
        return Err(format!("no pooling `{text}`").into());
    };
    Ok((
        pool_kind(kind)?,
        [kernel.parse()?, stride.parse()?, padding.parse()?],
    ))
}

/// `max` or `avg`.
pub(super) fn pool_kind(text: &str) -> Result<PoolKind> {
    match text {
        "max" => Ok(PoolKind::Max),
        "avg" => Ok(PoolKind::Avg),
        other => Err(format!("no pooling `{other}`").into()),
    }
}

/// A layer string as a plan, with the reference's defaults of the layer kind.
fn layer(text: &str, conv: bool) -> Result<LayerPlan> {
    let mut parts = text.split('-');
    let rule = parts.next().unwrap_or_default();
    let mut tokens = BTreeMap::new();
    for part in parts {
        let end = part
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(part.len());
        tokens.insert(&part[..end], part[end..].parse::<f64>()?);
    }
    let or = |token: &str, default: f64| tokens.get(token).copied().unwrap_or(default);
    let count = |token: &str, default: f64| or(token, default) as usize;
    let map = if conv {
        MapPlan::Conv {
            kernel: [count("k", 1.0); 2],
            stride: [count("s", 1.0); 2],
            padding: [count("p", 0.0); 4],
            dilation: [count("d", 1.0); 2],
            groups: count("g", 1.0),
            padding_mode: PadMode::Reflect,
        }
    } else {
        MapPlan::Dense
    };
    let out = count("c", 0.0);
    if rule == "BP" {
        // Dense ones always have a bias, convolutions only where asked for.
        let bias = !conv || or("b", 0.0) != 0.0;
        return Ok(LayerPlan {
            map,
            out,
            bias,
            rule: "backprop".into(),
            params: BTreeMap::new(),
        });
    }
    let kind = |for_conv: f64, for_dense: f64| if conv { for_conv } else { for_dense };
    let mut params: BTreeMap<String, ParamValue> = [
        ("lr", or("lr", kind(0.009, 0.05))),
        ("power_lr", or("lp", kind(0.75, 0.2))),
        ("t_invert", or("t", kind(96.0, 10.0))),
        ("delta", or("a", kind(2.0, 0.1))),
        ("radius", or("r", kind(25.0, 10.0))),
        ("speed", kind(7.0, 0.4)),
        ("lr_div", kind(96.0, 100.0)),
        ("lebesgue_p", or("lb", 2.0)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_string(), ParamValue::Float(value)))
    .collect();
    let rate = if or("v", 1.0) == 0.0 {
        "linear"
    } else {
        "adaptive"
    };
    params.insert("rate".into(), ParamValue::Text(rate.into()));
    params.insert(
        "competition".into(),
        ParamValue::Text(competition(rule)?.into()),
    );
    params.insert("pre_triangle".into(), ParamValue::Bool(or("e", 0.0) != 0.0));
    Ok(LayerPlan {
        map,
        out,
        bias: or("b", 0.0) != 0.0,
        rule: "softhebb".into(),
        params,
    })
}
