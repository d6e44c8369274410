//! Bytes of samples: in memory, or in a file of the cache folder that is mapped into it, of which the
//! system reads what is asked for.

use std::fmt;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

/// Bytes that nobody changes any more.
#[derive(Clone)]
pub enum Bytes {
    /// In memory.
    Owned(Vec<u8>),
    /// A range of a mapped file.
    Mapped {
        /// The file.
        map: Arc<Mmap>,
        /// The range.
        range: Range<usize>,
    },
}

impl Bytes {
    /// Maps `range` of the file at `path`, which has to be one that the program made for itself and
    /// that nobody writes into or shortens.
    ///
    /// # Errors
    /// Those of the system, and where the file is shorter.
    pub(super) fn map(path: &Path, range: Range<usize>) -> std::io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: files of the cache folder are written under a temporary name and renamed when they
        // are whole; the program never writes into one again, so that the mapping does not change.
        let map = unsafe { Mmap::map(&file)? };
        if map.len() < range.end {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self::Mapped {
            map: Arc::new(map),
            range,
        })
    }

    /// The bytes that take memory, not those of a file.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.len(),
            Self::Mapped { .. } => 0,
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped { map, range } => &map[range.clone()],
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned(bytes) => bytes.fmt(f),
            Self::Mapped { range, .. } => write!(f, "{} mapped bytes", range.len()),
        }
    }
}
