//! New tensors. Random ones are drawn on the CPU, in f64, from a ChaCha stream:
//! the same numbers on every device and for every element type.

use std::ffi::c_void;

use abi_stable::std_types::RSlice;
use biorule_plugin_api::abi::types::{Code, RawFill, RawResult, RawTensor};
use candle_core::{Device, Tensor};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Uniform};

use super::handle::{Fault, look, out, to_dtype};
use super::room::{WIDE, room_for};

type Dims<'a> = RSlice<'a, usize>;
type Out = RawResult<RawTensor>;

pub extern "C" fn full(like: RawTensor, dims: Dims<'_>, dtype: Code, value: f64) -> Out {
    out("full", || {
        let device = look(like).device();
        // A GPU that lacks the room answers with an error; a process is ended.
        if device.is_cpu() {
            room_for(dims.as_slice(), WIDE)?;
        }
        Ok(Tensor::full(value, dims.as_slice(), device)?
            .to_dtype(to_dtype(dtype)?)?
            .contiguous()?)
    })
}

pub extern "C" fn from_f64(
    like: RawTensor,
    dims: Dims<'_>,
    dtype: Code,
    values: RSlice<'_, f64>,
) -> Out {
    out("from_f64", || {
        from_values(
            values.as_slice().to_vec(),
            dims.as_slice(),
            dtype,
            look(like).device(),
        )
    })
}

pub extern "C" fn arange(like: RawTensor, n: usize, dtype: Code) -> Out {
    out("arange", || {
        room_for(&[n], 2 * WIDE)?;
        from_values(
            (0..n).map(|i| i as f64).collect(),
            &[n],
            dtype,
            look(like).device(),
        )
    })
}

pub extern "C" fn random_uniform(
    like: RawTensor,
    dims: Dims<'_>,
    dtype: Code,
    lo: f64,
    hi: f64,
    seed: u64,
) -> Out {
    out("random_uniform", || {
        room_for(dims.as_slice(), 2 * WIDE)?;
        let law = Uniform::new(lo, hi)
            .map_err(|e| Fault(biorule_plugin_api::abi::types::fail::HOST, e.to_string()))?;
        from_values(
            draw(law, dims.as_slice(), seed),
            dims.as_slice(),
            dtype,
            look(like).device(),
        )
    })
}

pub extern "C" fn random_normal(
    like: RawTensor,
    dims: Dims<'_>,
    dtype: Code,
    mean: f64,
    std: f64,
    seed: u64,
) -> Out {
    out("random_normal", || {
        room_for(dims.as_slice(), 2 * WIDE)?;
        let law = Normal::new(mean, std)
            .map_err(|e| Fault(biorule_plugin_api::abi::types::fail::HOST, e.to_string()))?;
        from_values(
            draw(law, dims.as_slice(), seed),
            dims.as_slice(),
            dtype,
            look(like).device(),
        )
    })
}

pub extern "C" fn build_f32(dims: Dims<'_>, context: *mut c_void, fill: RawFill) -> Out {
    out("build_f32", || {
        room_for(dims.as_slice(), size_of::<f32>())?;
        let mut values = vec![0f32; dims.iter().product()];
        fill(context, values.as_mut_ptr(), values.len());
        Ok(Tensor::from_vec(values, dims.as_slice(), &Device::Cpu)?)
    })
}

fn draw(law: impl Distribution<f64>, dims: &[usize], seed: u64) -> Vec<f64> {
    let n = dims.iter().product();
    law.sample_iter(ChaCha8Rng::seed_from_u64(seed))
        .take(n)
        .collect()
}

fn from_values(
    values: Vec<f64>,
    dims: &[usize],
    dtype: Code,
    device: &Device,
) -> Result<Tensor, Fault> {
    let tensor = Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(to_dtype(dtype)?)?;
    Ok(tensor.to_device(device)?)
}
