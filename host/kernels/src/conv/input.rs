//! The input gradient, with any weight: a convolution of the padded `dy` by the transposed kernel.
//!
//! With stride s the input splits into s x s phases; each pixel of a phase sees the same subset of
//! taps, so each phase is a dense convolution with stride 1 of its own, and no product with a zero
//! is ever computed. The padded `dy` has its channels innermost: a step of the inner loop then reads
//! the next element of each row, however many output channels there are.

use super::axis::{Axis, wanted};
use super::map::{Map, Packed, images_per_pass, position_offsets};
use super::product::{Pack, Turn, panel_width};
use super::{depthwise, narrow};
use crate::check::assert_len;
use crate::geometry::{Conv, PadMode};
use crate::pad::unpad_grad;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::threads::{self, Shared};
use std::ops::Range;

/// Gradient with respect to the input, `dx[B, C, H, W]`, from `dy[B, K, P, Q]`; the gradient of
/// padding that copies pixels goes back to the pixels it copied.
pub fn input_grad<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    dy: &[T],
    weight: &[T],
    dx: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("dy", dy, b * g.out * p * q);
    assert_len("weight", weight, g.weight_len());
    assert_len("dx", dx, b * g.channels * h * w);
    if dx.is_empty() {
        return;
    }
    if g.is_depthwise() {
        return depthwise::input_grad(g, b, h, w, dy, weight, dx);
    }
    if narrow::serves(g) {
        return few_channels(g, (h, w), wanted(g, h, w), dy, weight, dx);
    }
    let axes = Axis::both(g, h, w);
    let phases = Phase::all(g, &axes, weight);
    let pass = images_per_pass(b, g.out * axes[0].size * axes[1].size);
    for (dy, dx) in dy
        .chunks(pass * g.out * p * q)
        .zip(dx.chunks_mut(pass * g.channels * h * w))
    {
        let images = dx.len() / (g.channels * h * w);
        let padded = pad_output(g, &axes, (p, q), images, dy);
        if g.copies_border() {
            let mut whole = Buffer::new(images * g.channels * axes[0].count * axes[1].count);
            run_phases(g, &axes, &phases, images, &padded, &mut whole);
            unpad_grad(g.pad_mode, g.padding, images * g.channels, h, w, &whole, dx);
        } else {
            run_phases(g, &axes, &phases, images, &padded, dx);
        }
    }
}

/// The same image by image, for layers that [`narrow`] serves.
fn few_channels<T: Real>(
    g: &Conv,
    (h, w): (usize, usize),
    want: narrow::Wanted,
    dy: &[T],
    weight: &[T],
    dx: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    let weight = narrow::reorder(g, weight);
    let (channels, whole) = (g.channels, want[0].1 * want[1].1);
    threads::for_each_chunk(dx, channels * h * w, |image, dx| {
        let dy = &dy[image * g.out * p * q..][..g.out * p * q];
        if whole == h * w {
            return narrow::input_grad(g, (p, q), want, dy, &weight, dx);
        }
        let mut padded = Buffer::new(channels * whole);
        narrow::input_grad(g, (p, q), want, dy, &weight, &mut padded);
        unpad_grad(g.pad_mode, g.padding, channels, h, w, &padded, dx);
    });
}

fn pad_output<T: Real>(
    g: &Conv,
    axes: &[Axis; 2],
    (p, q): (usize, usize),
    images: usize,
    dy: &[T],
) -> Buffer<T> {
    let (rows, wide) = (axes[0].size, axes[1].size);
    let mut padded = Buffer::new(images * rows * wide * g.out);
    threads::for_each_chunk(&mut padded, wide * g.out, |i, out| {
        let (image, row) = (i / rows, i % rows);
        if !(axes[0].before..axes[0].before + p).contains(&row) {
            return out.fill(T::ZERO);
        }
        let (before, inside) = (axes[1].before * g.out, (axes[1].before + q) * g.out);
        out[..before].fill(T::ZERO);
        out[inside..].fill(T::ZERO);
        let from = &dy[(image * g.out * p + row - axes[0].before) * q..];
        let to = &mut out[before..inside];
        T::vectorised(Turn {
            size: (g.out, q),
            from,
            from_stride: p * q,
            to,
            to_stride: g.out,
        });
    });
    padded
}

/// Units whose steps follow each other before the next tap: small enough that the part of `dy` that a
/// block of positions reads for them stays in a level-2 cache for all taps.
const UNITS: usize = 64;

/// The pixels of one stride phase and the weights they see.
struct Phase<T: Real> {
    at: [usize; 2],
    steps: Vec<u32>,
    packed: Packed<T>,
}

impl<T: Real> Phase<T> {
    fn all(g: &Conv, axes: &[Axis; 2], weight: &[T]) -> Vec<Self> {
        let phases = (0..g.stride[0]).flat_map(|i| (0..g.stride[1]).map(move |j| [i, j]));
        phases.map(|at| Self::new(g, axes, at, weight)).collect()
    }

    /// Steps run over blocks of units, then over the taps of the phase, then over the units of a block.
    fn new(g: &Conv, axes: &[Axis; 2], at: [usize; 2], weight: &[T]) -> Self {
        let (rows, cols) = (axes[0].taps(at[0]), axes[1].taps(at[1]));
        let taps: Vec<_> = rows
            .iter()
            .flat_map(|&r| cols.iter().map(move |&s| (r, s)))
            .collect();
        let units = g.group_out();
        let mut steps = vec![0; units * taps.len()];
        for k in 0..units {
            for (tap, ((_, row), (_, col))) in taps.iter().enumerate() {
                steps[step(units, taps.len(), k, tap)] =
                    ((row * axes[1].size + col) * g.out + k) as u32;
            }
        }
        let kernel = g.kernel[0] * g.kernel[1];
        let wanted: Vec<usize> = taps
            .iter()
            .map(|&((r, _), (s, _))| r * g.kernel[1] + s)
            .collect();
        let width = panel_width::<T>();
        let channels = g.group_channels();
        let packed = Packed::build(
            g.groups,
            channels,
            steps.len(),
            |group, first, lanes, to| {
                let mut all = Buffer::new(kernel * width);
                for k in 0..units {
                    let from = &weight[((group * units + k) * channels + first) * kernel..];
                    T::vectorised(Pack {
                        from,
                        stride: kernel,
                        rows: lanes,
                        to: &mut all,
                    });
                    for (i, tap) in wanted.iter().enumerate() {
                        let to = &mut to[step(units, wanted.len(), k, i) * width..][..width];
                        to.copy_from_slice(&all[tap * width..][..width]);
                    }
                }
            },
        );
        Self { at, steps, packed }
    }
}

/// The steps of the taps `rows` x `cols` of a phase that has `wide` columns of taps and `taps` in all.
fn segments(
    units: usize,
    (taps, wide): (usize, usize),
    rows: &Range<usize>,
    cols: &Range<usize>,
) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    if rows.is_empty() || cols.is_empty() {
        return out;
    }
    for first in (0..units).step_by(UNITS) {
        let many = UNITS.min(units - first);
        for row in rows.clone() {
            let at = |col: usize| first * taps + (row * wide + col) * many;
            let steps = at(cols.start)..at(cols.end);
            match out.last_mut() {
                Some(last) if last.end == steps.start => last.end = steps.end,
                _ => out.push(steps),
            }
        }
    }
    out
}

/// Number of the step of unit `k` and tap `tap`.
fn step(units: usize, taps: usize, k: usize, tap: usize) -> usize {
    let first = k / UNITS * UNITS;
    first * taps + tap * UNITS.min(units - first) + k - first
}

fn run_phases<T: Real>(
    g: &Conv,
    axes: &[Axis; 2],
    phases: &[Phase<T>],
    images: usize,
    dy: &[T],
    dx: &mut [T],
) {
    let plane = axes[0].count * axes[1].count;
    let image = g.out * axes[0].size * axes[1].size;
    let out = Shared::new(dx);
    for phase in phases {
        // The gradient of a border that copies pixels is wanted too: there the zeros are many. Without
        // one they are few, and one large zone is faster than several small ones (measured).
        let split = g.pad_mode != PadMode::Zeros;
        let [rows, cols] = [0, 1].map(|axis| axes[axis].zones(phase.at[axis], split));
        let taps = [0, 1].map(|axis| axes[axis].taps(phase.at[axis]).len());
        for (row, col) in rows.iter().flat_map(|r| cols.iter().map(move |c| (r, c))) {
            let places: Vec<u32> = row
                .pixels
                .iter()
                .flat_map(|r| {
                    let start = r.1 * axes[1].count;
                    col.pixels.iter().map(move |c| (start + c.1) as u32)
                })
                .collect();
            let numbers = (
                row.pixels.iter().map(|r| r.0),
                col.pixels.iter().map(|c| c.0 * g.out),
            );
            let positions =
                position_offsets(images, image, axes[1].size * g.out, numbers.0, numbers.1);
            let taps = (taps[0] * taps[1], taps[1]);
            Map {
                x: dy,
                group_step: g.group_out(),
                positions: &positions,
                steps: &phase.steps,
                segments: &segments(g.group_out(), taps, &row.taps, &col.taps),
                packed: &phase.packed,
                groups: g.groups,
                per_image: places.len(),
                plane,
                places: Some(&places),
            }
            .run(&out);
        }
    }
}
