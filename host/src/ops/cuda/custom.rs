//! Kernels that come from outside as PTX text: a rule's own, launched on the same
//! device and stream as ours.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use candle_core::cuda_backend::cudarc::driver::{CudaFunction, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::{CudaDevice, DeviceId};
use candle_core::{Device, Storage, Tensor};

use super::gpu::address;
use super::times;
use crate::{Error, Result};

/// One argument of a foreign kernel.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// The address of a contiguous tensor's first element.
    Tensor(&'a Tensor),
    /// A `float`.
    F32(f32),
    /// An `unsigned`.
    U32(u32),
    /// A `double`.
    F64(f64),
    /// A `long long`.
    I64(i64),
}

/// Which kernel of which text.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    /// A name for the text, for errors and the cache.
    pub module: &'a str,
    /// PTX.
    pub ptx: &'a str,
    /// The entry's name.
    pub function: &'a str,
}

/// Blocks and threads along x, y, z, and bytes of dynamic shared memory.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Blocks.
    pub blocks: [u32; 3],
    /// Threads of a block.
    pub threads: [u32; 3],
    /// Bytes.
    pub shared: u32,
}

/// Enqueues `kernel` on the stream of the tensors' device. The kernel must take
/// exactly these arguments and stay inside the tensors: nothing can check it.
///
/// # Errors
/// No tensor on a GPU among the arguments, tensors that are not contiguous or on
/// different devices, text that the driver refuses.
pub fn launch(kernel: &Kernel<'_>, grid: &Grid, values: &[Value<'_>]) -> Result<()> {
    let device = device(kernel, values)?;
    let function = function(&device, kernel)?;
    let words: Vec<u64> = values.iter().map(word).collect::<Result<_>>()?;
    let stream = device.cuda_stream();
    let mut call = stream.launch_builder(&function);
    for word in &words {
        call.arg(word);
    }
    let three = |v: [u32; 3]| (v[0], v[1], v[2]);
    let config = LaunchConfig {
        grid_dim: three(grid.blocks),
        block_dim: three(grid.threads),
        shared_mem_bytes: grid.shared,
    };
    // SAFETY: addresses are of live tensors of this device, and memory they
    // may give up meanwhile is freed in stream order. That the kernel keeps to
    // them is its author's promise, as with any code of a plugin.
    let enqueue = || unsafe { call.launch(config) };
    let name = || format!("{} of `{}`", kernel.function, kernel.module);
    times::timed(&stream, name, enqueue).map_err(|e| wrong(kernel, e))?;
    Ok(())
}

fn wrong(kernel: &Kernel<'_>, why: impl std::fmt::Debug) -> Error {
    Error::internal(format!(
        "kernel `{}::{}`: {why:?}",
        kernel.module, kernel.function
    ))
}

fn device(kernel: &Kernel<'_>, values: &[Value<'_>]) -> Result<CudaDevice> {
    let mut tensors = values.iter().filter_map(|v| match v {
        Value::Tensor(t) => Some(*t),
        _ => None,
    });
    let first = tensors.next().map(Tensor::device);
    let Some(Device::Cuda(device)) = first else {
        return Err(wrong(kernel, "no argument is a tensor on a GPU"));
    };
    if tensors.any(|t| !t.device().same_device(&Device::Cuda(device.clone()))) {
        return Err(wrong(kernel, "tensors on different devices"));
    }
    Ok(device.clone())
}

/// The bits that the launch reads; a narrow argument is the word's low half.
fn word(value: &Value<'_>) -> Result<u64> {
    Ok(match *value {
        Value::F32(v) => u64::from(v.to_bits()),
        Value::U32(v) => u64::from(v),
        Value::F64(v) => v.to_bits(),
        Value::I64(v) => v as u64,
        Value::Tensor(t) => {
            let (storage, layout) = t.storage_and_layout();
            let (Storage::Cuda(cuda), Some((start, _))) = (&*storage, layout.contiguous_offsets())
            else {
                return Err(Error::internal(
                    "a kernel's tensor is not contiguous on a GPU",
                ));
            };
            address(cuda)? + (start * t.dtype().size_in_bytes()) as u64
        }
    })
}

/// Loads a text once; another text under the same name is another module.
fn function(device: &CudaDevice, kernel: &Kernel<'_>) -> Result<CudaFunction> {
    // By module, function, and number of the text under that name.
    type Loaded = HashMap<(DeviceId, String, String), (usize, Arc<str>, CudaFunction)>;
    static LOADED: OnceLock<Mutex<Loaded>> = OnceLock::new();
    let mut loaded = LOADED
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(|e| e.into_inner());
    let key = (
        device.id(),
        kernel.module.to_owned(),
        kernel.function.to_owned(),
    );
    let number = match loaded.get(&key) {
        Some((_, text, function)) if **text == *kernel.ptx => return Ok(function.clone()),
        Some((number, ..)) => number + 1,
        None => 0,
    };
    let module = format!("rule-{}-{}-{number}", kernel.module, kernel.function);
    let function = device
        .get_or_load_custom_func(kernel.function, &module, kernel.ptx)
        .map_err(|e| wrong(kernel, e))?
        .into_cuda_function();
    loaded.insert(key, (number, kernel.ptx.into(), function.clone()));
    Ok(function)
}
