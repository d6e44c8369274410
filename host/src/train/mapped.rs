//! Numbers in a memory-mapped file: a table larger than the memory we want to
//! spend. The file loses its name at once where the system allows it, so that
//! nothing is left behind by a killed process.

use std::fs::{File, OpenOptions};
use std::marker::PhantomData;
use std::path::Path;

use memmap2::MmapMut;

use crate::{Error, ExitCode, Result};

/// Numbers that any bit pattern of their size is a valid value of.
pub trait Plain: Copy + Send + Sync + 'static {}
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for u16 {}

/// A slice of `T` in a file.
pub struct Mapped<T> {
    map: MmapMut,
    // Keeps the unnamed file alive beside the mapping.
    _file: File,
    element: PhantomData<T>,
}

impl<T: Plain> Mapped<T> {
    /// `len` zeros in a fresh file in `folder`.
    ///
    /// # Errors
    /// Failures of the file system, such as a full disk.
    pub fn zeros(folder: &Path, len: usize) -> Result<Self> {
        let path = folder.join(format!("features-{}.tmp", std::process::id()));
        let failed = |e: std::io::Error| {
            Error::io(ExitCode::Storage, &path, &e)
                .hint("kept features need this space; raise `cache.memory_limit` or free the disk")
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(failed)?;
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        reserve(&file, bytes.max(1)).map_err(|e| {
            // The name goes with it, whatever went wrong.
            let _ = std::fs::remove_file(&path);
            failed(e)
        })?;
        // SAFETY: the file is ours alone: just created, and unlinked below, so no
        // other process can change or shorten it under the mapping.
        let map = unsafe { MmapMut::map_mut(&file) }.map_err(failed)?;
        let _ = std::fs::remove_file(&path);
        Ok(Self {
            map,
            _file: file,
            element: PhantomData,
        })
    }

    /// The numbers.
    pub fn slice(&self) -> &[T] {
        // SAFETY: `T` is plain, any bytes are a value; a mapping starts at a page
        // boundary, so the middle part is everything but a tail shorter than one element.
        unsafe { self.map.align_to::<T>() }.1
    }

    /// The numbers, to be written.
    pub fn slice_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `slice`, and the mapping is borrowed mutably.
        unsafe { self.map.align_to_mut::<T>() }.1
    }
}

/// Makes `file` so long, its blocks taken: where the disk has no room this fails here, with a
/// reason. A file with holes would end the process by a signal when one is written to.
#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> std::io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let length =
        libc::off_t::try_from(bytes).map_err(|_| std::io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: the descriptor is that of an open file; only its length and blocks change.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        0 => Ok(()),
        code => Err(std::io::Error::from_raw_os_error(code)),
    }
}

/// Makes `file` so long.
#[cfg(not(target_os = "linux"))]
fn reserve(file: &File, bytes: u64) -> std::io::Result<()> {
    file.set_len(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_disk_holds_is_an_error_and_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        for len in [usize::MAX, usize::MAX / 4, 1 << 60] {
            let error = Mapped::<f32>::zeros(folder.path(), len)
                .map(drop)
                .expect_err("no disk is so large");
            assert_eq!(error.code, ExitCode::Storage, "{error}");
        }
        let left = std::fs::read_dir(folder.path()).expect("a folder");
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn numbers_stay_and_the_file_leaves_no_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mapped = Mapped::<f32>::zeros(folder.path(), 1000).expect("a mapping");
        assert_eq!(mapped.slice(), vec![0.0; 1000]);
        mapped.slice_mut()[999] = 2.5;
        assert_eq!(mapped.slice()[999], 2.5);
        if cfg!(unix) {
            assert_eq!(
                std::fs::read_dir(folder.path()).expect("a folder").count(),
                0
            );
        }
    }
}
