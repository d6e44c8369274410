//! Downloads that survive interruption and never leave a wrong file under the
//! right name: bytes go to `NAME.part`, are continued with a range request
//! where the server's answer proves it is the same file, hashed, and only then
//! renamed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::digest::{Digests, digests};
use super::set::FileInfo;
use crate::{Error, Result};

/// How to fetch.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Connections in a row that bring nothing new before the next mirror.
    pub attempts: u32,
    /// Pause before the second attempt; doubled for each further one.
    pub pause: Duration,
    /// Give up on a connection that is silent for this long.
    pub silence: Duration,
    /// Replace a file that is there but differs from the published one.
    pub force: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            attempts: 5,
            pause: Duration::from_millis(500),
            silence: Duration::from_secs(30),
            force: false,
        }
    }
}

/// What fetching a file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It was there and has the published checksum.
    Present,
    /// It was downloaded; so many bytes came over the network.
    Downloaded(u64),
}

/// Told how a download goes.
pub trait Progress {
    /// `done` of `total` bytes of `file` are there.
    fn bytes(&mut self, file: &str, done: u64, total: u64);
    /// Something a person may want to know: a retry, another mirror.
    fn note(&mut self, text: &str);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn bytes(&mut self, _file: &str, _done: u64, _total: u64) {}
    fn note(&mut self, _text: &str) {}
}

/// Why one attempt did not give the file.
enum Failure {
    /// Trying the same mirror again may help; what came so far is kept.
    Retry(String),
    /// This mirror does not have it.
    NextMirror(String),
    /// Nothing will help (disk full, no permission).
    Stop(Error),
}

/// What is known of the file that `NAME.part` is the start of.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Start {
    url: String,
    etag: Option<String>,
}

/// Fetches `file` into `folder` from the first of `mirrors` (addresses that
/// end before the file's name) that delivers it.
///
/// # Errors
/// Data errors (exit code 3): no mirror delivered, with each mirror's reason;
/// another process is fetching; a different file is in the way; the disk.
pub fn fetch(
    file: &FileInfo,
    mirrors: &[String],
    folder: &Path,
    options: &FetchOptions,
    progress: &mut dyn Progress,
) -> Result<Fetched> {
    fs::create_dir_all(folder).map_err(|e| Error::storage_io(folder, &e))?;
    let target = folder.join(file.name);
    if target.is_file() {
        if digests(&target)?.matches(file) {
            return Ok(Fetched::Present);
        }
        if !options.force {
            return Err(Error::data(format!(
                "`{}` is there but is not the published file",
                target.display()
            ))
            .hint("`--force` replaces it; without it nothing is overwritten"));
        }
    }
    let mut job = Job::open(file, folder, options)?;
    let mut reasons = Vec::new();
    for mirror in mirrors {
        let url = format!("{}/{}", mirror.trim_end_matches('/'), file.name);
        match job.try_mirror(&url, progress)? {
            Ok(()) => {
                job.finish(&target)?;
                return Ok(Fetched::Downloaded(job.received));
            }
            Err(reason) => {
                progress.note(&format!("{url}: {reason}"));
                reasons.push(format!("{url}: {reason}"));
            }
        }
    }
    Err(Error::data(format!("`{}` could not be fetched: {}", file.name, reasons.join("; ")))
        .hint("`--from URL` names another address that holds the files; what has arrived is kept and continued"))
}

/// One file on its way.
struct Job<'a> {
    file: &'a FileInfo,
    options: &'a FetchOptions,
    agent: Agent,
    part: PathBuf,
    note: PathBuf,
    out: File,
    received: u64,
}

impl<'a> Job<'a> {
    /// Opens and locks `NAME.part`.
    fn open(file: &'a FileInfo, folder: &Path, options: &'a FetchOptions) -> Result<Self> {
        let part = folder.join(format!("{}.part", file.name));
        let io = |e: &std::io::Error| Error::storage_io(&part, e);
        let out = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part)
            .map_err(|e| io(&e))?;
        match out.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::data(format!(
                    "another process is fetching `{}`",
                    part.display()
                ))
                .hint("wait for it, or stop it; what it has fetched is kept"));
            }
            Err(TryLockError::Error(e)) => return Err(io(&e)),
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("biorule/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_connect(Some(options.silence))
            .timeout_recv_response(Some(options.silence))
            .timeout_per_read(Some(options.silence))
            .build()
            .new_agent();
        let note = folder.join(format!("{}.part.json", file.name));
        Ok(Self {
            file,
            options,
            agent,
            part,
            note,
            out,
            received: 0,
        })
    }

    /// Tries one mirror until it delivers or its attempts are used up. The
    /// inner error is the mirror's reason.
    fn try_mirror(&mut self, url: &str, progress: &mut dyn Progress) -> Result<Result<(), String>> {
        let (mut failures, mut furthest) = (0, 0);
        let mut pause = self.options.pause;
        loop {
            let reason = match self.attempt(url, progress) {
                Ok(()) => return Ok(Ok(())),
                Err(Failure::Retry(why)) => why,
                Err(Failure::NextMirror(why)) => return Ok(Err(why)),
                Err(Failure::Stop(error)) => return Err(error),
            };
            // A poor line that brings the file piece by piece is not given up.
            let have = self.out.metadata().map_or(0, |m| m.len());
            if have > furthest {
                (failures, furthest, pause) = (0, have, self.options.pause);
            } else {
                failures += 1;
            }
            if failures >= self.options.attempts.max(1) {
                return Ok(Err(reason));
            }
            progress.note(&format!("{url}: {reason}; trying again"));
            std::thread::sleep(pause);
            pause *= 2;
        }
    }

    /// One connection: continue what is there, or start over.
    fn attempt(&mut self, url: &str, progress: &mut dyn Progress) -> Result<(), Failure> {
        let have = self.resumable(url)?;
        if have < self.file.bytes {
            let mut response = self.request(url, have)?;
            let from = self.accept(url, &response, have)?;
            self.copy(&mut response, from, progress)?;
        }
        let found = digests(&self.part).map_err(Failure::Stop)?;
        if found.matches(self.file) {
            return Ok(());
        }
        self.start_over()?;
        Err(Failure::Retry(found.difference(self.file)))
    }

    /// How many bytes of the part may be continued from `url`.
    fn resumable(&mut self, url: &str) -> Result<u64, Failure> {
        let length = self.out.metadata().map_err(|e| self.stop(&e))?.len();
        let start: Start = fs::read(&self.note)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        if length > 0 && length <= self.file.bytes && start.url == url {
            return Ok(length);
        }
        self.start_over()?;
        Ok(0)
    }

    fn request(&self, url: &str, have: u64) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        request.call().map_err(|e| match e {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::NextMirror(e.to_string()),
            other => Failure::Retry(other.to_string()),
        })
    }

    /// Judges status and headers; the position at which the body belongs.
    fn accept(&mut self, url: &str, response: &Response<Body>, have: u64) -> Result<u64, Failure> {
        let text = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
        let etag = text(header::ETAG).map(str::to_owned);
        match response.status() {
            StatusCode::OK => {
                if let Some(length) =
                    text(header::CONTENT_LENGTH).and_then(|l| l.parse::<u64>().ok())
                    && length != self.file.bytes
                {
                    let expected = self.file.bytes;
                    return Err(Failure::NextMirror(format!(
                        "has {length} bytes, expected {expected}"
                    )));
                }
                // A whole file, also where only the rest was asked for.
                self.start_over()?;
                self.remember(&Start {
                    url: url.to_owned(),
                    etag,
                })?;
                Ok(0)
            }
            StatusCode::PARTIAL_CONTENT => {
                let promised = format!("bytes {have}-{}/{}", self.file.bytes - 1, self.file.bytes);
                let range = text(header::CONTENT_RANGE).unwrap_or("none").to_owned();
                let known: Option<Start> = fs::read(&self.note)
                    .ok()
                    .and_then(|bytes| serde_json::from_slice(&bytes).ok());
                if have > 0 && range == promised && known.is_some_and(|start| start.etag == etag) {
                    return Ok(have);
                }
                self.start_over()?;
                Err(Failure::Retry(if range == promised {
                    "the file changed since the first part was fetched".to_owned()
                } else {
                    format!("answered with range `{range}`, asked for `{promised}`")
                }))
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                self.start_over()?;
                Err(Failure::Retry("has no such range".to_owned()))
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure::Retry(format!("answered {status}")))
            }
            status => Err(Failure::NextMirror(format!("answered {status}"))),
        }
    }

    /// Writes the body at `from` on, no further than the published length.
    fn copy(
        &mut self,
        response: &mut Response<Body>,
        from: u64,
        progress: &mut dyn Progress,
    ) -> Result<(), Failure> {
        let total = self.file.bytes;
        self.out
            .seek(SeekFrom::Start(from))
            .map_err(|e| self.stop(&e))?;
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 1 << 16];
        let mut done = from;
        loop {
            progress.bytes(self.file.name, done, total);
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) => {
                    return Err(Failure::Retry(format!(
                        "broke off after {done} of {total} bytes: {e}"
                    )));
                }
            };
            self.received += count as u64;
            if done + count as u64 > total {
                self.start_over()?;
                return Err(Failure::NextMirror(format!(
                    "sent more than the {total} bytes expected"
                )));
            }
            self.out
                .write_all(&buffer[..count])
                .map_err(|e| self.stop(&e))?;
            done += count as u64;
        }
        if done < total {
            return Err(Failure::Retry(format!(
                "ended after {done} of {total} bytes"
            )));
        }
        Ok(())
    }

    fn remember(&self, start: &Start) -> Result<(), Failure> {
        let text =
            serde_json::to_vec(start).map_err(|e| Failure::Stop(Error::internal(e.to_string())))?;
        fs::write(&self.note, text).map_err(|e| Failure::Stop(Error::storage_io(&self.note, &e)))
    }

    fn start_over(&mut self) -> Result<(), Failure> {
        self.out.set_len(0).map_err(|e| self.stop(&e))
    }

    fn stop(&self, e: &std::io::Error) -> Failure {
        Failure::Stop(Error::storage_io(&self.part, e))
    }

    /// Puts the checked file under its name, durably.
    fn finish(&self, target: &Path) -> Result<()> {
        let io = |e: std::io::Error| Error::storage_io(target, &e);
        self.out.sync_all().map_err(io)?;
        fs::rename(&self.part, target).map_err(io)?;
        // The note only helps to resume; that it stays behind would do no harm.
        let _ = fs::remove_file(&self.note);
        #[cfg(unix)]
        if let Some(folder) = target.parent() {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(io)?;
        }
        Ok(())
    }
}

impl Digests {
    /// What is expected and what was found, for an error.
    pub(crate) fn difference(&self, file: &FileInfo) -> String {
        format!(
            "expected {} bytes with sha256 {}, found {} bytes with sha256 {}",
            file.bytes, file.sha256, self.bytes, self.sha256
        )
    }
}
