//! Padding of images and the gradient of padding.

use crate::check::assert_len;
use crate::geometry::PadMode;
use crate::real::Real;
use crate::threads;

/// Copies `n` planes `[H, W]` into the middle of planes `[top + H + bottom, left + W + right]` and
/// fills the border as `mode` says. `padding`: top, bottom, left, right.
pub fn pad<T: Real>(
    mode: PadMode,
    padding: [usize; 4],
    n: usize,
    h: usize,
    w: usize,
    x: &[T],
    y: &mut [T],
) {
    let [top, bottom, left, right] = padding;
    let (hp, wp) = (h + top + bottom, w + left + right);
    assert_len("x", x, n * h * w);
    assert_len("y", y, n * hp * wp);
    if y.is_empty() {
        return;
    }
    threads::for_each_chunk(y, chunk_planes(hp * wp) * hp * wp, |chunk, out| {
        let first = chunk * chunk_planes(hp * wp);
        for (i, plane) in out.chunks_mut(hp * wp).enumerate() {
            pad_plane(
                mode,
                padding,
                (h, w),
                &x[(first + i) * h * w..][..h * w],
                plane,
            );
        }
    });
}

/// Planes that one thread takes at a time: about 64 Ki elements.
fn chunk_planes(size: usize) -> usize {
    (65_536 / size.max(1)).max(1)
}

/// [`pad`] of one plane.
pub(crate) fn pad_plane<T: Real>(
    mode: PadMode,
    padding: [usize; 4],
    (h, w): (usize, usize),
    x: &[T],
    y: &mut [T],
) {
    let [top, _, left, right] = padding;
    let wp = w + left + right;
    for (i, row) in y.chunks_exact_mut(wp).enumerate() {
        let Some(source) = mode.source(i as isize - top as isize, h) else {
            row.fill(T::ZERO);
            continue;
        };
        let from = &x[source * w..][..w];
        row[left..left + w].copy_from_slice(from);
        let border = (0..left).chain(left + w..wp);
        for j in border {
            row[j] = mode
                .source(j as isize - left as isize, w)
                .map_or(T::ZERO, |s| from[s]);
        }
    }
}

/// Gradient of [`pad`]: every border element of `dy` is added to the pixel it was copied from.
/// `dx: [n, H, W]` is overwritten.
pub fn unpad_grad<T: Real>(
    mode: PadMode,
    padding: [usize; 4],
    n: usize,
    h: usize,
    w: usize,
    dy: &[T],
    dx: &mut [T],
) {
    let [top, bottom, left, right] = padding;
    let (hp, wp) = (h + top + bottom, w + left + right);
    assert_len("dy", dy, n * hp * wp);
    assert_len("dx", dx, n * h * w);
    if dx.is_empty() {
        return;
    }
    let planes = chunk_planes(hp * wp);
    threads::for_each_chunk(dx, planes * h * w, |chunk, out| {
        for (i, plane) in out.chunks_mut(h * w).enumerate() {
            let from = &dy[(chunk * planes + i) * hp * wp..][..hp * wp];
            unpad_plane(mode, padding, (h, w), from, plane);
        }
    });
}

/// [`unpad_grad`] of one plane.
pub(crate) fn unpad_plane<T: Real>(
    mode: PadMode,
    padding: [usize; 4],
    (h, w): (usize, usize),
    dy: &[T],
    dx: &mut [T],
) {
    let [top, _, left, right] = padding;
    let wp = w + left + right;
    dx.fill(T::ZERO);
    for (i, row) in dy.chunks_exact(wp).enumerate() {
        let Some(source) = mode.source(i as isize - top as isize, h) else {
            continue;
        };
        let to = &mut dx[source * w..][..w];
        for (a, &b) in to.iter_mut().zip(&row[left..left + w]) {
            *a += b;
        }
        for j in (0..left).chain(left + w..wp) {
            if let Some(s) = mode.source(j as isize - left as isize, w) {
                to[s] += row[j];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradient is the transposed map: `<pad(x), y> = <x, unpad(y)>`.
    #[test]
    fn gradient_is_the_adjoint() {
        let (n, h, w, padding) = (3, 5, 4, [2, 3, 1, 3]);
        let x: Vec<f64> = (0..n * h * w).map(|i| (i as f64).sin()).collect();
        let dy: Vec<f64> = (0..n * (h + 5) * (w + 4))
            .map(|i| (i as f64 * 0.7).cos())
            .collect();
        for mode in [
            PadMode::Zeros,
            PadMode::Reflect,
            PadMode::Replicate,
            PadMode::Circular,
        ] {
            let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
            pad(mode, padding, n, h, w, &x, &mut y);
            unpad_grad(mode, padding, n, h, w, &dy, &mut dx);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            assert!((dot(&y, &dy) - dot(&x, &dx)).abs() < 1e-12, "{mode:?}");
        }
    }

    #[test]
    fn reflect_matches_a_hand_made_row() {
        let mut y = [0.0; 8];
        pad(
            PadMode::Reflect,
            [0, 0, 2, 2],
            1,
            1,
            4,
            &[1.0, 2.0, 3.0, 4.0],
            &mut y,
        );
        assert_eq!(y, [3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0]);
    }
}
