//! The competitive step, position by position, with a stored `y`.

use crate::compete::{Competition, LANES, Outputs, Tile};
use crate::geometry::Conv;
use crate::real::Real;
use crate::reference::conv;

/// See [`crate::compete::step`].
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
    conv::forward(g, b, h, w, x, weight, out.u);
    for (i, u) in out.u.iter_mut().enumerate() {
        *u += bias.map_or(T::ZERO, |bias| bias[i / size % g.out]);
    }
    if pre_triangle {
        for n in 0..b {
            for i in 0..size {
                let at = |k: usize| (n * g.out + k) * size + i;
                let mean = (0..g.out).map(|k| out.u[at(k)]).sum::<T>() / T::from_f64(g.out as f64);
                for k in 0..g.out {
                    let t = out.u[at(k)] - mean;
                    out.u[at(k)] = if t > T::ZERO { t } else { T::ZERO };
                }
            }
        }
    }
    let mut y = vec![T::ZERO; out.u.len()];
    let units = g.group_out();
    for (position, group) in (0..b * size).flat_map(|i| (0..g.groups).map(move |group| (i, group)))
    {
        let at = |k: usize| (position / size * g.out + group * units + k) * size + position % size;
        let mut tile_u = vec![[T::ZERO; LANES]; units];
        let mut tile_y = vec![[T::ZERO; LANES]; units];
        (0..units).for_each(|k| tile_u[k][0] = out.u[at(k)]);
        competition(&mut Tile {
            u: &tile_u,
            y: &mut tile_y,
            lanes: 1,
            group,
            first: position,
        });
        (0..units).for_each(|k| y[at(k)] = tile_y[k][0]);
    }
    conv::weight_grad(g, b, h, w, x, &y, out.correlation);
    out.decay.fill(T::ZERO);
    out.activity.fill(T::ZERO);
    for (i, (&y, &u)) in y.iter().zip(out.u.iter()).enumerate() {
        out.decay[i / size % g.out] += y * u;
        out.activity[i / size % g.out] += y;
    }
    if let Some(to) = out.y {
        to.copy_from_slice(&y);
    }
}
