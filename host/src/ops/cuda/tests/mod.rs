//! Every operation of `ops/cuda` against its CPU reference, on odd shapes: with
//! the kernels emulated on the CPU, and on a GPU where there is one.

mod foreign;
mod hebbian;
mod maps;
mod nvrtc;
mod small;

use biorule_test_environment::{Need, skip};
use candle_core::{DType, Device, Tensor};

use super::emulate;

/// Where kernels can run here: emulated, and `cuda:0`; nowhere skips the test.
pub(crate) fn places() -> Vec<Device> {
    let mut places = Vec::new();
    if emulate::available() {
        places.push(Device::Cpu);
    }
    places.extend(gpu().ok());
    if places.is_empty() {
        let compiler = emulate::compiler();
        skip(
            Need::Compiler,
            &format!("no C++ compiler (`{compiler}`) to emulate kernels with, and no GPU"),
        );
    }
    places
}

/// The first GPU, opened once, or why there is none.
fn gpu() -> Result<Device, String> {
    use std::sync::OnceLock;
    static GPU: OnceLock<Result<Device, String>> = OnceLock::new();
    GPU.get_or_init(|| {
        use crate::device::{DeviceChoice, Placement};
        let placement = Placement::open(DeviceChoice::Auto, false).expect("auto never fails");
        match placement.fallback {
            Some(reason) => Err(reason),
            None => Ok(placement.device),
        }
    })
    .clone()
}

/// Without a GPU the tests of this module compare emulated kernels alone, which this one counts.
#[test]
fn a_gpu_runs_the_kernels_too() {
    match gpu() {
        Ok(device) => assert!(places().iter().any(|place| place.same_device(&device))),
        Err(reason) => skip(Need::Gpu, &reason),
    }
}

/// A tensor of values in (−1, 1) that depend on `seed` alone.
fn values(seed: u64, dims: &[usize], dtype: DType) -> Tensor {
    let n: usize = dims.iter().product();
    let data: Vec<f64> = (0..n as u64)
        .map(|i| {
            let word = crate::ops::dropout::mix(&[seed, i]);
            (word >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect();
    let t = Tensor::from_vec(data, dims, &Device::Cpu).expect("shape fits");
    t.to_dtype(dtype).expect("float")
}

/// Largest difference relative to the largest value of `reference`.
fn distance(got: &Tensor, reference: &Tensor) -> f64 {
    assert_eq!(got.dims(), reference.dims());
    assert_eq!(got.dtype(), reference.dtype());
    let flat = |t: &Tensor| -> Vec<f64> {
        let t = t
            .to_device(&Device::Cpu)
            .expect("copy")
            .to_dtype(DType::F64)
            .expect("float");
        t.flatten_all().expect("flat").to_vec1().expect("vector")
    };
    let (got, reference) = (flat(got), flat(reference));
    let scale = reference.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    got.iter().zip(&reference).fold(0.0f64, |m, (a, b)| {
        // NaN must not pass for agreement.
        let d = (a - b).abs() / scale;
        if d.is_nan() { f64::INFINITY } else { m.max(d) }
    })
}

/// Asserts agreement within rounding of the type.
#[track_caller]
fn agree(what: &str, got: &Tensor, reference: &Tensor) {
    let limit = if reference.dtype() == DType::F64 {
        1e-12
    } else {
        3e-5
    };
    let d = distance(got, reference);
    assert!(d <= limit, "{what}: {d:.1e} apart, more than {limit:.0e}");
}

/// Both element types.
const TYPES: [DType; 2] = [DType::F64, DType::F32];
