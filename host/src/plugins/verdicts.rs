//! What became of files that were opened on trial, remembered by the digest of their content: in
//! this process, and in the user's cache folder where it can be written. One small file for each
//! library; it counts only for the program that wrote it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// What became of a process that opened a file on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It came to its end.
    Survived,
    /// It did not; the text says how it ended.
    Died(String),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    /// The program that tried.
    program: String,
    verdict: Verdict,
}

/// Files in the cache that nobody wrote for so long are removed.
const OLD: Duration = Duration::from_secs(90 * 24 * 3600);

static KNOWN: LazyLock<Mutex<HashMap<String, Verdict>>> = LazyLock::new(Mutex::default);

/// The verdict on the file with this digest, if `program` has tried it before.
pub fn recall(program: &Path, sha256: &str) -> Option<Verdict> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(verdict) = known.get(sha256) {
        return Some(verdict.clone());
    }
    let bytes = std::fs::read(folder()?.join(sha256)).ok()?;
    let stored: Stored = serde_json::from_slice(&bytes).ok()?;
    if stored.program != identity(program) {
        return None;
    }
    known.insert(sha256.to_owned(), stored.verdict.clone());
    Some(stored.verdict)
}

/// Remembers a verdict. A cache folder that cannot be written is none.
pub fn remember(program: &Path, sha256: &str, verdict: &Verdict) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(sha256.to_owned(), verdict.clone());
    let stored = Stored {
        program: identity(program),
        verdict: verdict.clone(),
    };
    let (Some(folder), Ok(text)) = (folder(), serde_json::to_vec(&stored)) else {
        return;
    };
    let temporary = folder.join(format!("{sha256}.{}", std::process::id()));
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&temporary, text))
        .and_then(|()| std::fs::rename(&temporary, folder.join(sha256)));
    if let Err(e) = written {
        tracing::debug!("verdicts are not kept in `{}`: {e}", folder.display());
        let _ = std::fs::remove_file(&temporary);
        return;
    }
    remove_old(&folder);
}

/// Forgets the verdict on the file with this digest, here and in the cache.
pub fn forget(sha256: &str) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.remove(sha256);
    if let Some(folder) = folder() {
        let _ = std::fs::remove_file(folder.join(sha256));
    }
}

fn remove_old(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let changed = entry.metadata().and_then(|m| m.modified());
        let age = changed.map(|t| SystemTime::now().duration_since(t));
        if age.is_ok_and(|age| age.is_ok_and(|age| age > OLD)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Version, size and time of the program: another build may open a plugin otherwise.
fn identity(program: &Path) -> String {
    let stamp = std::fs::metadata(program).ok().map(|m| {
        let since = m
            .modified()
            .map(|t| t.duration_since(SystemTime::UNIX_EPOCH));
        let nanos = since.map_or(0, |d| d.unwrap_or_default().as_nanos());
        format!("{} bytes, {nanos}", m.len())
    });
    let version = env!("CARGO_PKG_VERSION");
    format!("biorule {version}, {}", stamp.unwrap_or_default())
}

/// `$XDG_CACHE_HOME/biorule/plugins`, or `~/.cache/biorule/plugins`.
fn folder() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|base| base.join("biorule/plugins"))
}
