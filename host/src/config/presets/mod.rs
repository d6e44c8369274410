//! Built-in configurations, named `family/name`: the TOML files of `host/presets`, such as a
//! user could have written.
//!
//! `softhebb/…` are the networks of Journé et al. 2023 (`presets.json` of the authors' code, and
//! named as there) with the data and the training of their published experiments;
//! `softhebb/local/…` and `softhebb/gradient/…` lay another data set and its epochs and batches on
//! top. `biotorch/…` are BioTorch's benchmark networks (`benchmark_configs/` and model zoo of
//! jsalbert/biotorch) with their data and schedules, under backpropagation; what a row of its
//! table changes is the rule of all layers, `rule = …`, and the optimiser.

mod files;

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
    let preset = |(name, text): &(&str, &str)| Preset {
        name: (*name).to_owned(),
        // The first line of each file, a comment.
        doc: text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("# ")
            .to_owned(),
    };
    files::ALL.iter().map(preset).collect()
}

/// The TOML text of preset `name`.
///
/// # Errors
/// Usage error with the nearest name.
pub fn text(name: &str) -> Result<String> {
    if let Some((_, text)) = files::ALL.iter().find(|(n, _)| *n == name) {
        return Ok((*text).to_owned());
    }
    let names = list();
    let e = Error::usage(format!("unknown preset `{name}`"));
    Err(match nearest(name, names.iter().map(|p| p.name.as_str())) {
        Some(near) => e.hint(format!("did you mean `{near}`?")),
        None => e.hint("`biorule config presets` lists them"),
    })
}
