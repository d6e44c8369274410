//! Decoded pictures in the cache folder, so that a folder is decoded once. A header line of JSON,
//! then the bytes of both parts.

use serde::{Deserialize, Serialize};

use crate::data::cache;

/// Version of the layout.
const VERSION: u32 = 1;

/// What is kept of a folder of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// Class of each training and each test sample.
    pub labels: [Vec<u32>; 2],
    /// `[N, C, H, W]` of both parts.
    pub bytes: [Vec<u8>; 2],
    pub classes: Vec<String>,
    pub notes: Vec<String>,
    /// SHA-256 over names and contents of the files.
    pub digest: String,
    /// Length of all files.
    pub file_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    key: String,
    shape: [usize; 3],
    labels: [Vec<u32>; 2],
    classes: Vec<String>,
    notes: Vec<String>,
    digest: String,
    file_bytes: u64,
    checks: [u32; 2],
}

/// What was stored as `name` under `key`; `None` where the files have changed since.
pub(super) fn get(name: &str, key: &str) -> Option<Stored> {
    let mut file = cache::read(name)?;
    let end = file.iter().position(|byte| *byte == b'\n')?;
    let header: Header = serde_json::from_slice(&file[..end]).ok()?;
    if header.version != VERSION || header.key != key {
        return None;
    }
    let [c, h, w] = header.shape;
    let train = header.labels[0].len().checked_mul(c * h * w)?;
    let test = header.labels[1].len().checked_mul(c * h * w)?;
    if file.len() != end + 1 + train + test {
        return None;
    }
    let test = file.split_off(end + 1 + train);
    let train = file.split_off(end + 1);
    let bytes = [train, test];
    let checks = [0, 1].map(|part: usize| crc32c::crc32c(&bytes[part]));
    (checks == header.checks).then_some(Stored {
        shape: header.shape,
        labels: header.labels,
        bytes,
        classes: header.classes,
        notes: header.notes,
        digest: header.digest,
        file_bytes: header.file_bytes,
    })
}

/// Stores it as `name` under `key`, in place of what was there.
pub(super) fn put(name: &str, key: &str, stored: &Stored) {
    let header = Header {
        version: VERSION,
        key: key.to_owned(),
        shape: stored.shape,
        labels: stored.labels.clone(),
        classes: stored.classes.clone(),
        notes: stored.notes.clone(),
        digest: stored.digest.clone(),
        file_bytes: stored.file_bytes,
        checks: [0, 1].map(|part: usize| crc32c::crc32c(&stored.bytes[part])),
    };
    if let Ok(header) = serde_json::to_vec(&header) {
        cache::write(name, &[&header, b"\n", &stored.bytes[0], &stored.bytes[1]]);
    }
}
