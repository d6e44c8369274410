//! TensorBoard event files, written without a library: records of length,
//! checksum, bytes, checksum (TFRecord), each holding a protocol-buffer `Event`
//! (`tensorboard/compat/proto/event.proto` and `summary.proto`; the checksum is
//! CRC-32C, masked as in `tensorflow/core/lib/hash/crc32c.h`).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{atomic, clock, identity};
use crate::Result;

/// One event file, open for writing.
#[derive(Debug)]
pub struct TensorBoard {
    file: BufWriter<File>,
    path: PathBuf,
}

impl TensorBoard {
    /// Starts a new event file in `folder`; TensorBoard reads all of a folder.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| atomic::failed(folder, &e))?;
        let name = format!(
            "events.out.tfevents.{:010}.{}.{}",
            clock::now() as u64,
            identity::host_name(),
            identity::new_id()
        );
        let path = folder.join(name);
        let file = File::create(&path).map_err(|e| atomic::failed(&path, &e))?;
        let mut board = Self {
            file: BufWriter::new(file),
            path,
        };
        let mut event = message_head(0);
        put_bytes(&mut event, 3, b"brain.Event:2");
        board.record(&event)?;
        Ok(board)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number under `tag` at `step`.
    ///
    /// # Errors
    /// Internal error where the disk refuses; so with all writers below.
    pub fn scalar(&mut self, tag: &str, value: f64, step: u64) -> Result<()> {
        let mut content = Vec::new();
        put_float(&mut content, 2, value as f32);
        self.summary(tag, &content, step)
    }

    /// The distribution of `values` under `tag` at `step`. Values that are not
    /// finite are left out.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn histogram(&mut self, tag: &str, values: &[f32], step: u64) -> Result<()> {
        let mut content = Vec::new();
        put_bytes(&mut content, 5, &histogram(values));
        self.summary(tag, &content, step)
    }

    /// A picture under `tag` at `step`, as the bytes of a PNG file.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
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
    /// Internal error where the disk refuses.
    pub fn flush(&mut self) -> Result<()> {
        self.file
            .flush()
            .map_err(|e| atomic::failed(&self.path, &e))
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
        self.record(&event)
    }

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
