//! Where data may lie: `data.root` of the configuration, then `BIORULE_DATA`,
//! then `./data`, then the user's data folder. A set is looked for in each in
//! turn, in its own subfolder.

use std::env;
use std::path::{Path, PathBuf};

use super::registry::SetInfo;
use crate::{Error, Result};

/// The environment variable that names data folders (several as in `PATH`).
pub const DATA_VARIABLE: &str = "BIORULE_DATA";

/// The folders searched for data, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolders(Vec<PathBuf>);

impl DataFolders {
    /// The usual search: `root` (configuration or `--root`) first.
    pub fn search(root: Option<&Path>) -> Self {
        let mut folders: Vec<PathBuf> = root.map(Path::to_path_buf).into_iter().collect();
        if let Some(listed) = env::var_os(DATA_VARIABLE) {
            folders.extend(env::split_paths(&listed).filter(|p| !p.as_os_str().is_empty()));
        }
        folders.push(PathBuf::from("data"));
        folders.extend(user_folder());
        let mut unique: Vec<PathBuf> = Vec::new();
        for folder in folders {
            if !unique.contains(&folder) {
                unique.push(folder);
            }
        }
        Self(unique)
    }

    /// Only these folders; nothing from the environment.
    pub fn only<P: Into<PathBuf>>(folders: impl IntoIterator<Item = P>) -> Self {
        Self(folders.into_iter().map(Into::into).collect())
    }

    /// The folders, first searched first.
    pub fn paths(&self) -> &[PathBuf] {
        &self.0
    }

    /// The folder that holds files of `set`, if any does.
    pub fn locate(&self, set: &SetInfo) -> Option<PathBuf> {
        self.0
            .iter()
            .flat_map(|root| set.folders.iter().map(move |sub| root.join(sub)))
            .find(|folder| {
                set.markers
                    .iter()
                    .any(|marker| folder.join(marker).exists())
            })
    }

    /// As [`Self::locate`].
    ///
    /// # Errors
    /// A data error that names every folder looked in and the command that
    /// fetches the set.
    pub fn require(&self, set: &SetInfo) -> Result<PathBuf> {
        self.locate(set).ok_or_else(|| {
            let looked = self
                .0
                .iter()
                .map(|root| format!("`{}`", root.join(set.name).display()))
                .collect::<Vec<_>>()
                .join(", ");
            Error::data(format!(
                "data set `{}` not found; looked in {looked}",
                set.name
            ))
            .hint(format!(
                "`biorule data fetch {}` downloads it; a copy elsewhere is named by \
                     `data.root` or `{DATA_VARIABLE}`",
                set.name
            ))
        })
    }

    /// The folder that a download of `set` goes to: `explicit` if given, else
    /// where part of the set lies, else the first folder searched that exists,
    /// else the user's data folder.
    pub fn target(&self, set: &SetInfo, explicit: Option<&Path>) -> PathBuf {
        if let Some(root) = explicit {
            return root.join(set.name);
        }
        if let Some(folder) = self.locate(set) {
            return folder;
        }
        let root = self.0.iter().find(|root| root.is_dir()).or(self.0.last());
        root.cloned()
            .unwrap_or_else(|| PathBuf::from("data"))
            .join(set.name)
    }
}

/// `$XDG_DATA_HOME/biorule`, or `~/.local/share/biorule`.
fn user_folder() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("biorule"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::registry;

    #[test]
    fn a_missing_set_names_the_folders_and_the_command() {
        let error = DataFolders::only(["/nowhere/a", "/nowhere/b"])
            .require(registry::find("mnist").unwrap())
            .unwrap_err();
        assert_eq!(error.code, crate::ExitCode::Data);
        let text = error.to_string();
        for part in [
            "/nowhere/a/mnist",
            "/nowhere/b/mnist",
            "biorule data fetch mnist",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn the_first_folder_that_holds_the_set_wins() {
        let dir = tempfile::tempdir().unwrap();
        let set = registry::find("mnist").unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let folders = DataFolders::only([&a, &b]);
        assert_eq!(folders.locate(set), None);
        assert_eq!(folders.target(set, None), b.join("mnist"));
        std::fs::create_dir_all(b.join("MNIST/raw")).unwrap();
        std::fs::write(b.join("MNIST/raw/t10k-images-idx3-ubyte"), b"").unwrap();
        assert_eq!(folders.locate(set), Some(b.join("MNIST/raw")));
        assert_eq!(folders.target(set, None), b.join("MNIST/raw"));
        std::fs::create_dir_all(a.join("mnist")).unwrap();
        assert_eq!(
            folders.locate(set),
            Some(b.join("MNIST/raw")),
            "an empty folder is no set"
        );
        std::fs::write(a.join("mnist/train-labels-idx1-ubyte.gz"), b"").unwrap();
        assert_eq!(folders.locate(set), Some(a.join("mnist")));
        assert_eq!(folders.target(set, Some(&b)), b.join("mnist"));
    }
}
