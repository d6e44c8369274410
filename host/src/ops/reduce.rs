//! Sums over axes. Candle's, on the CPU, finds the place of every element by
//! divisions unless the summed axes are the last ones: the bias gradient of a
//! convolution cost more than the convolution itself.

use candle_core::{DType, Tensor};

use super::cpu;
use crate::Result;

/// Sum of `t` over `axes`, which stay with size 1 where `keep`.
///
/// # Errors
/// No such axis.
pub fn sum(t: &Tensor, axes: &[usize], keep: bool) -> Result<Tensor> {
    let known = axes.iter().all(|&a| a < t.rank());
    if known && t.device().is_cpu() && matches!(t.dtype(), DType::F32 | DType::F64) {
        return cpu::reduce::sum(t, axes, keep);
    }
    Ok(if keep {
        t.sum_keepdim(axes)?
    } else {
        t.sum(axes)?
    })
}

/// `⟨a, b⟩` of two tensors of one shape, as an `f64` without axes on their device.
///
/// # Errors
/// The device failed.
pub fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.device().is_cpu() {
        return Ok(Tensor::new(cpu::reduce::dot(a, b)?, a.device())?);
    }
    Ok((a * b)?.to_dtype(DType::F64)?.sum_all()?)
}
