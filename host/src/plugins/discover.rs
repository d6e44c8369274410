//! Where plugin files are looked for. Listing runs no plugin code.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Folders to search, separated as in `PATH`.
pub const PLUGIN_PATH_VARIABLE: &str = "BIORULE_PLUGIN_PATH";

/// A folder to search, and which of its files count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where.
    pub path: PathBuf,
    /// Only files named `libbiorule_*`: the executable's own folder may hold other libraries.
    pub ours_only: bool,
}

/// All folders, in order: those of the configuration, those of the environment,
/// what the user has added (`rules add`), the executable's own and `plugins` beside it. The first file of a name wins.
pub fn search_folders(configured: &[PathBuf]) -> Vec<Folder> {
    let any = |path: PathBuf| Folder {
        path,
        ours_only: false,
    };
    let mut folders: Vec<Folder> = configured.iter().cloned().map(any).collect();
    folders.extend(environment_folders().into_iter().map(any));
    folders.extend(super::added::folders().into_iter().map(any));
    if let Some(own) = std::env::current_exe()
        .ok()
        .and_then(|exe| exe.parent().map(Path::to_path_buf))
    {
        folders.push(any(own.join("plugins")));
        folders.push(Folder {
            path: own,
            ours_only: true,
        });
    }
    folders
}

/// Why `folder` cannot be searched, in words that follow its name; `None` where it can.
pub fn unsearchable(folder: &Path) -> Option<String> {
    match std::fs::read_dir(folder) {
        Ok(_) => None,
        Err(_) if folder.is_file() => Some("is a file, not a folder".into()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Some("is not there".into()),
        Err(e) => Some(format!("cannot be searched: {e}")),
    }
}

/// The folders that the environment names.
pub fn environment_folders() -> Vec<PathBuf> {
    let paths = std::env::var_os(PLUGIN_PATH_VARIABLE).unwrap_or_default();
    std::env::split_paths(&paths)
        .filter(|p| !p.as_os_str().is_empty())
        .collect()
}

/// Everything in these folders that is named as a library, sorted by name within each, each file
/// once. What is none in spite of its name is refused when it is looked at.
pub fn library_files(folders: &[Folder]) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(&folder.path) else {
            continue;
        };
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_library(path) && (!folder.ours_only || is_ours(path)))
            .collect();
        found.sort();
        for path in found {
            // The same file may be reached twice, through a link or a repeated folder.
            let key = path.canonicalize().unwrap_or_else(|_| path.clone());
            if seen.insert(key) {
                files.push(path);
            }
        }
    }
    files
}

fn is_library(path: &Path) -> bool {
    path.extension() == Some(OsStr::new(std::env::consts::DLL_EXTENSION))
}

fn is_ours(path: &Path) -> bool {
    let prefix = format!("{}biorule_", std::env::consts::DLL_PREFIX);
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
}
