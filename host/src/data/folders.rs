//! Where data may lie: the folder that is named (`data.root` of the configuration or `--root`), else
//! those of `BIORULE_DATA`, else `./data` and the user's data folder. What is named is searched
//! alone: a copy elsewhere is never taken in its place. A set is looked for in each folder in turn,
//! in its own subfolder and in the folder itself.

use std::env;
use std::path::{Path, PathBuf};

use super::layouts;
use super::registry;
use super::set::SetInfo;
use crate::{Error, Result};

/// The environment variable that names data folders (several as in `PATH`).
pub const DATA_VARIABLE: &str = "BIORULE_DATA";

/// Who named the folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// `data.root` or `--root`.
    Root,
    /// [`DATA_VARIABLE`].
    Variable,
    /// A caller of the library.
    Caller,
}

/// The folders searched for data, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolders {
    paths: Vec<PathBuf>,
    named: Option<Named>,
    /// Where a copy may lie that is told of, not taken.
    elsewhere: Vec<PathBuf>,
}

impl DataFolders {
    /// The usual search: `root` (configuration or `--root`) alone where it is given.
    pub fn search(root: Option<&Path>) -> Self {
        let listed = env::var_os(DATA_VARIABLE).unwrap_or_default();
        let variable = env::split_paths(&listed).filter(|p| !p.as_os_str().is_empty());
        let usual = [Some(PathBuf::from("data")), user_folder()];
        let mut levels = [
            (
                Some(Named::Root),
                root.map(Path::to_path_buf).into_iter().collect(),
            ),
            (Some(Named::Variable), unique(variable)),
            (None, unique(usual.into_iter().flatten())),
        ]
        .into_iter()
        .skip_while(|(_, paths): &(_, Vec<PathBuf>)| paths.is_empty());
        let (named, paths) = levels.next().unwrap_or_default();
        Self {
            elsewhere: unique(levels.flat_map(|(_, paths)| paths)),
            paths,
            named,
        }
    }

    /// Only these folders; nothing from the environment.
    pub fn only<P: Into<PathBuf>>(folders: impl IntoIterator<Item = P>) -> Self {
        Self {
            paths: folders.into_iter().map(Into::into).collect(),
            named: Some(Named::Caller),
            elsewhere: Vec::new(),
        }
    }

    /// The folders, first searched first.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The folders that somebody named; empty where only the usual ones are searched.
    pub(crate) fn named(&self) -> &[PathBuf] {
        match self.named {
            Some(_) => &self.paths,
            None => &[],
        }
    }

    /// The folder that holds files of `set`, if any does.
    pub fn locate(&self, set: &SetInfo) -> Option<PathBuf> {
        locate(&self.paths, set)
    }

    /// As [`Self::locate`].
    ///
    /// # Errors
    /// A data error that names every folder looked in, what they hold instead, and the command that
    /// fetches the set.
    pub fn require(&self, set: &SetInfo) -> Result<PathBuf> {
        if let Some(folder) = self.locate(set) {
            return Ok(folder);
        }
        if let [only] = self.named()
            && !only.exists()
        {
            return Err(self.absent(only));
        }
        let looked: Vec<String> = self
            .paths
            .iter()
            .map(|root| format!("`{}`", root.join(set.name).display()))
            .collect();
        let mut text = format!(
            "data set `{}` not found; looked in {}",
            set.name,
            looked.join(", ")
        );
        let places = self.paths.iter().flat_map(|root| {
            let below = set.folders.iter().filter(|f| !f.is_empty());
            below.map(|f| root.join(f)).chain([root.clone()])
        });
        for place in places.collect::<Vec<_>>() {
            if let Some(found) = layouts::recognise(&place) {
                text.push_str(&format!("; `{}` holds {found}", place.display()));
                break;
            }
        }
        let hint = match locate(&self.elsewhere, set) {
            Some(copy) => format!(
                "a copy lies in `{}`, which is not searched because {} is set: name it there to use it",
                copy.display(),
                self.name()
            ),
            None if set.files.is_empty() => format!(
                "it has no public mirror; a copy is named by `data.root` or `{DATA_VARIABLE}` (docs/data.md)"
            ),
            None => format!(
                "`biorule data fetch {}` downloads it; a copy elsewhere is named by `data.root` or `{DATA_VARIABLE}`",
                set.name
            ),
        };
        Err(Error::data(text).hint(hint))
    }

    /// The error for a folder that was named and is not there.
    pub(crate) fn absent(&self, root: &Path) -> Error {
        Error::data(format!(
            "the data folder `{}` is not there (named by {})",
            root.display(),
            self.name()
        ))
        .hint("correct the path, or mount or make the folder; no other place is searched instead")
    }

    fn name(&self) -> String {
        match self.named {
            Some(Named::Variable) => format!("`{DATA_VARIABLE}`"),
            _ => "`data.root`".to_owned(),
        }
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
        let mut paths = self.paths.iter();
        let root = paths.find(|root| root.is_dir()).or(self.paths.last());
        root.cloned()
            .unwrap_or_else(|| PathBuf::from("data"))
            .join(set.name)
    }
}

/// The first of `roots` in which files of `set` lie, in a subfolder or in itself.
fn locate(roots: &[PathBuf], set: &SetInfo) -> Option<PathBuf> {
    let places = roots.iter().flat_map(|root| {
        let another = is_of_another(root, set);
        let mut folders = set.folders.to_vec();
        folders.retain(|folder| !another || !ANY.contains(folder));
        folders.into_iter().map(move |folder| root.join(folder))
    });
    places.into_iter().find(|folder| {
        let mut markers = set.markers.iter();
        markers.any(|marker| folder.join(marker).exists())
    })
}

/// Subfolders whose names tell no set.
const ANY: &[&str] = &["", "raw"];

/// Whether a folder has the name of another set, whose files have the same names.
fn is_of_another(root: &Path, set: &SetInfo) -> bool {
    let Some(name) = root.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let named = |set: &SetInfo| {
        let mut tops = set.folders.iter().filter_map(|f| f.split('/').next());
        tops.any(|top| top == name && !ANY.contains(&top))
    };
    let mut others = registry::SETS.iter().filter(|other| other.name != set.name);
    others.any(named) && !named(set)
}

fn unique(paths: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut unique: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !unique.contains(&path) {
            unique.push(path);
        }
    }
    unique
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

    #[test]
    fn the_folder_of_the_files_itself_is_found_unless_it_is_another_sets() {
        let dir = tempfile::tempdir().unwrap();
        let set = registry::find("mnist").unwrap();
        for (name, found) in [("mine", true), ("mnist", true), ("fashion-mnist", false)] {
            let root = dir.path().join(name);
            std::fs::create_dir_all(&root).unwrap();
            std::fs::write(root.join("train-images.idx3-ubyte"), b"").unwrap();
            let folders = DataFolders::only([&root]);
            assert_eq!(folders.locate(set).is_some(), found, "{name}");
        }
    }

    #[test]
    fn a_named_folder_that_is_not_there_is_refused_and_what_it_holds_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let set = registry::find("mnist").unwrap();
        let none = DataFolders::search(Some(&dir.path().join("none")));
        let error = none.require(set).unwrap_err();
        assert!(error.text.contains("none` is not there"), "{error}");
        std::fs::create_dir_all(dir.path().join("mnist")).unwrap();
        std::fs::write(dir.path().join("mnist/mnist.npz"), b"").unwrap();
        let error = DataFolders::search(Some(dir.path()))
            .require(set)
            .unwrap_err();
        assert!(error.text.contains("`data.set = \"arrays\"`"), "{error}");
    }
}
