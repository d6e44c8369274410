//! The `biorule` command: one file a verb. Results go to standard output,
//! everything else to standard error; exit codes are a promise
//! (docs/exit-codes.md).

mod attack;
mod bench;
mod completions;
mod config;
mod data;
pub mod doctor;
mod environment;
mod eval;
mod experiments;
mod export;
mod fields;
mod genotype;
mod import;
mod logs;
mod options;
mod plugin_folders;
mod post_hoc;
mod predict;
mod quickstart;
mod report;
mod rule_words;
mod rules;
mod rules_page;
mod run_table;
mod runs;
mod search;
mod sweep;
mod train;
mod warn;

use std::process;

use clap::{CommandFactory, Parser, Subcommand};

pub use crate::app::{
    Assault, Evaluation, EvaluationResult, Fielded, Host, Open, Predicted, Prediction, Said,
};

use crate::{Error, ExitCode, Result, threads};
use warn::warn;

/// Trains and compares neural networks whose layers learn by different rules.
#[derive(Debug, Parser)]
#[command(name = "biorule", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  biorule quickstart                                one network, eleven ways to learn, in seconds
  biorule train configs/quickstart.toml             train a small network on embedded data
  biorule train configs/quickstart.toml --set training.gradient.epochs=5 --seed 3
  biorule experiments list --data cifar10           published experiments, by name
  biorule train softhebb/cifar10-3                  run one of them
  biorule train --preset softhebb/2SoftHebbCnnCIFAR --dry-run
  biorule search configs/search/digits.toml         find an architecture, in two minutes
  biorule sweep configs/sweep/digits.toml           find good values of settings
  biorule config show --origin configs/quickstart.toml
  biorule rules describe softhebb
  biorule runs compare runs/quickstart
  biorule report runs/quickstart/latest             one page with pictures of a run

Exit codes: 0 done, 2 usage, 3 data, 4 plugin, 5 diverged, 6 locked,
7 disk, rights or path, 75 stopped after a checkpoint (start again to go on).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Train one small network by each kind of rule on embedded data, and compare them
    Quickstart(quickstart::QuickstartArgs),
    /// Train a network as configurations say, or go on with a stopped run
    Train(train::TrainArgs),
    /// Evaluate a trained network
    Eval(eval::EvalArgs),
    /// What a trained network takes pictures or arrays for
    Predict(predict::PredictArgs),
    /// The loss that a trained read-out gives to its network while that learned without labels
    PostHoc(post_hoc::PostHocArgs),
    /// Attack a trained network: how often it is right on changed pictures
    Attack(attack::AttackArgs),
    /// Pictures that excite units of a trained network's deeper layers
    Fields(fields::FieldsArgs),
    /// Learning rules: what is loaded, what they can do, whether they keep their word
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Architectures: show, convert, count, draw at random
    #[command(subcommand)]
    Genotype(genotype::GenotypeCommand),
    /// Search for an architecture: operations and rules on the edges of cells
    Search(search::SearchArgs),
    /// Many trials of a configuration: values of settings, rules and blocks, and which are best
    Sweep(sweep::SweepArgs),
    /// Data sets: list, fetch, verify, show
    Data(data::DataArgs),
    /// Configurations: show, reference, presets
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Published experiments that the program has: list, show; `train NAME` runs one
    #[command(subcommand)]
    Experiments(experiments::ExperimentsCommand),
    /// A configuration of SoftHebb, BioTorch, BioPyTorch or bioflax as one of this program
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Weights of a run as a safetensors or numpy file, under other programs' names where asked
    Export(export::ExportArgs),
    /// Finished and running runs
    #[command(subcommand)]
    Runs(runs::RunsCommand),
    /// One page of what runs came to: answer, curves, filters, mistakes, cost
    Report(report::ReportArgs),
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
            if e.use_stderr() && train::wants_events(std::env::args_os()) {
                train::send_usage_error(&e);
            }
            process::exit(if e.use_stderr() { 2 } else { 0 });
        }
    };
    logs::start();
    // Its parent has told already.
    if !matches!(&cli.command, Command::Rules(rules) if rules.is_child()) {
        environment::check();
    }
    crate::plugins::trial::enable();
    crate::storage::survive_file_size_limit();
    let code = match dispatch(cli.command, open) {
        Ok(code) => code,
        Err(e) => {
            tell_error(&e);
            e.code
        }
    };
    #[cfg(feature = "cuda")]
    crate::ops::cuda::times::report();
    process::exit(i32::from(code as u8));
}

fn dispatch(command: Command, open: Open) -> Result<ExitCode> {
    // These know their number of threads once they have read their configuration.
    let reads_it = matches!(
        command,
        Command::Train(_)
            | Command::Bench(_)
            | Command::Eval(_)
            | Command::Attack(_)
            | Command::Fields(_)
            | Command::Predict(_)
            | Command::PostHoc(_)
            | Command::Config(_)
            | Command::Search(_)
            | Command::Sweep(_)
    );
    if !reads_it {
        warn(&threads::start(0)?);
    }
    match command {
        Command::Quickstart(args) => return quickstart::run(&args, open),
        Command::Train(args) => return train::run(&args, open),
        Command::Search(args) => return search::run(&args, open),
        Command::Sweep(args) => return sweep::run(&args, open),
        Command::Bench(args) => return bench::run(&args),
        Command::Attack(args) => return attack::run(&args, open),
        Command::Predict(args) => predict::run(&args, open),
        Command::PostHoc(args) => return post_hoc::run(&args, open),
        Command::Eval(args) => eval::run(&args, open),
        Command::Fields(args) => fields::run(&args, open),
        Command::Rules(command) => rules::run(&command, open),
        Command::Genotype(command) => genotype::run(&command, open),
        Command::Data(args) => data::run(&args),
        Command::Config(command) => config::run(&command, open),
        Command::Experiments(command) => experiments::catalogue::run(&command),
        Command::Import(command) => import::run(&command),
        Command::Export(args) => export::run(&args),
        Command::Runs(command) => runs::run(&command),
        Command::Report(args) => report::run(&args),
        Command::Doctor(args) => doctor::command(&args, open),
        Command::Completions(args) => completions::run(&args, Cli::command()),
    }
    .map(|()| ExitCode::Done)
}

/// An error as people read it: `error:`, then `hint:`.
fn tell_error(e: &Error) {
    tell!("error: {}", e.text);
    if let Some(hint) = &e.hint {
        tell!("hint: {hint}");
    }
}
