//! Built-in configurations, named `family/name`: the TOML files of `host/presets`, such as a
//! user could have written.
//!
//! `softhebb/…` are the networks of Journé et al. 2023 (`presets.json` of the authors' code, and
//! named as there) with the data and the training of their published experiments;
//! `softhebb/local/…` and `softhebb/gradient/…` lay another data set and its epochs and batches on
//! top. `biotorch/…` are BioTorch's benchmark networks (`benchmark_configs/` and model zoo of
//! jsalbert/biotorch) with their data and schedules, under backpropagation; what a row of its
//! table changes is the rule of all layers, `rule = …`, and the optimiser. `biopytorch/…` are the
//! five depths of BioPyTorch's experiment 03, with the hyperparameters of its table. `darts/…`,
//! `bionas/…` and `egnas/…` are the searches and final trainings of quark0/darts, imanehmz/LR-NAS
//! and caicaicheng/EG-NAS.

mod files;

use config::ValueKind;

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

/// Data sets of preset `name` that the registry does not have: with them it cannot run.
///
/// # Errors
/// Usage error for an unknown preset.
pub fn missing_sets(name: &str) -> Result<Vec<String>> {
    let table = super::value::parse(&text(name)?, name)?;
    let set = |value: &config::Value| match &value.kind {
        ValueKind::String(set) => Some(set.clone()),
        ValueKind::Table(data) => data.get("set").and_then(text_of),
        _ => None,
    };
    let extra = match table.get("extra_data").map(|v| &v.kind) {
        Some(ValueKind::Table(extra)) => extra.values().filter_map(set).collect(),
        _ => Vec::new(),
    };
    let mut sets: Vec<String> = table
        .get("data")
        .and_then(set)
        .into_iter()
        .chain(extra)
        .collect();
    sets.sort();
    sets.dedup();
    sets.retain(|set| crate::data::registry::find(set).is_err());
    Ok(sets)
}

fn text_of(value: &config::Value) -> Option<String> {
    super::value::text(value).map(str::to_owned)
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
