//! Reading files that may be gzip streams, with errors that say which file,
//! what was expected and what was found.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use super::sniff;
use crate::{Error, ExitCode, Result};

/// Gzip's first two bytes (RFC 1952).
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Opens `path`; the bytes decide whether it is unpacked on the way, not the name.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let mut file = File::open(path).map_err(|e| Error::io(ExitCode::Data, path, &e))?;
    let mut start = Vec::with_capacity(2);
    file.by_ref()
        .take(2)
        .read_to_end(&mut start)
        .map_err(|e| Error::io(ExitCode::Data, path, &e))?;
    let zipped = start == GZIP_MAGIC;
    let whole = BufReader::with_capacity(1 << 16, io::Cursor::new(start).chain(file));
    Ok(if zipped {
        Box::new(GzDecoder::new(whole))
    } else {
        Box::new(whole)
    })
}

/// A data error about `path` with what was expected and what was found. What the file is instead,
/// such as a page of a server, is said where its first bytes tell.
pub(crate) fn damaged(
    path: &Path,
    expected: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> Error {
    let e = incomplete(path, expected, found);
    match sniff::file(path) {
        Some(it) => Error::data(format!("{}; the file is {}", e.text, it.what)).hint(it.hint),
        None => e,
    }
}

/// As [`damaged`], of a file that begins as it should.
pub(crate) fn incomplete(
    path: &Path,
    expected: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> Error {
    let path = path.display();
    Error::data(format!(
        "`{path}` is damaged: expected {expected}, found {found}"
    ))
    .hint("fetch the file again, or restore it from a good copy")
}

/// Reads up to `limit` bytes from `from`, an opened `path`. An end before that
/// is not an error here; a broken gzip stream is.
pub(crate) fn read_up_to(path: &Path, from: &mut dyn Read, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(limit.min(1 << 28));
    match from.take(limit as u64).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(e) => Err(damaged(
            path,
            format!("{limit} more bytes"),
            format!("{} and then {}", bytes.len(), stream_error(&e)),
        )),
    }
}

/// Why a stream broke off, in words.
pub(crate) fn stream_error(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => "the end of a gzip stream that was cut".to_owned(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            format!("a gzip stream that is broken ({e})")
        }
        _ => e.to_string(),
    }
}
