//! The rules of a run with all their hyperparameters and the libraries they come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A rule on a block of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleUse {
    /// The block.
    pub block: String,
    /// The rule.
    pub rule: String,
    /// Name of the plugin that it comes from.
    pub plugin: String,
    /// SHA-256 of the library file.
    pub sha256: String,
    /// Every hyperparameter, those at their defaults too.
    pub params: BTreeMap<String, Value>,
}
