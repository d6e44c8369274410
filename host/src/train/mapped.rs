//! Numbers in a memory-mapped file: a table larger than the memory we want to
//! spend. The file loses its name at once where the system allows it, so that
//! nothing is left behind by a killed process.

use std::fs::{File, OpenOptions};
use std::marker::PhantomData;
use std::path::Path;

use memmap2::MmapMut;

use crate::{Error, Result};

/// Numbers that any bit pattern of their size is a valid value of.
pub trait Plain: Copy + Send + Sync + 'static {}
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for u16 {}

/// Makes `file` this long, its blocks on the disk: where a file only promises its length, the
/// disk may turn out full at a write into the mapping, which ends the process by a signal.
fn reserve(file: &File, bytes: u64) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => return Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(e) => return Err(e.into()),
        }
    }
    let zeros = vec![0; 1 << 20];
    let (mut file, mut left) = (file, bytes);
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        std::io::Write::write_all(&mut file, &zeros[..part as usize])?;
        left -= part;
    }
    Ok(())
}

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
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        let failed = |e: std::io::Error| {
            let need = bytes >> 20;
            let hint = "cached features need this space; raise `cache.memory_limit`, make room, or \
                         choose another `--run-dir`";
            Error::storage_io(&path, &e)
                .within(format_args!("cached features of {need} MiB"))
                .hint(hint)
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(failed)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExitCode;

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
