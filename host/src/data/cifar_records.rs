//! What both versions of CIFAR have in common: pixels, labels, members of an archive.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::data::read::{damaged, open, stream_error};

/// Bytes of one image.
pub(super) const PIXELS: usize = 3 * 32 * 32;

/// Files and their bytes.
pub(super) type Parts = Vec<(PathBuf, Vec<u8>)>;

/// Refuses a label that no class has.
pub(super) fn check_label(path: &Path, label: u64, at: usize, classes: usize) -> Result<()> {
    if label < classes as u64 {
        return Ok(());
    }
    let expected = format!("labels below {}", classes);
    Err(damaged(path, expected, format!("{label} in record {at}")))
}

/// The members of `archive` whose file names are in `files`, of which the first `limit` bytes.
pub(super) fn from_archive(archive: &Path, files: &[&str], limit: usize) -> Result<Parts> {
    let broken = |e: std::io::Error| damaged(archive, "a whole .tar.gz", stream_error(&e));
    let mut tar = tar::Archive::new(open(archive)?);
    let mut parts = Vec::new();
    for entry in tar.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let wanted = path
            .file_name()
            .is_some_and(|name| files.iter().any(|f| name == *f));
        if wanted && entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry
                .by_ref()
                .take(limit as u64)
                .read_to_end(&mut bytes)
                .map_err(broken)?;
            parts.push((archive.join(path), bytes));
        }
        if parts.len() == files.len() {
            break;
        }
    }
    Ok(parts)
}
