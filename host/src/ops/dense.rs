//! The three maps of a dense layer, and the bias of any layer.

use candle_core::{Device, Tensor};

use super::along::{Pair, along};
use super::{cpu, reduce};
use crate::Result;

/// `x Wᵀ`. `x: [B, D]`, `w: [K, D]`, result `[B, K]`.
pub fn dense_forward(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    match x.device() {
        Device::Cpu => cpu::dense::forward(x, w),
        _ => Ok(x.matmul(&w.t()?)?),
    }
}

/// `g W`: gradient with respect to the input, through any weight.
/// `grad: [B, K]`, `w: [K, D]`, result `[B, D]`.
pub fn dense_input_grad(grad: &Tensor, w: &Tensor) -> Result<Tensor> {
    match grad.device() {
        Device::Cpu => cpu::dense::input_grad(grad, w),
        _ => Ok(grad.matmul(w)?),
    }
}

/// `gᵀ x`: correlation, the gradient with respect to the weight.
/// `x: [B, D]`, `grad: [B, K]`, result `[K, D]`.
pub fn dense_weight_grad(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    match x.device() {
        Device::Cpu => cpu::dense::weight_grad(x, grad),
        _ => Ok(grad.t()?.matmul(x)?),
    }
}

/// `y + b` along axis 1. `y: [B, K]` or `[B, K, P, Q]`, `bias: [K]`.
pub fn add_bias(y: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let k = bias.dims1()?;
    let shape: &[usize] = if y.rank() == 2 {
        &[1, k]
    } else {
        &[1, k, 1, 1]
    };
    let bias = bias.reshape(shape)?;
    match along(Pair::Add, y, &bias)? {
        Some(sum) => Ok(sum),
        None => Ok(y.broadcast_add(&bias)?),
    }
}

/// Sum over batch and positions, `[K]`: the gradient of a bias.
pub fn channel_sum(grad: &Tensor) -> Result<Tensor> {
    match grad.rank() {
        2 => reduce::sum(grad, &[0], false),
        _ => reduce::sum(grad, &[0, 2, 3], false),
    }
}
