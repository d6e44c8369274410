//! What is said of a run beside its record: how it is, what people call it, what room it takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::identity::RunRecord;
use super::{atomic, folder, lock};
use crate::text::nearest;
use crate::{Error, Result};

/// What a run can be.
pub const STATES: [&str; 7] = [
    "running",
    "interrupted",
    "finished",
    "stopped",
    "pruned",
    "diverged",
    "failed",
];

/// `running`, how it ended, or `interrupted` where it neither runs nor ended.
#[must_use]
pub fn state(path: &Path, record: &RunRecord) -> String {
    match &record.exit_reason {
        Some(reason) => reason.clone(),
        None if lock::is_held(&path.join("lock")) => "running".to_owned(),
        None => "interrupted".to_owned(),
    }
}

/// Refuses a word that is no state.
///
/// # Errors
/// A usage error with the nearest state.
pub fn known_state(word: &str) -> Result<()> {
    if STATES.contains(&word) {
        return Ok(());
    }
    let e = Error::usage(format!("`{word}` is not a state of a run"));
    Err(match nearest(word, STATES) {
        Some(near) => e.hint(format!("did you mean `{near}`?")),
        None => e.hint(format!("there are `{}`", STATES.join("`, `"))),
    })
}

/// Refuses the name of a result that no run has, where some have others.
///
/// # Errors
/// A usage error with the nearest name.
pub fn known_result<'a>(name: &str, runs: impl IntoIterator<Item = &'a RunRecord>) -> Result<()> {
    let results = runs.into_iter().flat_map(|record| record.results.keys());
    let names: BTreeSet<&str> = results.map(String::as_str).collect();
    if names.is_empty() || names.contains(name) {
        return Ok(());
    }
    let e = Error::usage(format!("no run there has the result `{name}`"));
    Err(match nearest(name, names.iter().copied()) {
        Some(near) => e.hint(format!("did you mean `{near}`?")),
        None => {
            let all: Vec<&str> = names.into_iter().collect();
            e.hint(format!("there are `{}`", all.join("`, `")))
        }
    })
}

/// Bytes of the files in `folder` and below; links are not followed, and what cannot be read counts
/// as nothing.
#[must_use]
pub fn disk(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(of) if of.is_dir() => disk(&entry.path()),
        Ok(of) if of.is_file() => of.len(),
        _ => 0,
    });
    sizes.sum()
}

/// File of a run's tags: one a line.
const TAGS: &str = "tags.txt";

/// Longest tag.
const LONGEST: usize = 64;

/// The tags of the run in `path`, in order.
#[must_use]
pub fn tags(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path.join(TAGS)).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// Refuses a word that cannot be a tag.
///
/// # Errors
/// A usage error.
pub fn check_tag(tag: &str) -> Result<()> {
    let is_fine = |c: char| !c.is_whitespace() && !c.is_control() && c != ',';
    if !tag.is_empty() && tag.chars().count() <= LONGEST && tag.chars().all(is_fine) {
        return Ok(());
    }
    Err(
        Error::usage(format!("`{tag}` cannot be a tag")).hint(format!(
            "up to {LONGEST} characters without spaces and commas, such as `paper` or `figure-3`"
        )),
    )
}

/// Writes the tags of the run in `path`.
///
/// # Errors
/// Storage error where the disk refuses.
pub fn set_tags(path: &Path, tags: &BTreeSet<String>) -> Result<()> {
    let text: String = tags.iter().map(|tag| format!("{tag}\n")).collect();
    atomic::write(&path.join(TAGS), text.as_bytes())
}

/// The runs that `path` stands for: itself, or its seeds.
///
/// # Errors
/// A usage error where it holds neither.
pub fn runs_of(path: &Path) -> Result<Vec<(PathBuf, RunRecord)>> {
    if !folder::is_run(path) {
        let mut seeds = folder::find(path);
        seeds.retain(|(run, _)| {
            let name = run
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            run.parent() == Some(path) && name.is_some_and(|name| name.starts_with("seed-"))
        });
        if seeds.is_empty() {
            return Err(Error::usage(format!("`{}` is no run", path.display()))
                .hint("give a run's folder (`biorule runs list`)"));
        }
        return Ok(seeds);
    }
    let record = RunRecord::read(&path.join("run.json"))?;
    Ok(vec![(path.to_owned(), record)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_kept_in_order_and_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(tags(folder.path()).is_empty());
        let all = ["paper", "b", "paper"].map(str::to_owned);
        set_tags(folder.path(), &all.into_iter().collect()).unwrap();
        let read: Vec<String> = tags(folder.path()).into_iter().collect();
        assert_eq!(read, ["b", "paper"]);
        assert!(check_tag("figure-3").is_ok());
        for wrong in ["", "a b", "a,b", &"x".repeat(65)] {
            assert!(check_tag(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn room_is_that_of_all_files_below() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("in/a"), [0; 10]).unwrap();
        fs::write(folder.path().join("b"), [0; 5]).unwrap();
        assert_eq!(disk(folder.path()), 15);
        assert_eq!(disk(Path::new("no such folder")), 0);
    }

    #[test]
    fn states_have_near_names() {
        assert!(known_state("finished").is_ok());
        let e = known_state("finnished").unwrap_err();
        assert!(e.hint.is_some_and(|hint| hint.contains("finished")));
    }
}
