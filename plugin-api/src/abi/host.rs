//! The plugin's side of the op table: where it is kept, and how an op is called.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

use abi_stable::std_types::RResult;

use super::ops::{HostArg, HostTable};
use super::types::{RawFailure, RawResult};
use crate::sdk::{Result, RuleError};

static TABLE: AtomicPtr<HostTable> = AtomicPtr::new(std::ptr::null_mut());

/// Keeps the table for the life of the process. The loader has compared its op
/// list with ours before this is called.
pub fn install(host: HostArg) {
    TABLE.store(host.0.cast::<HostTable>().cast_mut(), Ordering::Release);
}

/// The table, if a host is there.
pub(crate) fn table() -> Result<*const HostTable> {
    let table = TABLE.load(Ordering::Acquire);
    if table.is_null() {
        return Err(RuleError::host(
            "no host: in unit tests call `testkit::install()` first",
        ));
    }
    Ok(table)
}

/// Turns the boundary's result into the SDK's.
pub(crate) fn lift<T>(result: RawResult<T>) -> Result<T> {
    match result {
        RResult::ROk(value) => Ok(value),
        RResult::RErr(RawFailure { code, message }) => Err(RuleError::new(code, message.as_str())),
    }
}

/// Whether a table of `size` bytes holds the function at `offset`.
pub(crate) fn holds(size: usize, offset: usize) -> bool {
    offset + size_of::<*const c_void>() <= size
}

/// The function `$name` of the table, or the error that the host lacks it.
macro_rules! op {
    ($name:ident) => {{
        let table = $crate::abi::host::table()?;
        // SAFETY: `install` stored a pointer to the host's table, which lives as long
        // as the process and begins with `size`.
        let size = unsafe { (*table).size };
        if !$crate::abi::host::holds(
            size,
            std::mem::offset_of!($crate::abi::ops::HostTable, $name),
        ) {
            return Err($crate::sdk::RuleError::op_missing(stringify!($name)));
        }
        // SAFETY: the field lies inside the host's table, whose signature for it the
        // loader has compared with ours.
        unsafe { (*table).$name }
    }};
}
pub(crate) use op;
