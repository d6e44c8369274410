//! Built-in configurations, named `family/name`.

pub mod biotorch;
pub mod quickstart;
pub mod softhebb;
pub mod softhebb_data;

use super::value::nearest;
use crate::{Error, Result};

/// A preset's name and what it is, one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// `family/name`.
    pub name: String,
    /// One line.
    pub doc: String,
}

/// All presets.
#[must_use]
pub fn list() -> Vec<Preset> {
    let mut all = softhebb::list();
    all.extend(biotorch::list());
    all.extend(quickstart::list());
    all
}

/// The TOML text of preset `name`.
///
/// # Errors
/// Usage error with the nearest name.
pub fn text(name: &str) -> Result<String> {
    if let Some(text) = softhebb::text(name)
        .or_else(|| biotorch::text(name))
        .or_else(|| quickstart::text(name))
    {
        return Ok(text);
    }
    let names = list();
    let e = Error::usage(format!("unknown preset `{name}`"));
    Err(match nearest(name, names.iter().map(|p| p.name.as_str())) {
        Some(near) => e.hint(format!("did you mean `{near}`?")),
        None => e.hint("`biorule config presets` lists them"),
    })
}
