//! The user's cache folder: what can be computed again, kept so that it need not be. Everything here
//! works without one.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Environment variable that names the folder.
const VARIABLE: &str = "BIORULE_CACHE";

/// `$BIORULE_CACHE`, or `$XDG_CACHE_HOME/biorule`, or `~/.cache/biorule`.
pub(crate) fn folder() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let named = env::var_os(VARIABLE).filter(|name| !name.is_empty());
    named.map(PathBuf::from).or_else(|| {
        absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .map(|base| base.join("biorule"))
    })
}

/// The bytes of `name`, if they are there.
pub(crate) fn read(name: &str) -> Option<Vec<u8>> {
    fs::read(folder()?.join(name)).ok()
}

/// Writes `parts` one after another as `name`, whole or not at all. A cache that cannot be written
/// is none.
pub(crate) fn write(name: &str, parts: &[&[u8]]) {
    let Some(folder) = folder() else { return };
    if let Err(e) = try_write(&folder.join(name), parts) {
        tracing::debug!("nothing is cached in `{}`: {e}", folder.display());
    }
}

fn try_write(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary).and_then(|mut file| {
        parts.iter().try_for_each(|part| file.write_all(part))?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
