//! The three maps of a dense layer, element by element.

use crate::real::Real;

/// `y[B, K] = x[B, D] w[K, D]^T`.
pub fn forward<T: Real>((b, d, k): (usize, usize, usize), x: &[T], w: &[T], y: &mut [T]) {
    for o in 0..b * k {
        y[o] = (0..d).map(|i| x[o / k * d + i] * w[o % k * d + i]).sum();
    }
}

/// `dx[B, D] = g[B, K] w[K, D]`.
pub fn input_grad<T: Real>((b, d, k): (usize, usize, usize), g: &[T], w: &[T], dx: &mut [T]) {
    for o in 0..b * d {
        dx[o] = (0..k).map(|u| g[o / d * k + u] * w[u * d + o % d]).sum();
    }
}

/// `dw[K, D] = g[B, K]^T x[B, D]`.
pub fn weight_grad<T: Real>((b, d, k): (usize, usize, usize), x: &[T], g: &[T], dw: &mut [T]) {
    for o in 0..k * d {
        dw[o] = (0..b).map(|n| g[n * k + o / d] * x[n * d + o % d]).sum();
    }
}
