//! Why a plugin was refused, and at which check.

use std::fmt;
use std::path::PathBuf;

/// The check at which a plugin failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The file cannot be opened as a library.
    Open,
    /// It lacks the plugin symbol, or that symbol is not abi_stable's.
    Header,
    /// Another version of abi_stable or of the plugin interface.
    Version,
    /// Types of the boundary laid out otherwise.
    Layout,
    /// Panics abort.
    Panic,
    /// An op that this host lacks or has with another signature.
    Ops,
    /// The plugin's own start failed.
    Init,
    /// Its rules are unusable, or a name is taken.
    Rules,
}

impl Stage {
    /// What is being checked, for messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Open => "opening the library",
            Self::Header => "looking for the plugin symbol",
            Self::Version => "comparing interface versions",
            Self::Layout => "comparing type layouts",
            Self::Panic => "checking the panic strategy",
            Self::Ops => "checking the ops it needs",
            Self::Init => "starting the plugin",
            Self::Rules => "registering its rules",
        }
    }
}

/// Why a plugin was refused.
#[derive(Clone, Debug)]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// The failed check.
    pub stage: Stage,
    /// Facts.
    pub reason: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plugin `{}` refused while {}: {}",
            self.path.display(),
            self.stage.describe(),
            self.reason
        )
    }
}

impl std::error::Error for LoadError {}
