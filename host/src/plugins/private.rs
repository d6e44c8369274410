//! Libraries are opened as a copy of the process's own, by the content that was looked at: what is
//! written over a file in use, as `cp` does, would change the code of a run under way or kill it.
//!
//! On Linux the copy is memory with a file descriptor and no name, which no other process can
//! change. Where there is no such memory, and elsewhere, the file itself is opened.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use libloading::{Error, Library};

use super::candidate::Candidate;

/// Libraries that are open, by the digest of their content.
static OPEN: LazyLock<Mutex<HashMap<String, &'static Library>>> = LazyLock::new(Mutex::default);

/// Opens the library `file`, for good. The same content is opened once.
///
/// # Errors
/// The system's loader refuses it.
pub(super) fn open(file: &Candidate) -> Result<&'static Library, Error> {
    let mut known = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = known.get(&file.sha256) {
        return Ok(library);
    }
    let library = match copied(file) {
        Some(library) => library,
        None => original(&file.path)?,
    };
    // Never unloaded, also after a refusal: abi_stable's errors may point into it.
    let library: &'static Library = Box::leak(Box::new(library));
    known.insert(file.sha256.clone(), library);
    Ok(library)
}

fn original(path: &Path) -> Result<Library, Error> {
    // Absolute: a bare name would be looked for in the system's folders.
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    // SAFETY: loading runs the library's constructors, as loading any plugin does; the user put
    // the file into a plugin folder for that. Local binding keeps two plugins from seeing each
    // other's symbols.
    unsafe { Library::new(whole) }
}

/// The library from a copy in memory; `None` where there is no such memory, or the loader refuses
/// it there, as a library that looks for others beside itself.
#[cfg(target_os = "linux")]
fn copied(file: &Candidate) -> Option<Library> {
    use std::io::Write as _;
    use std::os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _};

    let name = file.path.file_name()?.to_string_lossy().into_owned();
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: `name` lives through the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    // SAFETY: opened above, and nobody else's.
    let mut memory = unsafe { std::fs::File::from_raw_fd(fd) };
    memory.write_all(&file.bytes).ok()?;
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    // SAFETY: as in `original`.
    let library = unsafe { Library::new(path) }.ok()?;
    // Left open: the name is how backtraces find the library's symbols, and the loader would take
    // another library under the same number for this one.
    let _ = memory.into_raw_fd();
    Some(library)
}

#[cfg(not(target_os = "linux"))]
fn copied(_: &Candidate) -> Option<Library> {
    None
}
