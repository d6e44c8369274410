//! Which plugins the user has added, read from a list so that nothing of them is run.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plan::Package;
use crate::{Error, ExitCode, Result};

/// Environment variable: the folder in place of the usual one.
pub const VARIABLE: &str = "BIORULE_PLUGIN_STORE";

/// Digits of the digest that name a library's folder.
const DIGITS: usize = 16;

/// A plugin of the user's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Name of the library file.
    pub file: String,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
    /// Names of its rules.
    pub rules: Vec<String>,
    /// Its package, where it says which that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// Where it was added from.
    pub from: String,
}

impl Added {
    /// Name of the plugin: its file's without `.so`.
    pub fn name(&self) -> &str {
        self.file
            .rsplit_once('.')
            .map_or(&*self.file, |(stem, _)| stem)
    }

    /// Name of its folder in the user's.
    pub(super) fn folder(&self) -> &str {
        self.sha256.get(..DIGITS).unwrap_or(&self.sha256)
    }

    /// Whether `word` means this plugin: its name, that of its package, or of a rule.
    pub fn is_called(&self, word: &str) -> bool {
        let package = self.package.as_ref().map(|package| package.name.as_str());
        self.name() == word || package == Some(word) || self.rules.iter().any(|rule| rule == word)
    }
}

/// The list of the plugins in `folder`.
pub(super) fn list_file(folder: &Path) -> PathBuf {
    folder.join("plugins.json")
}

/// What is in `folder`.
///
/// # Errors
/// Storage error for a list that is damaged.
pub(super) fn list_of(folder: &Path) -> Result<Vec<Added>> {
    let file = list_file(folder);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(ExitCode::Storage, &file, &e)),
    };
    serde_json::from_str(&text).map_err(|e| {
        Error::storage(format!("`{}` is damaged: {e}", file.display()))
            .hint("remove it and the folders beside it, and add the plugins again")
    })
}

/// The user's folder, where it can be known.
pub fn usual_folder() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let value = std::env::var_os(name).map(PathBuf::from);
        value.filter(|path| path.is_absolute())
    };
    absolute(VARIABLE).or_else(|| {
        let data = absolute("XDG_DATA_HOME");
        let base = data.or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
        base.map(|base| base.join("biorule/plugins"))
    })
}

/// Folders of the libraries that were added.
pub fn folders() -> Vec<PathBuf> {
    let Some(folder) = usual_folder() else {
        return Vec::new();
    };
    let list = list_of(&folder).unwrap_or_default();
    list.iter()
        .map(|added| folder.join(added.folder()))
        .collect()
}
