//! The forward map on packed weights.

use super::layout::Layout;
use super::map::{Packed, Padded, images_per_pass};
use super::{depthwise, patches};
use crate::check::assert_len;
use crate::geometry::Conv;
use crate::real::Real;
use crate::threads::Shared;

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
