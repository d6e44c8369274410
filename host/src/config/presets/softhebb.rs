//! The networks and data settings of SoftHebb.

use super::Preset;

/// All presets of this family.
#[must_use]
pub fn list() -> Vec<Preset> {
    Vec::new()
}

/// The TOML text of preset `name`.
#[must_use]
pub fn text(_name: &str) -> Option<String> {
    None
}
