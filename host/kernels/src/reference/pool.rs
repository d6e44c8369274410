//! Max and average pooling, window by window.

use crate::geometry::Pool;
use crate::real::Real;

/// The pixels of the window of output `(i, j)` that lie in the image: window index, row, column.
fn window(
    g: &Pool,
    h: usize,
    w: usize,
    i: usize,
    j: usize,
) -> impl Iterator<Item = (usize, usize, usize)> {
    let [kh, kw] = g.kernel;
    let (top, left) = (i * g.stride[0], j * g.stride[1]);
    let [ph, pw] = g.padding;
    (0..kh * kw).filter_map(move |t| {
        let (row, col) = (top + t / kw, left + t % kw);
        let inside = (ph..ph + h).contains(&row) && (pw..pw + w).contains(&col);
        inside.then(|| (t, row - ph, col - pw))
    })
}

/// Largest pixel of each window, first one on ties, not-a-number if there is one; padding is
/// minus infinity. `x: [N, H, W]`, `y` and `places` (index in the plane): `[N, P, Q]`.
pub fn max_forward<T: Real>(
    g: &Pool,
    n: usize,
    h: usize,
    w: usize,
    x: &[T],
    y: &mut [T],
    mut places: Option<&mut [u32]>,
) {
    let (p, q) = g.expect_out(h, w);
    for o in 0..n * p * q {
        let plane = &x[o / (p * q) * h * w..][..h * w];
        let (mut best, mut at) = (T::NEG_INFINITY, None);
        for (_, row, col) in window(g, h, w, o / q % p, o % q) {
            let v = plane[row * w + col];
            if at.is_none() || v > best || (v.is_nan() && !best.is_nan()) {
                (best, at) = (v, Some(row * w + col));
            }
        }
        y[o] = best;
        if let Some(places) = &mut places {
            places[o] = at.expect("a window holds a pixel") as u32;
        }
    }
}

/// Sends each `dy: [N, size]` to the pixel that won. `dx` is overwritten.
pub fn max_backward<T: Real>(
    (n, size): (usize, usize),
    (h, w): (usize, usize),
    dy: &[T],
    places: &[u32],
    dx: &mut [T],
) {
    dx.fill(T::ZERO);
    for o in 0..n * size {
        dx[o / size * h * w + places[o] as usize] += dy[o];
    }
}

fn divisor<T: Real>(g: &Pool, h: usize, w: usize, o: (usize, usize), include_pad: bool) -> T {
    let count = if include_pad {
        g.kernel[0] * g.kernel[1]
    } else {
        window(g, h, w, o.0, o.1).count()
    };
    T::from_f64(count as f64)
}

/// Mean of each window; with `include_pad` the zeros of the padding count as pixels.
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
    for o in 0..n * p * q {
        let plane = &x[o / (p * q) * h * w..][..h * w];
        let at = (o / q % p, o % q);
        let sum: T = window(g, h, w, at.0, at.1)
            .map(|(_, row, col)| plane[row * w + col])
            .sum();
        y[o] = sum / divisor(g, h, w, at, include_pad);
    }
}

/// Gradient of [`avg_forward`]. `dx` is overwritten.
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
    dx.fill(T::ZERO);
    for o in 0..n * p * q {
        let at = (o / q % p, o % q);
        let share = dy[o] / divisor(g, h, w, at, include_pad);
        for (_, row, col) in window(g, h, w, at.0, at.1) {
            dx[o / (p * q) * h * w + row * w + col] += share;
        }
    }
}
