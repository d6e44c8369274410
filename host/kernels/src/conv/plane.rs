//! A plane with its border, cut into column phases: where depthwise convolution and pooling read.
//!
//! Their lanes are pixels of a row. Columns 0, s, 2s, … lie together, then 1, s + 1, …, so that every
//! tap of every stride reads consecutive pixels.

use crate::geometry::Conv;
use crate::pad::pad_plane;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::simd::{Job, Simd};

/// Elements that are read beyond the last row by whole vectors.
pub(crate) const SLACK: usize = 16;

/// Planes that one thread takes at a time.
pub(crate) fn planes_per_task(plane: usize) -> usize {
    (32_768 / plane.max(1)).max(1)
}

/// How a padded plane lies in memory by column phases.
pub(crate) struct Plane {
    g: Conv,
    /// Size of the image and of the padded image.
    image: (usize, usize),
    padded: (usize, usize),
    /// Columns of a phase.
    wide: usize,
    /// Output rows and columns.
    pub out: (usize, usize),
}

impl Plane {
    /// For images of `h` x `w`.
    pub(crate) fn new(g: &Conv, h: usize, w: usize) -> Self {
        let padded = g.padded_size(h, w);
        Self {
            g: *g,
            image: (h, w),
            padded,
            wide: padded.1.div_ceil(g.stride[1]),
            out: g.expect_out(h, w),
        }
    }

    /// Memory for one plane, all of it `border`; [`Plane::load`] fills the rest.
    pub(crate) fn memory<T: Real>(&self, border: T) -> Buffer<T> {
        let mut memory = Buffer::new(self.g.stride[1] * self.padded.0 * self.wide + SLACK);
        memory.fill(border);
        memory
    }

    /// Element of the window of output row 0, column 0 that tap `(r, s)` reads.
    fn tap(&self, r: usize, s: usize) -> usize {
        let (col, phases) = (s * self.g.dilation[1], self.g.stride[1]);
        let (phase, col) = (col % phases, col / phases);
        (phase * self.padded.0 + r * self.g.dilation[0]) * self.wide + col
    }

    /// [`Plane::tap`] of every tap.
    pub(crate) fn taps(&self) -> Vec<usize> {
        let [rows, cols] = self.g.kernel;
        let taps = (0..rows).flat_map(|r| (0..cols).map(move |s| (r, s)));
        taps.map(|(r, s)| self.tap(r, s)).collect()
    }

    /// Elements from one output row to the next.
    pub(crate) fn row_step(&self) -> usize {
        self.g.stride[0] * self.wide
    }

    /// Puts the image `x` into a plane, with its border where that copies pixels. Says whether all
    /// of it is finite.
    pub(crate) fn load<T: Real>(&self, x: &[T], to: &mut [T]) -> bool {
        let [top, _, left, _] = self.g.padding;
        let place = |x, size, at, to| {
            T::vectorised(Place {
                x,
                size,
                at,
                phases: self.g.stride[1],
                plane: (self.padded.0, self.wide),
                to,
            })
        };
        if !self.g.copies_border() {
            return place(x, self.image, (top, left), to);
        }
        let mut whole = Buffer::new(self.padded.0 * self.padded.1);
        pad_plane(self.g.pad_mode, self.g.padding, self.image, x, &mut whole);
        place(&whole, self.padded, (0, 0), to)
    }
}

/// Copies an image into a plane by column phases; around it the plane keeps what it holds. Says
/// whether all of the image is finite.
pub(crate) struct Place<'a, T> {
    /// `[rows, columns]` of `size`.
    pub x: &'a [T],
    pub size: (usize, usize),
    /// Row and column of the plane at which the image starts.
    pub at: (usize, usize),
    pub phases: usize,
    /// Rows, and columns of a phase.
    pub plane: (usize, usize),
    pub to: &'a mut [T],
}

impl<T: Real> Job<T> for Place<'_, T> {
    type Out = bool;

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) -> bool {
        let ((h, w), (rows, wide)) = (self.size, self.plane);
        assert!(self.x.len() == h * w && self.at.0 + h <= rows);
        assert!((self.at.1 + w).div_ceil(self.phases) <= wide);
        let (phase, col) = (self.at.1 % self.phases, self.at.1 / self.phases);
        let mut test = Test::new(s);
        for (i, from) in self.x.chunks_exact(w.max(1)).enumerate() {
            let row = (self.at.0 + i) * wide;
            match self.phases {
                1 => straight(s, from, &mut self.to[row + col..][..w], &mut test),
                2 => {
                    let (even, odd) = self.to.split_at_mut(rows * wide);
                    let (even, odd) = (&mut even[row..], &mut odd[row..]);
                    let (first, second) = match phase {
                        0 => (&mut even[col..], &mut odd[col..]),
                        _ => (&mut odd[col..], &mut even[col + 1..]),
                    };
                    halves(
                        s,
                        from,
                        &mut first[..w.div_ceil(2)],
                        &mut second[..w / 2],
                        &mut test,
                    );
                }
                phases => {
                    for (j, &v) in from.iter().enumerate() {
                        let at = self.at.1 + j;
                        self.to[at % phases * rows * wide + row + at / phases] = v;
                        test.one(v);
                    }
                }
            }
        }
        test.is_finite(s)
    }
}

/// Sums of zeros times elements: not a number as soon as one of them is not finite.
pub(crate) struct Test<S: Simd> {
    lanes: S::V,
    rest: S::E,
}

impl<S: Simd> Test<S> {
    #[inline(always)]
    pub(crate) fn new(s: S) -> Self {
        Self {
            lanes: s.splat(S::E::ZERO),
            rest: S::E::ZERO,
        }
    }

    #[inline(always)]
    pub(crate) fn vector(&mut self, s: S, v: S::V) {
        self.lanes = s.fma(v, s.splat(S::E::ZERO), self.lanes);
    }

    #[inline(always)]
    pub(crate) fn one(&mut self, v: S::E) {
        self.rest += v * S::E::ZERO;
    }

    /// Whether all that was shown is finite.
    #[inline(always)]
    pub(crate) fn is_finite(&self, s: S) -> bool {
        !s.sum(self.lanes).is_nan() && !self.rest.is_nan()
    }
}

#[inline(always)]
fn straight<S: Simd>(s: S, from: &[S::E], to: &mut [S::E], test: &mut Test<S>) {
    let (mut vectors, mut places) = (from.chunks_exact(S::LANES), to.chunks_exact_mut(S::LANES));
    for (from, to) in vectors.by_ref().zip(places.by_ref()) {
        let v = s.load(from);
        test.vector(s, v);
        s.store(to, v);
    }
    for (&from, to) in vectors.remainder().iter().zip(places.into_remainder()) {
        *to = from;
        test.one(from);
    }
}

/// The first, third, … element goes to `first`, the others to `second`.
#[inline(always)]
fn halves<S: Simd>(
    s: S,
    from: &[S::E],
    first: &mut [S::E],
    second: &mut [S::E],
    test: &mut Test<S>,
) {
    let mut vectors = from.chunks_exact(2 * S::LANES);
    let mut places = (first.chunks_exact_mut(S::LANES)).zip(second.chunks_exact_mut(S::LANES));
    let mut done = 0;
    for (from, (first, second)) in vectors.by_ref().zip(places.by_ref()) {
        let (a, b) = (s.load(from), s.load(&from[S::LANES..]));
        test.vector(s, a);
        test.vector(s, b);
        let (a, b) = s.halves(a, b);
        s.store(first, a);
        s.store(second, b);
        done += S::LANES;
    }
    for (j, &v) in vectors.remainder().iter().enumerate() {
        let to = if j % 2 == 0 {
            &mut *first
        } else {
            &mut *second
        };
        to[done + j / 2] = v;
        test.one(v);
    }
}

/// Elements of `even` and `odd` in turn: what stride 2 took apart. `even` may have one more.
pub(crate) struct Zip<'a, T> {
    pub even: &'a [T],
    pub odd: &'a [T],
    pub to: &'a mut [T],
}

impl<T: Real> Job<T> for Zip<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        assert!(self.to.len() == self.even.len() + self.odd.len());
        let whole = self.odd.len() / S::LANES * S::LANES;
        let vectors = self.to.chunks_exact_mut(2 * S::LANES);
        let from = (self.even.chunks_exact(S::LANES)).zip(self.odd.chunks_exact(S::LANES));
        for (to, (even, odd)) in vectors.zip(from) {
            let (first, second) = s.zip(s.load(even), s.load(odd));
            s.store(to, first);
            s.store(&mut to[S::LANES..], second);
        }
        for (i, to) in self.to[2 * whole..].iter_mut().enumerate() {
            let from = if i % 2 == 0 { self.even } else { self.odd };
            *to = from[whole + i / 2];
        }
    }
}
