//! `biorule sweep`: many trials of one configuration, and what they found. Each trial is an ordinary
//! run in the study's folder, so that the same command goes on after any kill.

mod change;
mod run;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Open;
use crate::config::reference;
use crate::config::study::settings::sections;
use crate::config::study::usual_sampler;
use crate::study::program;
use crate::text::print;
use crate::{ExitCode, Result};

/// Tries many values of settings, and finds the best.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  biorule sweep configs/sweep/digits.toml
  biorule sweep configs/sweep/digits.toml --study-dir here --jobs 4
  biorule sweep configs/sweep/digits.toml --set trials=10 --set sampler=sobol
  biorule sweep configs/sweep/digits.toml --dry-run
  biorule sweep best here
  biorule sweep table here --csv > trials.csv
  biorule sweep apply here best.toml
  biorule sweep page here
  biorule sweep add here --trials 20
  biorule sweep configs/sweep/digits.toml --study-dir here --plan 64 > plan.jsonl
  biorule sweep configs/sweep/digits.toml --sampler 'python3 mine.py'

Ctrl-C stops after the current step of each run, with checkpoints (exit code 75); the same command
goes on. What a study file says: docs/sweeps.md.")]
pub struct SweepArgs {
    #[command(subcommand)]
    command: Option<SweepCommand>,

    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum SweepCommand {
    /// The best trial, or with several objectives those that no other is better than
    Best {
        /// The study's folder
        study: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// All trials
    Table {
        /// The study's folder
        study: PathBuf,
        /// As a JSON list, with run folders, seeds and intermediate values
        #[arg(long, conflicts_with = "csv")]
        json: bool,
        /// As comma-separated values
        #[arg(long)]
        csv: bool,
        /// The best first, by the first objective
        #[arg(long)]
        sorted: bool,
    },
    /// Write the configuration of the best trial
    Apply {
        /// The study's folder
        study: PathBuf,
        /// The file; absent: standard output
        file: Option<PathBuf>,
        /// This trial instead of the best
        #[arg(long)]
        trial: Option<u64>,
    },
    /// Add trials to a study; `biorule sweep STUDY.toml` runs them
    Add {
        /// The study's folder
        study: PathBuf,
        /// So many more
        #[arg(long, value_name = "N", default_value_t = 0)]
        trials: u64,
        /// One trial with these values: one `PARAMETER=VALUE` for each that is active
        #[arg(long = "params", value_name = "PARAMETER=VALUE", num_args = 1..)]
        params: Vec<String>,
    },
    /// Read the run folders again, whoever ran them, and write `trials.csv`
    Collect {
        /// The study's folder
        study: PathBuf,
    },
    /// Write a page that shows what a study found: one HTML file that loads nothing
    Page {
        /// The study's folder
        study: PathBuf,
        /// The page's file; absent: `study.html` in the study's folder
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Answer the lines of a sampler on standard input, as `--sampler` asks them
    Sampler {
        /// Which, with its usual settings
        #[arg(value_parser = ["random", "grid", "sobol", "tpe", "cma"])]
        kind: String,
    },
    /// The settings of a study file, as Markdown
    Reference,
}

/// Runs the command.
pub(super) fn run(args: &SweepArgs, open: Open) -> Result<ExitCode> {
    let Some(command) = &args.command else {
        return run::run(&args.run, open);
    };
    match command {
        SweepCommand::Best { study, json } => show::best(study, *json),
        SweepCommand::Table {
            study,
            json,
            csv,
            sorted,
        } => show::table(study, (*json, *csv), *sorted),
        SweepCommand::Apply { study, file, trial } => change::apply(study, file.as_deref(), *trial),
        SweepCommand::Add {
            study,
            trials,
            params,
        } => change::add(study, *trials, params),
        SweepCommand::Collect { study } => show::collect(study),
        SweepCommand::Page { study, output } => show::page(study, output.as_deref()),
        SweepCommand::Sampler { kind } => {
            let plan = usual_sampler(kind)?;
            program::serve(std::io::stdin().lock(), std::io::stdout().lock(), &plan)
        }
        SweepCommand::Reference => print(&reference::page(REFERENCE, &sections())),
    }
    .map(|()| ExitCode::Done)
}

const REFERENCE: &str = "\
<!-- printed by `biorule sweep reference`; a test fails when it is stale -->
# Settings of a study

`docs/sweeps.md` shows what they are for.
";
