//! Max and average pooling with stride, padding and overlap, and their gradients.
//!
//! Planes are padded and cut into column phases as for depthwise convolution, so that every pixel of a
//! window is a vector of consecutive elements. Average pooling is a depthwise convolution with ones.

use crate::check::assert_len;
use crate::conv::depthwise;
use crate::conv::plane::{Plane, planes_per_task};
use crate::geometry::{Conv, PadMode, Pool};
use crate::real::Real;
use crate::reference;
use crate::scratch::Buffer;
use crate::simd::{Job, Simd};
use crate::threads::{self, Shared};

/// The window as a convolution of one channel.
fn window(g: &Pool) -> Conv {
    let [ph, pw] = g.padding;
    Conv {
        kernel: g.kernel,
        stride: g.stride,
        padding: [ph, ph, pw, pw],
        ..Conv::square(1, 1, 1)
    }
}

/// Largest pixel of each window of `n` planes `x: [n, H, W]`. Padding is minus infinity, ties go to the
/// first pixel, a not-a-number wins. `y`, and `places` where wanted (index of the pixel in its plane):
/// `[n, P, Q]`.
pub fn max_forward<T: Real>(
    g: &Pool,
    n: usize,
    h: usize,
    w: usize,
    x: &[T],
    y: &mut [T],
    places: Option<&mut [u32]>,
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("x", x, n * h * w);
    assert_len("y", y, n * p * q);
    let places = places.map(|places| {
        assert_len("places", places, n * p * q);
        Shared::new(places)
    });
    let conv = window(g);
    let plane = Plane::new(&conv, h, w);
    let (taps, offsets) = (plane.taps(), offsets(g, w));
    let exact = (h + g.kernel[0]) * w + g.kernel[1] < EXACT;
    let many = planes_per_task(h * w);
    threads::for_each_chunk(y, many * p * q, |task, y| {
        let mut cut = plane.memory(T::NEG_INFINITY);
        for (i, y) in y.chunks_exact_mut(p * q).enumerate() {
            let number = task * many + i;
            let x = &x[number * h * w..][..h * w];
            // SAFETY: the results of a plane belong to one task.
            let places = places
                .as_ref()
                .map(|places| unsafe { places.part(number * p * q, p * q) });
            if !plane.load(x, &mut cut) || !exact {
                reference::pool::max_forward(g, 1, h, w, x, y, places);
                continue;
            }
            let at = Reading {
                x: &cut,
                step: plane.row_step(),
                cols: q,
                taps: &taps,
            };
            match places {
                Some(places) => T::vectorised(Places {
                    at,
                    offsets: &offsets,
                    first: -((g.padding[0] * w + g.padding[1]) as f64),
                    steps: [(g.stride[0] * w) as f64, g.stride[1] as f64],
                    y,
                    places,
                }),
                None => T::vectorised(Largest { at, y }),
            }
        }
    });
}

/// Whole numbers below this are exact in every element type.
const EXACT: usize = 1 << 24;

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

/// Sends each `dy: [n, P, Q]` to the pixel that won. `dx: [n, H, W]` is overwritten.
///
/// # Panics
/// If a place is outside its plane.
pub fn max_backward<T: Real>(
    (n, size): (usize, usize),
    (h, w): (usize, usize),
    dy: &[T],
    places: &[u32],
    dx: &mut [T],
) {
    assert_len("dy", dy, n * size);
    assert_len("places", places, n * size);
    assert_len("dx", dx, n * h * w);
    let many = planes_per_task(h * w);
    threads::for_each_chunk(dx, many * h * w, |task, dx| {
        dx.fill(T::ZERO);
        for (i, dx) in dx.chunks_exact_mut(h * w).enumerate() {
            let from = (task * many + i) * size;
            let won = &places[from..from + size];
            for (&dy, &place) in dy[from..from + size].iter().zip(won) {
                dx[place as usize] += dy;
            }
        }
    });
}

/// Pixels of each window, `[P, Q]`.
fn counts<T: Real>(g: &Pool, (h, w): (usize, usize), include_pad: bool) -> Vec<T> {
    let (p, q) = g.expect_out(h, w);
    let inside = |axis: usize, i: usize, size: usize| {
        let (from, pad) = (i * g.stride[axis], g.padding[axis]);
        if include_pad {
            g.kernel[axis]
        } else {
            (from + g.kernel[axis]).min(pad + size) - from.max(pad)
        }
    };
    let pixels = (0..p * q).map(|i| inside(0, i / q, h) * inside(1, i % q, w));
    pixels.map(|n| T::from_f64(n as f64)).collect()
}

/// Mean of each window of `x: [n, H, W]`; with `include_pad` the zeros of the padding count as
/// pixels. `y: [n, P, Q]`.
pub fn avg_forward<T: Real>(
    g: &Pool,
    n: usize,
    h: usize,
    w: usize,
    include_pad: bool,
    x: &[T],
    y: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("x", x, n * h * w);
    assert_len("y", y, n * p * q);
    let ones = vec![T::ONE; g.kernel[0] * g.kernel[1]];
    depthwise::forward(&window(g), n, h, w, x, &ones, y);
    let counts = counts(g, (h, w), include_pad);
    threads::for_each_chunk(y, planes_per_task(p * q) * p * q, |_, y| {
        for y in y.chunks_exact_mut(p * q) {
            y.iter_mut()
                .zip(&counts)
                .for_each(|(y, &count)| *y /= count);
        }
    });
}

/// Gradient of [`avg_forward`]: `dx: [n, H, W]`, overwritten, from `dy: [n, P, Q]`.
pub fn avg_backward<T: Real>(
    g: &Pool,
    n: usize,
    h: usize,
    w: usize,
    include_pad: bool,
    dy: &[T],
    dx: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("dy", dy, n * p * q);
    assert_len("dx", dx, n * h * w);
    let counts = counts::<T>(g, (h, w), include_pad);
    let mut shares = Buffer::new(dy.len());
    threads::for_each_chunk(&mut shares, planes_per_task(p * q) * p * q, |chunk, to| {
        let from = &dy[chunk * planes_per_task(p * q) * p * q..][..to.len()];
        for (i, (to, &dy)) in to.iter_mut().zip(from).enumerate() {
            *to = dy / counts[i % (p * q)];
        }
    });
    let ones = vec![T::ONE; g.kernel[0] * g.kernel[1]];
    let window = Conv {
        pad_mode: PadMode::Zeros,
        ..window(g)
    };
    depthwise::input_grad(&window, n, h, w, &shares, &ones, dx);
}
