//! Log, cancellation, threads, kernels of the plugin's own, and ops by name.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use abi_stable::std_types::{RSlice, RStr, RVec};
use biorule_plugin_api::abi::types::{
    Code, RawArg, RawLaunch, RawRange, RawResult, RawTensor, fail,
};
use rayon::prelude::*;

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
        (0..n.div_ceil(grain)).into_par_iter().for_each(|part| {
            let begin = part * grain;
            body(shared.get(), begin, (begin + grain).min(n));
        });
        Ok(())
    })
}

pub extern "C" fn launch_ptx(
    module: RStr<'_>,
    _ptx: RStr<'_>,
    function: RStr<'_>,
    _launch: *const RawLaunch,
    _args: RSlice<'_, RawArg>,
) -> RawResult<()> {
    run("launch_ptx", || {
        Err(Fault(
            fail::UNSUPPORTED,
            format!("kernel `{module}::{function}` needs a CUDA device, and there is none"),
        ))
    })
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
