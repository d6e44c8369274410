//! A file that may be a plugin: what can be known of it before it is opened.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::about::{self, Package};
use super::elf;
use super::refusal::{LoadError, Stage};
use crate::text::hex;

/// A whole library for this machine, not opened yet.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The file.
    pub path: PathBuf,
    /// Digest of its content, hexadecimal.
    pub sha256: String,
    /// The content that was looked at, and is opened.
    pub bytes: Arc<Vec<u8>>,
    /// What its package says of itself.
    pub about: Option<Package>,
}

const COPY_AGAIN: &str = "copy or build the file again, or remove it from the plugin folder";

/// Reads the file `path` and checks that it is a whole shared library for this machine.
///
/// # Errors
/// What else it is, at the stage [`Stage::Open`].
pub fn inspect(path: &Path) -> Result<Candidate, LoadError> {
    let refused = |reason: String, hint: &str| LoadError {
        path: path.to_path_buf(),
        stage: Stage::Open,
        reason,
        hint: hint.to_owned(),
    };
    if let Some(reason) = no_file(path) {
        return Err(refused(
            reason,
            "a plugin folder holds shared libraries; remove or rename what is none",
        ));
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    if let Err(e) = read {
        return Err(refused(
            format!("it cannot be read: {e}"),
            "check the file's permissions",
        ));
    }
    if cfg!(all(unix, not(target_vendor = "apple"))) {
        elf::check(&bytes).map_err(|what| refused(format!("the file {what}"), COPY_AGAIN))?;
    }
    Ok(Candidate {
        path: path.to_path_buf(),
        sha256: hex(&Sha256::digest(&bytes)),
        about: about::of(&bytes),
        bytes: Arc::new(bytes),
    })
}

/// Why `path` is not a regular file. Looked at first: a pipe would never end.
fn no_file(path: &Path) -> Option<String> {
    match std::fs::metadata(path) {
        Ok(data) if data.is_file() => None,
        Ok(data) if data.is_dir() => Some("it is a folder".into()),
        Ok(_) => Some("it is not a regular file".into()),
        Err(e) if e.kind() == ErrorKind::NotFound => match std::fs::read_link(path) {
            Ok(target) => Some(format!(
                "it is a link to `{}`, which is not there",
                target.display()
            )),
            Err(_) => Some("the file is not there".into()),
        },
        Err(e) => Some(format!("it cannot be looked at: {e}")),
    }
}
