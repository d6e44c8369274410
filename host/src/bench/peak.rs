//! What the machine can do, measured in the same run: the matrix product and
//! the copy that every figure is a fraction of.

use std::time::Instant;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;

use super::case::noise;
use super::timing::median;
use super::torch::Worker;
use crate::Result;
use crate::threads::in_pool;

/// `m, n, k` of the products: square ones, and those of the layers' maps.
pub const SHAPES: [(usize, usize, usize); 5] = [
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (384, 2560, 864),
    (1536, 640, 3456),
    (1536, 3456, 640),
];

/// Elements of the arrays that are copied: past any cache.
const COPIED: usize = 32 << 20;

/// Rate of one product.
#[derive(Clone, Debug, Serialize)]
pub struct Product {
    /// `ours` or `torch`.
    pub library: &'static str,
    /// `m, n, k`.
    pub size: (usize, usize, usize),
    /// GFLOP/s.
    pub gflops: f64,
}

/// The best product of `SHAPES` and who made it; all of them for the record.
///
/// # Errors
/// Failures of tensor operations. A worker that fails is left out.
pub fn sgemm(
    device: &Device,
    seconds: f64,
    mut torch: Option<&mut Worker>,
) -> Result<Vec<Product>> {
    let mut out = Vec::new();
    for size in SHAPES {
        out.push(Product {
            library: "ours",
            size,
            gflops: ours(device, size, seconds)?,
        });
        if let Some(worker) = torch.as_deref_mut()
            && let Ok(gflops) = worker.sgemm(size, seconds)
        {
            out.push(Product {
                library: "torch",
                size,
                gflops,
            });
        }
    }
    Ok(out)
}

/// The best rate of several.
#[must_use]
pub fn best(products: &[Product]) -> f64 {
    products.iter().map(|p| p.gflops).fold(0.0, f64::max)
}

/// The rate of the best call in `seconds`, since a peak is what is possible.
fn ours(device: &Device, (m, n, k): (usize, usize, usize), seconds: f64) -> Result<f64> {
    let (a, b) = (noise(1, &[m, k], device)?, noise(2, &[k, n], device)?);
    let product = || -> Result<()> {
        a.matmul(&b)?;
        Ok(device.synchronize()?)
    };
    Ok(2e-9 * (m * n * k) as f64 / in_pool(|| fastest(seconds, product))?)
}

fn fastest(seconds: f64, call: impl Fn() -> Result<()>) -> Result<f64> {
    call()?;
    let (start, mut least) = (Instant::now(), f64::INFINITY);
    while least.is_infinite() || start.elapsed().as_secs_f64() < seconds {
        let t = Instant::now();
        call()?;
        least = least.min(t.elapsed().as_secs_f64());
    }
    Ok(least)
}

/// Bytes read and written a second, GB/s, of a copy on all threads.
///
/// # Errors
/// Failures of tensor operations.
pub fn copy(device: &Device, seconds: f64) -> Result<f64> {
    let bytes = 8.0 * COPIED as f64;
    if !device.is_cpu() {
        let from = Tensor::zeros(COPIED, candle_core::DType::F32, device)?;
        let call = || -> Result<()> {
            from.copy()?;
            Ok(device.synchronize()?)
        };
        return Ok(1e-9 * bytes / fastest(seconds, call)?);
    }
    let (from, mut to) = (vec![1f32; COPIED], vec![0f32; COPIED]);
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 3 || start.elapsed().as_secs_f64() < seconds {
        let t = Instant::now();
        let chunk = COPIED.div_ceil(rayon::current_num_threads());
        to.par_chunks_mut(chunk)
            .zip(from.par_chunks(chunk))
            .for_each(|(to, from)| to.copy_from_slice(from));
        times.push(t.elapsed().as_secs_f64());
    }
    Ok(1e-9 * bytes / median(&mut times))
}
