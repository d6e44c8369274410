//! What run folders hold, read for a page. Nothing is written, nothing is trained; what cannot be
//! read is said on the page, and the rest is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::runs::{Experiment, Gathered, Run, State, or_tell};
use crate::config::shown::deciding;
use crate::run::folder::{self, stored_rows};
use crate::run::identity::RunRecord;
use crate::run::{Answers, MetricsCsv, WinnersRecord, answers, attacks, fields, steps};
use crate::{Error, ExitCode, Result};

/// Folders below a named one are looked through to this depth.
const DEPTH: usize = 4;

/// Reads the runs at `paths` or below them. A path that is not there is a name below `runs`.
///
/// # Errors
/// Usage error for a path that holds none, or holds a search; storage error where all there is cannot
/// be read.
pub fn gather(paths: &[PathBuf]) -> Result<Gathered> {
    let mut found = Gathered::default();
    let mut seen = BTreeSet::new();
    for path in paths {
        let place = located(path)?;
        let mut here = Walk::default();
        here.walk(&place, DEPTH);
        if let (true, Some(search)) = (here.runs.is_empty(), here.searches.first()) {
            let text = format!(
                "`{}` holds a search, and a report is of runs",
                search.display()
            );
            return Err(Error::usage(text).hint(format!(
                "give the runs after it (`{0}/final`) or its evaluations (`{0}/evaluations/NUMBER-HASH`)",
                search.display()
            )));
        }
        if here.runs.is_empty() {
            return Err(match here.problems.into_iter().next() {
                Some(e) => e,
                None => Error::usage(format!("`{}` holds no run", place.display()))
                    .hint("give a run's folder, or one that holds runs (`biorule runs list`)"),
            });
        }
        found
            .problems
            .extend(here.problems.iter().map(|e| e.text.clone()));
        for (folder, record) in here.runs {
            let own = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            if seen.insert(own) {
                found.add(run(folder, record));
            }
        }
    }
    found.name_apart();
    for experiment in &mut found.experiments {
        experiment.runs.sort_by_key(|run| run.record.seed);
        experiment.runs[0].read_weights();
    }
    Ok(found)
}

/// What `path` names: itself, or a folder of that name below `runs`.
fn located(path: &Path) -> Result<PathBuf> {
    if path.is_file() {
        let text = format!("`{}` is a file, and a run is a folder", path.display());
        return Err(Error::usage(text).hint("`biorule runs list` lists runs"));
    }
    let named = Path::new("runs").join(path);
    match () {
        () if path.exists() => Ok(path.to_owned()),
        () if path.is_relative() && named.exists() => Ok(named),
        () => Err(Error::usage(format!("`{}` is not there", path.display()))
            .hint("`biorule runs list` lists runs")),
    }
}

#[derive(Default)]
struct Walk {
    runs: Vec<(PathBuf, RunRecord)>,
    searches: Vec<PathBuf>,
    problems: Vec<Error>,
}

impl Walk {
    fn walk(&mut self, folder: &Path, depth: usize) {
        if folder.join("search.json").is_file() {
            return self.searches.push(folder.to_owned());
        }
        match RunRecord::read(&folder.join("run.json")) {
            Ok(record) => return self.runs.push((folder.to_owned(), record)),
            // Not a run's folder.
            Err(e) if e.code == ExitCode::Usage => {}
            Err(e) => return self.problems.push(e),
        }
        if depth > 0 {
            let below = folder::below(folder);
            below.iter().for_each(|inner| self.walk(inner, depth - 1));
        }
    }
}

/// The run in `folder`, without its weights.
#[must_use]
pub fn run(folder: PathBuf, record: RunRecord) -> Run {
    let mut problems = Vec::new();
    let file = folder.join("config.toml");
    let read = std::fs::read_to_string(&file).map_err(|e| Error::storage_io(&file, &e));
    let parsed = read.and_then(|text| {
        let table = toml::from_str::<toml::Table>(&text);
        let table =
            table.map_err(|e| Error::storage(format!("`{}`: {}", file.display(), e.message())))?;
        Ok((table, text))
    });
    let (config, text) = or_tell(&mut problems, "plan and network are not shown", parsed);
    let rows = stored_rows(&text).unwrap_or_default();
    let mut settings: BTreeMap<String, String> = deciding(&rows).into_iter().collect();
    // Runs that differ in these alone are of one experiment.
    settings.retain(|name, _| !["seeds", "name", "device"].contains(&name.as_str()));
    let (metrics, steps) = (folder.join("metrics.csv"), folder.join("steps.jsonl"));
    let (answers, winners) = (folder.join(answers::ANSWERS), folder.join(answers::WINNERS));
    let bytes = std::fs::metadata(folder.join("checkpoints/last.safetensors"));
    Run {
        state: State::of(&folder, &record),
        config,
        settings,
        epochs: or_tell(
            &mut problems,
            "there are no curves",
            MetricsCsv::read(&metrics),
        ),
        steps: or_tell(
            &mut problems,
            "radii by step are missing",
            steps::read(&steps),
        ),
        answers: or_tell(
            &mut problems,
            "mistakes are missing",
            Answers::read(&answers),
        ),
        winners: or_tell(
            &mut problems,
            "winners are missing",
            WinnersRecord::read(&winners),
        ),
        attacks: attacks::of_run(&folder)
            .into_iter()
            .map(|(_, a)| a)
            .collect(),
        fields: or_tell(
            &mut problems,
            "what excites units is missing",
            fields::read(&folder),
        ),
        weights: Vec::new(),
        bytes: bytes.ok().map(|m| m.len()),
        problems,
        folder,
        record,
    }
}

impl Gathered {
    /// Puts a run to those of the same name and settings but another seed.
    fn add(&mut self, run: Run) {
        let same = |e: &&mut Experiment| {
            let first = &e.runs[0];
            let fresh = e.runs.iter().all(|r| r.record.seed != run.record.seed);
            first.record.name == run.record.name && first.settings == run.settings && fresh
        };
        match self.experiments.iter_mut().find(same) {
            Some(experiment) => experiment.runs.push(run),
            None => self.experiments.push(Experiment {
                name: run.record.name.clone(),
                short: String::new(),
                runs: vec![run],
            }),
        }
    }

    /// Experiments of one name get the first setting in which all of them differ behind it, or
    /// their runs' ids.
    fn name_apart(&mut self) {
        let names: Vec<String> = self.experiments.iter().map(|e| e.name.clone()).collect();
        for i in 0..names.len() {
            let alike: Vec<usize> = (0..names.len()).filter(|j| names[*j] == names[i]).collect();
            if alike.len() < 2 {
                continue;
            }
            let of = |j: usize| &self.experiments[j].runs[0].settings;
            let keys: BTreeSet<&String> = alike.iter().flat_map(|j| of(*j).keys()).collect();
            let distinct = |key: &&&String| {
                let values: BTreeSet<_> = alike.iter().map(|j| of(*j).get(**key)).collect();
                values.len() == alike.len()
            };
            let told = keys.iter().find(distinct).map(|key| {
                let short = key.rsplit('.').next().unwrap_or(key);
                let value = of(i).get(*key).map_or("–", |v| v.trim_matches('"'));
                format!("{} ({short} {value})", names[i])
            });
            let id = &self.experiments[i].runs[0].record.id;
            let name = told.unwrap_or_else(|| format!("{} ({id})", names[i]));
            self.experiments[i].name = name;
        }
        let names: Vec<String> = self.experiments.iter().map(|e| e.name.clone()).collect();
        let shared = shared_start(&names);
        for (experiment, name) in self.experiments.iter_mut().zip(names) {
            experiment.short = name[shared..].to_owned();
        }
    }
}

/// Bytes of what all of several names begin with, to the end of a word.
fn shared_start(names: &[String]) -> usize {
    let [first, rest @ ..] = names else {
        return 0;
    };
    let ends = first
        .char_indices()
        .filter(|(_, c)| "-_/ ".contains(*c))
        .map(|(i, c)| i + c.len_utf8());
    let shared = |end: &usize| {
        rest.iter()
            .all(|n| n.len() > *end && n.starts_with(&first[..*end]))
    };
    match rest.is_empty() {
        true => 0,
        false => ends.take_while(shared).last().unwrap_or(0),
    }
}
