//! TensorBoard event files, written without a library: records of length,
//! checksum, bytes, checksum (TFRecord), each holding a protocol-buffer `Event`
//! (`tensorboard/compat/proto/event.proto` and `summary.proto`; the checksum is
//! CRC-32C, masked as in `tensorflow/core/lib/hash/crc32c.h`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{atomic, clock, identity};
use crate::Result;

/// The event files of a run. TensorBoard reads all files of a folder as one; a process adds a file
/// of its own, made when there is something to write.
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    run: String,
    open: Option<Open>,
    /// What files of earlier processes hold that counts.
    earlier: BTreeMap<String, u64>,
}

/// The file of this process.
#[derive(Debug)]
struct Open {
    file: BufWriter<File>,
    path: PathBuf,
    length: u64,
}

/// How much of each event file stands behind a checkpoint, in bytes by name. What is written
/// after it is lost with the steps themselves when a run goes on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    files: BTreeMap<String, u64>,
    /// Epochs of the history that are on the board.
    pub epochs: usize,
}

impl TensorBoard {
    /// The event files of run `run` in `folder`. Makes nothing yet.
    #[must_use]
    pub fn new(folder: &Path, run: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            run: run.to_owned(),
            open: None,
            earlier: BTreeMap::new(),
        }
    }

    /// Goes back to `mark`, so that steps done again are not there twice: files are cut to what
    /// they held then, and files of this run that did not exist are removed. `None` is the start
    /// of the run. Files of others stay as they are.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn go_back(&mut self, mark: Option<&Mark>) -> Result<()> {
        self.open = None;
        self.earlier = mark.map(|m| m.files.clone()).unwrap_or_default();
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let failed = |e: std::io::Error| atomic::failed(&path, &e);
            match self.earlier.get(&*name) {
                Some(length) => cut(&path, *length).map_err(failed)?,
                None if self.is_ours(&name) => std::fs::remove_file(&path).map_err(failed)?,
                None => {}
            }
        }
        Ok(())
    }

    fn is_ours(&self, name: &str) -> bool {
        name.starts_with(PREFIX) && name.contains(&format!(".{}-", self.run))
    }

    /// What is on the disk, for the checkpoint that is about to be written; `epochs` of its
    /// history are on the board.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn mark(&mut self, epochs: usize) -> Result<Mark> {
        let mut files = self.earlier.clone();
        if let Some(open) = &mut self.open {
            let synced = open
                .file
                .flush()
                .and_then(|()| open.file.get_ref().sync_data());
            synced.map_err(|e| atomic::failed(&open.path, &e))?;
            let name = open.path.file_name().unwrap_or_default();
            files.insert(name.to_string_lossy().into_owned(), open.length);
        }
        Ok(Mark { files, epochs })
    }

    /// The file of this process, where it has written anything.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|open| open.path.as_path())
    }

    /// The file of this process, made at the first call.
    fn open(&mut self) -> Result<&mut Open> {
        if self.open.is_none() {
            let folder = &self.folder;
            std::fs::create_dir_all(folder).map_err(|e| atomic::failed(folder, &e))?;
            // TensorBoard reads files in the order of their names, which begin with the time.
            let name = format!(
                "{PREFIX}{:010}.{}.{}-{}",
                clock::now() as u64,
                identity::host_name(),
                self.run,
                identity::new_id()
            );
            let path = folder.join(name);
            let file = File::create(&path).map_err(|e| atomic::failed(&path, &e))?;
            let mut open = Open {
                file: BufWriter::new(file),
                path,
                length: 0,
            };
            let mut event = message_head(0);
            put_bytes(&mut event, 3, b"brain.Event:2");
            open.record(&event)?;
            self.open = Some(open);
        }
        match &mut self.open {
            Some(open) => Ok(open),
            None => Err(crate::Error::internal("an event file that is not open")),
        }
    }

    /// A number under `tag` at `step`.
    ///
    /// # Errors
    /// Storage error where the disk refuses; so with all writers below.
    pub fn scalar(&mut self, tag: &str, value: f64, step: u64) -> Result<()> {
        let mut content = Vec::new();
        put_float(&mut content, 2, value as f32);
        self.summary(tag, &content, step)
    }

    /// The distribution of `values` under `tag` at `step`. Values that are not
    /// finite are left out.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn histogram(&mut self, tag: &str, values: &[f32], step: u64) -> Result<()> {
        let mut content = Vec::new();
        put_bytes(&mut content, 5, &histogram(values));
        self.summary(tag, &content, step)
    }

    /// A picture under `tag` at `step`, as the bytes of a PNG file.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn image(
        &mut self,
        tag: &str,
        [height, width]: [usize; 2],
        png: &[u8],
        step: u64,
    ) -> Result<()> {
        let mut image = Vec::new();
        put_integer(&mut image, 1, height as u64);
        put_integer(&mut image, 2, width as u64);
        put_integer(&mut image, 3, 3); // RGB
        put_bytes(&mut image, 4, png);
        let mut content = Vec::new();
        put_bytes(&mut content, 4, &image);
        self.summary(tag, &content, step)
    }

    /// Hands everything written to the system.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.open {
            Some(open) => {
                let flushed = open.file.flush();
                flushed.map_err(|e| atomic::failed(&open.path, &e))
            }
            None => Ok(()),
        }
    }

    /// An event with one summary value: its tag and `content`.
    fn summary(&mut self, tag: &str, content: &[u8], step: u64) -> Result<()> {
        let mut value = Vec::new();
        put_bytes(&mut value, 1, tag.as_bytes());
        value.extend_from_slice(content);
        let mut summary = Vec::new();
        put_bytes(&mut summary, 1, &value);
        let mut event = message_head(step);
        put_bytes(&mut event, 5, &summary);
        self.open()?.record(&event)
    }
}

/// How TensorBoard knows event files.
const PREFIX: &str = "events.out.tfevents.";

/// Cuts `path` to `length` bytes, or where a power failure left less, to its last whole record.
fn cut(path: &Path, length: u64) -> std::io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let there = file.metadata()?.len();
    if there >= length {
        return file.set_len(length);
    }
    let bytes = std::fs::read(path)?;
    let mut whole = 0;
    while let Some(head) = bytes.get(whole..whole + 8) {
        let mut size = [0; 8];
        size.copy_from_slice(head);
        // Length, its checksum, data, their checksum.
        let end = usize::try_from(u64::from_le_bytes(size))
            .ok()
            .and_then(|size| whole.checked_add(size)?.checked_add(16));
        match end {
            Some(end) if end <= bytes.len() => whole = end,
            _ => break,
        }
    }
    file.set_len(whole as u64)
}

impl Open {
    fn record(&mut self, data: &[u8]) -> Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let parts: [&[u8]; 4] = [
            &length,
            &masked_crc(&length).to_le_bytes(),
            data,
            &masked_crc(data).to_le_bytes(),
        ];
        for part in parts {
            self.file
                .write_all(part)
                .map_err(|e| atomic::failed(&self.path, &e))?;
            self.length += part.len() as u64;
        }
        Ok(())
    }
}

/// CRC-32C rotated right by 15 bits plus a constant, so that a checksum of
/// data that holds checksums stays meaningful.
#[must_use]
pub fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// Wall time (field 1) and step (field 2) of an `Event`.
fn message_head(step: u64) -> Vec<u8> {
    let mut event = Vec::new();
    put_double(&mut event, 1, clock::now());
    put_integer(&mut event, 2, step);
    event
}

/// `HistogramProto` of `values`: extremes, sums, and the counts of 30 buckets
/// of equal width.
fn histogram(values: &[f32]) -> Vec<u8> {
    const BUCKETS: usize = 30;
    let finite: Vec<f64> = values
        .iter()
        .map(|x| f64::from(*x))
        .filter(|x| x.is_finite())
        .collect();
    let low = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let high = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if finite.is_empty() {
        (0.0, 0.0)
    } else {
        (low, high)
    };
    let width = if high > low {
        (high - low) / BUCKETS as f64
    } else {
        1.0
    };
    let mut counts = [0_f64; BUCKETS];
    for x in &finite {
        counts[(((x - low) / width) as usize).min(BUCKETS - 1)] += 1.0;
    }
    let limits: Vec<f64> = (1..=BUCKETS).map(|i| low + width * i as f64).collect();
    let mut message = Vec::new();
    put_double(&mut message, 1, low);
    put_double(&mut message, 2, high);
    put_double(&mut message, 3, finite.len() as f64);
    put_double(&mut message, 4, finite.iter().sum());
    put_double(&mut message, 5, finite.iter().map(|x| x * x).sum());
    put_doubles(&mut message, 6, &limits);
    put_doubles(&mut message, 7, &counts);
    message
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_key(out: &mut Vec<u8>, field: u64, wire: u64) {
    put_varint(out, field << 3 | wire);
}

fn put_integer(out: &mut Vec<u8>, field: u64, n: u64) {
    put_key(out, field, 0);
    put_varint(out, n);
}

fn put_double(out: &mut Vec<u8>, field: u64, x: f64) {
    put_key(out, field, 1);
    out.extend_from_slice(&x.to_le_bytes());
}

fn put_float(out: &mut Vec<u8>, field: u64, x: f32) {
    put_key(out, field, 5);
    out.extend_from_slice(&x.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_key(out, field, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_doubles(out: &mut Vec<u8>, field: u64, list: &[f64]) {
    let packed: Vec<u8> = list.iter().flat_map(|x| x.to_le_bytes()).collect();
    put_bytes(out, field, &packed);
}

#[cfg(test)]
#[path = "tensorboard_tests.rs"]
mod tests;
