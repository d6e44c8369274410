//! What a file is that is not what it should be: its first bytes tell an error page from an archive
//! that was packed twice. Every message about a damaged data file asks here.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

/// Bytes looked at.
const START: usize = 512;

/// Formats that are known by their first bytes.
const MAGIC: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"\x93NUMPY", "a numpy array (`.npy`)"),
    (b"MATLAB", "a MATLAB file"),
    (b"\x7fELF", "a program or library"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x00\x00\x08\x03", "an idx file of images"),
    (b"\x00\x00\x08\x01", "an idx file of labels"),
    (b"version https://git-lfs", LFS),
];

const LFS: &str = "a Git LFS pointer, not the file itself";

/// What `path` is, in words, with what to do about it; `None` where nothing is known of it.
pub(crate) fn file(path: &Path) -> Option<Found> {
    let start = start_of(path)?;
    if !start.starts_with(&[0x1f, 0x8b]) {
        return describe(&start);
    }
    let inner = unpacked(&start_of_whole(path)?);
    if inner.starts_with(&[0x1f, 0x8b]) {
        return Some(Found::new(
            "gzip in gzip: the file was packed twice",
            "unpack it once (`gunzip`)",
        ));
    }
    // What plain gzip holds is the reader's business, unless it is a page.
    match describe(&inner) {
        Some(found) if found.is_page => Some(Found {
            what: format!("gzip of {}", found.what),
            ..found
        }),
        _ => None,
    }
}

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Such as "an HTML page".
    pub what: String,
    /// What to do.
    pub hint: &'static str,
    /// Whether a server's answer was saved in place of the file.
    is_page: bool,
}

impl Found {
    fn new(what: impl Into<String>, hint: &'static str) -> Self {
        Self {
            what: what.into(),
            hint,
            is_page: false,
        }
    }
    fn page(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            hint: "the server's answer was saved in place of the file: fetch the file again",
            is_page: true,
        }
    }
}

/// What bytes that begin with `start` are.
fn describe(start: &[u8]) -> Option<Found> {
    if start.is_empty() {
        return Some(Found::new(
            "an empty file",
            "nothing was written: fetch the file again, or restore it from a good copy",
        ));
    }
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        let hint = match *what {
            LFS => "`git lfs pull` in the repository it came from brings the file",
            what if what.ends_with("archive") => "unpack it, or fetch the file again",
            _ => "another file has its name: put the right one there",
        };
        return Some(Found::new(*what, hint));
    }
    if let Some(text) = page(start) {
        return Some(Found::page(text));
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some(Found::new("a tar archive", "unpack it"));
    }
    if start.iter().all(|byte| *byte == 0) {
        return Some(Found::new(
            "nothing but zeros at its beginning",
            "the copy was not finished: fetch the file again, or restore it from a good copy",
        ));
    }
    None
}

/// Pages and messages that servers send in place of a file.
fn page(start: &[u8]) -> Option<&'static str> {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let text = text.trim_ascii_start().to_ascii_lowercase();
    let tags: [&[u8]; 5] = [b"<!doctype html", b"<html", b"<head", b"<body", b"<script"];
    if tags.iter().any(|tag| text.starts_with(tag)) {
        return Some("an HTML page");
    }
    if text.starts_with(b"<?xml") || text.starts_with(b"<error") {
        let html = text.windows(5).any(|w| w == b"<html");
        return Some(if html {
            "an HTML page"
        } else {
            "an XML message"
        });
    }
    let json = matches!(text.first(), Some(b'{' | b'['));
    let printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if json && text.get(1..).is_some_and(|rest| rest.iter().all(printable)) {
        return Some("a JSON message");
    }
    // Plain words, such as "404: Not Found".
    let words = start.len() >= 4 && start.iter().all(printable) && start.contains(&b' ');
    words.then_some("a text file")
}

fn start_of(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::with_capacity(START);
    let file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(START as u64).read_to_end(&mut start).ok()?;
    Some(start)
}

/// Enough of a gzip file that its first block can be unpacked.
fn start_of_whole(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    let file = File::open(path).ok()?;
    file.take(1 << 17).read_to_end(&mut start).ok()?;
    Some(start)
}

/// The first bytes inside of gzip; fewer where it is cut.
fn unpacked(gzip: &[u8]) -> Vec<u8> {
    let mut inner = vec![0; START];
    let mut from = GzDecoder::new(gzip);
    let mut length = 0;
    while length < START {
        match from.read(&mut inner[length..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => length += count,
        }
    }
    inner.truncate(length);
    inner
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut to = GzEncoder::new(Vec::new(), Compression::default());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    #[test]
    fn what_people_find_in_place_of_data_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let html = b"\n<!DOCTYPE html><html><body>503</body></html>";
        let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n";
        let xml = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";
        let cases: [(Vec<u8>, &str); 12] = [
            (html.to_vec(), "an HTML page"),
            (gz(html), "gzip of an HTML page"),
            (gz(&gz(b"abc")), "gzip in gzip"),
            (xml.to_vec(), "an XML message"),
            (b"{\"error\": \"not found\"}".to_vec(), "a JSON message"),
            (b"404: Not Found".to_vec(), "a text file"),
            (Vec::new(), "an empty file"),
            (lfs.to_vec(), "Git LFS pointer"),
            (b"PK\x03\x04....".to_vec(), "a zip archive"),
            (b"7z\xbc\xaf\x27\x1c..".to_vec(), "a 7-Zip archive"),
            (vec![0; 900], "zeros"),
            (b"\x89HDF\r\n".to_vec(), "an HDF5 file"),
        ];
        for (bytes, what) in cases {
            std::fs::write(&path, &bytes).unwrap();
            let found = file(&path).unwrap_or_else(|| panic!("nothing said of {what}"));
            assert!(found.what.contains(what), "{found:?}, not {what}");
        }
        // Data, whole or cut, is not taken for something else.
        let mut data: Vec<u8> = (0..900).map(|i| (i * 7 % 251) as u8 | 1).collect();
        std::fs::write(&path, &data).unwrap();
        assert_eq!(file(&path), None);
        data = gz(&data);
        std::fs::write(&path, &data[..data.len() / 2]).unwrap();
        assert_eq!(file(&path), None);
        assert_eq!(file(dir.path()), None);
    }
}
