//! The user's own folder of plugins: each library below the digest of its content, and a list of what
//! is there, so that listing runs no plugin.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Registry;
pub use super::added::{Added, VARIABLE};
use super::added::{list_of, usual_folder};
use super::candidate::inspect;
use crate::{Error, ExitCode, Result};

/// Largest library that is taken from an archive.
const LARGEST: u64 = 1 << 30;

/// The user's folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// That of the environment, `$XDG_DATA_HOME/biorule/plugins`, or `~/.local/share/biorule/plugins`.
    ///
    /// # Errors
    /// Usage error where none of these is known.
    pub fn open() -> Result<Self> {
        usual_folder().map(|folder| Self { folder }).ok_or_else(|| {
            Error::usage("there is no home folder to keep plugins in")
                .hint(format!("set `{VARIABLE}` to a folder"))
        })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is there.
    ///
    /// # Errors
    /// Storage error for a list that is damaged.
    pub fn list(&self) -> Result<Vec<Added>> {
        list_of(&self.folder)
    }

    fn write(&self, list: &[Added]) -> Result<()> {
        let file = super::added::list_file(&self.folder);
        let text = serde_json::to_string_pretty(list)
            .map_err(|e| Error::internal(format!("list of plugins: {e}")))?;
        let failed = |e: std::io::Error| Error::io(ExitCode::Storage, &file, &e);
        let temporary = self.folder.join(format!(".plugins.{}", std::process::id()));
        fs::write(&temporary, format!("{text}\n")).map_err(failed)?;
        fs::rename(&temporary, &file).map_err(failed)
    }

    /// Adds the library `source`, or each in an archive. Gives what was added, each with the entry of
    /// the same name that it took the place of.
    ///
    /// # Errors
    /// Usage error for what is neither; plugin error for a library that is refused.
    pub fn add(&self, source: &Path) -> Result<Vec<(Added, Option<Added>)>> {
        let made = |e: std::io::Error| Error::io(ExitCode::Storage, &self.folder, &e);
        fs::create_dir_all(&self.folder).map_err(made)?;
        let unpacked = tempdir_in(&self.folder).map_err(made)?;
        let result = self.add_all(source, &unpacked);
        let _ = fs::remove_dir_all(&unpacked);
        result
    }

    fn add_all(&self, source: &Path, unpacked: &Path) -> Result<Vec<(Added, Option<Added>)>> {
        let libraries = libraries_of(source, unpacked)?;
        let mut done = Vec::new();
        for library in &libraries {
            done.push(self.add_library(library, source)?);
        }
        Ok(done)
    }

    fn add_library(&self, library: &Path, source: &Path) -> Result<(Added, Option<Added>)> {
        let refused = |e: super::LoadError| Error::plugin(e.to_string()).hint(e.hint);
        let file = inspect(library).map_err(refused)?;
        // Opened once, as any command will: what is refused is not kept.
        let mut registry = Registry::default();
        registry.add_afresh(&file).map_err(refused)?;
        let name = library.file_name().unwrap_or_default();
        let added = Added {
            file: name.to_string_lossy().into_owned(),
            rules: registry.rules().map(|rule| rule.name.clone()).collect(),
            package: file.about.clone(),
            from: std::path::absolute(source)
                .unwrap_or_else(|_| source.to_path_buf())
                .display()
                .to_string(),
            sha256: file.sha256.clone(),
        };
        let mut list = self.list()?;
        let taken = list.iter().find(|other| {
            other.file != added.file && other.rules.iter().any(|rule| added.rules.contains(rule))
        });
        if let Some(other) = taken {
            let text = format!("`{}` has a rule of the same name", other.name());
            let hint = format!(
                "`biorule rules remove {}` first, or rename the rule",
                other.name()
            );
            return Err(Error::usage(text).hint(hint));
        }
        let folder = self.folder.join(added.folder());
        let failed = |e: std::io::Error| Error::io(ExitCode::Storage, &folder, &e);
        fs::create_dir_all(&folder).map_err(failed)?;
        let temporary = folder.join(format!(".{}", std::process::id()));
        fs::write(&temporary, &*file.bytes).map_err(failed)?;
        fs::rename(&temporary, folder.join(&added.file)).map_err(failed)?;
        let at = list.iter().position(|other| other.file == added.file);
        let before = at.map(|at| list.remove(at));
        list.push(added.clone());
        list.sort_by(|a, b| a.file.cmp(&b.file));
        self.write(&list)?;
        if let Some(before) = before.as_ref().filter(|b| b.sha256 != added.sha256) {
            // A run that has it open has a copy of its own.
            let _ = fs::remove_dir_all(self.folder.join(before.folder()));
        }
        Ok((added, before.filter(|before| before.sha256 != file.sha256)))
    }

    /// Removes the plugin that `word` means.
    ///
    /// # Errors
    /// Usage error where there is none.
    pub fn remove(&self, word: &str) -> Result<Added> {
        let mut list = self.list()?;
        let Some(at) = list.iter().position(|added| added.is_called(word)) else {
            let error = Error::usage(format!("no plugin `{word}` was added"));
            let names = list.iter().map(Added::name);
            return Err(match crate::text::nearest(word, names) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!(
                    "`biorule rules add` puts plugins into `{}`; others are removed from their own folders",
                    self.folder.display()
                )),
            });
        };
        let added = list.remove(at);
        self.write(&list)?;
        let folder = self.folder.join(added.folder());
        fs::remove_dir_all(&folder).map_err(|e| Error::io(ExitCode::Storage, &folder, &e))?;
        Ok(added)
    }

    /// The file of a plugin.
    pub fn path(&self, added: &Added) -> PathBuf {
        self.folder.join(added.folder()).join(&added.file)
    }
}

/// A fresh folder below `folder`.
fn tempdir_in(folder: &Path) -> std::io::Result<PathBuf> {
    let path = folder.join(format!(".unpacked.{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path)?;
    Ok(path)
}

fn ends_with(path: &Path, endings: &[&str]) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

/// The libraries at `source`: itself, or those of the archive, unpacked into `folder`.
fn libraries_of(source: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let shown = source.display();
    if source.is_dir() {
        let error = Error::usage(format!("`{shown}` is a folder"));
        return Err(match source.join("Cargo.toml").is_file() {
            true => error.hint(format!(
                "build it: `cargo build --release --manifest-path {shown}/Cargo.toml`, then add the library in `{shown}/target/release`"
            )),
            false => error.hint("name a library or an archive; `plugin_folders` in a config takes folders"),
        });
    }
    let open = || fs::File::open(source).map_err(|e| Error::io(ExitCode::Usage, source, &e));
    let damaged = |e: String| Error::usage(format!("`{shown}` cannot be unpacked: {e}"));
    let found = if ends_with(source, &[".tar.gz", ".tgz"]) {
        let archive = tar::Archive::new(flate2::read::GzDecoder::new(open()?));
        from_tar(archive, folder).map_err(|e| damaged(e.to_string()))?
    } else if ends_with(source, &[".tar"]) {
        from_tar(tar::Archive::new(open()?), folder).map_err(|e| damaged(e.to_string()))?
    } else if ends_with(source, &[".zip", ".whl"]) {
        from_zip(open()?, folder).map_err(damaged)?
    } else {
        return Ok(vec![source.to_path_buf()]);
    };
    if found.is_empty() {
        let ending = std::env::consts::DLL_SUFFIX;
        let error = Error::usage(format!(
            "`{shown}` holds no library of this system (`*{ending}`)"
        ));
        return Err(error.hint("an archive for another system, or of the source: build that first"));
    }
    Ok(found)
}

/// The place in `folder` of an archive's entry, where it is a library.
fn place(entry: &Path, folder: &Path) -> Option<PathBuf> {
    let is_library = entry.extension()? == std::env::consts::DLL_EXTENSION;
    // The name alone: a path may lead out of the folder.
    is_library.then(|| entry.file_name().map(|name| folder.join(name)))?
}

fn from_tar(mut archive: tar::Archive<impl Read>, folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let Some(to) = place(&entry.path()?, folder) else {
            continue;
        };
        std::io::copy(
            &mut entry.by_ref().take(LARGEST),
            &mut fs::File::create(&to)?,
        )?;
        found.push(to);
    }
    Ok(found)
}

fn from_zip(file: fs::File, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut archive = zip::ZipArchive::new(file).map_err(|e| e.to_string())?;
    let mut found = Vec::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(|e| e.to_string())?;
        let name = entry.name().map_err(|e| e.to_string())?.into_owned();
        let Some(to) = place(Path::new(&name), folder).filter(|_| entry.is_file()) else {
            continue;
        };
        let mut out = fs::File::create(&to).map_err(|e| e.to_string())?;
        std::io::copy(&mut entry.by_ref().take(LARGEST), &mut out).map_err(|e| e.to_string())?;
        found.push(to);
    }
    Ok(found)
}
