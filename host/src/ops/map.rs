//! The synaptic map of a layer and its three uses (docs/architecture.md):
//! forward, feedback through any weight, and correlate.

use candle_core::Tensor;

use super::{Conv, conv, dense};
use crate::plan::MapPlan;
use crate::{Error, Result};

/// Dense or convolution, with every size known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerMap {
    /// `[B, inputs]` to `[B, outputs]`.
    Dense {
        /// D.
        inputs: usize,
        /// K.
        outputs: usize,
    },
    /// `[B, C, H, W]` to `[B, K, P, Q]`.
    Conv {
        /// Kernel, stride, padding, dilation, groups.
        geometry: Conv,
        /// `[H, W]`.
        input: [usize; 2],
        /// `[P, Q]`.
        output: [usize; 2],
    },
}

impl LayerMap {
    /// The map that `plan` describes, with `out` units, on an input of `dims`
    /// (`[D]` or `[C, H, W]`).
    ///
    /// # Errors
    /// Sizes that do not fit, as usage errors.
    pub fn new(plan: &MapPlan, out: usize, dims: &[usize]) -> Result<Self> {
        match (
            plan.convolution(dims.first().copied().unwrap_or(0), out),
            dims,
        ) {
            (None, [inputs]) => Ok(Self::Dense {
                inputs: *inputs,
                outputs: out,
            }),
            (None, other) => Err(Error::usage(format!(
                "a dense layer cannot take an input of shape {other:?}"
            ))
            .hint("set `flatten = true` in this block")),
            (Some(geometry), [_, h, w]) => {
                let (p, q) = geometry.out_size(*h, *w)?;
                Ok(Self::Conv {
                    geometry,
                    input: [*h, *w],
                    output: [p, q],
                })
            }
            (Some(_), other) => Err(Error::usage(format!(
                "a convolution cannot take an input of shape {other:?}"
            ))
            .hint("it needs channels, rows and columns; is there a flatten before it?")),
        }
    }

    /// Output units or channels K.
    pub fn units(&self) -> usize {
        match self {
            Self::Dense { outputs, .. } => *outputs,
            Self::Conv { geometry, .. } => geometry.out,
        }
    }

    /// Inputs D of one unit.
    pub fn fan_in(&self) -> usize {
        match self {
            Self::Dense { inputs, .. } => *inputs,
            Self::Conv { geometry, .. } => geometry.weight_dims()[1..].iter().product(),
        }
    }

    /// Shape of the weight.
    pub fn weight_dims(&self) -> Vec<usize> {
        match self {
            Self::Dense { inputs, outputs } => vec![*outputs, *inputs],
            Self::Conv { geometry, .. } => geometry.weight_dims().to_vec(),
        }
    }

    /// Shape of the input without the batch.
    pub fn input_dims(&self) -> Vec<usize> {
        match self {
            Self::Dense { inputs, .. } => vec![*inputs],
            Self::Conv {
                geometry, input, ..
            } => vec![geometry.channels, input[0], input[1]],
        }
    }

    /// Groups of units that do not see each other's inputs.
    pub fn groups(&self) -> usize {
        match self {
            Self::Dense { .. } => 1,
            Self::Conv { geometry, .. } => geometry.groups,
        }
    }

    /// Shape of the output without the batch.
    pub fn output_dims(&self) -> Vec<usize> {
        match self {
            Self::Dense { outputs, .. } => vec![*outputs],
            Self::Conv {
                geometry, output, ..
            } => vec![geometry.out, output[0], output[1]],
        }
    }

    /// `forward(x, W)`.
    pub fn forward(&self, x: &Tensor, w: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense { .. } => dense::dense_forward(x, w),
            Self::Conv { geometry, .. } => conv::conv_forward(geometry, x, w),
        }
    }

    /// `feedback(g, B)`: error at the input, through any weight.
    pub fn feedback(&self, grad: &Tensor, b: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense { .. } => dense::dense_input_grad(grad, b),
            Self::Conv {
                geometry, input, ..
            } => conv::conv_input_grad(geometry, grad, b, *input),
        }
    }

    /// `correlate(x, g)`: gradient of the weight, and the Hebbian product.
    pub fn correlate(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense { .. } => dense::dense_weight_grad(x, grad),
            Self::Conv { geometry, .. } => conv::conv_weight_grad(geometry, x, grad),
        }
    }
}
