//! The package that a plugin was built from, for records.

use serde::{Deserialize, Serialize};

/// A plugin's package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Name of the crate.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Authors, as its manifest lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// Licence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub license: String,
    /// Where its source is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Interface that it was built for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// Types of its rules in the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
}
