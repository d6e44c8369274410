//! The lock of a run folder: one process at a time. The system's own file lock
//! decides on one machine (it goes with the process, however that dies); the
//! file's words and its modification time decide between machines that share
//! the folder, where file locks may not reach.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{atomic, clock, identity};
use crate::{Error, ExitCode, Result};

/// The holder touches the file this often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A holder on another machine that has not touched it for this long is dead.
pub const LEASE: Duration = Duration::from_secs(60);

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process.
    pub pid: u32,
    /// Machine.
    pub host: String,
    /// When it started, universal time.
    pub started: String,
}

/// A held lock; dropping it frees the folder.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    quit: Option<Sender<()>>,
    beat: Option<JoinHandle<()>>,
}

impl Lock {
    /// Takes the lock at `path`.
    ///
    /// # Errors
    /// [`ExitCode::Locked`] where a live process holds it, naming that process.
    pub fn acquire(path: &Path) -> Result<Self> {
        Self::acquire_as(path, &identity::host_name(), LEASE)
    }

    /// As [`Lock::acquire`], as machine `host`, with a lease of `lease`.
    ///
    /// # Errors
    /// [`ExitCode::Locked`] where a live process holds it.
    pub fn acquire_as(path: &Path, host: &str, lease: Duration) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| atomic::failed(path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(path, read(&mut file).as_ref())),
            Err(TryLockError::Error(e)) => {
                tracing::warn!("`{}`: no file lock here ({e})", path.display());
            }
        }
        if let Some(other) = read(&mut file)
            && other.host != host
            && age(&file) < lease
        {
            return Err(held(path, Some(&other)));
        }
        let me = Holder {
            pid: std::process::id(),
            host: host.to_owned(),
            started: clock::stamp(clock::now()),
        };
        write(&mut file, &serde_json::to_string(&me).unwrap_or_default())
            .map_err(|e| atomic::failed(path, &e))?;
        let (quit, stop) = channel();
        let beat = beat(&file, stop, HEARTBEAT.min(lease / 4));
        Ok(Self {
            file,
            path: path.to_owned(),
            quit: Some(quit),
            beat,
        })
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.quit.take());
        if let Some(beat) = self.beat.take() {
            let _ = beat.join();
        }
        // The file stays, empty: removing it would let two others lock two
        // different files of the same name.
        let _ = write(&mut self.file, "");
        let _ = self.file.unlock();
    }
}

/// Who the lock at `path` names, if anybody. Says nothing about whether that
/// process lives.
#[must_use]
pub fn holder(path: &Path) -> Option<Holder> {
    read(&mut File::open(path).ok()?)
}

/// Whether a process on this machine holds the lock at `path`, or one on
/// another touched it within the lease.
#[must_use]
pub fn is_held(path: &Path) -> bool {
    let Ok(mut file) = OpenOptions::new().read(true).write(true).open(path) else {
        return false;
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => true,
        _ => {
            let other = read(&mut file).filter(|h| h.host != identity::host_name());
            other.is_some() && age(&file) < LEASE
        }
    }
}

fn beat(file: &File, stop: Receiver<()>, every: Duration) -> Option<JoinHandle<()>> {
    let file = file.try_clone().ok()?;
    let beat = move || {
        while stop.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            let _ = file.set_modified(SystemTime::now());
        }
    };
    // Without it the lock holds on this machine alone.
    std::thread::Builder::new().spawn(beat).ok()
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write(file: &mut File, text: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Time since the file was touched; a clock that runs ahead counts as fresh.
fn age(file: &File) -> Duration {
    file.metadata()
        .and_then(|m| m.modified())
        .ok()
        .and_then(|t| t.elapsed().ok())
        .unwrap_or(Duration::ZERO)
}

fn held(path: &Path, holder: Option<&Holder>) -> Error {
    let by = holder.map_or_else(
        || "another process".to_owned(),
        |h| format!("process {} on `{}` since {}", h.pid, h.host, h.started),
    );
    let folder = path.parent().unwrap_or(path).display();
    Error::new(
        ExitCode::Locked,
        format!("run folder `{folder}` is in use by {by}"),
    )
    .hint("wait for it to end, or choose another `--run-dir`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    /// Runs in a child process of the test below: holds the lock until killed.
    #[test]
    fn child_that_holds_the_lock() {
        let Ok(path) = std::env::var("BIORULE_TEST_LOCK") else {
            return;
        };
        let _lock = Lock::acquire(Path::new(&path)).unwrap();
        println!("held");
        std::io::stdout().flush().unwrap();
        std::thread::sleep(Duration::from_secs(60));
    }

    fn child(path: &Path) -> std::process::Child {
        use std::io::{BufRead, BufReader};
        let name = "run::lock::tests::child_that_holds_the_lock";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env("BIORULE_TEST_LOCK", path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(
            lines.any(|l| l.unwrap().contains("held")),
            "the child got no lock"
        );
        child
    }

    #[test]
    fn a_live_process_keeps_others_out_and_a_killed_one_does_not() {
        let folder = folder();
        let path = folder.path().join("lock");
        let mut other = child(&path);
        let e = Lock::acquire(&path).unwrap_err();
        assert_eq!(e.code, ExitCode::Locked);
        assert!(e.text.contains(&other.id().to_string()), "{e}");
        assert!(is_held(&path));
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(!is_held(&path));
        let lock = Lock::acquire(&path).unwrap();
        assert_eq!(holder(lock.path()).unwrap().pid, std::process::id());
    }

    #[test]
    fn a_dropped_lock_is_free() {
        let folder = folder();
        let path = folder.path().join("lock");
        drop(Lock::acquire(&path).unwrap());
        assert_eq!(holder(&path), None);
        drop(Lock::acquire(&path).unwrap());
    }

    #[test]
    fn another_machine_is_believed_until_its_lease_ends() {
        let folder = folder();
        let path = folder.path().join("lock");
        let elsewhere = r#"{"pid":1,"host":"elsewhere","started":"2026-01-01T00:00:00Z"}"#;
        std::fs::write(&path, elsewhere).unwrap();
        let e = Lock::acquire_as(&path, "here", LEASE).unwrap_err();
        assert!(e.text.contains("elsewhere"), "{e}");
        let old = SystemTime::now() - 2 * LEASE;
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(old)
            .unwrap();
        Lock::acquire_as(&path, "here", LEASE).unwrap();
    }

    #[test]
    fn the_heartbeat_touches_the_file() {
        let folder = folder();
        let path = folder.path().join("lock");
        let lock = Lock::acquire_as(&path, "here", Duration::from_millis(40)).unwrap();
        let old = SystemTime::now() - 2 * LEASE;
        lock.file.set_modified(old).unwrap();
        for _ in 0..500 {
            if age(&lock.file) < LEASE {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no heartbeat");
    }
}
