//! Shapes of windows: convolution geometry with every option of the layers,
//! and pooling windows. Sizes are checked once, when a network is built.

use crate::plan::shapes::MOST_POOLED;
use crate::{Error, Result};

/// How the border of a convolution's input is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadMode {
    /// Zeros.
    Zeros,
    /// Mirror without the edge pixel.
    Reflect,
    /// The edge pixel.
    Replicate,
    /// Around the torus.
    Circular,
}

impl PadMode {
    /// From its name in a plan.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "zeros" => Ok(Self::Zeros),
            "reflect" => Ok(Self::Reflect),
            "replicate" => Ok(Self::Replicate),
            "circular" => Ok(Self::Circular),
            other => Err(Error::usage(format!("unknown padding mode `{other}`"))
                .hint("one of `zeros`, `reflect`, `replicate`, `circular`")),
        }
    }

    /// Index in `0..n` that position `i` of the padded axis reads (`i` counts
    /// from the first real element and may be negative), or `None` for zero.
    pub fn source(self, i: isize, n: usize) -> Option<usize> {
        let n = n as isize;
        if (0..n).contains(&i) {
            return Some(i as usize);
        }
        match self {
            Self::Zeros => None,
            Self::Reflect if n > 1 => {
                let m = i.rem_euclid(2 * (n - 1));
                Some(m.min(2 * (n - 1) - m) as usize)
            }
            Self::Reflect => Some(0),
            Self::Replicate => Some(i.clamp(0, n - 1) as usize),
            Self::Circular => Some(i.rem_euclid(n) as usize),
        }
    }
}

/// Geometry of a two-dimensional convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Input channels C.
    pub in_channels: usize,
    /// Output channels K.
    pub out_channels: usize,
    /// `[R, S]`.
    pub kernel: [usize; 2],
    /// `[rows, columns]`.
    pub stride: [usize; 2],
    /// `[top, bottom, left, right]`.
    pub padding: [usize; 4],
    /// `[rows, columns]`.
    pub dilation: [usize; 2],
    /// Channel groups.
    pub groups: usize,
    /// How the border is filled.
    pub mode: PadMode,
}

impl ConvGeometry {
    /// Size `[P, Q]` of the output for an input of `[H, W]`.
    ///
    /// # Errors
    /// A usage error where the window does not fit, a stride or dilation is 0,
    /// or groups do not divide the channels.
    pub fn output(&self, input: [usize; 2]) -> Result<[usize; 2]> {
        let [t, b, l, r] = self.padding;
        if self.groups == 0
            || !self.in_channels.is_multiple_of(self.groups)
            || !self.out_channels.is_multiple_of(self.groups)
        {
            return Err(Error::usage(format!(
                "{} groups do not divide {} input and {} output channels",
                self.groups, self.in_channels, self.out_channels
            )));
        }
        if self.mode == PadMode::Reflect
            && (t.max(b) >= input[0].max(1) || l.max(r) >= input[1].max(1))
        {
            return Err(Error::usage(format!(
                "reflect padding {:?} is not smaller than the input {input:?}",
                self.padding
            )));
        }
        let mut out = [0; 2];
        for (axis, pad) in [(0, t.saturating_add(b)), (1, l.saturating_add(r))] {
            let taps = self.kernel[axis].max(1) - 1;
            let span = self.dilation[axis].saturating_mul(taps).saturating_add(1);
            let size = input[axis].saturating_add(pad);
            if self.stride[axis] == 0 || self.dilation[axis] == 0 || self.kernel[axis] == 0 {
                return Err(Error::usage(
                    "kernel, stride and dilation must be at least 1",
                ));
            }
            if span > size {
                return Err(Error::usage(format!(
                    "a kernel that spans {span} does not fit an input of {size} with padding"
                )));
            }
            out[axis] = (size - span) / self.stride[axis] + 1;
        }
        Ok(out)
    }

    /// Shape `[K, C/groups, R, S]` of the weight.
    pub fn weight_dims(&self) -> [usize; 4] {
        [
            self.out_channels,
            self.in_channels / self.groups,
            self.kernel[0],
            self.kernel[1],
        ]
    }

    /// The same convolution on input that already carries its border.
    pub fn without_padding(&self) -> Self {
        Self {
            padding: [0; 4],
            mode: PadMode::Zeros,
            ..self.clone()
        }
    }
}

/// A pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `[rows, columns]`.
    pub kernel: [usize; 2],
    /// `[rows, columns]`.
    pub stride: [usize; 2],
    /// `[rows, columns]`, on both sides.
    pub padding: [usize; 2],
}

impl Window {
    /// Size of the output for an input of `[H, W]`: `floor((n + 2p − k)/s) + 1`.
    pub fn output(&self, input: [usize; 2]) -> Result<[usize; 2]> {
        let mut out = [0; 2];
        for axis in 0..2 {
            let size = input[axis].saturating_add(self.padding[axis].saturating_mul(2));
            if self.kernel[axis] == 0 || self.stride[axis] == 0 || self.kernel[axis] > size {
                return Err(Error::usage(format!(
                    "a pooling window of {} (stride {}) does not fit an input of {size} with padding",
                    self.kernel[axis], self.stride[axis]
                )));
            }
            if self.padding[axis] > self.kernel[axis] / 2 {
                return Err(Error::usage(
                    "pooling padding must be at most half the window",
                ));
            }
            out[axis] = (size - self.kernel[axis]) / self.stride[axis] + 1;
        }
        let area = self.kernel[0].saturating_mul(self.kernel[1]);
        if area > MOST_POOLED {
            return Err(Error::usage(format!(
                "a pooling window of {area} pixels, at most {MOST_POOLED} can be pooled"
            )));
        }
        Ok(out)
    }
}
