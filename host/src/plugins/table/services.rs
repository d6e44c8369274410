//! Log, cancellation, threads, kernels of the plugin's own, and ops by name.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use abi_stable::std_types::{RSlice, RStr, RVec};
use biorule_kernels::threads;
use biorule_plugin_api::abi::types::{
    Code, RawArg, RawLaunch, RawRange, RawResult, RawTensor, fail,
};

use super::handle::{Fault, run};

static CANCEL: AtomicBool = AtomicBool::new(false);

/// What `cancelled` reads; the trainer sets it when the user asks to stop.
pub fn cancel_flag() -> &'static AtomicBool {
    &CANCEL
}

pub extern "C" fn cancelled() -> bool {
    CANCEL.load(Ordering::Relaxed)
}

pub extern "C" fn log(level: Code, text: RStr<'_>) {
    let text = text.as_str();
    match level.0 {
        0 => tracing::error!(target: "rule", "{text}"),
        1 => tracing::warn!(target: "rule", "{text}"),
        2 => tracing::info!(target: "rule", "{text}"),
        3 => tracing::debug!(target: "rule", "{text}"),
        _ => tracing::trace!(target: "rule", "{text}"),
    }
}

/// A plugin's context, for use on other threads.
struct Shared(*const c_void);
// SAFETY: the SDK makes contexts from closures that are `Sync`.
unsafe impl Sync for Shared {}
impl Shared {
    fn get(&self) -> *const c_void {
        self.0
    }
}

pub extern "C" fn parallel_for(
    n: usize,
    grain: usize,
    context: *const c_void,
    body: RawRange,
) -> RawResult<()> {
    run("parallel_for", || {
        let shared = Shared(context);
        let grain = grain.max(1);
        threads::for_each(n.div_ceil(grain), |part| {
            let begin = part * grain;
            body(shared.get(), begin, (begin + grain).min(n));
        });
        Ok(())
    })
}

pub extern "C" fn launch_ptx(
    module: RStr<'_>,
    ptx: RStr<'_>,
    function: RStr<'_>,
    launch: *const RawLaunch,
    args: RSlice<'_, RawArg>,
) -> RawResult<()> {
    run("launch_ptx", || {
        launch_on_gpu(
            module.as_str(),
            ptx.as_str(),
            function.as_str(),
            launch,
            &args,
        )
    })
}

fn no_gpu(module: &str, function: &str) -> Fault {
    Fault(
        fail::UNSUPPORTED,
        format!("kernel `{module}::{function}` needs tensors on a CUDA device"),
    )
}

#[cfg(not(feature = "cuda"))]
fn launch_on_gpu(
    module: &str,
    _ptx: &str,
    function: &str,
    _launch: *const RawLaunch,
    _args: &[RawArg],
) -> Result<(), Fault> {
    Err(no_gpu(module, function))
}

#[cfg(feature = "cuda")]
fn launch_on_gpu(
    module: &str,
    ptx: &str,
    function: &str,
    launch: *const RawLaunch,
    args: &[RawArg],
) -> Result<(), Fault> {
    use crate::ops::cuda::custom::{self, Grid, Kernel, Value};
    use biorule_plugin_api::abi::types::arg;

    // SAFETY: the SDK passes a launch that lives through the call.
    let launch = unsafe { &*launch };
    let values = args
        .iter()
        .map(|a| match a.kind {
            arg::TENSOR => Ok(Value::Tensor(super::handle::look(a.tensor))),
            arg::F32 => Ok(Value::F32(a.number as f32)),
            arg::F64 => Ok(Value::F64(a.number)),
            arg::U32 => Ok(Value::U32(a.integer as u32)),
            arg::I64 => Ok(Value::I64(a.integer)),
            Code(n) => Err(Fault(fail::UNSUPPORTED, format!("argument kind {n}"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let on_gpu = |v: &Value<'_>| matches!(v, Value::Tensor(t) if t.device().is_cuda());
    if !values.iter().any(on_gpu) {
        return Err(no_gpu(module, function));
    }
    let kernel = Kernel {
        module,
        ptx,
        function,
    };
    let grid = Grid {
        blocks: launch.grid,
        threads: launch.block,
        shared: launch.shared_bytes,
    };
    Ok(custom::launch(&kernel, &grid, &values)?)
}

/// Ops newer than the table. None yet.
pub extern "C" fn has_op(_name: RStr<'_>) -> bool {
    false
}

pub extern "C" fn call(name: RStr<'_>, _args: RSlice<'_, RawArg>) -> RawResult<RVec<RawTensor>> {
    run("call", || {
        Err(Fault(
            fail::OP_MISSING,
            format!("no op `{name}` behind `call`"),
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts parts whose product is not 0, in the context.
    extern "C" fn multiply(context: *const c_void, begin: usize, end: usize) {
        // SAFETY: the test passes a counter that lives through the call.
        let wrong = unsafe { &*context.cast::<AtomicUsize>() };
        for _ in begin..end {
            let y = std::hint::black_box(1e-39f32) * std::hint::black_box(1e20);
            wrong.fetch_add(usize::from(y != 0.0), Ordering::Relaxed);
        }
    }

    #[test]
    fn a_plugins_parts_take_subnormal_numbers_as_zero() {
        if !biorule_kernels::denormals::set_flush_denormal(true) {
            eprintln!("skipped: this processor has no switch for subnormal numbers");
            return;
        }
        let wrong = AtomicUsize::new(0);
        crate::threads::in_pool(|| {
            let done = parallel_for(10_000, 1, (&raw const wrong).cast(), multiply);
            assert!(done.is_ok());
        });
        assert_eq!(wrong.into_inner(), 0);
    }
}
