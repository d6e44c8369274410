//! A row's definition: what is done on our side, and which case of
//! `benches/pytorch` does the same.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use crate::Result;
use crate::app::App;
use crate::ops::dropout::mix;

/// Tensors by name.
pub type Named = Vec<(String, Tensor)>;

/// What one call does at least.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations of the matrix products; 0 where memory decides.
    pub flop: f64,
    /// Bytes read and written if each operand moved once; 0 where arithmetic decides.
    pub bytes: f64,
}

/// Work that can be done again and again, with the state that it needs.
pub trait Work: Send {
    /// What both sides start from.
    ///
    /// # Errors
    /// Failures of tensor operations.
    fn inputs(&self) -> Result<Named>;
    /// The first call, from that start, and what it computed.
    ///
    /// # Errors
    /// Failures of rules and tensor operations.
    fn results(&mut self) -> Result<Named>;
    /// One more call.
    ///
    /// # Errors
    /// As above.
    fn call(&mut self) -> Result<()>;
    /// What a call costs.
    fn cost(&self) -> Cost;
}

/// Where work is done and with what.
pub struct Bench<'a> {
    /// Device of all tensors.
    pub device: Device,
    /// Loaded plugins.
    pub app: &'a App,
    /// `--set` texts, for rows that are networks.
    pub sets: &'a [String],
    /// Folder for files of this measurement.
    pub scratch: &'a Path,
}

/// How a case makes its work.
pub type Make = Box<dyn Fn(&Bench<'_>) -> Result<Box<dyn Work>>>;

/// A row.
pub struct Case {
    /// Its name, unique.
    pub name: String,
    /// Makes our side.
    pub make: Make,
    /// Case in `benches/pytorch`.
    pub torch: &'static str,
    /// What that case is told: sizes, strides, rates.
    pub params: Value,
    /// Largest distance ([`super::exchange::error`]) of PyTorch's results from
    /// ours that still is the same work.
    pub tolerance: f64,
}

/// `dims` numbers between −√3 and √3 (variance 1), the same for the same seed on
/// every machine.
///
/// # Errors
/// Failures to move them to `device`.
pub fn noise(seed: u64, dims: &[usize], device: &Device) -> Result<Tensor> {
    let n: usize = dims.iter().product();
    let unit = |i: u64| (mix(&[seed, i]) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    let values: Vec<f32> = (0..n as u64).map(|i| unit(i) * 3f32.sqrt()).collect();
    Ok(Tensor::from_vec(values, dims, &Device::Cpu)?.to_device(device)?)
}

/// `n` labels among `classes`.
///
/// # Errors
/// Failures to move them to `device`.
pub fn labels(seed: u64, n: usize, classes: u64, device: &Device) -> Result<Tensor> {
    let values: Vec<u32> = (0..n as u64)
        .map(|i| (mix(&[seed, i]) % classes) as u32)
        .collect();
    Ok(Tensor::new(values, &Device::Cpu)?.to_device(device)?)
}

/// The values of a tensor as `f32`, in row-major order.
///
/// # Errors
/// Failures to bring them to the CPU.
pub fn values(t: &Tensor) -> Result<Vec<f32>> {
    let t = t.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    Ok(t.flatten_all()?.to_vec1()?)
}

/// A copy that shares nothing with `t`.
///
/// # Errors
/// Failures of tensor operations.
pub fn snapshot(t: &Tensor) -> Result<Tensor> {
    Ok(t.copy()?)
}
