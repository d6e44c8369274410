//! Shapes of convolutions and poolings, and every check that belongs to them.
//!
//! A [`Conv`] is a convolution without its data: channels, kernel, stride, dilation, padding, groups.
//! [`Conv::out_size`] is the one place that decides whether it fits an input.

use std::fmt;

/// What stands outside the image.
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

/// Why a shape is impossible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError(String);

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ShapeError {}

fn fail<T>(message: String) -> Result<T, ShapeError> {
    Err(ShapeError(message))
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
    /// groups, a window larger than the padded input, reflect padding as large as the image.
    pub fn out_size(&self, h: usize, w: usize) -> Result<(usize, usize), ShapeError> {
        self.check_channels()?;
        self.check_padding(h, w)?;
        let (hp, wp) = self.padded_size(h, w);
        let mut out = [0; 2];
        for (axis, size) in [hp, wp].into_iter().enumerate() {
            let taps = self.kernel[axis] - 1;
            let window = self.dilation[axis].saturating_mul(taps).saturating_add(1);
            if window > size {
                return fail(format!(
                    "kernel {:?} with dilation {:?} covers {window} pixels of axis {axis}, the padded {h}x{w} input has {size}",
                    self.kernel, self.dilation
                ));
            }
            out[axis] = (size - window) / self.stride[axis] + 1;
        }
        Ok((out[0], out[1]))
    }

    fn check_channels(&self) -> Result<(), ShapeError> {
        let parts = [
            self.channels,
            self.out,
            self.groups,
            self.kernel[0],
            self.kernel[1],
        ];
        if parts.contains(&0) || self.stride.contains(&0) || self.dilation.contains(&0) {
            return fail(format!("a size in {self:?} is zero"));
        }
        if !self.channels.is_multiple_of(self.groups) || !self.out.is_multiple_of(self.groups) {
            return fail(format!(
                "{} input and {} output channels cannot be cut into {} equal groups",
                self.channels, self.out, self.groups
            ));
        }
        Ok(())
    }

    fn check_padding(&self, h: usize, w: usize) -> Result<(), ShapeError> {
        if h == 0 || w == 0 {
            return fail(format!("the input is empty ({h}x{w})"));
        }
        let [top, bottom, left, right] = self.padding;
        for (most, size) in [(top.max(bottom), h), (left.max(right), w)] {
            let allowed = match self.pad_mode {
                PadMode::Zeros | PadMode::Replicate => usize::MAX,
                PadMode::Reflect => size - 1,
                PadMode::Circular => size,
            };
            if most > allowed {
                return fail(format!(
                    "padding {most} in mode {:?} needs a larger image than {h}x{w} (at most {allowed} here)",
                    self.pad_mode
                ));
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
    /// pixel), a window larger than the padded input, or one of more than 65,535 pixels.
    pub fn out_size(&self, h: usize, w: usize) -> Result<(usize, usize), ShapeError> {
        let mut out = [0; 2];
        for (axis, size) in [h, w].into_iter().enumerate() {
            let (k, s, p) = (self.kernel[axis], self.stride[axis], self.padding[axis]);
            if k == 0 || s == 0 || size == 0 {
                return fail(format!("a size in {self:?} or the {h}x{w} input is zero"));
            }
            if p > k / 2 {
                return fail(format!("padding {p} is more than half the window {k}"));
            }
            let padded = size.saturating_add(2 * p);
            if k > padded {
                return fail(format!(
                    "window {k} is larger than axis {axis} of the {h}x{w} input with padding {p}"
                ));
            }
            out[axis] = (padded - k) / s + 1;
        }
        if self.kernel[0].saturating_mul(self.kernel[1]) > usize::from(u16::MAX) {
            return fail(format!(
                "a window of {:?} has more than 65535 pixels",
                self.kernel
            ));
        }
        Ok((out[0], out[1]))
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
