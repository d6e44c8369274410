//! Windows of 2x2 that do not overlap: the common pooling, without a padded copy.
//!
//! The two rows of each window are joined first. What is left of a plane is contiguous, so lanes run
//! over rows, and small planes fill them as well as large ones.

use super::maxima::{EXACT, Maxima};
use crate::conv::plane::{Test, Zip};
use crate::geometry::Pool;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::simd::{Job, Simd};

/// Whether these kernels serve the window on planes of `h` x `w`.
pub(super) fn serves(g: &Pool, h: usize, w: usize) -> bool {
    let alone = g.kernel == [2, 2] && g.stride == [2, 2] && g.padding == [0, 0];
    alone && w.is_multiple_of(2) && h * w < EXACT
}

/// Planes of one size.
pub(super) struct Halves<T> {
    /// Rows and columns that windows cover.
    size: (usize, usize),
    /// Pixel at which each window starts, `[P, Q]`.
    starts: Vec<T>,
}

impl<T: Real> Halves<T> {
    /// For planes of `h` x `w`.
    pub(super) fn new(h: usize, w: usize) -> Self {
        let (p, q) = (h / 2, w / 2);
        let pixels = (0..p * q).map(|i| 2 * (i / q) * w + 2 * (i % q));
        Self {
            size: (2 * p, w),
            starts: pixels.map(|pixel| T::from_f64(pixel as f64)).collect(),
        }
    }

    /// Means of one plane.
    pub(super) fn mean(&self, memory: &mut [T], x: &[T], y: &mut [T]) {
        T::vectorised(Mean {
            x: &x[..self.size.0 * self.size.1],
            w: self.size.1,
            rows: &mut memory[..2 * y.len()],
            y,
        });
    }

    /// Gradient of [`Halves::mean`].
    pub(super) fn mean_backward(&self, memory: &mut [T], dy: &[T], dx: &mut [T]) {
        let (quarters, rows) = memory[..3 * dy.len()].split_at_mut(dy.len());
        let quarter = T::from_f64(0.25);
        (quarters.iter_mut().zip(dy)).for_each(|(to, &dy)| *to = dy * quarter);
        T::vectorised(Zip {
            even: quarters,
            odd: quarters,
            to: rows,
        });
        let (pairs, last) = dx.split_at_mut(self.size.0 * self.size.1);
        last.fill(T::ZERO);
        let pairs = pairs.chunks_exact_mut(2 * self.size.1);
        for (pair, row) in pairs.zip(rows.chunks_exact(self.size.1)) {
            let (up, down) = pair.split_at_mut(self.size.1);
            up.copy_from_slice(row);
            down.copy_from_slice(row);
        }
    }
}

impl<T: Real> Maxima<T> for Halves<T> {
    fn memory(&self) -> Buffer<T> {
        Buffer::new(self.size.0 * self.size.1)
    }

    fn max(&self, memory: &mut [T], x: &[T], y: &mut [T], places: Option<&mut [u32]>) -> bool {
        T::vectorised(Largest {
            x: &x[..self.size.0 * self.size.1],
            w: self.size.1,
            rows: memory,
            places: places.map(|places| (&self.starts[..], places)),
            y,
        })
    }
}

/// Maxima of one plane of `w` columns, where all of it is finite; says whether it is.
struct Largest<'a, T> {
    x: &'a [T],
    w: usize,
    /// Room for the joined rows, twice `[P, W]`.
    rows: &'a mut [T],
    /// Where windows start, with the pixels that won.
    places: Option<(&'a [T], &'a mut [u32])>,
    y: &'a mut [T],
}

impl<T: Real> Job<T> for Largest<'_, T> {
    type Out = bool;

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> bool {
        if !finite(s, self.x) {
            return false;
        }
        let (most, lower) = self.rows.split_at_mut(2 * self.y.len());
        let below = T::from_f64(self.w as f64);
        let rows = most
            .chunks_exact_mut(self.w)
            .zip(lower.chunks_exact_mut(self.w));
        for (pair, (most, lower)) in self.x.chunks_exact(2 * self.w).zip(rows) {
            let (up, down) = pair.split_at(self.w);
            let columns = most.iter_mut().zip(lower).zip(up.iter().zip(down));
            for ((most, lower), (&up, &down)) in columns {
                *most = if down > up { down } else { up };
                *lower = if down > up { below } else { T::ZERO };
            }
        }
        let Some((starts, places)) = self.places else {
            for (y, pair) in pairs(s, most, self.y) {
                let (left, right) = s.halves(s.load(pair), s.load(&pair[S::LANES..]));
                s.store(y, s.max(right, left));
            }
            let done = self.y.len() / S::LANES * S::LANES;
            for i in done..self.y.len() {
                let (left, right) = (most[2 * i], most[2 * i + 1]);
                self.y[i] = if right > left { right } else { left };
            }
            return true;
        };
        assert!(starts.len() == self.y.len() && places.len() == self.y.len());
        let one = s.splat(T::ONE);
        for (n, (y, pair)) in pairs(s, most, self.y).enumerate() {
            let at = n * S::LANES;
            let (left, right) = s.halves(s.load(pair), s.load(&pair[S::LANES..]));
            let row = &lower[2 * at..];
            let (l, r) = s.halves(s.load(row), s.load(&row[S::LANES..]));
            let r = s.add(r, one);
            // Of equals the one in the upper row, of equals there the left one.
            let first = s.gt(l, r, r, l);
            let won = s.gt(right, left, r, s.gt(left, right, l, first));
            s.store(y, s.max(right, left));
            s.store_whole(&mut places[at..], s.add(won, s.load(&starts[at..])));
        }
        let done = self.y.len() / S::LANES * S::LANES;
        for i in done..self.y.len() {
            let (left, right) = (most[2 * i], most[2 * i + 1]);
            let (l, r) = (lower[2 * i], lower[2 * i + 1] + T::ONE);
            let right_wins = right > left || (right == left && r < l);
            self.y[i] = if right > left { right } else { left };
            places[i] = (starts[i] + if right_wins { r } else { l }).to_f64() as u32;
        }
        true
    }
}

/// Means of one plane of `w` columns.
struct Mean<'a, T> {
    x: &'a [T],
    w: usize,
    /// Room for the joined rows, `[P, W]`.
    rows: &'a mut [T],
    y: &'a mut [T],
}

impl<T: Real> Job<T> for Mean<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let rows = self.rows.chunks_exact_mut(self.w);
        for (pair, sums) in self.x.chunks_exact(2 * self.w).zip(rows) {
            let (up, down) = pair.split_at(self.w);
            let columns = sums.iter_mut().zip(up.iter().zip(down));
            columns.for_each(|(sum, (&up, &down))| *sum = up + down);
        }
        let quarter = T::from_f64(0.25);
        for (y, pair) in pairs(s, self.rows, self.y) {
            let (left, right) = s.halves(s.load(pair), s.load(&pair[S::LANES..]));
            s.store(y, s.mul(s.add(left, right), s.splat(quarter)));
        }
        let done = self.y.len() / S::LANES * S::LANES;
        for i in done..self.y.len() {
            self.y[i] = (self.rows[2 * i] + self.rows[2 * i + 1]) * quarter;
        }
    }
}

/// Whole vectors of `y`, each with the two vectors of joined rows that it comes from.
#[inline(always)]
fn pairs<'a, S: Simd>(
    _: S,
    rows: &'a [S::E],
    y: &'a mut [S::E],
) -> impl Iterator<Item = (&'a mut [S::E], &'a [S::E])> {
    y.chunks_exact_mut(S::LANES)
        .zip(rows.chunks_exact(2 * S::LANES))
}

#[inline(always)]
fn finite<S: Simd>(s: S, x: &[S::E]) -> bool {
    let (vectors, mut test) = (x.chunks_exact(S::LANES), Test::new(s));
    vectors.remainder().iter().for_each(|&v| test.one(v));
    for v in vectors {
        test.vector(s, s.load(v));
    }
    test.is_finite(s)
}
