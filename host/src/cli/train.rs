//! `biorule train`: checks everything, enters the run's folder, and trains.
//! The same command on the same folder goes on where it stopped, or replays
//! what is there.

use std::collections::BTreeSet;
use std::io::{BufReader, IsTerminal};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::experiments::{self, Ended, Options, Planned, Ready, side_by_side};
use super::options::ConfigArgs;
use super::{Host, Open};
use crate::config::{self, Resolved, Warnings, before_training, shapes};
use crate::run::folder::{self, Resume};
use crate::run::initial;
use crate::run::paired;
use crate::run::summary::{self, Experiment, Failure};
use crate::run::{ReporterOptions, StopFlag};
use crate::text::human;
use crate::text::print;
use crate::train::preflight::Report;
use crate::{Error, ExitCode, Result};

/// Trains a network.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule train configs/quickstart.toml
  biorule train base.toml mine.toml --set blocks.conv1.rule.lr=0.05 --seed 3
  biorule train configs/quickstart.toml --run-dir here --resume auto
  biorule train configs/quickstart.toml --dry-run
  biorule train configs/quickstart.toml --init-from runs/pretrained/latest
  biorule train configs/quickstart.toml --run-dir here --set training.gradient.epochs=20
  biorule train mine.toml --genotype runs/search/genotype.json
  biorule train --genotype DARTS_V2 --set data=cifar10 --dry-run
  biorule train configs/quickstart.toml --seeds 4 --jobs 2
  biorule train --each configs/reproduce/bioflax/*.toml --jobs 4
  BIORULE__TRAINING__GRADIENT__EPOCHS=2 biorule train configs/quickstart.toml

Ctrl-C stops after the current step with a checkpoint (exit code 75); the same
command with --run-dir goes on. A second Ctrl-C ends at once.")]
pub struct TrainArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Train each file as an experiment of its own and compare the results
    #[arg(long)]
    each: bool,

    /// Train with several seeds: a number of them from 0 (`4`), or a list (`0,5,7`); each has a folder
    /// `seed-N`, and `summary.json` has the mean
    #[arg(long, value_name = "N|LIST", value_parser = seeds, conflicts_with = "seed")]
    seeds: Option<Seeds>,

    /// Runs at a time, each a process of its own that shares out the threads (`--threads` is of each):
    /// the seeds, and with `--each` the experiments
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,

    /// The run's folder (with `--each`: of a folder for each experiment, by its name); absent: a
    /// new one under `output.runs`
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,

    /// What to do where the folder holds a run already
    #[arg(long, value_enum, default_value_t)]
    resume: Resume,

    /// Go on with a run although the libraries of its rules are other builds than it began with
    #[arg(long)]
    accept_plugins: bool,

    /// Refuse other libraries than those of the lock beside the configuration (`rules lock`)
    #[arg(long)]
    locked: bool,

    /// Only warnings and errors on standard error
    #[arg(long, short)]
    quiet: bool,

    /// Events as JSON lines on standard output
    #[arg(long, value_enum, value_name = "FORMAT")]
    events: Option<Events>,

    /// Plain lines instead of a progress bar, also on a terminal
    #[arg(long)]
    plain: bool,

    /// Check configuration, rules, data (read to the end), shapes, batches, losses and memory, and
    /// print the plan; train nothing
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

/// Seeds as typed, so that a list is one value of the command line.
#[derive(Clone, Debug)]
struct Seeds(Vec<u64>);

/// Reads `4` as 0 to 3, and `0,5,7` as it stands.
fn seeds(text: &str) -> Result<Seeds, String> {
    let list: Result<Vec<u64>, String> = (text.split(',').filter(|part| !part.trim().is_empty()))
        .map(config::whole_text)
        .collect();
    let list = list.map_err(|e| format!("{e}, or several with commas between"))?;
    match list.as_slice() {
        [] | [0] if !text.contains(',') => {
            Err("expected 1 or more seeds, such as `4` or `0,5,7`".into())
        }
        [n] if !text.contains(',') && *n > 10_000 => Err(format!(
            "expected at most 10000 seeds; `--seed {n}` trains with one"
        )),
        [n] if !text.contains(',') => Ok(Seeds((0..*n).collect())),
        _ => Ok(Seeds(list)),
    }
}

/// Whether a command line that could not be read asks for events.
pub(super) fn wants_events(words: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let words: Vec<_> = words.collect();
    let trains = words.iter().skip(1).any(|word| word == "train");
    let pair = |two: &[std::ffi::OsString]| two[0] == "--events" && two[1] == "jsonl";
    trains && (words.windows(2).any(pair) || words.iter().any(|word| word == "--events=jsonl"))
}

/// Tells listeners of a command line that could not be read.
pub(super) fn send_usage_error(e: &clap::Error) {
    let text = e.to_string();
    let mut paragraphs = text.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let first = first
        .trim_start_matches("error: ")
        .trim()
        .replace('\n', " ");
    let error = Error::usage(first).hint("`biorule train --help` shows the flags");
    let options = ReporterOptions {
        jsonl: true,
        ..ReporterOptions::default()
    };
    options.send_error(&error, "");
}

/// Runs the command.
pub(super) fn run(args: &TrainArgs, open: Open) -> Result<ExitCode> {
    let options = Options {
        reporter: ReporterOptions {
            quiet: args.quiet,
            jsonl: args.events.is_some(),
            plain: args.plain,
        },
        resume: args.resume,
        no_tables: false,
        accept_plugins: args.accept_plugins,
    };
    // Before there is a run, nobody else tells those who listen to events.
    let configs = configs(args);
    let list = plan_or_refuse(args, &configs, open)
        .inspect_err(|e| options.reporter.send_error(e, &file_name(&args.config)))?;
    if args.dry_run {
        return dry_run(list, &options);
    }
    let stop =
        listen(args).inspect_err(|e| options.reporter.send_error(e, &file_name(&args.config)))?;
    let runs = list.iter().map(|one| match &one.ready {
        Ok(ready) => ready.resolved.plan.seeds.len(),
        Err(_) => 0,
    });
    let runs: usize = runs.sum();
    if args.jobs > 1 && runs == 1 {
        super::warn::warn_once("`--jobs` has no effect: there is one run");
    }
    let ended = match args.jobs {
        jobs if jobs > 1 && runs > 1 => {
            let mut words: Vec<_> = configs.iter().map(ConfigArgs::words).collect();
            if args.accept_plugins {
                words
                    .iter_mut()
                    .for_each(|w| w.push("--accept-plugins".into()));
            }
            side_by_side::run(list, &words, jobs.into(), &options, &stop)
                .inspect_err(|e| options.reporter.send_error(e, &file_name(&args.config)))?
        }
        _ => experiments::run(list, &options, &stop)?,
    };
    if args.each && !ended.experiments.is_empty() {
        let reference = summary::best(&ended.experiments);
        options.say(&paired::side_by_side(&ended.experiments, reference))?;
        if let Some(folder) = args.run_dir.as_ref().filter(|folder| folder.is_dir()) {
            summary::write_all(folder, &ended.experiments)?;
        }
    }
    ended.conclude()
}

/// The experiments of the command; a command without any is refused.
fn plan_or_refuse(args: &TrainArgs, configs: &[ConfigArgs], open: Open) -> Result<Vec<Planned>> {
    let named = !args.config.files.is_empty() || !args.config.preset.is_empty();
    if !named && args.config.genotype.is_none() {
        return Err(Error::usage("no configuration given").hint(
            "try `biorule quickstart`, `biorule train configs/quickstart.toml`, or `--preset NAME`",
        ));
    }
    plan(args, configs, open)
}

/// The flags of each experiment.
fn configs(args: &TrainArgs) -> Vec<ConfigArgs> {
    let config = ConfigArgs {
        seeds: args.seeds.clone().map_or_else(Vec::new, |seeds| seeds.0),
        ..args.config.clone()
    };
    match args.each {
        true => separate(&config),
        false => vec![config],
    }
}

/// The experiments of the command, each checked. One of `--each` that is refused is told and stays
/// in the list, so that the others run and the table names it.
fn plan(args: &TrainArgs, configs: &[ConfigArgs], open: Open) -> Result<Vec<Planned>> {
    let mut list = Vec::new();
    for config in configs {
        let checked = config.resolve(open).and_then(|(mut resolved, host)| {
            let mut warnings = Warnings::default();
            if args.locked {
                super::rules::lock::hold(config, &resolved.plan, &*host)?;
            }
            before_training(&resolved.plan, &*host, &mut warnings)?;
            super::warn::warn(warnings.iter());
            warnings.iter().for_each(|text| resolved.warnings.add(text));
            Ok((resolved, host))
        });
        let (name, ready) = match checked {
            Ok((resolved, host)) => {
                // Sets that were drawn to know their shape: many experiments need not hold all.
                if args.each {
                    host.release();
                }
                let (plan, name) = (&resolved.plan, resolved.plan.name.clone());
                let root = match &args.run_dir {
                    Some(dir) if args.each => dir.join(&name),
                    Some(dir) => dir.clone(),
                    None => folder::fresh_path(&plan.output.runs, &name),
                };
                let ready = Ready {
                    host: host.into(),
                    overrides: config.overrides(),
                    again: args.run_dir.clone().unwrap_or_else(|| root.clone()),
                    root,
                    fresh: args.run_dir.is_none(),
                    steps: None,
                    resolved,
                };
                (name, Ok(ready))
            }
            Err(e) if args.each => {
                let name = file_name(config);
                if args.config.files.len() > 1 {
                    tell!("error: {name}: {e}");
                }
                (name, Err(e))
            }
            Err(e) => return Err(e),
        };
        list.push(Planned { name, ready });
    }
    one_name_each(&list)?;
    Ok(list)
}

/// The name of an experiment whose plan is not known: that of its file or preset.
fn file_name(config: &ConfigArgs) -> String {
    let stem = config.files.last().and_then(|file| file.file_stem());
    match stem {
        Some(stem) => stem.to_string_lossy().into_owned(),
        None => config.preset.join(", "),
    }
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
fn one_name_each(list: &[Planned]) -> Result<()> {
    let mut names = BTreeSet::new();
    for Planned { name, ready } in list {
        if ready.is_ok() && !names.insert(name) {
            let text = format!("two of the files are named `{name}`");
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

/// Prints plan and shapes of every experiment.
fn dry_run(list: Vec<Planned>, options: &Options) -> Result<ExitCode> {
    let mut ended = Ended::default();
    let alone = list.len() == 1;
    for Planned { name, ready } in list {
        let mut one = Experiment::new(&name);
        let shown = match ready {
            Err(e) => Err(e),
            Ok(ready) => show_plan(&ready.resolved, &*ready.host).inspect_err(|e| {
                if !alone {
                    tell!("error: {name}: {e}");
                }
            }),
        };
        if let Err(error) = shown {
            options.reporter.send_error(&error, &name);
            one.failures.push(Failure { seed: None, error });
        }
        ended.experiments.push(one);
    }
    ended.conclude()
}

/// Looks at all that can be known before training, and prints the plan, the shapes of every block
/// and the memory that the run takes.
fn show_plan(resolved: &Resolved, host: &dyn Host) -> Result<()> {
    let plan = &resolved.plan;
    if let Some(from) = plan.init.as_ref().map(|init| &init.from) {
        initial::read(from)?;
    }
    let report = host.inspect(plan)?;
    super::warn(&report.warnings);
    host.device(plan)?;
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
    text.push_str(&memory(&report));
    print(&text)?;
    host.release();
    tell!(
        "nothing trained; looked at, and in order: {}",
        report.looked_at()
    );
    Ok(())
}

/// The memory that a run takes when it takes most, as comments.
fn memory(report: &Report) -> String {
    let need = &report.need;
    let mut text = format!("\n# memory, at least, in phase {}\n", need.phase);
    let mut row = |what: &str, size: String| {
        text.push_str(&format!("# {what:<28} {size:>10}\n"));
    };
    for used in &need.rows {
        row(used.what, human(used.bytes));
    }
    row("all", human(need.total()));
    match &report.room {
        Some(room) => row(
            "there is",
            format!("{} ({})", human(room.bytes.into()), room.by),
        ),
        None => row("there is", "not known on this system".to_owned()),
    }
    text
}
