//! What the processes of a search took, those that were killed among them: each writes its line of
//! `processes.jsonl` anew as it goes on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::spent::cpu_time;
use crate::bench::machine;
use crate::run::atomic;
use crate::{Error, Result};

/// The first wait between two writes, and the longest.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// A process: a line of `processes.jsonl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Process {
    /// Which start of the search it was, from 1.
    pub(super) start: u64,
    /// Wall time.
    pub(super) seconds: f64,
    /// Time of all processors.
    pub(super) cpu_seconds: Option<f64>,
    /// Most memory, MiB.
    pub(super) peak_memory_mib: Option<f64>,
}

/// Writes down what this process takes, until it is dropped.
pub(super) struct Ledger {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    file: PathBuf,
    began: Instant,
    /// Those before this one, and this one at the end.
    lines: Mutex<Vec<Process>>,
    over: Mutex<bool>,
    woken: Condvar,
}

impl Ledger {
    /// Begins in the search folder `root`, at its start number `start`.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub(super) fn start(root: &Path, start: u64) -> Result<Self> {
        let file = root.join("processes.jsonl");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let lines = text.lines().map(serde_json::from_str);
        let mut lines: Vec<Process> = lines.map_while(std::result::Result::ok).collect();
        lines.retain(|line| line.start < start);
        lines.push(Process {
            start,
            ..Process::default()
        });
        let shared = Arc::new(Shared {
            file,
            began: Instant::now(),
            lines: Mutex::new(lines),
            over: Mutex::new(false),
            woken: Condvar::new(),
        });
        shared.write()?;
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || own.go_on());
        Ok(Self {
            shared,
            thread: thread.ok(),
        })
    }

    /// All processes until now.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub(super) fn all(&self) -> Result<Vec<Process>> {
        self.shared.write()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        *self
            .shared
            .over
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.woken.notify_all();
        let _ = self.thread.take().map(JoinHandle::join);
        // Whoever ends says why; the ledger is no reason of its own.
        let _ = self.shared.write();
    }
}

impl Shared {
    /// Writes again and again, more and more seldom.
    fn go_on(&self) {
        let [mut wait, longest] = WAITS;
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*over {
            let woken = self.woken.wait_timeout(over, wait);
            over = woken.unwrap_or_else(PoisonError::into_inner).0;
            if !*over {
                let _ = self.write();
                wait = (2 * wait).min(longest);
            }
        }
    }

    fn write(&self) -> Result<Vec<Process>> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = lines.last_mut() {
            own.seconds = self.began.elapsed().as_secs_f64();
            own.cpu_seconds = cpu_time().map(|t| t.as_secs_f64());
            // The system's own maximum is forgotten before each evaluation.
            let most =
                machine::peak_memory().map(|now| now.max(own.peak_memory_mib.unwrap_or(0.0)));
            own.peak_memory_mib = most.or(own.peak_memory_mib);
        }
        let mut text = String::new();
        for line in lines.iter() {
            let line = serde_json::to_string(line)
                .map_err(|e| Error::internal(format!("processes.jsonl: {e}")))?;
            text.push_str(&line);
            text.push('\n');
        }
        atomic::write(&self.file, text.as_bytes())?;
        Ok(lines.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_a_line_and_one_that_died_keeps_what_it_wrote() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("processes.jsonl");
        let first = Ledger::start(folder.path(), 1).expect("begun");
        // Burn some time of the processor, so that there is something to write.
        let until = Instant::now() + Duration::from_millis(30);
        while Instant::now() < until {}
        let one = first.all().expect("written");
        assert_eq!(one.len(), 1);
        let held = std::fs::read_to_string(&file).expect("a file");
        drop(first);
        // As if it had died right after writing, in the middle of a further line.
        std::fs::write(&file, format!("{held}{{\"start\"")).expect("written");
        let second = Ledger::start(folder.path(), 2).expect("begun");
        let both = second.all().expect("written");
        assert_eq!((both[0], both[1].start), (one[0], 2));
        assert!(both[0].seconds >= 0.03);
        assert_eq!(both[0].cpu_seconds.is_some(), cpu_time().is_some());
        drop(second);
        assert_eq!(
            std::fs::read_to_string(&file)
                .expect("a file")
                .lines()
                .count(),
            2
        );
    }
}
