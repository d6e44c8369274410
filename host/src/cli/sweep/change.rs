//! `sweep apply` writes a trial's configuration, `sweep add` adds trials.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::show::{Stored, no_such};
use crate::run::atomic;
use crate::study::folder::Added;
use crate::study::report;
use crate::sweep::SamplerPlan;
use crate::sweep::sampler::grid_size;
use crate::text::print;
use crate::{Error, Result};

/// Writes the configuration of the best trial, or of `trial`.
pub(super) fn apply(path: &Path, file: Option<&Path>, trial: Option<u64>) -> Result<()> {
    let stored = Stored::open(path)?;
    let entry = match trial {
        Some(number) => stored.ledger.get(number).ok_or_else(|| no_such(number))?,
        None => match stored.best()?.as_slice() {
            [one] => *one,
            several => {
                let numbers: Vec<String> = several
                    .iter()
                    .map(|e| e.record.number.to_string())
                    .collect();
                let text = format!(
                    "{} trials are not dominated: {}",
                    several.len(),
                    numbers.join(", ")
                );
                return Err(Error::usage(text).hint("choose one with `--trial N`"));
            }
        },
    };
    let number = entry.record.number;
    let config = stored.folder.config(number);
    let text = std::fs::read_to_string(&config).map_err(|e| Error::storage_io(&config, &e))?;
    let text = format!(
        "# Trial {number} of the study `{}`: {}\n\n{text}",
        stored.study().name,
        report::line(stored.study(), entry)
    );
    let Some(file) = file else {
        return print(&text);
    };
    if file.exists() {
        return Err(
            Error::usage(format!("`{}` is there already", file.display()))
                .hint("remove it, or name another file"),
        );
    }
    atomic::write(file, text.as_bytes())?;
    print(&format!(
        "{}: trial {number}, {}\n`biorule train {0}` trains it\n",
        file.display(),
        report::line(stored.study(), entry)
    ))
}

/// Adds `trials` more, and one with the values `params`.
pub(super) fn add(path: &Path, trials: u64, params: &[String]) -> Result<()> {
    if trials == 0 && params.is_empty() {
        return Err(Error::usage("nothing is added")
            .hint("give `--trials N`, or `--params PARAMETER=VALUE …` for one with these values"));
    }
    let stored = Stored::open(path)?;
    let study = stored.study();
    let (before, given) = stored.folder.total(study.trials)?;
    if trials > 0 && study.sampler == SamplerPlan::Grid {
        let left = grid_size(&study.space)?.saturating_sub(before - given.len() as u64);
        if left < trials {
            let text = format!(
                "the grid has {left} points that are not in the study, {trials} are asked for"
            );
            return Err(Error::usage(text)
                .hint("a finer grid is another study; `--params` adds single trials"));
        }
    }
    let mut more = Vec::new();
    if trials > 0 {
        more.push(Added::Trials(trials));
    }
    if !params.is_empty() {
        let mut values = Map::new();
        for text in params {
            let (name, word) = text.split_once('=').ok_or_else(|| {
                Error::usage(format!("`--params {text}` has no `=`"))
                    .hint("write it as `--params PARAMETER=VALUE`")
            })?;
            let value = serde_json::from_str(word).unwrap_or_else(|_| Json::from(word));
            values.insert(name.trim().to_owned(), value);
        }
        let read = study.space.read(&values)?;
        more.push(Added::Params(study.space.to_json(&read)));
    }
    stored.folder.add(&more)?;
    let (total, _) = stored.folder.total(study.trials)?;
    print(&format!(
        "{total} trials, {before} before; `biorule sweep {} --study-dir {}` runs them\n",
        stored.folder.study_file().display(),
        path.display()
    ))
}
