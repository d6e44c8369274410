//! `biorule eval`: a trained network on data.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::options::RunConfigArgs;
use super::{Evaluation, EvaluationResult, Open};
use crate::run::summary;
use crate::text::{print, print_json, table};
use crate::{Error, Result};

/// Evaluates a trained network.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule eval runs/quickstart/latest
  biorule eval runs/quickstart/latest --best --json
  biorule eval runs/quickstart/latest/checkpoints/last.safetensors --split train")]
pub struct EvalArgs {
    /// A run's folder, or a checkpoint in one
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    path: PathBuf,

    /// The best checkpoint instead of the last
    #[arg(long)]
    best: bool,

    /// Part of the data: `test`, `validation` or `train`
    #[arg(long, default_value = "test")]
    split: String,

    #[command(flatten)]
    run: RunConfigArgs,

    /// Each class on its own, also where there are more than 20
    #[arg(long)]
    per_class: bool,

    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &EvalArgs, open: Open) -> Result<()> {
    let (file, checkpoint) = locate(&args.path, args.best)?;
    if args.best && checkpoint == args.path {
        super::warn::warn_once("`--best` has no effect: a file is named, and that is evaluated");
    }
    let (resolved, host) = args.run.open(file, open)?;
    let what = Evaluation {
        best: checkpoint.file_name().is_some_and(|name| name == BEST),
        checkpoint,
        split: args.split.clone(),
    };
    let result = host.evaluate(&resolved.plan, &what)?;
    if let Some(best) = &result.best {
        let warning = best.chosen_on_test() && what.split == "test";
        let word = if warning { "warning: " } else { "" };
        eprintln!("{word}{}", best.describe());
    }
    if args.per_class && result.classes.is_empty() {
        super::warn::warn_once("`--per-class` has no effect: the answers are values, not classes");
    }
    if args.json {
        return print_json(&json!({
            "checkpoint": what.checkpoint.display().to_string(),
            "split": what.split,
            "results": result.metrics,
            "classes": result.classes,
            "confusion": result.confusion,
            "chosen_by": result.best.map(|b| b.metric),
        }));
    }
    let seed = resolved.plan.seeds.first().copied().unwrap_or(0);
    let mut text = format!("{}\n", summary::table(&[(seed, result.metrics.clone())]));
    if args.per_class || (1..=FEW_CLASSES).contains(&result.classes.len()) {
        text.push_str(&per_class(&result));
    }
    print(&text)
}

/// Up to so many classes are shown one by one without being asked for.
const FEW_CLASSES: usize = 20;
/// File of a run's best checkpoint.
pub(super) const BEST: &str = "best.safetensors";
/// File of its last.
const LAST: &str = "last.safetensors";

/// The scores of each class, and how often it was taken for each of them.
fn per_class(result: &EvaluationResult) -> String {
    if result.classes.is_empty() {
        return String::new();
    }
    let names = result.classes.iter().map(|c| c.class.as_str());
    let columns = result.confusion.first().map_or(0, Vec::len);
    let none = (columns > result.classes.len()).then_some("none");
    let first = ["class", "samples", "accuracy"].into_iter();
    let head: Vec<&str> = first.chain(names).chain(none).collect();
    let mut table = table(&head);
    for (class, taken) in result.classes.iter().zip(&result.confusion) {
        let accuracy = class.accuracy;
        let first = [
            class.class.clone(),
            class.samples.to_string(),
            accuracy.map_or("-".to_owned(), |x| format!("{:.2} %", 100.0 * x)),
        ];
        let counts = taken.iter().map(u64::to_string);
        table.add_row(first.into_iter().chain(counts).collect::<Vec<_>>());
    }
    format!("\nsamples of each class, by the class they were taken for\n{table}\n")
}

/// The configuration and the checkpoint that `path` stands for.
pub(super) fn locate(path: &Path, best: bool) -> Result<(PathBuf, PathBuf)> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        let folder = path.parent().and_then(Path::parent);
        let config = folder.unwrap_or(Path::new(".")).join("config.toml");
        return found(path, &config).map(|()| (config, path.to_owned()));
    }
    let name = if best { BEST } else { LAST };
    let checkpoint = path.join("checkpoints").join(name);
    let config = path.join("config.toml");
    found(&checkpoint, &config).map(|()| (config, checkpoint))
}

fn found(checkpoint: &Path, config: &Path) -> Result<()> {
    for file in [config, checkpoint] {
        if file.is_file() {
            continue;
        }
        let text = format!("`{}` is not there", file.display());
        // A run that lost a file is a matter of its disk; what is no run at all, of the command.
        let is_run = config.is_file() || config.with_file_name("run.json").is_file();
        let error = match is_run {
            true => Error::storage(text),
            false => Error::usage(text),
        };
        let is_best = file.file_name().is_some_and(|name| name == BEST);
        return Err(match is_best && file.with_file_name(LAST).is_file() {
            true => error.hint("no epoch of this run was evaluated by the metric that chooses the best (`evaluate_every`, `output.best`); leave out `--best`"),
            false => error.hint("give a run's folder (`biorule runs list`) or a checkpoint in one; of several seeds, one `seed-N`"),
        });
    }
    Ok(())
}
