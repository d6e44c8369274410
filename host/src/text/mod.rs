//! Words on standard output: results as text, JSON and tables.

mod metrics;
mod names;
pub mod number;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process;

use crate::{Error, Result};
pub use metrics::headline;
pub use names::nearest;
pub use number::human;

/// Writes a result to standard output. A reader that has seen enough and
/// closed the pipe is a success: the process ends.
///
/// # Errors
/// Standard output refuses.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => process::exit(0),
        Err(e) => Err(Error::storage_io("standard output", &e)),
        Ok(()) => Ok(()),
    }
}

/// Writes a value as JSON to standard output.
///
/// # Errors
/// Standard output refuses.
pub fn print_json(value: &serde_json::Value) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| Error::internal(format!("JSON: {e}")))?;
    print(&format!("{text}\n"))
}

/// A table without lines.
#[must_use]
pub fn table(head: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(head.to_vec());
    table
}

/// `text` with a capital letter.
#[must_use]
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

/// Rows as a table with commas.
///
/// # Errors
/// A defect of this program: rows that are not of one length.
pub fn csv<Row>(rows: impl IntoIterator<Item = Row>) -> Result<String>
where
    Row: IntoIterator<Item: AsRef<[u8]>>,
{
    let broken = |e: &dyn std::fmt::Display| Error::internal(format!("CSV: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(|e| broken(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| broken(&e))?;
    String::from_utf8(bytes).map_err(|e| broken(&e))
}

/// The first digits of a digest, as messages have them.
#[must_use]
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Bytes as lower-case hexadecimal text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
