//! Why a rule could not do what was asked.

use std::fmt;

use crate::abi::types::{Code, RawFailure, fail};

/// A failure inside a rule, or inside the host on a rule's behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    code: Code,
    text: String,
}

/// The SDK's result type.
pub type Result<T, E = RuleError> = std::result::Result<T, E>;

impl RuleError {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
    /// The rule's own complaint.
    pub fn rule(text: impl Into<String>) -> Self {
        Self::new(fail::RULE, text)
    }
    /// A layer or parameter that the rule cannot serve.
    pub fn unsupported(text: impl Into<String>) -> Self {
        Self::new(fail::UNSUPPORTED, text)
    }
    /// Shapes that do not fit.
    pub fn shape(text: impl Into<String>) -> Self {
        Self::new(fail::SHAPE, text)
    }
    pub(crate) fn host(text: impl Into<String>) -> Self {
        Self::new(fail::HOST, text)
    }
    pub(crate) fn op_missing(op: &str) -> Self {
        let known = crate::abi::OPS
            .iter()
            .find(|known| known.name.as_str() == op);
        let since = known.map_or(String::new(), |known| {
            format!(", which interface {} has: update BioRule", known.since)
        });
        Self::new(
            fail::OP_MISSING,
            format!("this host lacks the op `{op}`{since}"),
        )
    }
    /// Whether this is about an op or device path that is not there, so that a rule
    /// can take its plain-op path.
    pub fn is_unsupported(&self) -> bool {
        self.code == fail::UNSUPPORTED || self.code == fail::OP_MISSING
    }
    pub(crate) fn to_raw(&self) -> RawFailure {
        RawFailure {
            code: self.code,
            message: self.text.as_str().into(),
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for RuleError {}
