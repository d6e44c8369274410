//! The weight gradient, which is also the Hebbian correlation `sum over positions of y x`.
//!
//! `y` is packed as `[panel][position][PANEL]`, positions are the steps of the inner loop and taps its
//! rows. Tasks own rectangles of the weight, so there are no per-thread sums to add up.

use super::depthwise;
use super::layout::Layout;
use super::map::{Padded, images_per_pass};
use super::product::{Pack, Product, Unpack, panel_width};
use crate::check::assert_len;
use crate::geometry::Conv;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::threads::{self, Shared};

/// Taps of one task.
const TAPS: usize = 192;

/// `y` of one pass as `[group][panel][position][PANEL]`.
pub(crate) struct PackedY<T: Real> {
    pub data: Buffer<T>,
    pub width: usize,
    /// Panels of a group.
    pub panels: usize,
    pub positions: usize,
}

impl<T: Real> PackedY<T> {
    /// Room for `positions` positions, not yet filled.
    pub(crate) fn new(g: &Conv, positions: usize) -> Self {
        let width = panel_width::<T>();
        let panels = g.group_out().div_ceil(width);
        Self {
            data: Buffer::new(g.groups * panels * width * positions),
            width,
            panels,
            positions,
        }
    }

    /// Packs `dy: [images, K, size]`.
    fn fill(&mut self, g: &Conv, size: usize, dy: &[T]) {
        let (width, panels, units) = (self.width, self.panels, g.group_out());
        threads::for_each_chunk(&mut self.data, self.positions * width, |i, to| {
            let (group, first) = (i / panels, i % panels * width);
            for (n, to) in to.chunks_exact_mut(size * width).enumerate() {
                let from = &dy[(n * g.out + group * units + first) * size..];
                T::vectorised(Pack {
                    from,
                    stride: size,
                    rows: width.min(units - first),
                    to,
                });
            }
        });
    }

    fn panel(&self, i: usize) -> &[T] {
        &self.data[i * self.positions * self.width..][..self.positions * self.width]
    }
}

/// `dw[K, D] = (or +=) sum over positions of y x`.
pub(crate) fn correlate<T: Real>(
    g: &Conv,
    layout: &Layout,
    x: &[T],
    y: &PackedY<T>,
    add: bool,
    dw: &Shared<'_, T>,
) {
    let (d, units) = (g.fan_in(), g.group_out());
    // About four tasks for each thread where the layer is small; the cut changes no sum.
    let panels = g.groups * y.panels;
    let wanted = d
        .div_ceil((4 * threads::count()).div_ceil(panels))
        .clamp(24, TAPS);
    let taps = threads::even_split(d, wanted, 24);
    let chunks = d.div_ceil(taps);
    threads::for_each(panels * chunks, |task| {
        let (panel, first_tap) = (task / chunks, task % chunks * taps);
        let (group, first) = (panel / y.panels, panel % y.panels * y.width);
        let rows = &layout.taps[first_tap..d.min(first_tap + taps)];
        let mut acc = Buffer::new(rows.len() * y.width);
        T::vectorised(Product {
            x: &x[group * layout.group_step..],
            rows,
            steps: &layout.positions[..y.positions],
            packed: y.panel(panel),
            acc: &mut acc,
            add: false,
        });
        let from = (group * units + first) * d + first_tap;
        T::vectorised(Unpack {
            acc: &acc,
            lanes: y.width.min(units - first),
            to: dw,
            from,
            stride: d,
            add,
        });
    });
}

/// Gradient with respect to the weight, `dw[K, C/groups, R, S]`.
pub fn weight_grad<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    x: &[T],
    dy: &[T],
    dw: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("x", x, b * g.channels * h * w);
    assert_len("dy", dy, b * g.out * p * q);
    assert_len("dw", dw, g.weight_len());
    if b == 0 {
        return dw.fill(T::ZERO);
    }
    if g.is_depthwise() {
        return depthwise::weight_grad(g, b, h, w, x, dy, dw);
    }
    let (hp, wp) = g.padded_size(h, w);
    let per_image = (g.channels * hp * wp).max(g.out * p * q);
    let pass = images_per_pass(b, per_image);
    let layout = Layout::new(g, pass, h, w);
    let dw = Shared::new(dw);
    let passes = x
        .chunks(pass * g.channels * h * w)
        .zip(dy.chunks(pass * g.out * p * q));
    for (i, (x, dy)) in passes.enumerate() {
        let images = dy.len() / (g.out * p * q);
        let x = Padded::new(g, images, h, w, x);
        let mut y = PackedY::new(g, images * p * q);
        y.fill(g, p * q, dy);
        correlate(g, &layout, x.data(), &y, i > 0, &dw);
    }
}
