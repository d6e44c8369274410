//! A study file: what `biorule sweep` varies, and the configuration of every trial. It is read against
//! the settings in `settings`, its parameters against the schemas of rules and settings, and it has a
//! normal form without layers, which the study's folder keeps.

mod checked;
mod parameter;
mod probe;
pub mod settings;

use std::path::{Path, PathBuf};

use config::{Value, ValueKind};

use super::context::PlanContext;
use super::layers::{self, Sources};
use super::section::Section;
use super::value::{self, Table, make};
use super::{Warnings, experiments};
use crate::plan::define::Field;
use crate::sweep::plan::{Constraint, Objective, PrunerPlan, SamplerPlan, Score, Study};
use crate::sweep::sampler::grid_size;
use crate::sweep::{Parameter, Space};
use crate::{Error, Result};
pub use checked::{StudyConfig, text, text_at};
pub use probe::Counted;

/// Where a study comes from.
#[derive(Clone, Debug, Default)]
pub struct StudySources {
    /// Its file.
    pub file: PathBuf,
    /// `a.b=v` texts of `--set`, of the study itself.
    pub sets: Vec<String>,
    /// The program of `--sampler`.
    pub sampler: Option<String>,
    /// Environment variables; only those that set a value of a configuration count.
    pub environment: Vec<(String, String)>,
}

/// A study file with its configuration merged, before anything is checked.
#[derive(Clone, Debug)]
pub struct StudyFile {
    /// The file's path, for messages.
    name: String,
    /// Everything but what makes the configuration.
    table: Table,
    /// The configuration that every trial starts from.
    pub base: Table,
}

/// Reads a study file and merges the configuration that it starts from.
///
/// # Errors
/// Usage error for a file that cannot be read or parsed, and for a path that leads nowhere.
pub fn read(sources: &StudySources) -> Result<StudyFile> {
    let name = sources.file.display().to_string();
    let whole = layers::read_file(&sources.file)?;
    let ValueKind::Table(table) = whole.kind else {
        return Err(Error::internal("a file that is not a table"));
    };
    // Nothing that a configuration alone has.
    if !table.contains_key("parameters")
        && (table.contains_key("blocks") || table.contains_key("training"))
    {
        return Err(Error::usage(format!("`{name}` is a configuration, not a study"))
            .hint("write a study with `base = [\"FILE\"]` and `[parameters]`; configs/sweep/digits.toml is one"));
    }
    let (mut sets, mut of_config) = (Vec::new(), Vec::new());
    for text in &sources.sets {
        let (path, word) = text.split_once('=').ok_or_else(|| {
            Error::usage(format!("`--set {text}` has no `=`")).hint("write it as `--set trials=20`")
        })?;
        let origin = format!("`--set {}`", path.trim());
        let value = value::typed(word.trim(), &origin);
        match path.trim().strip_prefix("config.") {
            Some(path) => of_config.push((path.to_owned(), value)),
            None => sets.push((path.trim().to_owned(), value)),
        }
    }
    if let Some(command) = &sources.sampler {
        let from = "`--sampler`";
        let one = [
            ("kind".to_owned(), make("command", from)),
            ("command".to_owned(), make(command.as_str(), from)),
        ];
        sets.push(("sampler".to_owned(), make(Table::from_iter(one), from)));
    }
    let mut table = lay(table, sets)?;
    if !table.contains_key("name") {
        let stem = sources
            .file
            .file_stem()
            .map(|s| s.to_string_lossy().into_owned());
        let stem = stem.unwrap_or_else(|| "study".to_owned());
        table.insert("name".to_owned(), make(stem, "name of the file"));
    }
    let mut list = |key: &str| -> Result<Vec<String>> {
        let one = table.remove(key).map(|v| match &v.kind {
            ValueKind::String(_) => {
                let from = value::origin(&v);
                make(vec![v], &from)
            }
            _ => v,
        });
        let one = Table::from_iter(one.map(|v| (key.to_owned(), v)));
        Section::open("", one, settings::STUDY)?.texts(key)
    };
    let (base, presets) = (list("base")?, list("preset")?);
    let own = table.remove("config");
    if base.is_empty() && presets.is_empty() && own.is_none() && of_config.is_empty() {
        return Err(
            Error::usage(format!("`{name}` has no configuration for its trials"))
                .hint("name files with `base = [\"FILE\"]`, or write `[config]`"),
        );
    }
    if let Some(own) = &own
        && !value::is_table(own)
    {
        let text = format!("`config` is {}, expected a table", value::describe(own));
        return Err(Error::usage(text).hint("`base` names files"));
    }
    let merged = layers::merge_with(
        &Sources {
            presets,
            files: base
                .iter()
                .map(|file| locate(&sources.file, file))
                .collect(),
            environment: sources.environment.clone(),
            ..Sources::default()
        },
        own.into_iter().collect(),
    )?;
    Ok(StudyFile {
        name,
        table,
        base: layers::lay(merged, of_config)?,
    })
}

/// Sets values of the study's own table. Its own settings are no configuration's: `seed` is not `seeds`,
/// and a word for `sampler` or `pruner` takes the place of a table.
fn lay(table: Table, sets: Vec<(String, Value)>) -> Result<Table> {
    let mut table = table;
    for (path, value) in sets {
        if !path.contains('.') {
            table.insert(path, value);
        } else {
            table = layers::lay(table, vec![(path, value)])?;
        }
    }
    Ok(table)
}

/// The file that a study calls `named`: beside it, else from the working folder, else an experiment.
fn locate(study: &Path, named: &str) -> PathBuf {
    let beside = study.parent().map(|folder| folder.join(named));
    match beside.filter(|path| path.is_file()) {
        Some(path) if experiments::text(named).is_none() => path,
        _ => PathBuf::from(named),
    }
}

/// Checks a study against `context`: settings, ranges, metrics, and both ends of every parameter as a
/// whole configuration.
///
/// # Errors
/// Usage, data or plugin error; nothing has run.
pub fn study(file: StudyFile, context: &dyn PlanContext) -> Result<StudyConfig> {
    let mut config = unchecked(file, Some(context))?;
    let name = config.name.clone();
    config
        .check(context)
        .map_err(|e| e.within(format_args!("study `{name}`")))?;
    Ok(config)
}

/// Reads a study without looking at its configuration.
fn unchecked(file: StudyFile, context: Option<&dyn PlanContext>) -> Result<StudyConfig> {
    let StudyFile { name, table, base } = file;
    let mut table = table;
    let within = |e: Error| e.within(format_args!("study `{name}`"));
    // A word alone is a kind.
    for (key, usual) in [("sampler", "random"), ("pruner", "none")] {
        let word = table.entry(key.to_owned());
        let word = word.or_insert_with(|| make(usual, value::DEFAULT));
        if value::text(word).is_some() {
            let from = value::origin(word);
            let one = Table::from_iter([("kind".to_owned(), word.clone())]);
            *word = make(one, &from);
        }
    }
    let parameters = table.remove("parameters");
    let mut top = Section::open("", table, settings::STUDY).map_err(within)?;
    let parameters = parameter::read(parameters, &base, &name, context).map_err(within)?;
    let space = Space::new(parameters).map_err(within)?;
    let study = rest(&mut top, space).map_err(within)?;
    Ok(StudyConfig {
        study,
        base,
        name,
        warnings: Warnings::default(),
    })
}

/// Everything of a study but its parameters.
fn rest(top: &mut Section, space: Space) -> Result<Study> {
    let name = top.text("name")?;
    let objectives = Vec::<Objective>::read(top, "objectives")?;
    if objectives.is_empty() {
        return Err(Error::usage("the study has no objective").hint(
            "write `[[objectives]]` with `metric = \"validation/accuracy\"` and `direction = \"max\"`",
        ));
    }
    let constraints = Vec::<Constraint>::read(top, "constraints")?;
    for one in &constraints {
        if one.at_least.is_none() && one.at_most.is_none() {
            let text = format!("the constraint on `{}` has no bound", one.metric);
            return Err(Error::usage(text).hint("set `at_least` or `at_most`"));
        }
    }
    let sampler = SamplerPlan::read_optional(top, "sampler")?.unwrap_or(SamplerPlan::Random);
    let pruner = PrunerPlan::read_optional(top, "pruner")?.unwrap_or(PrunerPlan::None);
    let asked = Section::opt_whole(top, "trials")?;
    let trials = match (&sampler, asked) {
        (SamplerPlan::Grid, asked) => {
            let size = grid_size(&space)?;
            asked.map_or(size, |n| n.min(size))
        }
        (_, Some(n)) => n,
        (_, None) => {
            return Err(Error::usage("`trials` is missing")
                .hint("set how many there are to be; a grid alone ends by itself"));
        }
    };
    let seeds = top.opt_wholes("seeds")?.unwrap_or_default();
    let sets_seed = |p: &Parameter| p.paths.iter().any(|path| path == "seed" || path == "seeds");
    if let (Some(one), false) = (
        space.parameters().iter().find(|p| sets_seed(p)),
        seeds.is_empty(),
    ) {
        let text = format!(
            "both `seeds` and parameter `{}` set the seeds of a trial",
            one.name
        );
        return Err(Error::usage(text).hint("remove one of them"));
    }
    let mut sorted = seeds.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != seeds.len() {
        return Err(Error::usage("`seeds` has a number twice").hint("give each seed once"));
    }
    Ok(Study {
        name,
        seed: Section::whole(top, "seed")?,
        trials,
        parallel: Section::whole(top, "parallel")?,
        seeds,
        score: Score::read(top, "score")?,
        objectives,
        constraints,
        sampler,
        pruner,
        space,
    })
}

/// The sampler of `kind` with its usual settings.
///
/// # Errors
/// Usage error for a kind that there is not, or that has a setting without a usual value.
pub fn usual_sampler(kind: &str) -> Result<SamplerPlan> {
    let kind = Table::from_iter([("kind".to_owned(), make(kind, value::DEFAULT))]);
    let one = Table::from_iter([("sampler".to_owned(), make(kind, value::DEFAULT))]);
    let plan =
        SamplerPlan::read_optional(&mut Section::open("", one, settings::STUDY)?, "sampler")?;
    plan.ok_or_else(|| Error::internal("a sampler that is not read"))
}

/// The study whose normal form is `text`, from `name`; nothing is checked again.
///
/// # Errors
/// Usage error for a text that is none.
pub fn stored(text: &str, name: &str) -> Result<StudyConfig> {
    let mut table = value::parse(text, &format!("file `{name}`"))?;
    let base = match table.remove("config").map(|v| v.kind) {
        Some(ValueKind::Table(base)) => base,
        _ => Table::new(),
    };
    let file = StudyFile {
        name: name.to_owned(),
        table,
        base,
    };
    unchecked(file, None)
}
