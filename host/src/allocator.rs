//! The end of a process for which there is no memory. Plans that take too much are refused before
//! they start and ops ask before they take, but both count at least what is needed: under a tight
//! limit any allocation may be the one that fails. Rust then aborts, and an abort looks like a
//! defect. Here it becomes words and an exit code (docs/exit-codes.md).

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::ExitCode;

thread_local! {
    /// Bytes of this thread's last request that was refused; 0 where none was.
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which remembers what it refused.
#[derive(Debug)]
pub struct Watched;

impl Watched {
    /// `block`, the answer to a request for `bytes`.
    fn note(block: *mut u8, bytes: usize) -> *mut u8 {
        if block.is_null() {
            // A thread that is at its end has no such variable any more.
            let _ = REFUSED.try_with(|refused| refused.set(bytes));
        }
        block
    }
}

// SAFETY: every call is the system allocator's own, with the caller's arguments and result.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        Self::note(unsafe { System.alloc(layout) }, layout.size())
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { System.alloc_zeroed(layout) };
        Self::note(block, layout.size())
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        Self::note(unsafe { System.realloc(block, layout, bytes) }, bytes)
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

/// From now on an abort for want of memory says what to do and ends with the code of a run that takes
/// more memory than there is; any other abort stays one.
#[cfg(unix)]
pub fn end_with_words() {
    // SAFETY: the handler calls nothing that is not allowed in one.
    unsafe { libc::signal(libc::SIGABRT, aborted as *const () as libc::sighandler_t) };
}

/// Elsewhere an abort has no handler.
#[cfg(not(unix))]
pub fn end_with_words() {}

#[cfg(unix)]
extern "C" fn aborted(_signal: libc::c_int) {
    let refused = REFUSED.try_with(Cell::get).unwrap_or(0);
    if refused == 0 {
        // It goes on to end the process.
        return;
    }
    const WORDS: &[u8] = b"error: there is no memory left for the number of bytes above\n\
        hint: lower `batch` or the network's widths, raise the limit (`ulimit -v`, the control group), \
        or train on a larger machine; the same command goes on from the last checkpoint\n";
    // SAFETY: both are allowed in a handler; the words are constant.
    unsafe {
        libc::write(libc::STDERR_FILENO, WORDS.as_ptr().cast(), WORDS.len());
        libc::_exit(ExitCode::Usage as libc::c_int);
    }
}
