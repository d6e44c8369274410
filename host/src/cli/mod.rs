//! The `biorule` command: one file a verb. Results go to standard output,
//! everything else to standard error; exit codes are a promise
//! (docs/exit-codes.md).

mod bench;
mod completions;
mod config;
mod data;
pub mod doctor;
mod eval;
pub mod host;
mod logs;
mod options;
mod rules;
mod rules_page;
mod runs;
mod train;

use std::io::Write as _;
use std::process;

use clap::{Parser, Subcommand};

pub use host::{Evaluation, EvaluationResult, Host, Open, open};

use crate::{Error, ExitCode, Result};

/// Trains and compares neural networks whose layers learn by different rules.
#[derive(Debug, Parser)]
#[command(name = "biorule", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  biorule train configs/quickstart.toml             train a small network on embedded data
  biorule train configs/quickstart.toml --set training.gradient.epochs=5 --seed 3
  biorule train --preset softhebb/2SoftHebbCnnCIFAR --dry-run
  biorule config show --origin configs/quickstart.toml
  biorule rules describe softhebb
  biorule runs compare runs/quickstart

Exit codes: 0 done, 2 usage, 3 data, 4 plugin, 5 diverged, 6 locked,
75 stopped after a checkpoint (start again to go on).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a network as configurations say, or go on with a stopped run
    Train(train::TrainArgs),
    /// Evaluate a trained network
    Eval(eval::EvalArgs),
    /// Learning rules: what is loaded, what they can do, whether they keep their word
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Data sets: list, fetch, verify, show
    Data(data::DataArgs),
    /// Configurations: show, reference, presets
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Finished and running runs
    #[command(subcommand)]
    Runs(runs::RunsCommand),
    /// Look at this machine: processor, memory, GPU, plugins, folders
    Doctor(doctor::DoctorArgs),
    /// Measure speed and memory beside this machine's peaks and PyTorch
    Bench(bench::BenchArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
}

/// Runs the command line of this process; `open` gives the plugins.
pub fn main(open: Open) -> ! {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are results; clap chooses the stream.
            let _ = e.print();
            process::exit(if e.use_stderr() { 2 } else { 0 });
        }
    };
    logs::start();
    let code = match dispatch(cli.command, open) {
        Ok(code) => code,
        Err(e) => {
            report(&e);
            e.code
        }
    };
    #[cfg(feature = "cuda")]
    crate::ops::cuda::times::report();
    process::exit(i32::from(code as u8));
}

fn dispatch(command: Command, open: Open) -> Result<ExitCode> {
    match command {
        Command::Train(args) => return train::run(&args, open),
        Command::Bench(args) => return bench::run(&args),
        Command::Eval(args) => eval::run(&args, open),
        Command::Rules(command) => rules::run(&command, open),
        Command::Data(args) => data::run(&args),
        Command::Config(command) => config::run(&command, open),
        Command::Runs(command) => runs::run(&command),
        Command::Doctor(args) => doctor::command(&args, open),
        Command::Completions(args) => completions::run(&args),
    }
    .map(|()| ExitCode::Done)
}

/// An error as people read it: `error:`, then `hint:`.
fn report(e: &Error) {
    eprintln!("error: {}", e.text);
    if let Some(hint) = &e.hint {
        eprintln!("hint: {hint}");
    }
}

/// Writes a result to standard output. A reader that has seen enough and
/// closed the pipe is a success.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => process::exit(0),
        Err(e) => Err(Error::internal(format!("standard output: {e}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes a value as JSON to standard output.
fn print_json(value: &serde_json::Value) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| Error::internal(format!("JSON: {e}")))?;
    print(&format!("{text}\n"))
}

/// A table without lines.
pub(crate) fn table(head: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(head.to_vec());
    table
}
