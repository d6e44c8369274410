//! Max and average pooling with stride, padding and overlap, and their gradients.
//!
//! Planes are padded and cut into column phases as for depthwise convolution, so that every pixel of a
//! window is a vector of consecutive elements. Average pooling is a depthwise convolution with ones.
//! Windows of 2x2 side by side have kernels of their own.

mod halves;
mod maxima;
mod windows;

use self::halves::Halves;
use self::maxima::{Maxima, window};
use self::windows::Windows;
use crate::check::assert_len;
use crate::conv::depthwise;
use crate::conv::plane::planes_per_task;
use crate::geometry::Pool;
use crate::real::Real;
use crate::reference;
use crate::scratch::Buffer;
use crate::threads::{self, Shared};

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
    if halves::serves(g, h, w) {
        max_planes(&Halves::new(h, w), g, n, (h, w), x, y, places);
    } else {
        max_planes(&Windows::new(g, h, w), g, n, (h, w), x, y, places);
    }
}

fn max_planes<T: Real>(
    way: &impl Maxima<T>,
    g: &Pool,
    n: usize,
    (h, w): (usize, usize),
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
    let many = planes_per_task(h * w);
    threads::for_each_chunk(y, many * p * q, |task, y| {
        let mut memory = way.memory();
        for (i, y) in y.chunks_exact_mut(p * q).enumerate() {
            let number = task * many + i;
            let x = &x[number * h * w..][..h * w];
            // SAFETY: the results of a plane belong to one task.
            let mut places = places
                .as_ref()
                .map(|places| unsafe { places.part(number * p * q, p * q) });
            if !way.max(&mut memory, x, y, places.as_deref_mut()) {
                reference::pool::max_forward(g, 1, h, w, x, y, places);
            }
        }
    });
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

/// One by the number of pixels of each window, `[P, Q]`.
fn shares<T: Real>(g: &Pool, (h, w): (usize, usize), include_pad: bool) -> Vec<T> {
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
    pixels.map(|n| T::ONE / T::from_f64(n as f64)).collect()
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
    if halves::serves(g, h, w) {
        let (halves, many) = (Halves::<T>::new(h, w), planes_per_task(h * w));
        return threads::for_each_chunk(y, many * p * q, |task, y| {
            let mut memory = halves.memory();
            for (i, y) in y.chunks_exact_mut(p * q).enumerate() {
                let x = &x[(task * many + i) * h * w..][..h * w];
                halves.mean(&mut memory, x, y);
            }
        });
    }
    let ones = vec![T::ONE; g.kernel[0] * g.kernel[1]];
    depthwise::forward(&window(g), n, h, w, x, &ones, y);
    let shares = shares(g, (h, w), include_pad);
    threads::for_each_chunk(y, planes_per_task(p * q) * p * q, |_, y| {
        for y in y.chunks_exact_mut(p * q) {
            let pixels = y.iter_mut().zip(&shares);
            pixels.for_each(|(y, &share)| *y *= share);
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
    if halves::serves(g, h, w) {
        let (halves, many) = (Halves::<T>::new(h, w), planes_per_task(h * w));
        return threads::for_each_chunk(dx, many * h * w, |task, dx| {
            let mut memory = halves.memory();
            for (i, dx) in dx.chunks_exact_mut(h * w).enumerate() {
                let dy = &dy[(task * many + i) * p * q..][..p * q];
                halves.mean_backward(&mut memory, dy, dx);
            }
        });
    }
    let shares = shares::<T>(g, (h, w), include_pad);
    let mut shared = Buffer::new(dy.len());
    let many = planes_per_task(p * q);
    threads::for_each_chunk(&mut shared, many * p * q, |chunk, to| {
        let from = &dy[chunk * many * p * q..][..to.len()];
        let planes = to.chunks_exact_mut(p * q).zip(from.chunks_exact(p * q));
        for (to, dy) in planes {
            let pixels = to.iter_mut().zip(dy).zip(&shares);
            pixels.for_each(|((to, &dy), &share)| *to = dy * share);
        }
    });
    let ones = vec![T::ONE; g.kernel[0] * g.kernel[1]];
    depthwise::input_grad(&window(g), n, h, w, &shared, &ones, dx);
}
