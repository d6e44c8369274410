//! `biorule runs`: what ran, how it ended, what came out.

mod find;
mod prune;
mod tag;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::run_table;
use crate::run::experiment::ExperimentRecord;
use crate::run::identity::Longer;
use crate::run::identity::RunRecord;
use crate::run::summary::{Experiment, Failure};
use crate::run::{attacks, folder, listing, paired, summary};
use crate::text::{human, print, print_json, short};
use crate::{Error, Result};

/// `biorule runs …`
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// List runs, oldest first
    List(ListArgs),
    /// Print what one run did
    Show(ShowArgs),
    /// Experiments side by side, a row each, the best test accuracy first; with mean and deviation over seeds
    Compare(CompareArgs),
    /// Runs by tag, experiment, rule, data set, state, results or words
    Find(find::FindArgs),
    /// Give a run words to find it by, which also keep it from being pruned
    Tag(tag::TagArgs),
    /// Take runs off the disk: shows what would go, and removes it with `--yes`
    Prune(prune::PruneArgs),
}

/// `biorule runs list`
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Folder to look in
    ///
    /// Absent: `runs`
    folder: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// `biorule runs show`
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// A run's folder
    run: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// `biorule runs compare`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule runs compare runs/fa runs/bp --result test/accuracy
  biorule runs compare runs --against random

Experiments with two seeds or more in common are also compared seed by seed: the mean of the differences, their
deviation, and the interval that holds the mean with 95 %.")]
pub struct CompareArgs {
    /// Runs' folders, or folders that hold runs
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Only this result
    #[arg(long)]
    result: Option<String>,
    /// Experiment that the others are compared with seed by seed; absent: the best
    #[arg(long, value_name = "EXPERIMENT")]
    against: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(command: &RunsCommand) -> Result<()> {
    match command {
        RunsCommand::List(args) => list(args),
        RunsCommand::Show(args) => show(args),
        RunsCommand::Compare(args) => compare(args),
        RunsCommand::Find(args) => find::run(args),
        RunsCommand::Tag(args) => tag::run(args),
        RunsCommand::Prune(args) => prune::run(args),
    }
}

fn list(args: &ListArgs) -> Result<()> {
    if let Some(folder) = args.folder.as_ref().filter(|folder| !folder.is_dir()) {
        let text = format!("`{}` is no folder", folder.display());
        return Err(Error::usage(text).hint("give a folder that holds runs, such as `runs`"));
    }
    let runs = folder::find(args.folder.as_deref().unwrap_or(Path::new("runs")));
    run_table::show(&runs, args.json)
}

fn show(args: &ShowArgs) -> Result<()> {
    let record = RunRecord::read(&args.run.join("run.json")).map_err(|e| {
        e.hint("give a run's folder (`biorule runs list`); of several seeds, one `seed-N`")
    })?;
    if args.json {
        let mut value = run_table::json_of(&args.run, &record);
        let records = attacks::of_run(&args.run);
        value["attacks"] = records.iter().map(|(_, record)| record.json()).collect();
        return print_json(&value);
    }
    let commit = record.git.as_ref().map_or("unknown".to_owned(), |git| {
        let changed = if git.changed { ", changed" } else { "" };
        format!("{}{changed}", git.commit)
    });
    let mut lines = vec![
        format!(
            "run       {} ({}), seed {}",
            record.id, record.name, record.seed
        ),
        format!("state     {}", listing::state(&args.run, &record)),
        format!("started   {}, {} starts", record.started, record.starts),
        format!("ended     {}", record.ended.as_deref().unwrap_or("-")),
        format!("host      {}, {}", record.host.name, record.host.system),
        format!("device    {}", record.device),
        format!("version   {}", record.versions.biorule),
        format!("commit    {commit}"),
        format!("command   {}", record.argv.join(" ")),
        format!("disk      {}", human(listing::disk(&args.run).into())),
    ];
    let tags: Vec<String> = listing::tags(&args.run).into_iter().collect();
    if !tags.is_empty() {
        lines.push(format!("tags      {}", tags.join(", ")));
    }
    for plugin in &record.plugins {
        let short = short(&plugin.sha256);
        lines.push(format!(
            "plugin    {} {} {short}",
            plugin.name, plugin.version
        ));
        if let Some(package) = &plugin.package {
            let by = match package.authors.as_slice() {
                [] => String::new(),
                authors => format!(" by {}", authors.join(", ")),
            };
            let (name, version) = (&package.name, &package.version);
            lines.push(format!("          package {name} {version}{by}"));
        }
    }
    for plugin in &record.earlier_plugins {
        let short = short(&plugin.sha256);
        lines.push(format!("earlier   {} {short}", plugin.name));
    }
    for used in &record.rules {
        let params: Vec<String> = used
            .params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        lines.push(format!(
            "rule      {}: {} {}",
            used.block,
            used.rule,
            params.join(" ")
        ));
    }
    if let Some(init) = &record.init {
        let short = short(&init.sha256);
        lines.push(format!("init      {} {short}", init.file));
    }
    for extended in &record.extended {
        for Longer { phase, from, to } in &extended.phases {
            let at = &extended.at;
            lines.push(format!(
                "extended  phase {phase} from {from} to {to} epochs, {at}"
            ));
        }
    }
    for text in &record.warnings {
        lines.push(format!("warning   {text}"));
    }
    if let Some(error) = &record.error {
        lines.push(format!(
            "error     {} (exit code {})",
            error.text, error.code
        ));
    }
    for data in &record.data {
        lines.push(format!(
            "data      {} = {} in {}",
            data.name, data.set, data.folder
        ));
        for file in &data.files {
            let short = short(&file.sha256);
            lines.push(format!(
                "          {} {} bytes, sha256 {short}",
                file.path, file.bytes
            ));
        }
    }
    if let Some(experiment) = &record.experiment {
        lines.extend(experiment_lines(experiment));
    }
    for (name, value) in &record.results {
        let published = record.experiment.as_ref();
        let published = published.and_then(|e| e.published.get(name));
        let beside = published.map_or(String::new(), |p| format!(" (published {p:?})"));
        lines.push(format!("result    {name} = {value:?}{beside}"));
    }
    if let Some(best) = &record.best {
        lines.push(format!("best      {}", best.describe()));
    }
    for (_, record) in attacks::of_run(&args.run) {
        for row in &record.rows {
            let mut text = super::attack::summary(row);
            if let (Some(protocol), Some(printed)) = (&record.protocol, record.printed(row)) {
                text.push_str(&format!(
                    ", protocol {protocol}, which prints {:.2} %",
                    100.0 * printed
                ));
            }
            lines.push(format!("attack    {text}"));
        }
    }
    print(&(lines.join("\n") + "\n"))
}

/// Which experiment a run is of.
fn experiment_lines(experiment: &ExperimentRecord) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(name) = &experiment.name {
        let changed = match experiment.changed.is_empty() {
            true => String::new(),
            false => format!(", with other {}", experiment.changed.join(", ")),
        };
        lines.push(format!("experiment {name}{changed}"));
    }
    let source = [&experiment.source, &experiment.figure];
    let source: Vec<&str> = source.into_iter().flatten().map(String::as_str).collect();
    if !source.is_empty() {
        lines.push(format!("source    {}", source.join(", ")));
    }
    lines
}

/// How the run failed, if it did.
fn failure(record: &RunRecord) -> Option<Failure> {
    let ended = record.exit_reason.as_deref();
    if !matches!(ended, Some("failed" | "diverged")) {
        return None;
    }
    let error = match &record.error {
        Some(error) => error.into(),
        // Runs of earlier versions do not say why.
        None => Error::internal(ended.unwrap_or_default()),
    };
    let seed = Some(record.seed);
    Some(Failure { seed, error })
}

fn compare(args: &CompareArgs) -> Result<()> {
    let mut groups: Vec<Experiment> = Vec::new();
    let runs: Vec<RunRecord> = (args.folders.iter())
        .flat_map(|root| folder::find(root))
        .map(|(_, record)| record)
        .collect();
    if let Some(only) = &args.result {
        listing::known_result(only, &runs)?;
    }
    for record in runs {
        let mut results = record.results.clone();
        if let Some(only) = &args.result {
            results.retain(|name, _| name == only);
        }
        let failure = failure(&record);
        if results.is_empty() && failure.is_none() {
            continue;
        }
        let group = match groups.iter().position(|group| group.name == record.name) {
            Some(i) => &mut groups[i],
            None => {
                groups.push(Experiment::new(&record.name));
                let last = groups.len() - 1;
                &mut groups[last]
            }
        };
        match failure {
            Some(failure) => group.failures.push(failure),
            None => group.runs.push((record.seed, results)),
        }
    }
    if groups.is_empty() {
        return Err(Error::usage("no finished run with results there")
            .hint("`biorule runs list` lists runs"));
    }
    let reference = match &args.against {
        Some(name) => paired::named(&groups, name)?,
        None => summary::best(&groups),
    };
    if args.json {
        let of = |group: &Experiment| {
            let Experiment {
                name,
                runs,
                failures,
            } = group;
            let failed: Vec<_> = failures.iter().map(Failure::json).collect();
            let mut value = json!({"name": name, "runs": runs.len(), "results": summary::spreads(runs), "failed": failed});
            if group.name != reference.name {
                let differences = paired::differences(group, reference);
                value["paired"] = json!({"against": reference.name, "differences": differences});
            }
            value
        };
        return print_json(&groups.iter().map(of).collect());
    }
    print(&paired::side_by_side(&groups, reference))
}
