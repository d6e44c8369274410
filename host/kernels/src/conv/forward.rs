//! The forward map on packed weights.

use super::map::{Map, Packed, Padded, images_per_pass, position_offsets, tap_offsets};
use super::{depthwise, patches};
use crate::check::assert_len;
use crate::geometry::Conv;
use crate::real::Real;
use crate::threads::Shared;
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

/// The weights of a forward map: packed, or read where they lie if there are fewer patches to pack.
pub(crate) enum Weights<'a, T: Real> {
    Packed(Packed<T>),
    InPlace(&'a [T]),
}

impl<'a, T: Real> Weights<'a, T> {
    /// For a map of so many `positions` in all.
    pub(crate) fn new(g: &Conv, positions: usize, weight: &'a [T]) -> Self {
        if patches::serves(g, positions) {
            Weights::InPlace(weight)
        } else {
            Weights::Packed(Packed::forward(g, weight))
        }
    }

    /// The forward map of the first `images` images of a pass.
    pub(crate) fn run(
        &self,
        g: &Conv,
        layout: &Layout,
        images: usize,
        x: &[T],
        out: &Shared<'_, T>,
    ) {
        match self {
            Weights::Packed(packed) => layout.map(g, images, x, packed).run(out),
            Weights::InPlace(weight) => patches::forward(g, layout, images, x, weight, out),
        }
    }
}

/// `y[B, K, P, Q]` = `x[B, C, H, W]` convolved with `weight[K, C/groups, R, S]`.
pub fn forward<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    x: &[T],
    weight: &[T],
    y: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("x", x, b * g.channels * h * w);
    assert_len("weight", weight, g.weight_len());
    assert_len("y", y, b * g.out * p * q);
    if y.is_empty() {
        return;
    }
    if g.is_depthwise() {
        return depthwise::forward(g, b, h, w, x, weight, y);
    }
    let (hp, wp) = g.padded_size(h, w);
    let pass = images_per_pass(b, g.channels * hp * wp);
    let layout = Layout::new(g, pass, h, w);
    let weights = Weights::new(g, b * p * q, weight);
    let inputs = x.chunks(pass * g.channels * h * w);
    for (x, y) in inputs.zip(y.chunks_mut(pass * g.out * p * q)) {
        let images = y.len() / (g.out * p * q);
        let x = Padded::new(g, images, h, w, x);
        weights.run(g, &layout, images, x.data(), &Shared::new(y));
    }
}
