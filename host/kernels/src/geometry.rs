//! Shapes of convolutions and poolings, and every check that belongs to them.
//!
//! A [`Conv`] is a convolution without its data: channels, kernel, stride, dilation, padding, groups.
//! [`Conv::out_size`] is the one place that decides whether it fits an input.

use std::fmt;
use std::str::FromStr;

/// How pixels outside the image are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum PadMode {
    /// Zeros.
    #[default]
    Zeros,
    /// Mirrored without repeating the edge pixel; the padding must be smaller than the image.
    Reflect,
    /// The edge pixel repeated.
    Replicate,
    /// The opposite side; the padding must not exceed the image.
    Circular,
}

impl PadMode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Zeros, Self::Reflect, Self::Replicate, Self::Circular];

    /// Its name, that of PyTorch's `padding_mode`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zeros => "zeros",
            Self::Reflect => "reflect",
            Self::Replicate => "replicate",
            Self::Circular => "circular",
        }
    }

    /// Most pixels that can be added on a side of an axis of `n`: what is copied must be there.
    #[must_use]
    pub fn most(self, n: usize) -> usize {
        match self {
            Self::Zeros | Self::Replicate => usize::MAX,
            Self::Reflect => n.saturating_sub(1),
            Self::Circular => n,
        }
    }

    /// The pixel of an axis of `n` pixels that stands at position `i` (which may lie outside), or
    /// `None` where the padding is zero.
    #[inline]
    pub fn source(self, i: isize, n: usize) -> Option<usize> {
        let last = n as isize - 1;
        if (0..=last).contains(&i) {
            return Some(i as usize);
        }
        let inside = match self {
            PadMode::Zeros => return None,
            PadMode::Reflect if i < 0 => -i,
            PadMode::Reflect => 2 * last - i,
            PadMode::Replicate => i.clamp(0, last),
            PadMode::Circular => i.rem_euclid(n as isize),
        };
        Some(inside as usize)
    }
}

impl fmt::Display for PadMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PadMode {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|m| m.name() == name).ok_or(())
    }
}

/// Why a shape is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeError {
    /// A kernel, stride, dilation, number of channels or groups, or the input has a size of 0.
    Zero,
    /// Channels that cannot be cut into equal groups.
    Groups {
        /// Input channels.
        channels: usize,
        /// Output channels.
        out: usize,
        /// Groups.
        groups: usize,
    },
    /// More padding than there are pixels to copy.
    Border {
        /// How it is filled.
        mode: PadMode,
        /// Pixels added on a side.
        padding: usize,
        /// Most that can be.
        most: usize,
    },
    /// A window larger than the padded input.
    Window {
        /// 0 for rows, 1 for columns.
        axis: usize,
        /// Pixels from its first to its last.
        window: usize,
        /// Pixels of the padded input.
        padded: usize,
    },
    /// Padding of a pooling that could leave a window without a pixel.
    HalfWindow {
        /// Pixels added on a side.
        padding: usize,
        /// Pixels of the window.
        window: usize,
    },
    /// A pooling window with more pixels than [`Pool::MOST_PIXELS`].
    Area(usize),
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str(
                "kernel, stride, dilation, groups, channels and input must be at least 1",
            ),
            Self::Groups {
                channels,
                out,
                groups,
            } => write!(
                f,
                "{groups} groups do not divide {channels} input and {out} output channels"
            ),
            Self::Border {
                mode,
                padding,
                most,
            } => write!(
                f,
                "{mode} padding of {padding} does not fit the input, at most {most} does"
            ),
            Self::Window {
                axis,
                window,
                padded,
            } => write!(
                f,
                "a window of {window} pixels does not fit an input of {padded} with padding along axis {axis}"
            ),
            Self::HalfWindow { padding, window } => write!(
                f,
                "padding {padding} is more than half the pooling window of {window}"
            ),
            Self::Area(pixels) => write!(
                f,
                "a pooling window of {pixels} pixels, at most {} can be pooled",
                Pool::MOST_PIXELS
            ),
        }
    }
}

impl std::error::Error for ShapeError {}

/// Places of a window of `window` pixels in steps of `stride` along an axis of `padded` pixels.
fn places(axis: usize, padded: usize, window: usize, stride: usize) -> Result<usize, ShapeError> {
    match padded.checked_sub(window) {
        Some(rest) => Ok(rest / stride + 1),
        None => Err(ShapeError::Window {
            axis,
            window,
            padded,
        }),
    }
}

/// The geometry of a two-dimensional convolution (cross-correlation, as in PyTorch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// C, input channels.
    pub channels: usize,
    /// K, output channels.
    pub out: usize,
    /// R and S, rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Step of the window, per axis.
    pub stride: [usize; 2],
    /// Distance between kernel taps, per axis.
    pub dilation: [usize; 2],
    /// Top, bottom, left, right.
    pub padding: [usize; 4],
    /// What the padding holds.
    pub pad_mode: PadMode,
    /// Number of equal slices of channels that do not see each other.
    pub groups: usize,
}

impl Conv {
    /// Whether there is a border, and it is copied from the image: its gradient then goes back there.
    pub(crate) fn copies_border(&self) -> bool {
        self.pad_mode != PadMode::Zeros && self.padding != [0; 4]
    }

    /// A dense kernel of `size` x `size`, stride 1, no padding.
    pub fn square(channels: usize, out: usize, size: usize) -> Self {
        Self {
            channels,
            out,
            kernel: [size; 2],
            stride: [1; 2],
            dilation: [1; 2],
            padding: [0; 4],
            pad_mode: PadMode::Zeros,
            groups: 1,
        }
    }

    /// A dense layer of `inputs` -> `outputs` as a 1x1 convolution on 1x1 images.
    pub fn dense(inputs: usize, outputs: usize) -> Self {
        Self::square(inputs, outputs, 1)
    }

    /// The same with `padding` pixels of `mode` on all four sides.
    pub fn padded(mut self, padding: usize, mode: PadMode) -> Self {
        self.padding = [padding; 4];
        self.pad_mode = mode;
        self
    }

    /// Input channels of one group, C / groups.
    #[inline]
    pub fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    /// Output channels of one group, K / groups.
    #[inline]
    pub fn group_out(&self) -> usize {
        self.out / self.groups
    }

    /// D, the weights of one output channel: C / groups * R * S.
    #[inline]
    pub fn fan_in(&self) -> usize {
        self.group_channels() * self.kernel[0] * self.kernel[1]
    }

    /// Shape `[K, C/groups, R, S]` of the weight.
    #[inline]
    pub fn weight_dims(&self) -> [usize; 4] {
        let [r, s] = self.kernel;
        [self.out, self.group_channels(), r, s]
    }

    /// The same convolution of an input that already has its border.
    #[must_use]
    pub fn without_padding(self) -> Self {
        Self {
            padding: [0; 4],
            pad_mode: PadMode::Zeros,
            ..self
        }
    }

    /// Elements of the weight `[K, C/groups, R, S]`.
    #[inline]
    pub fn weight_len(&self) -> usize {
        self.out * self.fan_in()
    }

    /// Whether every input channel is a group of its own.
    #[inline]
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.channels && self.groups > 1
    }

    /// Height and width of the padded input.
    #[inline]
    pub fn padded_size(&self, h: usize, w: usize) -> (usize, usize) {
        let [top, bottom, left, right] = self.padding;
        (
            h.saturating_add(top).saturating_add(bottom),
            w.saturating_add(left).saturating_add(right),
        )
    }

    /// Rows and columns of the output for an `h` x `w` input.
    ///
    /// # Errors
    /// Any geometry that no input of this size can have: zero sizes, channels not divisible by the
    /// groups, a window larger than the padded input, padding that copies pixels which are not there.
    pub fn out_size(&self, h: usize, w: usize) -> Result<(usize, usize), ShapeError> {
        self.check_channels()?;
        self.check_padding(h, w)?;
        let (hp, wp) = self.padded_size(h, w);
        let along = |axis: usize, padded| {
            let taps = self.kernel[axis] - 1;
            let window = self.dilation[axis].saturating_mul(taps).saturating_add(1);
            places(axis, padded, window, self.stride[axis])
        };
        Ok((along(0, hp)?, along(1, wp)?))
    }

    fn check_channels(&self) -> Result<(), ShapeError> {
        let Self {
            channels,
            out,
            groups,
            ..
        } = *self;
        let windows = [self.kernel, self.stride, self.dilation].concat();
        if [channels, out, groups].contains(&0) || windows.contains(&0) {
            return Err(ShapeError::Zero);
        }
        match channels.is_multiple_of(groups) && out.is_multiple_of(groups) {
            true => Ok(()),
            false => Err(ShapeError::Groups {
                channels,
                out,
                groups,
            }),
        }
    }

    fn check_padding(&self, h: usize, w: usize) -> Result<(), ShapeError> {
        let (mode, [top, bottom, left, right]) = (self.pad_mode, self.padding);
        for (padding, size) in [(top.max(bottom), h), (left.max(right), w)] {
            let most = mode.most(size);
            if size == 0 {
                return Err(ShapeError::Zero);
            }
            if padding > most {
                return Err(ShapeError::Border {
                    mode,
                    padding,
                    most,
                });
            }
        }
        Ok(())
    }

    /// [`Conv::out_size`] for kernels, whose callers have checked the shape.
    #[track_caller]
    pub(crate) fn expect_out(&self, h: usize, w: usize) -> (usize, usize) {
        match self.out_size(h, w) {
            Ok(size) => size,
            Err(error) => panic!("impossible convolution: {error}"),
        }
    }
}

/// The geometry of a pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Step of the window, per axis.
    pub stride: [usize; 2],
    /// Rows and columns added on both sides.
    pub padding: [usize; 2],
}

impl Pool {
    /// Pixels of a window at most: places inside of one are kept in 16 bits.
    pub const MOST_PIXELS: usize = u16::MAX as usize;

    /// A square window, as in `max_4_2_1`.
    pub fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
        }
    }

    /// Rows and columns of the output, `floor((n + 2p - k) / s) + 1`.
    ///
    /// # Errors
    /// Zero sizes, a padding of more than half the window (as in PyTorch: a window could hold no
    /// pixel), a window larger than the padded input, or one of more than
    /// [`Pool::MOST_PIXELS`].
    pub fn out_size(&self, h: usize, w: usize) -> Result<(usize, usize), ShapeError> {
        let along = |axis: usize, size: usize| {
            let (window, stride) = (self.kernel[axis], self.stride[axis]);
            let padding = self.padding[axis];
            if window == 0 || stride == 0 || size == 0 {
                return Err(ShapeError::Zero);
            }
            if padding > window / 2 {
                return Err(ShapeError::HalfWindow { padding, window });
            }
            let padded = size.saturating_add(padding.saturating_mul(2));
            places(axis, padded, window, stride)
        };
        let out = (along(0, h)?, along(1, w)?);
        match self.kernel[0].saturating_mul(self.kernel[1]) {
            pixels if pixels > Self::MOST_PIXELS => Err(ShapeError::Area(pixels)),
            _ => Ok(out),
        }
    }

    /// [`Pool::out_size`] for kernels, whose callers have checked the shape.
    #[track_caller]
    pub(crate) fn expect_out(&self, h: usize, w: usize) -> (usize, usize) {
        match self.out_size(h, w) {
            Ok(size) => size,
            Err(error) => panic!("impossible pooling: {error}"),
        }
    }
}

/// `[B, C, HW]`: what normalisation and activations see (`hw` = 1 for dense features).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Planes {
    /// B, samples.
    pub b: usize,
    /// C, channels or features.
    pub c: usize,
    /// Positions of one channel.
    pub hw: usize,
}

impl Planes {
    /// `[B, C, HW]`.
    pub fn new(b: usize, c: usize, hw: usize) -> Self {
        Self { b, c, hw }
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.b * self.c * self.hw
    }

    /// Whether there is nothing to do.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_formula() {
        let mut g = Conv::square(3, 8, 3).padded(1, PadMode::Zeros);
        assert_eq!(g.out_size(32, 20), Ok((32, 20)));
        g.stride = [2, 3];
        g.dilation = [2, 1];
        assert_eq!(g.out_size(32, 20), Ok((15, 7)));
        assert_eq!(Pool::square(4, 2, 1).out_size(32, 7), Ok((16, 3)));
    }

    #[test]
    fn impossible_shapes_are_refused() {
        let reflect = Conv::square(3, 8, 3).padded(4, PadMode::Reflect);
        assert!(reflect.out_size(4, 9).is_err());
        assert!(reflect.out_size(5, 9).is_ok());
        // Kernels read one copy of the image on each side, and no further.
        let circular = Conv::square(3, 8, 3).padded(4, PadMode::Circular);
        let (mode, padding) = (PadMode::Circular, 4);
        let border = ShapeError::Border {
            mode,
            padding,
            most: 3,
        };
        assert_eq!(circular.out_size(3, 9), Err(border));
        assert_eq!(circular.out_size(9, 3), Err(border));
        assert_eq!(circular.out_size(4, 9), Ok((10, 15)));
        assert!(Conv::square(3, 8, 5).out_size(4, 9).is_err());
        let grouped = Conv {
            groups: 2,
            ..Conv::square(3, 8, 3)
        };
        assert!(grouped.out_size(9, 9).is_err());
        assert!(Pool::square(3, 1, 2).out_size(9, 9).is_err());
        assert!(Pool::square(0, 1, 0).out_size(9, 9).is_err());
    }

    #[test]
    fn padding_modes_name_their_source() {
        let row = |mode: PadMode| (-2..6).map(|i| mode.source(i, 4)).collect::<Vec<_>>();
        let all = |v: [usize; 8]| v.map(Some).to_vec();
        assert_eq!(row(PadMode::Reflect), all([2, 1, 0, 1, 2, 3, 2, 1]));
        assert_eq!(row(PadMode::Replicate), all([0, 0, 0, 1, 2, 3, 3, 3]));
        assert_eq!(row(PadMode::Circular), all([2, 3, 0, 1, 2, 3, 0, 1]));
        assert_eq!(PadMode::Zeros.source(-1, 4), None);
    }
}
