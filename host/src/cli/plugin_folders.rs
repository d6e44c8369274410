//! The plugin folders that a user names, by a flag, in a configuration or in the environment. A
//! folder that is named and not there is told: its rules would silently come from elsewhere.

use std::path::{Path, PathBuf};

use super::warn::warn_once;
use super::{Host, Open};
use crate::plugins::PLUGIN_PATH_VARIABLE;
use crate::plugins::discover::{environment_folders, unsearchable};
use crate::{Error, Result};

/// Opens the plugins of the folders given by `--plugins`, then of those in `configured`, which
/// the setting with that origin names, then of the usual places.
///
/// # Errors
/// Usage error for a named folder that cannot be searched.
pub(super) fn open(
    open: Open,
    flags: &[PathBuf],
    configured: &(Vec<PathBuf>, String),
) -> Result<Box<dyn Host>> {
    check(flags, configured)?;
    open(&[flags, &configured.0].concat())
}

/// Checks the folders that [`open`] would search.
///
/// # Errors
/// As there.
pub(super) fn check(flags: &[PathBuf], configured: &(Vec<PathBuf>, String)) -> Result<()> {
    let (configured, origin) = configured;
    flags
        .iter()
        .try_for_each(|folder| require(folder, "`--plugins`", "correct or remove it"))?;
    let named = format!("`plugin_folders` ({origin})");
    configured.iter().try_for_each(|folder| {
        require(folder, &named, "correct it, or `--set plugin_folders=[]`")
    })?;
    for folder in environment_folders() {
        if let Some(what) = unsearchable(&folder) {
            warn_once(&format!(
                "plugin folder `{}` of `{PLUGIN_PATH_VARIABLE}` {what}",
                folder.display()
            ));
        }
    }
    Ok(())
}

fn require(folder: &Path, named: &str, advice: &str) -> Result<()> {
    let Some(what) = unsearchable(folder) else {
        return Ok(());
    };
    let text = format!("{named}: folder `{}` {what}", folder.display());
    let hint = match std::env::current_dir() {
        Ok(here) if folder.is_relative() => format!(
            "a relative path starts at the working folder, `{}`; {advice}",
            here.display()
        ),
        _ => advice.to_owned(),
    };
    Err(Error::usage(text).hint(hint))
}
