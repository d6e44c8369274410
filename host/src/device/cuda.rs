//! Opening a GPU: candle's device, its memory pool, and the TF32 switch.

use candle_core::Device;
use candle_core::backend::BackendDevice;
use candle_core::cuda_backend::cudarc::driver::sys;

use super::libraries::{gpus, probe};

/// Opens GPU `number` with its name, or says in one line why it cannot be used.
pub(super) fn open_gpu(number: usize, tf32: bool) -> Result<(Device, String), String> {
    // Opening them here leaves them open, so that the program's own look-up by
    // name finds those of BIORULE_CUDA_PATH.
    let missing: Vec<_> = probe()
        .into_iter()
        .filter(|p| p.state.is_err())
        .map(|p| format!("{} ({})", p.needed.name, p.needed.install))
        .collect();
    if !missing.is_empty() {
        return Err(format!("not found: {}", missing.join("; ")));
    }
    let gpus = gpus()?;
    let gpu = gpus
        .get(number)
        .ok_or_else(|| format!("there are {} GPUs, numbered from 0", gpus.len()))?;
    let device = open_one_stream(number).map_err(|e| format!("candle cannot open it: {e}"))?;
    keep_memory(number)?;
    candle_core::cuda_backend::set_gemm_reduced_precision_f32(tf32);
    let name = format!("cuda:{number} ({})", gpu.name);
    // A first operation finds a GPU for which candle's kernels were not built.
    device
        .as_cuda_device()
        .and_then(|d| d.synchronize())
        .map_err(|e| format!("{name} does not work: {e}"))?;
    Ok((device, name))
}

/// Candle's device on one stream of its own, whatever thread enqueues: a network is built on the
/// main thread and trained on one of the pool's. `new_cuda` takes the per-thread stream instead,
/// of which each thread has another that nothing orders with the first.
fn open_one_stream(number: usize) -> candle_core::Result<Device> {
    let device = Device::new_cuda_with_stream(number)?;
    // SAFETY: events order the uses of memory on different streams, at two calls of the driver for
    // each argument of each launch. Here is one stream, which orders everything by itself.
    unsafe { device.as_cuda_device()?.disable_event_tracking() };
    Ok(device)
}

/// Lets the device's memory pool keep what is freed. The driver's default hands
/// unused memory back at every synchronisation, and each next allocation is slow.
fn keep_memory(number: usize) -> Result<(), String> {
    let mut pool = std::ptr::null_mut();
    let mut device = 0;
    let mut all = u64::MAX;
    let threshold = sys::CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the driver is initialised (a device is open), the outputs are
    // local, and this attribute reads one 64-bit integer.
    let status = unsafe {
        sys::cuDeviceGet(&mut device, number as i32)
            .result()
            .and_then(|()| sys::cuDeviceGetDefaultMemPool(&mut pool, device).result())
            .and_then(|()| {
                let all: *mut u64 = &mut all;
                sys::cuMemPoolSetAttribute(pool, threshold, all.cast()).result()
            })
    };
    // A GPU without pools (candle then allocates directly) is no reason to stop.
    if let Err(e) = status {
        tracing::warn!("memory pool of GPU {number} keeps its threshold: {e:?}");
    }
    Ok(())
}
