//! The steps of a block: its layer and rule, normalisation, activation and pooling.

use std::collections::BTreeMap;

pub use biorule_kernels::PadMode;
use biorule_kernels::{Conv, Pool};
use serde::{Deserialize, Serialize};

use super::define::{kinds, settings, words};

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
