//! Maxima of any windows, on planes padded with minus infinity and cut into column phases.

use super::maxima::{EXACT, Maxima, window};
use crate::conv::plane::Plane;
use crate::geometry::Pool;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::simd::{Job, Simd};

/// How windows read planes of one size.
pub(super) struct Windows<T> {
    plane: Plane,
    taps: Vec<usize>,
    offsets: Vec<T>,
    /// Pixel (outside the plane where there is padding) at which the first window starts.
    first: f64,
    /// Pixels from window to window, down and right.
    steps: [f64; 2],
    exact: bool,
}

impl<T: Real> Windows<T> {
    /// For planes of `h` x `w`.
    pub(super) fn new(g: &Pool, h: usize, w: usize) -> Self {
        let plane = Plane::new(&window(g), h, w);
        Self {
            taps: plane.taps(),
            plane,
            offsets: offsets(g, w),
            first: -((g.padding[0] * w + g.padding[1]) as f64),
            steps: [(g.stride[0] * w) as f64, g.stride[1] as f64],
            exact: (h + g.kernel[0]) * w + g.kernel[1] < EXACT,
        }
    }
}

impl<T: Real> Maxima<T> for Windows<T> {
    fn memory(&self) -> Buffer<T> {
        self.plane.memory(T::NEG_INFINITY)
    }

    fn max(&self, memory: &mut [T], x: &[T], y: &mut [T], places: Option<&mut [u32]>) -> bool {
        if !self.plane.load(x, memory) || !self.exact {
            return false;
        }
        let at = Reading {
            x: memory,
            step: self.plane.row_step(),
            cols: self.plane.out.1,
            taps: &self.taps,
        };
        match places {
            Some(places) => T::vectorised(Places {
                at,
                offsets: &self.offsets,
                first: self.first,
                steps: self.steps,
                y,
                places,
            }),
            None => T::vectorised(Largest { at, y }),
        }
        true
    }
}

/// Pixels of a window in a plane of `w` columns, counted from its first.
fn offsets<T: Real>(g: &Pool, w: usize) -> Vec<T> {
    let [_, columns] = g.kernel;
    let pixels = (0..g.kernel[0] * columns).map(|tap| tap / columns * w + tap % columns);
    pixels.map(|pixel| T::from_f64(pixel as f64)).collect()
}

/// A padded plane by column phases, whose values are finite, or the minus infinity of the padding.
struct Reading<'a, T> {
    x: &'a [T],
    step: usize,
    cols: usize,
    taps: &'a [usize],
}

impl<T: Real> Reading<'_, T> {
    #[inline(always)]
    fn check<S: Simd<E = T>>(&self, outputs: usize) {
        let last_row = (outputs / self.cols - 1) * self.step;
        let reach = self.taps.iter().max().copied().unwrap_or(0) + last_row;
        assert!(
            reach + self.cols + S::LANES <= self.x.len() + 1,
            "tap outside the plane"
        );
    }

    /// Tap `tap` of the vector of windows that starts at row `i`, column `j`.
    ///
    /// # Safety
    /// [`Reading::check`] has passed, and the vector starts inside the row.
    #[inline(always)]
    unsafe fn at<S: Simd<E = T>>(&self, s: S, i: usize, j: usize, tap: usize) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.read(self.x.as_ptr().add(i * self.step + j + tap)) }
    }
}

#[inline(always)]
fn store<S: Simd>(s: S, to: &mut [S::E], v: S::V) {
    if to.len() == S::LANES {
        s.store(to, v);
    } else {
        s.store_part(to, v);
    }
}

/// Maximum over taps.
struct Largest<'a, T> {
    at: Reading<'a, T>,
    y: &'a mut [T],
}

impl<T: Real> Job<T> for Largest<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        self.at.check::<S>(self.y.len());
        for (i, y) in self.y.chunks_exact_mut(self.at.cols).enumerate() {
            for (j, y) in y.chunks_mut(S::LANES).enumerate() {
                let mut most = s.splat(T::NEG_INFINITY);
                for &tap in self.at.taps {
                    // SAFETY: checked above; the vector starts at an output of the row.
                    most = s.max(unsafe { self.at.at(s, i, j * S::LANES, tap) }, most);
                }
                store(s, y, most);
            }
        }
    }
}

/// Maximum over taps, and the pixel of the plane that it is.
struct Places<'a, T> {
    at: Reading<'a, T>,
    /// Pixel of each tap, from the window's first.
    offsets: &'a [T],
    /// Pixel (outside the plane where there is padding) at which the first window starts.
    first: f64,
    /// Pixels from window to window, down and right.
    steps: [f64; 2],
    y: &'a mut [T],
    places: &'a mut [u32],
}

impl<T: Real> Job<T> for Places<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        self.at.check::<S>(self.y.len());
        let cols = self.at.cols;
        let lane: [T; 16] = std::array::from_fn(|lane| T::from_f64(lane as f64 * self.steps[1]));
        let lane = s.load(&lane);
        let rows = self.y.chunks_exact_mut(cols);
        for (i, (y, places)) in rows.zip(self.places.chunks_exact_mut(cols)).enumerate() {
            let vectors = y.chunks_mut(S::LANES).zip(places.chunks_mut(S::LANES));
            for (j, (y, places)) in vectors.enumerate() {
                let (mut most, mut won) = (s.splat(T::NEG_INFINITY), s.splat(T::ZERO));
                for (&tap, &offset) in self.at.taps.iter().zip(self.offsets) {
                    // SAFETY: checked above; the vector starts at an output of the row.
                    let v = unsafe { self.at.at(s, i, j * S::LANES, tap) };
                    won = s.gt(v, most, s.splat(offset), won);
                    most = s.max(v, most);
                }
                store(s, y, most);
                let window = i as f64 * self.steps[0] + (j * S::LANES) as f64 * self.steps[1];
                let window = s.splat(T::from_f64(self.first + window));
                let place = s.add(s.add(won, lane), window);
                if places.len() == S::LANES {
                    s.store_whole(places, place);
                } else {
                    let mut whole = [0; 16];
                    s.store_whole(&mut whole, place);
                    places.copy_from_slice(&whole[..places.len()]);
                }
            }
        }
    }
}
