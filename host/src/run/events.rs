//! `events.jsonl`: every event of a run, one JSON object a line, append only.
//! A line that a killed process left half-written is cut off when the file is
//! opened again.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::Value;

use super::atomic;
use crate::Result;

/// The event file of a run, open for appending.
#[derive(Debug)]
pub struct EventLog {
    file: File,
    length: u64,
    path: std::path::PathBuf,
}

impl EventLog {
    /// Opens `path`, making it where missing and cutting off half a line at its end.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| atomic::failed(path, &e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(failed)?;
        }
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self {
            file,
            length: whole as u64,
            path: path.to_owned(),
        })
    }

    /// Appends one event, in the file's hands when this returns; with
    /// `durable`, on the disk.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn append(&mut self, event: &Value, durable: bool) -> Result<()> {
        let line = format!("{event}\n");
        let before = self.length;
        let written = self.file.write_all(line.as_bytes());
        match &written {
            Ok(()) => self.length += line.len() as u64,
            // Half a line would spoil the next one, written when there is room again.
            Err(_) => {
                let _ = self.file.set_len(before);
                let _ = self.file.seek(SeekFrom::Start(before));
            }
        }
        written
            .and_then(|()| {
                if durable {
                    self.file.sync_data()
                } else {
                    Ok(())
                }
            })
            .map_err(|e| atomic::failed(&self.path, &e))
    }
}

/// All whole events of the file `path`; none where it is missing. Lines that
/// are no JSON are skipped.
///
/// # Errors
/// Storage error where the file is there and cannot be read.
pub fn read(path: &Path) -> Result<Vec<Value>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(atomic::failed(path, &e)),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    Ok(whole
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_torn_line_is_cut_off_and_the_rest_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        log.append(&json!({"event": "start"}), false).unwrap();
        log.append(&json!({"event": "epoch", "epoch": 1}), true)
            .unwrap();
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let lines = whole[..cut].iter().filter(|b| **b == b'\n').count();
            let mut log = EventLog::open(&path).unwrap();
            log.append(&json!({"event": "next"}), false).unwrap();
            let events = read(&path).unwrap();
            assert_eq!(events.len(), lines + 1, "cut at {cut}");
            assert_eq!(events[lines]["event"], "next");
        }
    }
}
