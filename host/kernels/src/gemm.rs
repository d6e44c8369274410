//! Matrix products of row-major matrices, by the `gemm` crate (AVX-512 through its `x86-v4`).
//!
//! `c[M, N] = beta * c + alpha * op(a) op(b)`; `nn`, `nt` and `tn` say which operand is stored
//! transposed. With `beta` 0, `c` is not read.

use crate::check::assert_len;
use crate::real::Real;
use crate::threads;
use gemm::Parallelism;

/// Below this many multiplications one thread is faster than waking others.
const SMALL: usize = 1 << 16;

/// `c[M, N] = beta c + alpha a[M, K] b[K, N]`.
pub fn nn<T: Real>(size: (usize, usize, usize), alpha: T, a: &[T], b: &[T], beta: T, c: &mut [T]) {
    let (_, n, k) = size;
    product(size, alpha, (a, k, 1), (b, n, 1), beta, c);
}

/// `c[M, N] = beta c + alpha a[M, K] b[N, K]^T`: a dense layer's forward map.
pub fn nt<T: Real>(size: (usize, usize, usize), alpha: T, a: &[T], b: &[T], beta: T, c: &mut [T]) {
    let (_, _, k) = size;
    product(size, alpha, (a, k, 1), (b, 1, k), beta, c);
}

/// `c[M, N] = beta c + alpha a[K, M]^T b[K, N]`: a dense layer's correlation.
pub fn tn<T: Real>(size: (usize, usize, usize), alpha: T, a: &[T], b: &[T], beta: T, c: &mut [T]) {
    let (m, n, _) = size;
    product(size, alpha, (a, 1, m), (b, n, 1), beta, c);
}

/// A matrix, its step from row to row and from column to column.
type Operand<'a, T> = (&'a [T], usize, usize);

fn product<T: Real>(
    (m, n, k): (usize, usize, usize),
    alpha: T,
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    beta: T,
    c: &mut [T],
) {
    assert_len("a", a.0, m * k);
    assert_len("b", b.0, k * n);
    assert_len("c", c, m * n);
    if c.is_empty() {
        return;
    }
    let keep = beta != T::ZERO;
    let threads = if m * n * k < SMALL || threads::count() == 1 {
        Parallelism::None
    } else {
        Parallelism::Rayon(threads::count())
    };
    // SAFETY: the slices have the sizes that the strides reach, `c` overlaps neither.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            keep,
            a.0.as_ptr(),
            a.2 as isize,
            a.1 as isize,
            b.0.as_ptr(),
            b.2 as isize,
            b.1 as isize,
            beta,
            alpha,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_loops() {
        let (m, n, k) = (5, 7, 11);
        let fill =
            |len: usize, f: f64| (0..len).map(|i| (i as f64 * f).sin()).collect::<Vec<f64>>();
        let (a, b, c) = (fill(m * k, 0.7), fill(k * n, 1.3), fill(m * n, 0.3));
        let at: Vec<f64> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
        let bt: Vec<f64> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
        let expected: Vec<f64> = (0..m * n)
            .map(|i| {
                0.5 * c[i]
                    + 2.0
                        * (0..k)
                            .map(|l| a[i / n * k + l] * b[l * n + i % n])
                            .sum::<f64>()
            })
            .collect();
        let results =
            [nn::<f64>, nt::<f64>, tn::<f64>]
                .into_iter()
                .zip([(&a, &b), (&a, &bt), (&at, &b)]);
        for (product, (a, b)) in results {
            let mut out = c.clone();
            product((m, n, k), 2.0, a, b, 0.5, &mut out);
            assert!(
                out.iter()
                    .zip(&expected)
                    .all(|(x, y)| (x - y).abs() < 1e-12)
            );
        }
    }
}
