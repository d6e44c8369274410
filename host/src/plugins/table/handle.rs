//! Handles: boxed Candle tensors, counted on the thread of the call.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use abi_stable::std_types::{RResult, RSlice};
use biorule_plugin_api::abi::glue::panic_text;
use biorule_plugin_api::abi::types::{Code, RawFailure, RawResult, RawTensor, dtype, fail};
use candle_core::{DType, Tensor};

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// Handles given out on this thread and not yet given back.
pub fn live() -> i64 {
    LIVE.with(Cell::get)
}

/// Hands a tensor out.
pub fn give(tensor: Tensor) -> RawTensor {
    LIVE.with(|n| n.set(n.get() + 1));
    RawTensor(Box::into_raw(Box::new(tensor)).cast())
}

/// Takes a handle back.
pub fn take(raw: RawTensor) -> Option<Tensor> {
    if raw.is_null() {
        return None;
    }
    LIVE.with(|n| n.set(n.get() - 1));
    // SAFETY: a handle that is not null comes from `give` and is taken back once; the SDK's
    // `Tensor` has no other way to make or duplicate one.
    Some(*unsafe { Box::from_raw(raw.0.cast::<Tensor>()) })
}

/// Looks at a handle that the caller keeps.
pub fn look<'a>(raw: RawTensor) -> &'a Tensor {
    assert!(!raw.is_null(), "a null tensor handle");
    // SAFETY: handles in arguments are borrowed for the call and come from `give`.
    unsafe { &*raw.0.cast::<Tensor>() }
}

/// A borrowed slice of handles.
pub fn look_all(raws: RSlice<'_, RawTensor>) -> Vec<&Tensor> {
    raws.iter().map(|raw| look(*raw)).collect()
}

/// Why an op failed, with its class.
pub struct Fault(pub Code, pub String);

impl From<candle_core::Error> for Fault {
    fn from(e: candle_core::Error) -> Self {
        let text = e.to_string();
        let code = if text.contains("shape") || text.contains("dim") {
            fail::SHAPE
        } else {
            fail::HOST
        };
        // Candle appends a backtrace after the first line where one is enabled.
        Self(code, text.lines().next().unwrap_or_default().to_string())
    }
}

impl From<crate::ops::ShapeError> for Fault {
    fn from(e: crate::ops::ShapeError) -> Self {
        Self(fail::SHAPE, e.to_string())
    }
}

impl From<crate::Error> for Fault {
    fn from(e: crate::Error) -> Self {
        Self(fail::HOST, e.text)
    }
}

/// Runs an op; errors and panics become failure values.
pub fn run<T>(op: &str, body: impl FnOnce() -> Result<T, Fault>) -> RawResult<T> {
    let Fault(code, text) = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return RResult::ROk(value),
        Ok(Err(fault)) => fault,
        Err(panic) => Fault(fail::HOST, panic_text(&*panic).to_string()),
    };
    RResult::RErr(RawFailure {
        code,
        message: format!("op `{op}`: {text}").into(),
    })
}

/// Runs an op that yields a tensor.
pub fn out(op: &str, body: impl FnOnce() -> Result<Tensor, Fault>) -> RawResult<RawTensor> {
    run(op, || body().map(give))
}

/// Candle's element type.
pub fn to_dtype(code: Code) -> Result<DType, Fault> {
    Ok(match code {
        dtype::F32 => DType::F32,
        dtype::F64 => DType::F64,
        dtype::U32 => DType::U32,
        dtype::U8 => DType::U8,
        Code(n) => return Err(Fault(fail::DTYPE, format!("element type number {n}"))),
    })
}

/// The boundary's number of an element type; those that rules never see read as F32.
pub fn from_dtype(dtype: DType) -> Code {
    match dtype {
        DType::F64 => dtype::F64,
        DType::U32 => dtype::U32,
        DType::U8 => dtype::U8,
        _ => dtype::F32,
    }
}
