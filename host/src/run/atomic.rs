//! Files that are there whole or not at all, whenever the process dies: written
//! under a temporary name, flushed to the disk, renamed, the folder flushed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Ending of temporary names; what a dead process left under one means nothing.
pub const TEMPORARY: &str = ".tmp";

/// Writes `bytes` as `path`.
///
/// # Errors
/// Storage error with the path where the disk refuses; the former file stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Writes `path` by `fill`, which gets the temporary file.
///
/// # Errors
/// Storage error with the path where the disk refuses; the former file stays.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let temporary = temporary(path);
    let written = File::create(&temporary).and_then(|mut file| {
        fill(&mut file)?;
        file.sync_all()
    });
    written
        .and_then(|()| replace(&temporary, path))
        .map_err(|e| failed(path, &e))
}

/// Gives `from`, already on the disk, the name `to`.
///
/// # Errors
/// What the system says.
pub fn replace(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to)
}

/// Makes `to` a second name of the file `from`, in place of what `to` was.
///
/// # Errors
/// Storage error with the path where the disk refuses.
pub fn link(from: &Path, to: &Path) -> Result<()> {
    let temporary = temporary(to);
    let _ = fs::remove_file(&temporary);
    // File systems without hard links get a copy.
    fs::hard_link(from, &temporary)
        .or_else(|_| {
            fs::copy(from, &temporary)?;
            File::open(&temporary)?.sync_all()
        })
        .and_then(|()| replace(&temporary, to))
        .map_err(|e| failed(to, &e))
}

/// The bytes of the file `path`; `None` where it is not there.
///
/// # Errors
/// Storage error with the path where it cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(path, &e)),
    }
}

/// The temporary name beside `path`.
#[must_use]
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    name.into()
}

/// Error for a file of a run folder that cannot be written or read.
#[must_use]
pub fn failed(path: &Path, e: &std::io::Error) -> Error {
    Error::storage_io(path, e).within("run folder")
}

/// Makes a rename durable. Folders cannot be flushed on every system.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}
