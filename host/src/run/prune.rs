//! Taking runs off the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::identity::RunRecord;
use super::{Lock, atomic, clock, folder, identity, listing};
use crate::{ExitCode, Result};

/// Which runs go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rule {
    /// All but so many of each experiment, the latest.
    pub keep_last: Option<usize>,
    /// Those whose last start or end is longer ago, in seconds.
    pub older_than: Option<f64>,
    /// Only those that failed or diverged.
    pub failed: bool,
    /// Only what training needs to go on: checkpoints and cached features.
    pub checkpoints: bool,
}

/// A run and whether it goes.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its folder.
    pub path: PathBuf,
    /// Its record.
    pub record: RunRecord,
    /// Bytes that removing frees.
    pub frees: u64,
    /// Why it stays; `None` for one that goes.
    pub stays: Option<&'static str>,
}

/// Folders in a run without which it cannot go on.
const TO_GO_ON: [&str; 2] = ["checkpoints", "cache"];

/// What `rule` says of every run below `root`, oldest first. A run that runs, has a tag or belongs to a
/// search always stays.
#[must_use]
pub fn choose(root: &Path, rule: &Rule) -> Vec<Choice> {
    let runs = folder::find(root);
    let mut newer: BTreeMap<String, usize> = BTreeMap::new();
    let since = rule.older_than.map(|age| clock::stamp(clock::now() - age));
    let mut all: Vec<Choice> = Vec::new();
    for (path, record) in runs.into_iter().rev() {
        let state = listing::state(&path, &record);
        let before = newer.entry(record.name.clone()).or_default();
        *before += 1;
        let is_recent = rule.keep_last.is_some_and(|n| *before <= n);
        let last = record.ended.as_ref().unwrap_or(&record.started);
        let stays = if state == "running" {
            Some("it runs")
        } else if !listing::tags(&path).is_empty() {
            Some("it has a tag")
        } else if in_search(&path) {
            Some("it belongs to a search")
        } else if rule.failed && !["failed", "diverged"].contains(&state.as_str()) {
            Some("it did not fail")
        } else if is_recent {
            Some("it is one of the latest")
        } else if since.as_ref().is_some_and(|since| last >= since) {
            Some("it is not so old")
        } else {
            None
        };
        let frees = match rule.checkpoints {
            true => TO_GO_ON.iter().map(|f| listing::disk(&path.join(f))).sum(),
            false => listing::disk(&path),
        };
        let stays = stays.or((frees == 0).then_some("there is nothing to remove"));
        all.push(Choice {
            path,
            record,
            frees,
            stays,
        });
    }
    all.reverse();
    all
}

/// Whether a folder above holds a search, which would train the run anew.
fn in_search(path: &Path) -> bool {
    let above = path.ancestors().skip(1).take(3);
    above
        .into_iter()
        .any(|folder| folder.join("search.json").is_file())
}

/// Removes the run, or what of it `rule` says; `false` where somebody runs it by now.
///
/// # Errors
/// Storage error where the disk refuses.
pub fn remove(choice: &Choice, rule: &Rule) -> Result<bool> {
    let path = &choice.path;
    // Held to the end: nobody starts it in between.
    let lock = match Lock::acquire(&path.join("lock")) {
        Ok(lock) => lock,
        Err(e) if e.code == ExitCode::Locked => return Ok(false),
        Err(e) => return Err(e),
    };
    if rule.checkpoints {
        for name in TO_GO_ON {
            gone(&path.join(name))?;
        }
        return Ok(true);
    }
    // Under another name first: a run is there whole or not at all.
    let name = format!("{}{}", folder::REMOVED, identity::new_id());
    let moved = path.with_file_name(name);
    fs::rename(path, &moved).map_err(|e| atomic::failed(path, &e))?;
    gone(&moved)?;
    drop(lock);
    tidy(path)?;
    Ok(true)
}

fn gone(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(atomic::failed(folder, &e)),
        _ => Ok(()),
    }
}

/// After the run `path` is gone: the summary of seeds that are all gone and the folder of an
/// experiment without runs go too, and `latest` points to what is the latest now.
fn tidy(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let names = || -> Vec<PathBuf> {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let is_seed = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("seed-"));
    let summary = parent.join("summary.json");
    if is_seed && names().iter().all(|left| *left == summary) {
        fs::remove_dir_all(parent).map_err(|e| atomic::failed(parent, &e))?;
        return tidy(parent);
    }
    let link = parent.join("latest");
    if link.is_symlink() && !link.exists() {
        let runs = folder::find(parent);
        let of_parent = |run: &Path| {
            let mut above = run.ancestors();
            above
                .find(|folder| folder.parent() == Some(parent))
                .map(Path::to_path_buf)
        };
        match runs.last().and_then(|(run, _)| of_parent(run)) {
            Some(latest) => folder::link_latest(&latest)?,
            None => {
                fs::remove_file(&link).map_err(|e| atomic::failed(&link, &e))?;
                // Only where nothing else is in it.
                let _ = fs::remove_dir(parent);
            }
        }
    }
    Ok(())
}
