//! The forward map of few positions: the patches are packed, the weights are read where they lie.
//!
//! A deep layer on a small batch has more weights than patches (384→1536 3x3 on ten images of 8x8:
//! 21 MB and 9 MB), and its weights change at every step. Here lanes are positions and rows are
//! output channels, so that results come out as the planes of `y`.

use super::layout::Layout;
use super::map::offset;
use super::product::{BLOCK_BYTES, Product, largest, panel_width};
use crate::geometry::Conv;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::simd::{Job, Simd};
use crate::threads::{self, Shared};
use std::ops::Range;

/// Output channels of a task: a block of their weights stays in a level-2 cache. A multiple of the
/// rows of every register tile.
const UNITS: usize = 96;

/// Whether there is less to pack than the weights.
pub(crate) fn serves(g: &Conv, positions: usize) -> bool {
    positions < g.group_out()
}

/// `out[images, K, P, Q]` of padded images `x` and `weight: [K, D]`.
pub(crate) fn forward<T: Real>(
    g: &Conv,
    layout: &Layout,
    images: usize,
    x: &[T],
    weight: &[T],
    out: &Shared<'_, T>,
) {
    let (d, units, width) = (g.fan_in(), g.group_out(), panel_width::<T>());
    let positions = &layout.positions[..images * layout.size];
    let panels = positions.len().div_ceil(width);
    let steps: Vec<u32> = (0..d).map(offset).collect();
    let mut packed = Buffer::new(panels * d * width);
    for group in 0..g.groups {
        let x = &x[group * layout.group_step..];
        threads::for_each_chunk(&mut packed, d * width, |panel, to| {
            let rest = &positions[panel * width..];
            T::vectorised(Gather {
                x,
                positions: &rest[..rest.len().min(width)],
                taps: &layout.taps,
                to,
            });
        });
        threads::for_each(units.div_ceil(UNITS), |task| {
            let block = task * UNITS..units.min((task + 1) * UNITS);
            let first = group * units + block.start;
            let sums = products(
                &weight[first * d..][..block.len() * d],
                &steps,
                (&packed, width),
            );
            for (panel, sums) in sums.chunks_exact(block.len() * width).enumerate() {
                let lanes = panel * width..positions.len().min((panel + 1) * width);
                for (unit, sums) in sums.chunks_exact(width).enumerate() {
                    write(sums, lanes.clone(), layout.size, |image| {
                        // SAFETY: each unit of a position is written by one task, once.
                        unsafe {
                            out.part((image * g.out + first + unit) * layout.size, layout.size)
                        }
                    });
                }
            }
        });
    }
}

/// `[panel][unit][PANEL]` for a block of `weight: [units, D]` and `packed: [panel][D][PANEL]`.
fn products<T: Real>(weight: &[T], steps: &[u32], (packed, width): (&[T], usize)) -> Buffer<T> {
    let d = steps.len();
    let rows: Vec<u32> = (0..weight.len() / d).map(|unit| offset(unit * d)).collect();
    let panels = packed.len() / (d * width);
    let mut sums = Buffer::new(panels * rows.len() * width);
    let block = (BLOCK_BYTES / (width * size_of::<T>())).max(1);
    for first in (0..d).step_by(block) {
        let inside: Range<usize> = first..d.min(first + block);
        let panels = packed.chunks_exact(d * width);
        for (packed, acc) in panels.zip(sums.chunks_exact_mut(rows.len() * width)) {
            T::vectorised(Product {
                x: weight,
                rows: &rows,
                steps: &steps[inside.clone()],
                packed: &packed[inside.start * width..inside.end * width],
                acc,
                add: first > 0,
            });
        }
    }
    sums
}

/// Writes the sums of some positions of all images into the planes of `size` positions they belong to.
fn write<'a, T: Real>(
    mut sums: &[T],
    mut positions: Range<usize>,
    size: usize,
    plane: impl Fn(usize) -> &'a mut [T],
) {
    while !positions.is_empty() {
        let (image, i) = (positions.start / size, positions.start % size);
        let (here, rest) = sums.split_at(positions.len().min(size - i));
        plane(image)[i..i + here.len()].copy_from_slice(here);
        (sums, positions.start) = (rest, positions.start + here.len());
    }
}

/// Packs patches into lanes: `to[tap][lane] = x[positions[lane] + taps[tap]]`, zero beyond the last.
struct Gather<'a, T> {
    x: &'a [T],
    positions: &'a [u32],
    taps: &'a [u32],
    /// `[taps][PANEL]`.
    to: &'a mut [T],
}

impl<T: Real> Job<T> for Gather<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        assert!(self.positions.len() <= S::PANEL);
        assert!(self.to.len() == self.taps.len() * S::PANEL);
        assert!(largest(self.positions) + largest(self.taps) < self.x.len());
        if self.positions.len() < S::PANEL {
            for lanes in self.to.chunks_exact_mut(S::PANEL) {
                lanes[self.positions.len()..].fill(T::ZERO);
            }
        }
        let mut lane = 0;
        for run in self.positions.chunk_by(|a, b| a + 1 == *b) {
            // SAFETY: positions and taps reach inside `x`, and lanes inside a row of `to` (checked
            // above); positions of a run follow each other.
            unsafe {
                let from = self.x.as_ptr().add(run[0] as usize);
                let mut to = self.to.as_mut_ptr().add(lane);
                for &tap in self.taps {
                    let from = from.add(tap as usize);
                    let mut i = 0;
                    while i + S::LANES <= run.len() {
                        s.write(to.add(i), s.read(from.add(i)));
                        i += S::LANES;
                    }
                    while i < run.len() {
                        *to.add(i) = *from.add(i);
                        i += 1;
                    }
                    to = to.wrapping_add(S::PANEL);
                }
            }
            lane += run.len();
        }
    }
}
