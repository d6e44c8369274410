//! The host's one error type. Each variant is a class of failure with its own
//! exit code, so that a person reads what is wrong and an engine that runs
//! thousands of trials knows whether to retry (docs/exit-codes.md).

use std::fmt;
use std::path::PathBuf;

use crate::storage;

/// What the process says to whoever started it. The numbers are a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Finished, also when nothing was left to do.
    Done = 0,
    /// Bad flags or configuration; a retry cannot help.
    Usage = 2,
    /// Data missing, damaged or with a wrong checksum.
    Data = 3,
    /// A plugin was refused, is missing, or broke its contract.
    Plugin = 4,
    /// Training diverged (NaN or infinity), or a stop rule called it off.
    Diverged = 5,
    /// The run folder is locked by a live process.
    Locked = 6,
    /// The disk, a right or a path refuses what has to be written or read; room, rights or
    /// another folder help.
    Storage = 7,
    /// Stopped on request after writing a checkpoint; start again to go on.
    Stopped = 75,
    /// A defect in BioRule itself (also the code of a Rust panic).
    Internal = 101,
}

impl ExitCode {
    const ALL: [Self; 9] = [
        Self::Done,
        Self::Usage,
        Self::Data,
        Self::Plugin,
        Self::Diverged,
        Self::Locked,
        Self::Storage,
        Self::Stopped,
        Self::Internal,
    ];

    /// The code with this number; internal for a number that is none.
    #[must_use]
    pub fn from_number(n: u8) -> Self {
        let found = Self::ALL.into_iter().find(|code| *code as u8 == n);
        found.unwrap_or(Self::Internal)
    }
}

/// A failure with its class, a text of facts, and optionally a hint.
///
/// The text is one line without a full stop, literals in backticks; the hint
/// says what to do about it.
#[derive(Debug)]
pub struct Error {
    /// Class, which decides the exit code.
    pub code: ExitCode,
    /// What is wrong, and where.
    pub text: String,
    /// What to do, if we know.
    pub hint: Option<String>,
}

/// The host's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of class `code`.
    pub fn new(code: ExitCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            hint: None,
        }
    }
    /// Bad flags or configuration.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, text)
    }
    /// Data missing or damaged.
    pub fn data(text: impl Into<String>) -> Self {
        Self::new(ExitCode::Data, text)
    }
    /// A plugin refused, missing or out of contract.
    pub fn plugin(text: impl Into<String>) -> Self {
        Self::new(ExitCode::Plugin, text)
    }
    /// A disk, right or path that refuses.
    pub fn storage(text: impl Into<String>) -> Self {
        Self::new(ExitCode::Storage, text)
    }
    /// A defect of ours.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(ExitCode::Internal, text)
    }
    /// The same error with advice attached.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// The same error with this advice where it has none.
    #[must_use]
    pub fn or_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }
    /// The same error with `context: ` in front, for where it happened.
    #[must_use]
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.text = format!("{context}: {}", self.text);
        self
    }
    /// An input/output failure on `path`: of class `code`, but of class storage, with what to do
    /// about it, where disk, rights or limits refuse.
    pub fn io(code: ExitCode, path: impl Into<PathBuf>, source: &std::io::Error) -> Self {
        let path = path.into();
        match storage::refuses(source) {
            true => Self::storage_io(path, source),
            false => Self::new(code, format!("`{}`: {source}", path.display())),
        }
    }
    /// A failure to write `path`, or to read what has to be there, with what to do about it.
    pub fn storage_io(path: impl Into<PathBuf>, source: &std::io::Error) -> Self {
        let text = format!("`{}`: {source}", path.into().display());
        Self::storage(text).hint(storage::advice(source))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// A tensor operation that fails in the host is a defect: shapes are checked
/// when the plan is made.
impl From<biorule_kernels::ShapeError> for Error {
    fn from(e: biorule_kernels::ShapeError) -> Self {
        Self::usage(e.to_string())
    }
}

impl From<candle_core::Error> for Error {
    fn from(e: candle_core::Error) -> Self {
        Self::internal(format!("tensor operation failed: {e}"))
    }
}
