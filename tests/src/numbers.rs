//! Reproducible numbers for tests, and how far two tensors are apart.

use biorule::ops::dropout::mix;
use candle_core::{DType, Device, Tensor};

use crate::Result;

/// Numbers in −1..1 that depend on `seed` and their index alone.
///
/// # Errors
/// No memory.
pub fn noise(seed: u64, dims: &[usize], dtype: DType) -> Result<Tensor> {
    let n: usize = dims.iter().product();
    let values: Vec<f64> = (0..n as u64)
        .map(|i| (mix(&[seed, i]) >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
        .collect();
    Ok(Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(dtype)?)
}

/// All elements as f64, row major.
///
/// # Errors
/// The tensor cannot be read.
pub fn values(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

/// `|a − b| / |b|`, Frobenius.
///
/// # Errors
/// Shapes that differ.
pub fn distance(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (d, b) = (values(&(a - b)?)?, values(b)?);
    let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    Ok(norm(&d) / norm(&b).max(f64::MIN_POSITIVE))
}
