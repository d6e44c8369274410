//! Sizes of one call of a convolution, and the struct in which kernels take them.

use super::launch::{Arg, ints};
use crate::Result;
use crate::ops::{Conv, PadMode};

/// Most elements of a column matrix (1 GiB in `f32`).
const MOST_COLUMNS: usize = 1 << 28;

/// Sizes of one call.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub b: usize,
    pub c: usize,
    pub h: usize,
    pub w: usize,
    pub k: usize,
    pub p: usize,
    pub q: usize,
    /// C/groups·R·S.
    pub d: usize,
    pub groups: usize,
}

impl Sizes {
    /// Of a call with a batch of `b` inputs `[H, W]`.
    pub fn new(g: &Conv, b: usize, [h, w]: [usize; 2]) -> Result<Self> {
        let (p, q) = g.out_size(h, w)?;
        let d = g.channels / g.groups * g.kernel[0] * g.kernel[1];
        Ok(Self {
            b,
            c: g.channels,
            h,
            w,
            k: g.out,
            p,
            q,
            d,
            groups: g.groups,
        })
    }

    /// Outputs of one channel of one image.
    pub fn pq(&self) -> usize {
        self.p * self.q
    }

    /// The kernels' struct `Conv`.
    pub fn arg(&self, g: &Conv) -> Arg {
        let [top, bottom, left, right] = g.padding;
        let mode = match g.pad_mode {
            PadMode::Zeros => 0,
            PadMode::Reflect => 1,
            PadMode::Replicate => 2,
            PadMode::Circular => 3,
        };
        ints(&[
            self.b,
            self.c,
            self.h,
            self.w,
            self.k,
            self.p,
            self.q,
            g.kernel[0],
            g.kernel[1],
            g.stride[0],
            g.stride[1],
            g.dilation[0],
            g.dilation[1],
            top,
            bottom,
            left,
            right,
            g.groups,
            mode,
        ])
    }

    /// Runs of images whose columns fit, as (first, count).
    pub fn chunks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let image = (self.groups * self.d * self.pq()).max(1);
        let (b, most) = (self.b, (MOST_COLUMNS / image).max(1));
        (0..b)
            .step_by(most)
            .map(move |first| (first, most.min(b - first)))
    }
}
