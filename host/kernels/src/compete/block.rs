//! The competition over a block of positions: gather tiles, compete, sum up, pack `y`.

use super::{Competition, LANES, Tile};
use crate::conv::{Pack, Turn};
use crate::real::Real;
use crate::scratch::Buffer;
use crate::simd::{Job, Simd};
use crate::threads::Shared;
use std::ops::Range;

/// The arrays of one pass.
pub(super) struct Pass<'a, T: Real> {
    /// Groups, units of a group, positions of an image.
    pub shape: (usize, usize, usize),
    pub bias: Option<&'a [T]>,
    pub pre_triangle: bool,
    pub competition: Competition<'a, T>,
    /// `[images, K, size]`.
    pub u: Shared<'a, T>,
    /// `[images, K, size]`.
    pub y: Option<Shared<'a, T>>,
    /// `y` as `[group][panel][position][width]`.
    pub packed: Shared<'a, T>,
    /// Width, panels of a group, positions of the pass.
    pub packing: (usize, usize, usize),
    /// `[blocks][2][K]`: sums of `y u` and of `y`.
    pub sums: Shared<'a, T>,
    /// Number of the pass's first position in the batch.
    pub first: usize,
}

/// Consecutive positions of one image.
struct Run {
    /// Element of unit 0 of the first position.
    from: usize,
    lane: usize,
    len: usize,
}

impl<T: Real> Pass<'_, T> {
    fn out(&self) -> usize {
        self.shape.0 * self.shape.1
    }

    fn runs(&self, positions: Range<usize>) -> Vec<Run> {
        let size = self.shape.2;
        let mut runs = Vec::with_capacity(1);
        let mut at = positions.start;
        while at < positions.end {
            let (image, i) = (at / size, at % size);
            let len = (size - i).min(positions.end - at);
            runs.push(Run {
                from: image * self.out() * size + i,
                lane: at - positions.start,
                len,
            });
            at += len;
        }
        runs
    }

    /// Whether the products are the pre-activations: no bias, no triangle.
    pub(super) fn is_plain(&self) -> bool {
        self.bias.is_none() && !self.pre_triangle
    }

    /// All groups of block number `block`, the positions `positions` of the pass. `fresh` are their
    /// pre-activations where they come straight from the product
    /// (`[panels of all groups][position][width]`) and `u` is still to be written.
    /// Only a plain pass ([`Pass::is_plain`]) takes them.
    pub(super) fn run(&self, block: usize, positions: Range<usize>, fresh: Option<&[T]>) {
        self.prepare(positions.clone());
        let (groups, units, _) = self.shape;
        let mut memory = Buffer::new(4 * units * LANES);
        let (tiles, sums) = memory.split_at_mut(2 * units * LANES);
        for group in 0..groups {
            sums.fill(T::ZERO);
            for start in positions.clone().step_by(LANES) {
                let tile = start..positions.end.min(start + LANES);
                let (u, _) = tiles.split_at_mut(units * LANES);
                let u = u.as_chunks_mut::<LANES>().0;
                if tile.len() < LANES {
                    u.as_flattened_mut().fill(T::ZERO);
                }
                match fresh {
                    Some(fresh) => {
                        self.turn(group, positions.clone(), tile.clone(), fresh, u);
                        self.store(group, tile.clone(), u);
                    }
                    None => self.gather(group, tile.clone(), u),
                }
                self.tile(group, tile, tiles, sums);
            }
            // SAFETY: the sums of a block are written by its task alone.
            let out = |which| unsafe {
                self.sums
                    .part((block * 2 + which) * self.out() + group * units, units)
            };
            let (decay, activity) = sums.split_at(units * LANES);
            T::vectorised(Reduce {
                sums: decay,
                out: out(0),
            });
            T::vectorised(Reduce {
                sums: activity,
                out: out(1),
            });
        }
    }

    /// Pre-activations of a tile from `u`.
    fn gather(&self, group: usize, tile: Range<usize>, to: &mut [[T; LANES]]) {
        let (_, units, size) = self.shape;
        for run in self.runs(tile) {
            for (k, to) in to.iter_mut().enumerate() {
                // SAFETY: only this task touches these positions of `u`, and here it only reads.
                let from = unsafe { self.u.part(run.from + (group * units + k) * size, run.len) };
                copy(&mut to[run.lane..run.lane + run.len], from);
            }
        }
    }

    /// Pre-activations of a tile from the sums of its block.
    fn turn(
        &self,
        group: usize,
        block: Range<usize>,
        tile: Range<usize>,
        fresh: &[T],
        to: &mut [[T; LANES]],
    ) {
        let (width, panels, _) = self.packing;
        for (i, to) in to.chunks_mut(width).enumerate() {
            let panel = &fresh[(group * panels + i) * block.len() * width..];
            T::vectorised(Turn {
                size: (tile.len(), to.len()),
                from: &panel[(tile.start - block.start) * width..],
                from_stride: width,
                to: to.as_flattened_mut(),
                to_stride: LANES,
            });
        }
    }

    /// Writes the pre-activations of a tile to `u`.
    fn store(&self, group: usize, tile: Range<usize>, from: &[[T; LANES]]) {
        let (_, units, size) = self.shape;
        for run in self.runs(tile) {
            for (k, from) in from.iter().enumerate() {
                // SAFETY: only this task touches these positions of `u`.
                let to = unsafe { self.u.part(run.from + (group * units + k) * size, run.len) };
                copy(to, &from[run.lane..run.lane + run.len]);
            }
        }
    }

    fn tile(&self, group: usize, positions: Range<usize>, tiles: &mut [T], sums: &mut [T]) {
        let (_, units, size) = self.shape;
        let (u, y) = tiles.split_at_mut(units * LANES);
        let (u, y) = (u.as_chunks::<LANES>().0, y.as_chunks_mut::<LANES>().0);
        let lanes = positions.len();
        (self.competition)(&mut Tile {
            u,
            y,
            lanes,
            group,
            first: self.first + positions.start,
        });
        if lanes < LANES {
            y.iter_mut().for_each(|y| y[lanes..].fill(T::ZERO));
        }
        T::vectorised(Accumulate { u, y, sums });
        let (width, panels, total) = self.packing;
        for (i, y) in y.chunks(width).enumerate() {
            let at = ((group * panels + i) * total + positions.start) * width;
            // SAFETY: the packed rows of these positions belong to this task.
            let to = unsafe { self.packed.part(at, lanes * width) };
            T::vectorised(Pack {
                from: y.as_flattened(),
                stride: LANES,
                rows: y.len(),
                to,
            });
        }
        if let Some(out) = &self.y {
            for (run, (k, y)) in self
                .runs(positions)
                .iter()
                .flat_map(|run| y.iter().enumerate().map(move |unit| (run, unit)))
            {
                // SAFETY: the positions of a task are its own.
                let to = unsafe { out.part(run.from + (group * units + k) * size, run.len) };
                to.copy_from_slice(&y[run.lane..run.lane + run.len]);
            }
        }
    }

    /// Adds the bias and applies the triangle to the block's `u`.
    fn prepare(&self, positions: Range<usize>) {
        if self.is_plain() {
            return;
        }
        let size = self.shape.2;
        for start in positions.clone().step_by(LANES) {
            for run in self.runs(start..positions.end.min(start + LANES)) {
                // SAFETY: the positions of a task are its own; one row is alive at a time.
                let row = |k: usize| unsafe { self.u.part(run.from + k * size, run.len) };
                let mut mean = [T::ZERO; LANES];
                for k in 0..self.out() {
                    let u = row(k);
                    let bias = self.bias.map_or(T::ZERO, |bias| bias[k]);
                    for (u, mean) in u.iter_mut().zip(&mut mean) {
                        *u += bias;
                        *mean += *u;
                    }
                }
                if !self.pre_triangle {
                    continue;
                }
                mean.iter_mut()
                    .for_each(|m| *m /= T::from_f64(self.out() as f64));
                for (u, &mean) in (0..self.out()).flat_map(|k| row(k).iter_mut().zip(&mean)) {
                    let t = *u - mean;
                    *u = if t > T::ZERO { t } else { T::ZERO };
                }
            }
        }
    }
}

/// `to = from`, as one fixed-size copy where the tile is whole.
#[inline(always)]
fn copy<T: Real>(to: &mut [T], from: &[T]) {
    match (
        <&mut [T; LANES]>::try_from(&mut *to),
        <&[T; LANES]>::try_from(from),
    ) {
        (Ok(to), Ok(from)) => *to = *from,
        _ => to.copy_from_slice(from),
    }
}

/// Adds `y u` and `y` of a tile to the running sums, which keep one vector for each unit.
struct Accumulate<'a, T> {
    u: &'a [[T; LANES]],
    y: &'a [[T; LANES]],
    sums: &'a mut [T],
}

impl<T: Real> Job<T> for Accumulate<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let (decay, activity) = self.sums.split_at_mut(self.u.len() * LANES);
        let sums = decay
            .chunks_exact_mut(LANES)
            .zip(activity.chunks_exact_mut(LANES));
        for ((u, y), (decay, activity)) in self.u.iter().zip(self.y).zip(sums) {
            let (mut product, mut sum) = (s.load(decay), s.load(activity));
            for lane in (0..LANES).step_by(S::LANES) {
                let y = s.load(&y[lane..]);
                product = s.fma(y, s.load(&u[lane..]), product);
                sum = s.add(sum, y);
            }
            s.store(decay, product);
            s.store(activity, sum);
        }
    }
}

/// The sum of each unit's vector.
struct Reduce<'a, T> {
    sums: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> Job<T> for Reduce<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        for (sums, out) in self.sums.chunks_exact(LANES).zip(self.out) {
            *out = s.sum(s.load(sums));
        }
    }
}
