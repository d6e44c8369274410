//! Where a layer stands and how large it is.

use crate::abi::types::{Code, RawLayer, layer};
use crate::sdk::{LayerSpec, PadMode, Result, RuleError};

/// A layer to put a rule on. Dense and convolution have constructors; the rest is set by
/// methods, or by the fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Input without the batch: `[D]`, or `[C, H, W]`.
    pub input: Vec<usize>,
    /// Units.
    pub units: usize,
    /// Geometry of a convolution; `None` for a dense layer.
    pub conv: Option<ConvSite>,
    /// Whether the plan asks for a bias.
    pub bias: bool,
    /// Width of the network's output.
    pub classes: usize,
    /// Position among the rule layers.
    pub index: usize,
    /// Whether no layer learns below.
    pub first: bool,
    /// Whether the output is the network's.
    pub last: bool,
    /// Whether a normalisation stands in front.
    pub normalised: bool,
}

/// Geometry of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSite {
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// Padding: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Dilation.
    pub dilation: [usize; 2],
    /// Channel groups.
    pub groups: usize,
    /// What the padding holds.
    pub pad_mode: PadMode,
}

impl Site {
    /// A dense layer without bias, in the middle of a network with three outputs.
    #[must_use]
    pub fn dense(inputs: usize, units: usize) -> Self {
        Self {
            input: vec![inputs],
            units,
            conv: None,
            bias: false,
            classes: 3,
            index: 1,
            first: false,
            last: false,
            normalised: false,
        }
    }
    /// A convolution with a square kernel, stride 1, no padding, one group, no bias.
    #[must_use]
    pub fn conv(input: [usize; 3], units: usize, kernel: usize) -> Self {
        let conv = ConvSite {
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [0; 4],
            dilation: [1; 2],
            groups: 1,
            pad_mode: PadMode::Zeros,
        };
        Self {
            input: input.to_vec(),
            conv: Some(conv),
            ..Self::dense(0, units)
        }
    }
    /// With a bias.
    #[must_use]
    pub fn with_bias(mut self) -> Self {
        self.bias = true;
        self
    }
    /// The same convolution with other geometry; a dense layer stays as it is.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut ConvSite)) -> Self {
        if let Some(conv) = &mut self.conv {
            change(conv);
        }
        self
    }

    /// Output without the batch: `[K]`, or `[K, P, Q]`.
    ///
    /// # Errors
    /// A kernel larger than the padded image.
    pub fn output(&self) -> Result<Vec<usize>> {
        let Some(conv) = self.conv else {
            return Ok(vec![self.units]);
        };
        let mut output = vec![self.units];
        for axis in 0..2 {
            let padding = conv.padding[2 * axis] + conv.padding[2 * axis + 1];
            let reach = conv.dilation[axis] * (conv.kernel[axis] - 1) + 1;
            let free = (self.input[axis + 1] + padding).checked_sub(reach);
            let free = free.ok_or_else(|| RuleError::shape("the kernel exceeds the image"))?;
            output.push(free / conv.stride[axis] + 1);
        }
        Ok(output)
    }
    /// As the boundary describes it.
    pub(super) fn layer(&self) -> Result<LayerSpec> {
        let dense = ConvSite {
            kernel: [1; 2],
            stride: [1; 2],
            padding: [0; 4],
            dilation: [1; 2],
            groups: 1,
            pad_mode: PadMode::Zeros,
        };
        let (conv, kind): (_, Code) = match self.conv {
            Some(conv) => (conv, layer::CONV),
            None => (dense, layer::DENSE),
        };
        LayerSpec::new(RawLayer {
            size: size_of::<RawLayer>(),
            index: self.index as u64,
            name: format!("layer{}", self.index).into(),
            kind,
            input: self.input.iter().copied().collect(),
            output: self.output()?.into_iter().collect(),
            kernel: conv.kernel,
            stride: conv.stride,
            padding: conv.padding,
            dilation: conv.dilation,
            groups: conv.groups,
            pad_mode: match conv.pad_mode {
                PadMode::Zeros => layer::PAD_ZEROS,
                PadMode::Reflect => layer::PAD_REFLECT,
                PadMode::Replicate => layer::PAD_REPLICATE,
                PadMode::Circular => layer::PAD_CIRCULAR,
            },
            bias: self.bias,
            classes: self.classes,
            first: self.first,
            last: self.last,
            normalised: self.normalised,
        })
    }
}
