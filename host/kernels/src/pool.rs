//! Max and average pooling with stride, padding and overlap, and their gradients.
//!
//! Planes are padded and cut into column phases as for depthwise convolution, so that every pixel of a
//! window is a vector of consecutive elements. Average pooling is a depthwise convolution with ones.

use crate::check::assert_len;
use crate::conv::depthwise::{self, Plane, SLACK, planes_per_task};
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
/// first pixel, a not-a-number wins. `y`, `argmax` (index in the window): `[n, P, Q]`.
pub fn max_forward<T: Real>(
    g: &Pool,
    n: usize,
    h: usize,
    w: usize,
    x: &[T],
    y: &mut [T],
    argmax: &mut [u16],
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("x", x, n * h * w);
    assert_len("y", y, n * p * q);
    assert_len("argmax", argmax, n * p * q);
    let conv = window(g);
    let (hp, wp) = conv.padded_size(h, w);
    let plane = Plane::new(&conv, (hp, wp), (p, q));
    let taps = plane.taps();
    let many = planes_per_task(hp * wp);
    let argmax = Shared::new(argmax);
    threads::for_each_chunk(y, many * p * q, |task, y| {
        let (mut padded, mut cut) = (Buffer::new(hp * wp), Buffer::new(plane.len()));
        padded.fill(T::NEG_INFINITY);
        for (i, y) in y.chunks_exact_mut(p * q).enumerate() {
            let number = task * many + i;
            let x = &x[number * h * w..][..h * w];
            // SAFETY: the results of a plane belong to one task.
            let argmax = unsafe { argmax.part(number * p * q, p * q) };
            // No short cut, so that it compiles to vector code: an infinity or a not-a-number
            // times 0 is not 0.
            if x.iter()
                .fold(false, |odd, &v| odd | (v * T::ZERO != T::ZERO))
            {
                reference::pool::max_forward(g, 1, h, w, x, y, argmax);
                continue;
            }
            for (row, x) in x.chunks_exact(w).enumerate() {
                padded[(row + g.padding[0]) * wp + g.padding[1]..][..w].copy_from_slice(x);
            }
            plane.split(wp, &padded, &mut cut);
            T::vectorised(Largest {
                x: &cut,
                step: plane.row_step(),
                cols: q,
                taps: &taps,
                y,
                argmax,
            });
        }
    });
}

/// Maximum over taps, and which tap; all values are finite, or the minus infinity of the padding.
struct Largest<'a, T> {
    x: &'a [T],
    step: usize,
    cols: usize,
    taps: &'a [usize],
    y: &'a mut [T],
    argmax: &'a mut [u16],
}

impl<T: Real> Job<T> for Largest<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
        let last_row = (self.y.len() / self.cols - 1) * self.step;
        let reach = self.taps.iter().max().copied().unwrap_or(0) + last_row;
        assert!(
            reach + self.cols + S::LANES <= self.x.len() + 1,
            "tap outside the plane"
        );
        let rows = self
            .y
            .chunks_exact_mut(self.cols)
            .zip(self.argmax.chunks_exact_mut(self.cols));
        for (i, (y, argmax)) in rows.enumerate() {
            let vectors = y.chunks_mut(S::LANES).zip(argmax.chunks_mut(S::LANES));
            for (j, (y, argmax)) in vectors.enumerate() {
                let (mut most, mut at) = (s.splat(T::NEG_INFINITY), zero);
                let mut number = zero;
                for &tap in self.taps {
                    // SAFETY: the vector starts inside the row, and the plane reaches to its end
                    // (checked above).
                    let v =
                        unsafe { s.read(self.x.as_ptr().add(i * self.step + j * S::LANES + tap)) };
                    at = s.gt(v, most, number, at);
                    most = s.max(v, most);
                    number = s.add(number, one);
                }
                let mut index = [T::ZERO; SLACK];
                s.store(&mut index, at);
                if y.len() == S::LANES {
                    s.store(y, most);
                } else {
                    s.store_part(y, most);
                }
                for (to, index) in argmax.iter_mut().zip(index) {
                    *to = index.to_f64() as i32 as u16;
                }
            }
        }
    }
}

/// Sends each `dy: [n, P, Q]` to the pixel that won. `dx: [n, H, W]` is overwritten.
///
/// # Panics
/// If `argmax` was not made by [`max_forward`] for the same shape.
pub fn max_backward<T: Real>(
    g: &Pool,
    n: usize,
    h: usize,
    w: usize,
    dy: &[T],
    argmax: &[u16],
    dx: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    assert_len("dy", dy, n * p * q);
    assert_len("argmax", argmax, n * p * q);
    assert_len("dx", dx, n * h * w);
    let places: Vec<usize> = (0..g.kernel[0] * g.kernel[1])
        .map(|t| t / g.kernel[1] * w + t % g.kernel[1])
        .collect();
    // The window of output (0, 0) starts this far in front of the image.
    let before = g.padding[0] * w + g.padding[1];
    let many = planes_per_task(h * w);
    threads::for_each_chunk(dx, many * h * w, |task, dx| {
        dx.fill(T::ZERO);
        for (i, dx) in dx.chunks_exact_mut(h * w).enumerate() {
            let from = (task * many + i) * p * q;
            let rows = dy[from..from + p * q]
                .chunks_exact(q)
                .zip(argmax[from..from + p * q].chunks_exact(q));
            for (row, (dy, argmax)) in rows.enumerate() {
                let mut start = row * g.stride[0] * w;
                for (&dy, &t) in dy.iter().zip(argmax) {
                    dx[start + places[usize::from(t)] - before] += dy;
                    start += g.stride[1];
                }
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
