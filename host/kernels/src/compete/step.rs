//! The competitive step as passes over a few images: forward, compete, correlate.

use super::block::Pass;
use super::{Competition, Outputs};
use crate::check::assert_len;
use crate::conv::forward::Weights;
use crate::conv::layout::Layout;
use crate::conv::map::{POSITIONS, Padded, images_per_pass};
use crate::conv::weight::{PackedY, correlate};
use crate::geometry::Conv;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::threads::{self, Shared};

/// Positions that compete on one thread where the forward map ran before.
const COMPETE: usize = 64;

/// One competitive step of a layer of geometry `g` on `x: [B, C, H, W]`.
///
/// `weight: [K, C/groups, R, S]` is what the pre-activations use (the effective weight), `bias: [K]`
/// is added to them; with `pre_triangle` they become `max(0, u - mean over all K)` at once, and that
/// is what competes, decays and is returned. `competition` is called for every group and every tile of
/// positions, on any thread and in any order. Results do not depend on the number of threads.
#[expect(
    clippy::too_many_arguments,
    reason = "a layer, its input and its outputs"
)]
pub fn step<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    pre_triangle: bool,
    competition: Competition<'_, T>,
    out: Outputs<'_, T>,
) {
    let (p, q) = g.expect_out(h, w);
    let size = p * q;
    check(g, b, (h * w, size), x, weight, bias, &out);
    out.decay.fill(T::ZERO);
    out.activity.fill(T::ZERO);
    if b == 0 {
        return out.correlation.fill(T::ZERO);
    }
    let weights = Weights::new(g, b * size, weight);
    let (hp, wp) = g.padded_size(h, w);
    let pass = images_per_pass(b, (g.channels * hp * wp).max(g.out * size));
    let layout = Layout::new(g, pass, h, w);
    let correlation = Shared::new(out.correlation);
    let mut y = out.y;
    for first in (0..b).step_by(pass) {
        let images = pass.min(b - first);
        let x = &x[first * g.channels * h * w..][..images * g.channels * h * w];
        let x = Padded::new(g, images, h, w, x);
        let part = first * g.out * size..(first + images) * g.out * size;
        let mut packed = PackedY::new(g, images * size);
        let packing = (packed.width, packed.panels, packed.positions);
        // The map whose blocks can compete at once, since all its weights fit into a cache.
        let small = match &weights {
            Weights::Packed(packed) => Some(layout.map(g, images, x.data(), packed)),
            Weights::InPlace(_) => None,
        };
        let small = small.filter(|map| map.fits_one_task());
        let block = if small.is_some() { POSITIONS } else { COMPETE };
        let positions = images * size;
        let mut sums = Buffer::new(positions.div_ceil(block) * 2 * g.out);
        let pass = Pass {
            shape: (g.groups, g.group_out(), size),
            bias,
            pre_triangle,
            competition,
            u: Shared::new(&mut out.u[part.clone()]),
            y: y.as_mut().map(|y| Shared::new(&mut y[part])),
            packed: Shared::new(&mut packed.data),
            packing,
            sums: Shared::new(&mut sums),
            first: first * size,
        };
        // It does so where the products need nothing more; else the map comes first, in which each
        // panel of weights visits all positions.
        let fused = small.filter(|_| pass.is_plain());
        if fused.is_none() {
            weights.run(g, &layout, images, x.data(), &pass.u);
        }
        threads::for_each(positions.div_ceil(block), |i| {
            let positions = i * block..positions.min((i + 1) * block);
            let sums = fused.as_ref().map(|map| map.sums(positions.clone()));
            pass.run(i, positions, sums.as_deref());
        });
        correlate(g, &layout, x.data(), &packed, first > 0, &correlation);
        for sums in sums.chunks_exact(2 * g.out) {
            let (decays, activities) = sums.split_at(g.out);
            out.decay
                .iter_mut()
                .zip(decays)
                .for_each(|(to, &v)| *to += v);
            out.activity
                .iter_mut()
                .zip(activities)
                .for_each(|(to, &v)| *to += v);
        }
    }
}

fn check<T: Real>(
    g: &Conv,
    b: usize,
    (inputs, size): (usize, usize),
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    out: &Outputs<'_, T>,
) {
    assert_len("x", x, b * g.channels * inputs);
    assert_len("weight", weight, g.weight_len());
    assert_len("u", out.u, b * g.out * size);
    assert_len("correlation", out.correlation, g.weight_len());
    assert_len("decay", out.decay, g.out);
    assert_len("activity", out.activity, g.out);
    if let Some(bias) = bias {
        assert_len("bias", bias, g.out);
    }
    if let Some(y) = &out.y {
        assert_len("y", y, b * g.out * size);
    }
}
