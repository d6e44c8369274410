//! Pixels prepared once and kept in the cache folder: decoded, in planes, row by row, one sample after
//! another. The file is mapped, not read. After the pixels come a description as JSON and its length.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bytes::Bytes;
use super::cache;
use crate::{Error, Result};

/// Version of the layout.
const VERSION: u32 = 1;

/// Where the pixels of a picture lie, of pictures that differ in size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Size {
    pub height: u32,
    pub width: u32,
}

/// What is known of prepared pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Class of each sample; `u32::MAX` where it has none.
    pub labels: Vec<u32>,
    /// Size of each picture; empty where all have one.
    pub sizes: Vec<Size>,
    /// Names of the classes.
    pub classes: Vec<String>,
    pub notes: Vec<String>,
    /// SHA-256 over the sources.
    pub digest: String,
    /// Length of the sources.
    pub source_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Foot {
    version: u32,
    key: String,
    pixels: u64,
    head: Head,
}

/// What was prepared as `name` from sources that `key` describes; `None` where they have changed.
pub(super) fn get(name: &str, key: &str) -> Option<(Head, Bytes)> {
    read(&cache::folder()?.join(name), key)
}

fn read(path: &Path, key: &str) -> Option<(Head, Bytes)> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut eight = [0; 8];
    file.seek(SeekFrom::Start(length.checked_sub(8)?)).ok()?;
    file.read_exact(&mut eight).ok()?;
    let foot = u64::from_le_bytes(eight);
    let start = length.checked_sub(8)?.checked_sub(foot)?;
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut text = Vec::new();
    file.take(foot).read_to_end(&mut text).ok()?;
    let foot: Foot = serde_json::from_slice(&text).ok()?;
    if foot.version != VERSION || foot.key != key || foot.pixels != start {
        return None;
    }
    let bytes = Bytes::map(path, 0..start as usize).ok()?;
    Some((foot.head, bytes))
}

/// Writes what `fill` gives as `name`, and maps it. Where the cache folder cannot be written it is kept in
/// memory, if there is room.
///
/// # Errors
/// Those of `fill`; storage error where the disk gets full; data error where there is no room.
pub(super) fn put(
    name: &str,
    key: &str,
    pixels: u64,
    fill: &mut dyn FnMut(&mut dyn Write) -> Result<Head>,
) -> Result<(Head, Bytes)> {
    let folder = cache::folder();
    let opened = folder.as_ref().and_then(|folder| open(folder, name));
    let (Some((temporary, file)), Some(folder)) = (opened, folder) else {
        crate::device::memory::require(pixels.into(), "samples without a cache folder")?;
        let mut all = Vec::new();
        let head = fill(&mut all)?;
        return Ok((head, all.into()));
    };
    let path = folder.join(name);
    let written = write(file, key, fill).and_then(|()| {
        fs::rename(&temporary, &path).map_err(|e| full(&path, pixels, &e))?;
        read(&path, key)
            .ok_or_else(|| Error::storage(format!("`{}` cannot be read back", path.display())))
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(|e| match e.code {
        crate::ExitCode::Storage => e.or_hint(format!(
            "prepared samples take {}; `BIORULE_CACHE` names another folder",
            crate::text::human(pixels.into())
        )),
        _ => e,
    })
}

fn full(path: &Path, pixels: u64, e: &std::io::Error) -> Error {
    Error::storage_io(path, e).within(format!(
        "prepared samples of {}",
        crate::text::human(pixels.into())
    ))
}

fn open(folder: &Path, name: &str) -> Option<(PathBuf, File)> {
    fs::create_dir_all(folder).ok()?;
    let temporary = folder.join(format!("{name}.{}.tmp", std::process::id()));
    let file = File::create(&temporary).ok()?;
    Some((temporary, file))
}

/// Counts what goes through.
struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

fn write(
    file: File,
    key: &str,
    fill: &mut dyn FnMut(&mut dyn Write) -> Result<Head>,
) -> Result<()> {
    let mut out = Counted {
        to: BufWriter::with_capacity(1 << 20, file),
        bytes: 0,
    };
    let head = fill(&mut out)?;
    let foot = Foot {
        version: VERSION,
        key: key.to_owned(),
        pixels: out.bytes,
        head,
    };
    let text =
        serde_json::to_vec(&foot).map_err(|e| Error::internal(format!("a cache file: {e}")))?;
    let end = out.write_all(&text).and_then(|()| {
        out.write_all(&(text.len() as u64).to_le_bytes())?;
        out.flush()
    });
    end.map_err(|e| Error::storage(format!("the cache folder: {e}")))
}

/// Writes `bytes` to the file that is prepared.
///
/// # Errors
/// Storage error.
pub(super) fn add(to: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes)
        .map_err(|e| Error::storage(format!("the cache folder: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_prepared_is_found_until_its_sources_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let head = Head {
            labels: vec![3, u32::MAX],
            digest: "d".into(),
            ..Head::default()
        };
        let mut fill = |to: &mut dyn Write| {
            add(to, &[1, 2, 3])?;
            Ok(head.clone())
        };
        write(File::create(&path).unwrap(), "key", &mut fill).unwrap();
        let (found, bytes) = read(&path, "key").unwrap();
        assert_eq!((found, &bytes[..]), (head, &[1, 2, 3][..]));
        assert_eq!(bytes.in_memory(), 0);
        assert!(read(&path, "another key").is_none());
        let whole = fs::read(&path).unwrap();
        for keep in [0, 3, whole.len() - 1] {
            fs::write(&path, &whole[..keep]).unwrap();
            assert!(read(&path, "key").is_none(), "{keep}");
        }
    }
}
