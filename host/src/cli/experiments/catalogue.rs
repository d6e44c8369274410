//! `biorule experiments`: the experiments that the program has, with what was published of them and
//! what was measured here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::config::PublishedPlan;
use crate::config::listed::{self, Listed};
use crate::data::{DataFolders, registry};
use crate::run::experiment::ExperimentRecord;
use crate::run::{Metrics, folder, summary};
use crate::text::number::duration;
use crate::text::{print, print_json, table};
use crate::{Error, Result};

/// `biorule experiments …`
#[derive(Debug, Subcommand)]
pub enum ExperimentsCommand {
    /// List them: data, rules, network, published and measured results
    List(ListArgs),
    /// Print one: where it comes from, what to expect, its configuration, runs of it here
    Show(ShowArgs),
}

/// `biorule experiments list`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule experiments list softhebb
  biorule experiments list --data cifar10 --rule feedback-alignment/fa
  biorule experiments list --measured --json
  biorule train softhebb/cifar10-3")]
pub struct ListArgs {
    /// Only those whose name, title, source, figure or network has all of these words
    words: Vec<String>,
    /// Only those of this project, the first part of the name
    #[arg(long)]
    project: Option<String>,
    /// Only those on this data set
    #[arg(long)]
    data: Option<String>,
    /// Only those with this rule in a layer
    #[arg(long)]
    rule: Option<String>,
    /// Only those that were run
    #[arg(long)]
    measured: bool,
    /// Folder with runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// `biorule experiments show`
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  biorule experiments show softhebb/cifar10-3")]
pub struct ShowArgs {
    /// Its name
    name: String,
    /// Folder with runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(command: &ExperimentsCommand) -> Result<()> {
    match command {
        ExperimentsCommand::List(args) => list(args),
        ExperimentsCommand::Show(args) => show(args),
    }
}

/// What runs of an experiment came to.
#[derive(Debug, Default)]
struct Measured {
    /// Results of each seed, of its last run that was the experiment as it is listed.
    seeds: BTreeMap<u64, Metrics>,
    /// Folder of every run of it, in the order of their starts, and what was changed in it.
    folders: Vec<(PathBuf, Vec<String>, Option<String>)>,
}

/// Every run below `runs` by the name of its experiment.
fn measured(runs: &Path) -> BTreeMap<String, Measured> {
    let mut all: BTreeMap<String, Measured> = BTreeMap::new();
    for (path, record) in folder::find(runs) {
        let Some(ExperimentRecord {
            name: Some(name),
            changed,
            ..
        }) = record.experiment
        else {
            continue;
        };
        let one = all.entry(name).or_default();
        let finished = record.exit_reason.as_deref() == Some("finished");
        if finished && changed.is_empty() {
            one.seeds.insert(record.seed, record.results);
        }
        one.folders.push((path, changed, record.exit_reason));
    }
    all
}

impl Measured {
    fn runs(&self) -> Vec<(u64, Metrics)> {
        let seeds = self.seeds.iter();
        seeds
            .map(|(seed, results)| (*seed, results.clone()))
            .collect()
    }

    /// Mean of the result `name`, its deviation and the number of seeds.
    fn result(&self, name: &str) -> Option<(f64, f64, usize)> {
        let runs = self.runs();
        let spreads = summary::spreads(&runs);
        let one = spreads.into_iter().find(|spread| spread.name == name)?;
        Some((one.mean, one.deviation, runs.len()))
    }
}

/// The result that a list shows of an experiment: the accuracy, or where a loss was published, that.
fn result_of(published: Option<&PublishedPlan>) -> &'static str {
    match published {
        Some(p) if p.test_accuracy.is_none() && p.test_loss.is_some() => "test/loss",
        _ => "test/accuracy",
    }
}

fn list(args: &ListArgs) -> Result<()> {
    let all = listed::list()?;
    let measured = measured(&args.runs);
    let known = |what: &str, given: &Option<String>, names: Vec<String>| -> Result<()> {
        let Some(given) = given.as_ref().filter(|given| !names.contains(given)) else {
            return Ok(());
        };
        let e = Error::usage(format!("no experiment has the {what} `{given}`"));
        let near = crate::text::nearest(given, names.iter().map(String::as_str));
        Err(match near {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e.hint("`biorule experiments list` shows all"),
        })
    };
    known(
        "project",
        &args.project,
        all.iter().map(|e| e.project().to_owned()).collect(),
    )?;
    known(
        "data set",
        &args.data,
        all.iter().flat_map(|e| e.data.clone()).collect(),
    )?;
    known(
        "rule",
        &args.rule,
        all.iter().flat_map(|e| e.rules.clone()).collect(),
    )?;
    let total = all.len();
    let wanted = |one: &Listed| {
        args.project.as_ref().is_none_or(|p| one.project() == p)
            && args.data.as_ref().is_none_or(|d| one.data.contains(d))
            && args.rule.as_ref().is_none_or(|r| one.rules.contains(r))
            && (!args.measured || measured.contains_key(one.name))
            && args.words.iter().all(|word| has(one, word))
    };
    let chosen: Vec<Listed> = all.into_iter().filter(wanted).collect();
    if args.json {
        let none = Measured::default();
        let rows = chosen.iter();
        let rows = rows.map(|one| as_json(one, measured.get(one.name).unwrap_or(&none)));
        return print_json(&Value::Array(rows.collect()));
    }
    let mut table = table(&[
        "experiment",
        "data",
        "rules",
        "network",
        "published",
        "measured",
    ]);
    for one in &chosen {
        let published = one.experiment.published.as_ref();
        let here = measured.get(one.name);
        table.add_row(vec![
            one.name.to_owned(),
            one.data[0].clone(),
            one.rules.join(", "),
            one.network.clone(),
            published.map_or_else(|| "-".to_owned(), published_text),
            here.map_or_else(|| "-".to_owned(), |here| measured_text(here, published)),
        ]);
    }
    print(&format!("{table}\n"))?;
    tell!(
        "{} of {total} experiments; `biorule experiments show NAME` says more, `biorule train NAME` runs one",
        chosen.len()
    );
    Ok(())
}

/// Whether `word` is in what is said of the experiment.
fn has(one: &Listed, word: &str) -> bool {
    let word = word.to_lowercase();
    let texts = [
        Some(one.name),
        Some(one.title.as_str()),
        Some(one.network.as_str()),
        one.experiment.source.as_deref(),
        one.experiment.figure.as_deref(),
    ];
    let mut texts = texts.into_iter().flatten().map(str::to_lowercase);
    texts.any(|text| text.contains(&word))
}

/// The published result in one cell.
fn published_text(published: &PublishedPlan) -> String {
    let name = result_of(Some(published));
    let Some(x) = published.results().get(name).copied() else {
        return "-".to_owned();
    };
    with_deviation(name, x, published.deviations().get(name).copied())
}

fn with_deviation(name: &str, x: f64, deviation: Option<f64>) -> String {
    let shown = summary::show(name, x);
    let loss = if name.ends_with("loss") { "loss " } else { "" };
    match deviation {
        Some(d) => format!(
            "{loss}{} ± {}",
            shown.trim_end_matches(" %"),
            summary::show(name, d)
        ),
        None => format!("{loss}{shown}"),
    }
}

fn measured_text(measured: &Measured, published: Option<&PublishedPlan>) -> String {
    let name = result_of(published);
    match measured.result(name) {
        Some((mean, _, 1)) => with_deviation(name, mean, None),
        Some((mean, deviation, n)) => {
            format!(
                "{} ({n} seeds)",
                with_deviation(name, mean, Some(deviation))
            )
        }
        None if measured.seeds.is_empty() => "changed or unfinished".to_owned(),
        None => "-".to_owned(),
    }
}

fn as_json(one: &Listed, measured: &Measured) -> Value {
    let record = ExperimentRecord::of(Some(&one.experiment), None).unwrap_or_default();
    let folders: Vec<Value> = measured.folders.iter().map(folder_json).collect();
    json!({
        "name": one.name,
        "title": one.title,
        "project": one.project(),
        "search": one.is_search,
        "data": one.data,
        "rules": one.rules,
        "network": one.network,
        "seeds": one.seeds,
        "run_name": one.run_name,
        "source": record.source,
        "figure": record.figure,
        "published": record.published,
        "published_deviation": record.published_deviation,
        "parameters": record.parameters,
        "expected_hours": record.expected_hours,
        "expected_on": record.expected_on,
        "note": record.note,
        "measured": summary::spreads(&measured.runs()),
        "measured_seeds": measured.seeds.keys().collect::<Vec<_>>(),
        "runs": folders,
        "command": one.command(),
    })
}

fn folder_json((path, changed, ended): &(PathBuf, Vec<String>, Option<String>)) -> Value {
    json!({"folder": path.display().to_string(), "changed": changed, "ended": ended})
}

fn show(args: &ShowArgs) -> Result<()> {
    let one = listed::show(&args.name)?;
    let mut all = measured(&args.runs);
    let here = all.remove(one.name).unwrap_or_default();
    if args.json {
        let mut value = as_json(&one, &here);
        value["text"] = one.text.into();
        return print_json(&value);
    }
    let mut lines = vec![format!("{}: {}", one.name, one.title)];
    let mut line = |what: &str, text: String| lines.push(format!("{what:<11} {text}"));
    let own = &one.experiment;
    if let Some(source) = &own.source {
        line("source", source.clone());
    }
    if let Some(figure) = &own.figure {
        line("figure", figure.clone());
    }
    line(
        "network",
        format!("{}, learned by {}", one.network, one.rules.join(", ")),
    );
    line(
        "data",
        one.data
            .iter()
            .map(|set| where_is(set))
            .collect::<Vec<_>>()
            .join("; "),
    );
    let seeds: Vec<String> = one.seeds.iter().map(u64::to_string).collect();
    line("seeds", seeds.join(", "));
    if let Some(hours) = own.expected_hours {
        let on = own.expected_on.as_ref().map(|on| format!(" on {on}"));
        line(
            "takes",
            format!(
                "about {} a seed{}",
                duration(3600.0 * hours),
                on.unwrap_or_default()
            ),
        );
    }
    if let Some(published) = &own.published {
        for (name, x) in published.results() {
            let deviation = published.deviations().get(&name).copied();
            line(
                "published",
                format!(
                    "{name} {}",
                    with_deviation(&name, x, deviation).trim_start_matches("loss ")
                ),
            );
        }
        if let Some(n) = published.parameters {
            line("published", format!("{n} parameters"));
        }
    }
    for spread in summary::spreads(&here.runs()) {
        let n = here.seeds.len();
        let deviation = (n > 1).then_some(spread.deviation);
        let shown = with_deviation(&spread.name, spread.mean, deviation);
        let seeds = if n > 1 {
            format!(" ({n} seeds)")
        } else {
            String::new()
        };
        line(
            "measured",
            format!(
                "{} {}{seeds}",
                spread.name,
                shown.trim_start_matches("loss ")
            ),
        );
    }
    for (path, changed, ended) in &here.folders {
        let ended = ended.as_deref().unwrap_or("not ended");
        let changed = match changed.is_empty() {
            true => String::new(),
            false => format!(", with other {}", changed.join(", ")),
        };
        line("run", format!("{} ({ended}{changed})", path.display()));
    }
    if let Some(note) = &own.note {
        line("note", note.clone());
    }
    line("run it", one.command());
    lines.push(String::new());
    lines.push(one.text.trim_end().to_owned());
    print(&(lines.join("\n") + "\n"))
}

/// A data set and whether it is there.
fn where_is(name: &str) -> String {
    let folders = DataFolders::search(None);
    match registry::find(name) {
        Ok(set) if !set.is_on_disk() => name.to_owned(),
        Ok(set) => match folders.locate(set) {
            Some(place) => format!("{name} in {}", place.display()),
            None => format!("{name}, which is not here (`biorule data fetch {name}`)"),
        },
        Err(e) => format!("{name} ({})", e.text),
    }
}
