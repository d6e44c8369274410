//! The layer a rule is bound to, and its three maps.
//!
//! | map | dense | convolution |
//! | --- | --- | --- |
//! | `forward(x, W)` | `x Wᵀ` | the convolution |
//! | `feedback(g, B)` | `g B` | its gradient with respect to the input, with any weight `B` |
//! | `correlate(x, g)` | `gᵀ x` | its gradient with respect to the weight |
//!
//! A rule written with these three works on dense, grouped, depthwise, strided,
//! dilated and padded layers alike.

use crate::abi::callbacks;
use crate::abi::host::{lift, op};
use crate::abi::types::{Code, RawLayer, layer};
use crate::sdk::compete::Competition;
use crate::sdk::competed::Competed;
use crate::sdk::tensor::own;
use crate::sdk::{Result, RuleError, Tensor};

/// Kinds of synaptic map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// `y = x Wᵀ`.
    Dense,
    /// Two-dimensional convolution.
    Conv,
}

/// How pixels outside the image are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadMode {
    /// Zeros.
    Zeros,
    /// Mirror without the edge.
    Reflect,
    /// The edge repeated.
    Replicate,
    /// Wrapped around.
    Circular,
}

/// Shape and place of a layer.
#[derive(Debug)]
pub struct LayerSpec {
    raw: RawLayer,
    /// Dense or convolution.
    pub kind: LayerKind,
    /// Padding mode of a convolution.
    pub pad_mode: PadMode,
}

impl LayerSpec {
    /// From a description; used by the host's tests and the testkit.
    ///
    /// # Errors
    /// A number that stands for no kind, mode or element type.
    pub fn new(raw: RawLayer) -> Result<Self> {
        let kind = match raw.kind {
            layer::DENSE => LayerKind::Dense,
            layer::CONV => LayerKind::Conv,
            Code(n) => return Err(RuleError::unsupported(format!("layer kind number {n}"))),
        };
        let pad_mode = match raw.pad_mode {
            layer::PAD_ZEROS => PadMode::Zeros,
            layer::PAD_REFLECT => PadMode::Reflect,
            layer::PAD_REPLICATE => PadMode::Replicate,
            layer::PAD_CIRCULAR => PadMode::Circular,
            Code(n) => return Err(RuleError::unsupported(format!("padding mode number {n}"))),
        };
        Ok(Self {
            raw,
            kind,
            pad_mode,
        })
    }

    // Facts.

    /// Name in the plan.
    pub fn name(&self) -> &str {
        self.raw.name.as_str()
    }
    /// Position among the rule layers; the first is 0.
    pub fn index(&self) -> u64 {
        self.raw.index
    }
    /// Input shape without the batch: `[D]` or `[C, H, W]`.
    pub fn input_shape(&self) -> &[usize] {
        &self.raw.input
    }
    /// Output shape without the batch: `[K]` or `[K, P, Q]`.
    pub fn output_shape(&self) -> &[usize] {
        &self.raw.output
    }
    /// Input channels or values, `C` or `D`.
    pub fn inputs(&self) -> usize {
        match self.kind {
            LayerKind::Dense => *self.raw.input.last().unwrap_or(&0),
            LayerKind::Conv => self.raw.input[0],
        }
    }
    /// Output units or channels, `K`.
    pub fn units(&self) -> usize {
        match self.kind {
            LayerKind::Dense => *self.raw.output.last().unwrap_or(&0),
            LayerKind::Conv => self.raw.output[0],
        }
    }
    /// Output positions of one sample: `P·Q`, or 1.
    pub fn positions(&self) -> usize {
        match self.kind {
            LayerKind::Dense => 1,
            LayerKind::Conv => self.raw.output[1..].iter().product(),
        }
    }
    /// Channel groups; 1 for dense layers.
    pub fn groups(&self) -> usize {
        self.raw.groups
    }
    /// Kernel rows and columns; 1 for dense layers.
    pub fn kernel(&self) -> [usize; 2] {
        self.raw.kernel
    }
    /// Stride.
    pub fn stride(&self) -> [usize; 2] {
        self.raw.stride
    }
    /// Padding: top, bottom, left, right.
    pub fn padding(&self) -> [usize; 4] {
        self.raw.padding
    }
    /// Dilation.
    pub fn dilation(&self) -> [usize; 2] {
        self.raw.dilation
    }
    /// Inputs of one unit: `D = C/groups·R·S`, or the width of a dense layer.
    pub fn fan_in(&self) -> usize {
        self.inputs() / self.groups() * self.kernel().iter().product::<usize>()
    }
    /// Targets of one input: `K/groups·R·S`.
    pub fn fan_out(&self) -> usize {
        self.units() / self.groups() * self.kernel().iter().product::<usize>()
    }
    /// `[K, D]`, or `[K, C/groups, R, S]`.
    pub fn weight_shape(&self) -> Vec<usize> {
        self.weight_shape_for(self.units())
    }
    /// The shape of a weight with `units` outputs in place of `K`.
    pub fn weight_shape_for(&self, units: usize) -> Vec<usize> {
        let per_group = self.inputs() / self.groups();
        match self.kind {
            LayerKind::Dense => vec![units, per_group],
            LayerKind::Conv => vec![units, per_group, self.kernel()[0], self.kernel()[1]],
        }
    }
    /// Whether the plan asks for a bias.
    pub fn has_bias(&self) -> bool {
        self.raw.bias
    }
    /// Classes, or target values, at the network's output.
    pub fn classes(&self) -> usize {
        self.raw.classes
    }
    /// Whether no layer learns below.
    pub fn is_first(&self) -> bool {
        self.raw.first
    }
    /// Whether the output is the network's.
    pub fn is_last(&self) -> bool {
        self.raw.last
    }
    /// Whether a normalisation stands between the layer and its input.
    pub fn is_normalised(&self) -> bool {
        self.raw.normalised
    }

    // The three maps.

    /// `x Wᵀ`, or the convolution; `x: [B, C, H, W]` or `[B, …, D]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, x: &Tensor, w: &Tensor) -> Result<Tensor> {
        own((op!(map_forward))(&raw const self.raw, x.raw(), w.raw()))
    }
    /// `g B`, or the convolution's gradient with respect to its input, with any weight `b` of
    /// the weight's shape; shaped as the input.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn feedback(&self, g: &Tensor, b: &Tensor) -> Result<Tensor> {
        own((op!(map_feedback))(&raw const self.raw, g.raw(), b.raw()))
    }
    /// `gᵀ x`, or the convolution's gradient with respect to its weight.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn correlate(&self, x: &Tensor, g: &Tensor) -> Result<Tensor> {
        own((op!(map_correlate))(&raw const self.raw, x.raw(), g.raw()))
    }
    /// All windows of `x` under the kernel: `[B, P·Q, groups·D]`, groups one after the other; dense: `[B, 1, D]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn patches(&self, x: &Tensor) -> Result<Tensor> {
        own((op!(map_patches))(&raw const self.raw, x.raw()))
    }
    /// The competitive step in one pass: pre-activations `u = forward(x, w) + bias`, the
    /// competition on each tile while it is in cache, and the sums that learning needs.
    ///
    /// # Errors
    /// Unsupported (see [`RuleError::is_unsupported`]) on devices other than the CPU: take
    /// the plain-op path there.
    pub fn compete<C: Competition>(
        &self,
        x: &Tensor,
        w: &Tensor,
        bias: Option<&Tensor>,
        pre_triangle: bool,
        competition: &C,
    ) -> Result<Competed> {
        let (context, entry) = callbacks::competition(competition);
        let bias = bias.map_or(crate::abi::types::RawTensor::NULL, Tensor::raw);
        let raw = lift((op!(map_compete))(
            &raw const self.raw,
            x.raw(),
            w.raw(),
            bias,
            pre_triangle,
            context,
            entry,
        ))?;
        Ok(Competed {
            u: Tensor::own(raw.u),
            correlation: Tensor::own(raw.correlation),
            yu: Tensor::own(raw.yu),
            y_sum: Tensor::own(raw.y_sum),
        })
    }
}

impl std::fmt::Debug for RawLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} -> {:?}", self.name, self.input, self.output)
    }
}
