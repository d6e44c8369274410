//! A launch on a real GPU: NVRTC, candle's device and stream, cuBLAS.

use std::collections::HashMap;
use std::ffi::{c_int, c_longlong, c_void};
use std::sync::{Arc, Mutex, OnceLock};

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::cublas::{result::gemm_strided_batched_ex, sys as blas};
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, DevicePtr, DeviceRepr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc::{
    CompileError, CompileOptions, compile_ptx_with_opts,
};
use candle_core::cuda_backend::{CudaDType, CudaDevice, DeviceId, gemm_reduced_precision_f32};
use candle_core::{CudaStorage, DType};

use super::launch::{Arg, Gemm, INTS, Launch, Matrix};
use super::source::Source;
use super::times;
use crate::{Error, Result};

fn wrong(what: &str, error: impl std::fmt::Debug) -> Error {
    Error::internal(format!("{what} failed on the GPU: {error:?}"))
        .hint("`biorule doctor` shows the driver and the libraries")
}

/// A struct argument; the driver copies as many bytes as the kernel declares.
#[repr(transparent)]
struct Ints([i32; INTS]);

// SAFETY: plain integers without padding, as the kernels' structs.
unsafe impl DeviceRepr for Ints {}

enum Value {
    Word(u64),
    Ints(Ints),
}

/// Enqueues a kernel on the device's stream.
pub(super) fn launch(device: &CudaDevice, dtype: DType, launch: &Launch<'_>) -> Result<()> {
    let function = function(device, dtype, launch)?;
    let stream = device.cuda_stream();
    let values: Vec<Value> = launch
        .args
        .iter()
        .map(|arg| match *arg {
            Arg::Word(bits) => Value::Word(bits),
            Arg::Real(v) if dtype == DType::F64 => Value::Word(v.to_bits()),
            Arg::Real(v) => Value::Word(u64::from((v as f32).to_bits())),
            Arg::Ints(values) => Value::Ints(Ints(values)),
            Arg::TooLarge(_) => unreachable!("refused by Machine::launch"),
        })
        .collect();
    let mut call = stream.launch_builder(&function);
    for value in &values {
        match value {
            Value::Word(bits) => call.arg(bits),
            Value::Ints(ints) => call.arg(ints),
        };
    }
    let config = LaunchConfig {
        grid_dim: (launch.grid[0], launch.grid[1], 1),
        block_dim: (launch.block[0], launch.block[1], 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: every argument has at least the size the kernel declares, in its
    // order (checked by running the same launches in tests), and pointers are of
    // tensors alive until this is enqueued.
    let enqueue = || unsafe { call.launch(config) };
    times::timed(&stream, || launch.kernel.to_owned(), enqueue)
        .map_err(|e| wrong(launch.kernel, e))?;
    Ok(())
}

/// A kernel of this device, compiled and loaded once: a launch must cost little,
/// there are tens in a training step.
fn function(device: &CudaDevice, dtype: DType, launch: &Launch<'_>) -> Result<CudaFunction> {
    type Loaded = HashMap<(DeviceId, DType, Source, &'static str), CudaFunction>;
    static LOADED: OnceLock<Mutex<Loaded>> = OnceLock::new();
    let mut loaded = LOADED
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(|e| e.into_inner());
    let key = (device.id(), dtype, launch.source, launch.kernel);
    if let Some(function) = loaded.get(&key) {
        return Ok(function.clone());
    }
    let ptx = ptx(device, launch.source, dtype)?;
    let module = format!("biorule-{}-{dtype:?}", launch.source.name());
    let function = device
        .get_or_load_custom_func(launch.kernel, &module, &ptx)
        .map_err(|e| wrong("loading a kernel", e))?
        .into_cuda_function();
    loaded.insert(key, function.clone());
    Ok(function)
}

/// PTX of a source for this GPU, compiled once in a process.
fn ptx(device: &CudaDevice, source: Source, dtype: DType) -> Result<Arc<str>> {
    type Texts = HashMap<(Source, DType, (i32, i32)), Arc<str>>;
    static TEXTS: OnceLock<Mutex<Texts>> = OnceLock::new();
    let capability = device
        .cuda_stream()
        .context()
        .compute_capability()
        .map_err(|e| wrong("asking for the compute capability", e))?;
    let mut texts = TEXTS
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(|e| e.into_inner());
    if let Some(ptx) = texts.get(&(source, dtype, capability)) {
        return Ok(ptx.clone());
    }
    let text: Arc<str> = compile(source, dtype, capability)?.into();
    texts.insert((source, dtype, capability), text.clone());
    Ok(text)
}

fn compile(source: Source, dtype: DType, (major, minor): (i32, i32)) -> Result<String> {
    let options = CompileOptions {
        options: vec![format!("--gpu-architecture=compute_{major}{minor}")],
        name: Some(format!("{}.cu", source.name())),
        ..CompileOptions::default()
    };
    match compile_ptx_with_opts(source.text(dtype), options) {
        Ok(ptx) => Ok(ptx.to_src()),
        Err(CompileError::CompileError { log, .. }) => Err(Error::internal(format!(
            "NVRTC refuses `{}.cu`: {}",
            source.name(),
            log.to_string_lossy()
        ))),
        Err(e) => Err(wrong("starting NVRTC", e)),
    }
}

/// Enqueues a product on the device's stream.
pub(super) fn gemm(device: &CudaDevice, dtype: DType, gemm: &Gemm) -> Result<()> {
    use blas::cublasComputeType_t as Compute;
    let (kind, compute) = match dtype {
        DType::F64 => (blas::cudaDataType::CUDA_R_64F, Compute::CUBLAS_COMPUTE_64F),
        _ if gemm_reduced_precision_f32() => (
            blas::cudaDataType::CUDA_R_32F,
            Compute::CUBLAS_COMPUTE_32F_FAST_TF32,
        ),
        _ => (blas::cudaDataType::CUDA_R_32F, Compute::CUBLAS_COMPUTE_32F),
    };
    let beta = if gemm.add { 1.0 } else { 0.0 };
    let (wide, narrow) = ([1.0f64, beta], [1.0f32, beta as f32]);
    let scale = |i: usize| -> *const c_void {
        match dtype {
            DType::F64 => (&raw const wide[i]).cast(),
            _ => (&raw const narrow[i]).cast(),
        }
    };
    let size = |n: usize| {
        c_int::try_from(n).map_err(|_| Error::internal(format!("{n} is too large for cuBLAS")))
    };
    let turn = |m: &Matrix| match m.transposed {
        true => blas::cublasOperation_t::CUBLAS_OP_T,
        false => blas::cublasOperation_t::CUBLAS_OP_N,
    };
    // cuBLAS counts columns first: our row-major c = a b is its cᵀ = bᵀ aᵀ.
    let (first, second, out) = (&gemm.b, &gemm.a, &gemm.c);
    let handle = device.cublas_handle();
    let [m, n, k, batch] = [gemm.m, gemm.n, gemm.k, gemm.batch];
    let sizes = [size(m)?, size(n)?, size(k)?, size(batch)?];
    let leads = [size(first.ld)?, size(second.ld)?, size(out.ld)?];
    // SAFETY: addresses are of device memory that holds the matrices described,
    // on this handle's device and stream; scales live through the call.
    let enqueue = || unsafe {
        gemm_strided_batched_ex(
            *handle.handle(),
            turn(first),
            turn(second),
            sizes[1],
            sizes[0],
            sizes[2],
            scale(0),
            first.at as *const c_void,
            kind,
            leads[0],
            first.stride as c_longlong,
            second.at as *const c_void,
            kind,
            leads[1],
            second.stride as c_longlong,
            scale(1),
            out.at as *mut c_void,
            kind,
            leads[2],
            out.stride as c_longlong,
            sizes[3],
            compute,
            blas::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    };
    let name = || format!("gemm {m}x{n}x{k}, {batch} of them");
    times::timed(&device.cuda_stream(), name, enqueue).map_err(|e| wrong("a matrix product", e))
}

/// Memory of the device's pool, in stream order.
pub(super) fn allocate(
    device: &CudaDevice,
    n: usize,
    dtype: DType,
    zero: bool,
) -> Result<CudaStorage> {
    match dtype {
        DType::F32 => typed::<f32>(device, n, zero),
        DType::F64 => typed::<f64>(device, n, zero),
        DType::U32 => typed::<u32>(device, n, zero),
        other => Err(Error::internal(format!("no kernel writes {other:?}"))),
    }
}

fn typed<T>(device: &CudaDevice, n: usize, zero: bool) -> Result<CudaStorage>
where
    T: CudaDType + DeviceRepr + candle_core::cuda_backend::cudarc::driver::ValidAsZeroBits,
{
    let slice = if zero {
        device.alloc_zeros::<T>(n)
    } else {
        // SAFETY: the operation that asks for it writes every element.
        unsafe { device.alloc::<T>(n) }
    };
    Ok(CudaStorage::wrap_cuda_slice(slice?, device.clone()))
}

/// Address of the first element on the device.
pub(super) fn address(storage: &CudaStorage) -> Result<u64> {
    let stream = storage.device().cuda_stream();
    macro_rules! at {
        ($t:ty) => {
            Ok(storage.as_cuda_slice::<$t>()?.device_ptr(&stream).0)
        };
    }
    match storage.dtype() {
        DType::F32 => at!(f32),
        DType::F64 => at!(f64),
        DType::U32 => at!(u32),
        DType::I32 => at!(i32),
        DType::U8 => at!(u8),
        other => Err(Error::internal(format!("no kernel reads {other:?}"))),
    }
}
