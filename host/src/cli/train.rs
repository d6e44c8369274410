//! `biorule train`: checks everything, enters the run's folder, and trains.
//! The same command on the same folder goes on where it stopped, or replays
//! what is there.

use std::collections::BTreeSet;
use std::io::{BufReader, IsTerminal};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::options::ConfigArgs;
use super::{Host, Open};
use crate::config::{Resolved, Warnings, before_training, shapes};
use crate::run::folder::{self, Resume};
use crate::run::identity::DeviceRecord;
use crate::run::summary::{self, Experiment};
use crate::run::{Metrics, Outcome, Reporter, ReporterOptions, RunFolder, StopCause, StopFlag};
use crate::{Error, ExitCode, Result};

/// Trains a network.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule train configs/quickstart.toml
  biorule train base.toml mine.toml --set blocks.conv1.rule.lr=0.05 --seed 3
  biorule train configs/quickstart.toml --run-dir here --resume auto
  biorule train configs/quickstart.toml --dry-run
  biorule train --each configs/reproduce/bioflax/*.toml
  BIORULE__TRAINING__GRADIENT__EPOCHS=2 biorule train configs/quickstart.toml

Ctrl-C stops after the current step with a checkpoint (exit code 75); the same
command with --run-dir goes on. A second Ctrl-C ends at once.")]
pub struct TrainArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Train each file as an experiment of its own, one after the other, and compare the results
    #[arg(long)]
    each: bool,

    /// The run's folder (with `--each`: of a folder for each experiment, by its name); absent: a
    /// new one under `output.runs`
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,

    /// What to do where the folder holds a run already
    #[arg(long, value_enum, default_value_t)]
    resume: Resume,

    /// Only warnings and errors on standard error
    #[arg(long, short)]
    quiet: bool,

    /// Events as JSON lines on standard output
    #[arg(long, value_enum, value_name = "FORMAT")]
    events: Option<Events>,

    /// Plain lines instead of a progress bar, also on a terminal
    #[arg(long)]
    plain: bool,

    /// Check configuration, plugins, data and shapes, and print the plan; train nothing
    #[arg(long)]
    dry_run: bool,

    /// Obey lines on standard input (`stop`, `checkpoint`, `ping`), and stop when it closes
    #[arg(long)]
    exit_with_parent: bool,
}

/// How events are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Events {
    /// One JSON object a line
    Jsonl,
}

/// Runs the command.
pub(super) fn run(args: &TrainArgs, open: Open) -> Result<ExitCode> {
    if args.config.files.is_empty() && args.config.preset.is_empty() {
        return Err(Error::usage("no configuration given")
            .hint("try `biorule train configs/quickstart.toml`, or `--preset NAME`"));
    }
    let configs = match args.each {
        true => separate(&args.config),
        false => vec![args.config.clone()],
    };
    let mut experiments = Vec::new();
    for config in configs {
        let (resolved, host) = config.resolve(open)?;
        let mut warnings = Warnings::default();
        before_training(&resolved.plan, &*host, &mut warnings)?;
        for text in warnings.iter() {
            eprintln!("warning: {text}");
        }
        experiments.push((config, resolved, host));
    }
    one_name_each(experiments.iter().map(|(_, resolved, _)| resolved))?;
    if args.dry_run {
        for (_, resolved, host) in &experiments {
            dry_run(resolved, &**host)?;
        }
        return Ok(ExitCode::Done);
    }
    let stop = listen(args)?;
    let mut done: Vec<Experiment> = Vec::new();
    let mut diverged = None;
    let mut code = ExitCode::Done;
    for (config, resolved, host) in &experiments {
        let (plan, name) = (&resolved.plan, &resolved.plan.name);
        let root = match &args.run_dir {
            Some(dir) if args.each => dir.join(name),
            Some(dir) => dir.clone(),
            None => folder::fresh_path(&plan.output.runs, name),
        };
        let session = Session {
            args,
            config,
            host: &**host,
            device: host.device(plan)?,
            stop: &stop,
            root,
        };
        match session.all_seeds(resolved) {
            Ok((ExitCode::Done, runs)) => done.push((name.clone(), runs)),
            Ok((other, _)) => {
                code = other;
                break;
            }
            // An experiment that diverges is a result; the others go on.
            Err(e) if args.each && e.code == ExitCode::Diverged => {
                eprintln!("{name}: {e}");
                done.push((name.clone(), vec![(0, Metrics::new())]));
                diverged = Some(e);
            }
            Err(e) => return Err(e),
        }
    }
    if args.each && !done.is_empty() {
        say(args, &format!("{}\n", summary::comparison(&done)))?;
    }
    diverged.map_or(Ok(code), Err)
}

/// The same flags for each file alone.
fn separate(config: &ConfigArgs) -> Vec<ConfigArgs> {
    let one = |file: &PathBuf| ConfigArgs {
        files: vec![file.clone()],
        ..config.clone()
    };
    match config.files.as_slice() {
        [] => vec![config.clone()],
        files => files.iter().map(one).collect(),
    }
}

/// Experiments are told apart by their names, in folders and in the table.
fn one_name_each<'a>(all: impl Iterator<Item = &'a Resolved>) -> Result<()> {
    let mut names = BTreeSet::new();
    for resolved in all {
        if !names.insert(&resolved.plan.name) {
            let text = format!("two of the files are named `{}`", resolved.plan.name);
            return Err(Error::usage(text).hint("give each its own `name`"));
        }
    }
    Ok(())
}

/// Starts to listen to signals and, where asked, to standard input.
fn listen(args: &TrainArgs) -> Result<StopFlag> {
    let stop = StopFlag::new();
    stop.on_signals()?;
    let input = std::io::stdin();
    let piped = args.events.is_some() && !input.is_terminal();
    if args.exit_with_parent || piped {
        stop.on_lines(BufReader::new(input), args.exit_with_parent);
    }
    Ok(stop)
}

/// Results on standard output, or with events there, on standard error.
fn say(args: &TrainArgs, text: &str) -> Result<()> {
    if args.events.is_none() {
        return super::print(text);
    }
    if !args.quiet {
        eprint!("{text}");
    }
    Ok(())
}

/// Prints the plan and the shapes of every block.
fn dry_run(resolved: &Resolved, host: &dyn Host) -> Result<ExitCode> {
    let plan = &resolved.plan;
    let mut text = resolved.to_toml(false);
    if let Some(data) = host.dataset(&plan.data)? {
        text.push_str("\n# shapes of one sample\n");
        for shape in shapes::propagate(&plan.blocks, &data)? {
            let line = format!(
                "# {:<16} {:?} -> {:?}\n",
                shape.name, shape.input, shape.output
            );
            text.push_str(&line);
        }
    }
    super::print(&text)?;
    eprintln!("nothing trained: configuration, plugins, data and shapes are in order");
    Ok(ExitCode::Done)
}

/// One experiment of the command.
struct Session<'a> {
    args: &'a TrainArgs,
    config: &'a ConfigArgs,
    host: &'a dyn Host,
    device: DeviceRecord,
    stop: &'a StopFlag,
    root: PathBuf,
}

impl Session<'_> {
    /// Trains every seed: in the folder itself where there is one, else in
    /// `seed-N` folders below it, with a summary.
    fn all_seeds(&self, resolved: &Resolved) -> Result<(ExitCode, Vec<(u64, Metrics)>)> {
        let seeds = &resolved.plan.seeds;
        let mut runs: Vec<(u64, Metrics)> = Vec::new();
        for seed in seeds {
            let path = match seeds.as_slice() {
                [_] => self.root.clone(),
                _ => self.root.join(format!("seed-{seed}")),
            };
            match self.one_seed(&path, &resolved.with_seed(*seed))? {
                (ExitCode::Done, results) => runs.push((*seed, results)),
                (code, _) => return Ok((code, runs)),
            }
        }
        if seeds.len() > 1 {
            summary::write(&self.root, &runs)?;
        }
        self.say_results(&runs)?;
        Ok((ExitCode::Done, runs))
    }

    fn one_seed(&self, path: &Path, resolved: &Resolved) -> Result<(ExitCode, Metrics)> {
        let overrides = self.config.overrides();
        let mut folder = RunFolder::enter(path, resolved, &overrides, self.args.resume)?;
        let options = ReporterOptions {
            quiet: self.args.quiet,
            jsonl: self.args.events.is_some(),
            plain: self.args.plain,
        };
        if self.args.run_dir.is_none() {
            folder::link_latest(&self.root)?;
        }
        if folder.is_over() {
            return replay(&folder, options);
        }
        folder.record_use(&self.device, &self.host.plugins())?;
        let mut reporter = Reporter::open(&folder, options)?;
        reporter.note(&format!("run folder {}", path.display()));
        let result = self
            .host
            .train(&resolved.plan, &folder, &mut reporter, self.stop);
        finish(&mut folder, &mut reporter, result)
    }

    fn say_results(&self, runs: &[(u64, Metrics)]) -> Result<()> {
        let text = format!(
            "{}\nrun folder {}\n",
            summary::table(runs),
            self.root.display()
        );
        say(self.args, &text)
    }
}

/// Writes down how the run ended and says so; what it means for the process.
fn finish(
    folder: &mut RunFolder,
    reporter: &mut Reporter,
    result: Result<Outcome>,
) -> Result<(ExitCode, Metrics)> {
    match result {
        Ok(outcome) => {
            let (reason, code) = match outcome.stopped {
                None => ("finished", ExitCode::Done),
                Some(StopCause::Pruned) => ("pruned", ExitCode::Done),
                Some(StopCause::Signal | StopCause::Parent) => ("stopped", ExitCode::Stopped),
            };
            reporter.done(&outcome, reason, folder)?;
            folder.record_details(&outcome);
            folder.record_end(reason, &outcome.results)?;
            if let Some(best) = &outcome.best {
                reporter.note(&best.describe());
            }
            if code == ExitCode::Stopped {
                eprintln!(
                    "stopped after a checkpoint; go on with `--run-dir {}`",
                    folder.path().display()
                );
            }
            Ok((code, outcome.results))
        }
        Err(e) => {
            let reason = match e.code {
                ExitCode::Diverged => "diverged",
                _ => "failed",
            };
            // The error itself matters more than whether it could be noted.
            let _ = reporter.error(&e);
            let _ = folder.record_end(reason, &Metrics::new());
            Err(e)
        }
    }
}

/// A run that is over tells its events again and ends as it ended.
fn replay(folder: &RunFolder, options: ReporterOptions) -> Result<(ExitCode, Metrics)> {
    let quiet = ReporterOptions {
        quiet: true,
        ..options
    };
    let mut reporter = Reporter::open(folder, quiet)?;
    reporter.replay(folder)?;
    let record = folder.record();
    if record.exit_reason.as_deref() == Some("diverged") {
        let text = format!("the run in `{}` diverged earlier", folder.path().display());
        return Err(
            Error::new(ExitCode::Diverged, text).hint("choose another `--run-dir` for another try")
        );
    }
    if !options.quiet {
        eprintln!("nothing left to do in {}", folder.path().display());
    }
    Ok((ExitCode::Done, record.results.clone()))
}
