//! Offsets that every pass of a convolution shares.

use super::map::{Map, Packed, position_offsets, tap_offsets};
use crate::geometry::Conv;
use crate::real::Real;
use std::ops::Range;

/// The offsets of one pass of a convolution.
pub(crate) struct Layout {
    /// P * Q.
    pub size: usize,
    /// Elements of a padded image that belong to a group.
    pub group_step: usize,
    pub positions: Vec<u32>,
    pub taps: Vec<u32>,
    /// All taps.
    whole: Range<usize>,
}

impl Layout {
    pub(crate) fn new(g: &Conv, images: usize, h: usize, w: usize) -> Self {
        let (p, q) = g.expect_out(h, w);
        let (hp, wp) = g.padded_size(h, w);
        let image = g.channels * hp * wp;
        let (rows, cols) = (
            (0..p).map(|i| i * g.stride[0]),
            (0..q).map(|j| j * g.stride[1]),
        );
        let taps = tap_offsets(g, (hp, wp));
        Self {
            size: p * q,
            group_step: g.group_channels() * hp * wp,
            positions: position_offsets(images, image, wp, rows, cols),
            whole: 0..taps.len(),
            taps,
        }
    }

    /// The forward map of the first `images` images of a pass.
    pub(crate) fn map<'a, T: Real>(
        &'a self,
        g: &Conv,
        images: usize,
        x: &'a [T],
        packed: &'a Packed<T>,
    ) -> Map<'a, T> {
        Map {
            x,
            group_step: self.group_step,
            positions: &self.positions[..images * self.size],
            steps: &self.taps,
            segments: std::slice::from_ref(&self.whole),
            packed,
            groups: g.groups,
            per_image: self.size,
            plane: self.size,
            places: None,
        }
    }
}
