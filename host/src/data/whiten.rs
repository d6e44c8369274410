//! ZCA whitening (SoftHebb, `dataset.py`; softhebb.md 4.4): pixels are decorrelated
//! and stay as close to the picture as they can.
//!
//! `W = U·diag(1/√(s + ε))·Uᵀ` of the covariance `C = U·diag(s)·Uᵀ` is the inverse square
//! root of `C + ε·I`; it is found by Newton and Schulz's coupled iteration (Higham,
//! *Functions of Matrices*, eq. 6.35), which needs matrix products alone and so also
//! serves 3,072 pixels.

use biorule_kernels::gemm;

use crate::{Error, Result};

/// Steps after which the iteration is given up; condition numbers of 10⁸ take about 40.
const STEPS: usize = 100;

/// The whitening matrix `[D, D]` of samples `x: [N, D]`, with `ε = smoothing`.
///
/// # Errors
/// Usage errors for fewer than two samples or a smoothing that is not positive.
pub fn zca_matrix(x: &[f64], d: usize, smoothing: f64) -> Result<Vec<f64>> {
    let n = x.len() / d.max(1);
    if n < 2 || smoothing <= 0.0 {
        return Err(Error::usage(format!(
            "whitening needs two samples and a positive smoothing, found {n} and {smoothing}"
        )));
    }
    let mut mean = vec![0.0; d];
    for row in x.chunks_exact(d) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(m, v)| *m += v / n as f64);
    }
    let centred: Vec<f64> = x
        .chunks_exact(d)
        .flat_map(|row| row.iter().zip(&mean).map(|(v, m)| v - m))
        .collect();
    let mut covariance = vec![0.0; d * d];
    gemm::tn(
        (d, d, n),
        1.0 / (n - 1) as f64,
        &centred,
        &centred,
        0.0,
        &mut covariance,
    );
    (0..d).for_each(|i| covariance[i * d + i] += smoothing);
    inverse_root(covariance, d)
}

/// `data ← data·W` for samples `x: [N, D]`; no mean is taken away.
pub fn whiten(x: &[f64], d: usize, matrix: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    gemm::nn((x.len() / d, d, d), 1.0, x, matrix, 0.0, &mut out);
    out
}

/// The inverse square root of a symmetric positive definite `a: [D, D]`.
fn inverse_root(a: Vec<f64>, d: usize) -> Result<Vec<f64>> {
    let size = a.iter().map(|v| v * v).sum::<f64>().sqrt();
    let mut y: Vec<f64> = a.iter().map(|v| v / size).collect();
    let mut z = vec![0.0; d * d];
    (0..d).for_each(|i| z[i * d + i] = 1.0);
    let mut t = vec![0.0; d * d];
    let mut next = vec![0.0; d * d];
    for _ in 0..STEPS {
        // T = (3I − ZY)/2, then Y ← YT and Z ← TZ.
        gemm::nn((d, d, d), -0.5, &z, &y, 0.0, &mut t);
        (0..d).for_each(|i| t[i * d + i] += 1.5);
        gemm::nn((d, d, d), 1.0, &y, &t, 0.0, &mut next);
        std::mem::swap(&mut y, &mut next);
        gemm::nn((d, d, d), 1.0, &t, &z, 0.0, &mut next);
        std::mem::swap(&mut z, &mut next);
        let away = (0..d * d)
            .map(|i| (t[i] - f64::from(u8::from(i / d == i % d))).abs())
            .fold(0.0, f64::max);
        if away < 1e-14 {
            break;
        }
    }
    let scale = 1.0 / size.sqrt();
    z.iter_mut().for_each(|v| *v *= scale);
    match z.iter().all(|v| v.is_finite()) {
        true => Ok(z),
        false => Err(Error::internal("whitening did not converge")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitened_samples_are_uncorrelated() {
        let (n, d) = (400, 6);
        let mut state = 7u64;
        let mut noise = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as f64 / f64::from(1u32 << 31) - 0.5
        };
        let mut x = vec![0.0; n * d];
        for row in x.chunks_exact_mut(d) {
            let shared = noise();
            row.iter_mut()
                .enumerate()
                .for_each(|(i, v)| *v = 3.0 * shared + noise() * (1.0 + i as f64));
        }
        let w = zca_matrix(&x, d, 1e-9).expect("a matrix");
        let again = zca_matrix(&whiten(&x, d, &w), d, 1e-9).expect("a matrix");
        for (i, v) in again.iter().enumerate() {
            let one = f64::from(u8::from(i / d == i % d));
            assert!((v - one).abs() < 1e-6, "{i}: {v}");
        }
        assert!(zca_matrix(&x[..d], d, 0.1).is_err());
    }
}
