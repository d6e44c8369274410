//! ZCA whitening (SoftHebb, `dataset.py`): pixels are decorrelated
//! and stay as close to the picture as they can.
//!
//! `W = U·diag(1/√(s + ε))·Uᵀ` of the covariance `C = U·diag(s)·Uᵀ` is the inverse square
//! root of `C + ε·I`; it is found by Newton and Schulz's coupled iteration (Higham,
//! *Functions of Matrices*, eq. 6.35), which needs matrix products alone and so also
//! serves 3,072 pixels.

use std::ops::Range;
use std::sync::Arc;

use biorule_kernels::gemm;

use super::augment;
use super::dataset::{Dataset, Values};
use super::normalize::Normalizer;
use super::subset::Subset;
use crate::device::memory;
use crate::plan::Augment;
use crate::{Error, Result};

/// Steps after which the iteration is given up; condition numbers of 10⁸ take about 40.
const STEPS: usize = 100;

/// Samples that are in memory as f64 at a time.
const PART: usize = 1024;

/// The whitening matrix `[D, D]` of samples `x: [N, D]`, with `ε = smoothing`.
///
/// # Errors
/// Usage errors for fewer than two samples or a smoothing that is not positive.
pub fn zca_matrix(x: &[f64], d: usize, smoothing: f64) -> Result<Vec<f64>> {
    let rows = |part: Range<usize>| x[part.start * d..part.end * d].to_vec();
    matrix_of(x.len() / d.max(1), d, smoothing, rows)
}

/// The same for `n` samples that `rows` reads, a part at a time.
fn matrix_of(
    n: usize,
    d: usize,
    smoothing: f64,
    rows: impl Fn(Range<usize>) -> Vec<f64>,
) -> Result<Vec<f64>> {
    if n < 2 || smoothing.is_nan() || smoothing <= 0.0 {
        return Err(Error::usage(format!(
            "whitening needs two samples and a positive smoothing, found {n} and {smoothing}"
        )));
    }
    let parts = || {
        (0..n)
            .step_by(PART)
            .map(|start| start..(start + PART).min(n))
    };
    let mut mean = vec![0.0; d];
    for part in parts() {
        for row in rows(part).chunks_exact(d) {
            let terms = mean.iter_mut().zip(row);
            terms.for_each(|(m, v)| *m += v / n as f64);
        }
    }
    let mut covariance = vec![0.0; d * d];
    for part in parts() {
        let count = part.len();
        let mut centred = rows(part);
        for row in centred.chunks_exact_mut(d) {
            row.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m);
        }
        let (scale, x) = (1.0 / (n - 1) as f64, &centred);
        gemm::tn((d, d, count), scale, x, x, 1.0, &mut covariance);
    }
    (0..d).for_each(|i| covariance[i * d + i] += smoothing);
    inverse_root(covariance, d)
}

/// What [`prepare`] gives: the parts in the order they came, and their scaling.
pub(super) type Whitened = (Vec<Subset>, Normalizer);

/// Whitens `parts`, scaled as `normalizer` says, by the covariance of the first of them.
/// They hold floats from then on, ready for the network.
///
/// # Errors
/// As for [`zca_matrix`].
pub(super) fn prepare(
    parts: &[&Subset],
    normalizer: &Normalizer,
    smoothing: f64,
) -> Result<Whitened> {
    let fit = parts
        .first()
        .ok_or_else(|| Error::internal("nothing to whiten"))?;
    let samples: usize = parts.iter().map(|part| part.dataset().len()).sum();
    let matrix = fitted(fit, normalizer, smoothing, samples)?;
    let mut done: Vec<(Arc<Dataset>, Arc<Dataset>)> = Vec::new();
    let mut out = Vec::new();
    for part in parts {
        let set = part.dataset();
        let found = done.iter().find(|(from, _)| Arc::ptr_eq(from, set));
        let white = match found {
            Some((_, white)) => Arc::clone(white),
            None => {
                let white = Arc::new(whitened(set, normalizer, &matrix)?);
                done.push((Arc::clone(set), Arc::clone(&white)));
                white
            }
        };
        out.push(Subset::at(white, part.indices().to_vec())?);
    }
    let plain = Normalizer::plain(out[0].dataset(), true);
    Ok((out, plain))
}

/// The whitening matrix `[D, D]` of the samples `fit`, scaled as `normalizer` says, for `samples`
/// that are then held as floats.
///
/// # Errors
/// As for [`zca_matrix`], and where there is not so much memory.
pub(super) fn fitted(
    fit: &Subset,
    normalizer: &Normalizer,
    smoothing: f64,
    samples: usize,
) -> Result<Vec<f64>> {
    if matches!(fit.dataset().values(), Values::Made { .. }) {
        return Err(Error::usage(format!(
            "`data.whiten` needs samples that stay as they are, and those of `{}` are cut out of pictures or decoded one by one",
            fit.dataset().name()
        ))
        .hint("leave out `data.augment.resized_crop`, or raise `data.options.decoded`"));
    }
    let d = fit.dataset().shape().len();
    // Five matrices of the iteration, and every sample as floats.
    let matrices = (d as u128 * d as u128).saturating_mul(5 * 8);
    let floats = samples as u128 * d as u128 * 4;
    memory::require(matrices.saturating_add(floats), "`data.whiten`")?;
    let rows = |part: Range<usize>| scaled(fit.dataset(), &fit.indices()[part], normalizer);
    matrix_of(fit.len(), d, smoothing, rows)
}

/// The set with every sample scaled and whitened.
pub(super) fn whitened(set: &Dataset, normalizer: &Normalizer, matrix: &[f64]) -> Result<Dataset> {
    let d = set.shape().len();
    let all: Vec<u32> = (0..set.len() as u32).collect();
    let mut values = Vec::with_capacity(set.len() * d);
    for part in all.chunks(PART) {
        let white = whiten(&scaled(set, part, normalizer), d, matrix);
        values.extend(white.iter().map(|v| *v as f32));
    }
    Dataset::new(
        set.name(),
        set.split(),
        set.shape(),
        Values::Floats(values),
        set.targets().clone(),
        set.provenance().clone(),
    )
}

/// Samples as a network would see them without whitening, `[N, D]`.
fn scaled(set: &Dataset, indices: &[u32], normalizer: &Normalizer) -> Vec<f64> {
    let mut one = vec![0f32; set.shape().len()];
    let mut out = Vec::with_capacity(indices.len() * one.len());
    for &at in indices {
        let plain = Augment::default();
        // Only samples that are made from files can fail, and those are refused before.
        let _ = augment::write(set, at as usize, normalizer, &plain, (0, 0), &mut one);
        out.extend(one.iter().map(|v| f64::from(*v)));
    }
    out
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

    /// Digits: the training part is uncorrelated, and the test part goes through its matrix.
    #[test]
    fn a_plan_with_whitening_gives_whitened_parts() {
        use crate::data::DataPlan;
        let plan = |whiten| DataPlan {
            whiten,
            validation: 0.2,
            ..DataPlan::default()
        };
        let smoothing = 1e-3;
        let plain = plan(None).open().expect("embedded digits");
        let white = plan(Some(smoothing)).open().expect("embedded digits");
        let d = plain.shape().len();
        let read = |data: &crate::data::Data, part: &Subset| {
            scaled(part.dataset(), part.indices(), &data.normalizer)
        };
        let (x, y) = (read(&plain, &plain.train), read(&white, &white.train));
        assert_eq!(x.len(), y.len());
        let n = y.len() / d;
        let mean: Vec<f64> = (0..d)
            .map(|i| y.iter().skip(i).step_by(d).sum::<f64>() / n as f64)
            .collect();
        let covariance = |i: usize, j: usize| {
            let rows = y.chunks_exact(d);
            rows.map(|r| (r[i] - mean[i]) * (r[j] - mean[j]))
                .sum::<f64>()
                / (n - 1) as f64
        };
        for (i, j) in (0..d).flat_map(|i| (0..=i).map(move |j| (i, j))) {
            // s/(s + ε) in the directions of variance s: at most 1, and 0 for dead pixels.
            let c = covariance(i, j);
            let fits = if i == j {
                (-1e-9..=1.0).contains(&c)
            } else {
                c.abs() < 0.51
            };
            assert!(fits, "covariance of {i} and {j} is {c}");
        }
        let matrix = zca_matrix(&x, d, smoothing).expect("a matrix");
        let held = |data: &crate::data::Data| read(data, data.validation.as_ref().expect("a part"));
        for (x, y) in [
            (x, y),
            (read(&plain, &plain.test), read(&white, &white.test)),
            (held(&plain), held(&white)),
        ] {
            for (ours, expected) in y.iter().zip(whiten(&x, d, &matrix)) {
                assert!((ours - expected).abs() < 1e-4, "{ours} {expected}");
            }
        }
        assert!(plan(Some(0.0)).open().is_err());
    }
}
