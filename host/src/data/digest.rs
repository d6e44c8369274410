//! Hashes of the files that data comes from. A big file is not read again while its size and its
//! time of change stay as they were.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cache;
use super::set::FileInfo;
use crate::data::record::FileRecord;
use crate::text::hex;
use crate::{Error, ExitCode, Result};

/// Length and hashes of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Digests {
    /// Length in bytes.
    pub bytes: u64,
    /// MD5, hexadecimal.
    pub md5: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

impl Digests {
    /// Whether these are the published ones. SHA-256 decides; MD5 is compared
    /// as well because it is what the authors published.
    pub fn matches(&self, file: &FileInfo) -> bool {
        let published = self.bytes == file.bytes && self.sha256 == file.sha256;
        let md5 = file.md5.is_empty() || self.md5 == file.md5;
        let other = |(bytes, sha256): &(u64, &str)| self.bytes == *bytes && self.sha256 == *sha256;
        (published && md5) || file.also.iter().any(other)
    }
}

/// Reads `path` once and computes all of it.
///
/// # Errors
/// A data error when it cannot be read.
pub fn digests(path: &Path) -> Result<Digests> {
    let io = |e: std::io::Error| Error::io(ExitCode::Data, path, &e);
    let mut file = File::open(path).map_err(io)?;
    let (mut md5, mut sha256, mut bytes) = (Md5::new(), Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => break,
            count => {
                md5.update(&buffer[..count]);
                sha256.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
    Ok(Digests {
        bytes,
        md5: hex(&md5.finalize()),
        sha256: hex(&sha256.finalize()),
    })
}

/// File in the cache folder.
const NAME: &str = "digests.json";

/// A file that changed this recently may change again within the clock's resolution.
const SETTLED: Duration = Duration::from_secs(2);

/// Entries kept; more are dropped at random rather than piled up.
const MOST: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    bytes: u64,
    changed: u128,
    sha256: String,
}

/// Path, length and SHA-256 of each of `paths`.
///
/// # Errors
/// A data error for a file that cannot be read.
pub(crate) fn records(paths: &[PathBuf]) -> Result<Vec<FileRecord>> {
    let mut known: BTreeMap<String, Known> = cache::read(NAME)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let mut news = false;
    let mut records = Vec::with_capacity(paths.len());
    for path in paths {
        let io = |e: std::io::Error| Error::io(ExitCode::Data, path, &e);
        let (bytes, time) = stamp(path).map_err(io)?;
        let name = absolute(path);
        let changed = nanoseconds(time);
        let sha256 = match known.get(&name) {
            Some(k) if (k.bytes, k.changed) == (bytes, changed) => k.sha256.clone(),
            _ => {
                let sha256 = digests(path)?.sha256;
                if time.elapsed().is_ok_and(|age| age > SETTLED) {
                    let entry = Known {
                        bytes,
                        changed,
                        sha256: sha256.clone(),
                    };
                    known.insert(name, entry);
                    news = true;
                }
                sha256
            }
        };
        records.push(FileRecord {
            path: path.display().to_string(),
            bytes,
            sha256,
        });
    }
    if news {
        while known.len() > MOST {
            known.pop_first();
        }
        if let Ok(text) = serde_json::to_vec(&known) {
            cache::write(NAME, &[&text]);
        }
    }
    Ok(records)
}

/// Length and time of the last change.
pub(crate) fn stamp(path: &Path) -> std::io::Result<(u64, SystemTime)> {
    let meta = fs::metadata(path)?;
    Ok((meta.len(), meta.modified()?))
}

/// A time as nanoseconds since 1970; 0 before that.
pub(crate) fn nanoseconds(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos())
}

/// The path from the root, for keys.
pub(crate) fn absolute(path: &Path) -> String {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    whole.display().to_string()
}
