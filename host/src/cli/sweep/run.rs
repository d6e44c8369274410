//! `biorule sweep STUDY.toml`: runs the trials of a study, or plans them for others to run.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::show;
use crate::cli::options::warn_refused;
use crate::cli::warn::warn;
use crate::cli::{Open, plugin_folders};
use crate::config::study::{self, StudyConfig, StudySources};
use crate::config::{self, ENVIRONMENT};
use crate::fleet::{self, Display};
use crate::run::StopFlag;
use crate::run::folder as run_folder;
use crate::study::{Driver, Options, Seen, State, StudyFolder, TrialRecord, report};
use crate::sweep::plan::{SamplerPlan, Study};
use crate::text::{print, print_json};
use crate::threads;
use crate::{Error, ExitCode, Result};

/// Runs a study.
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// The study file
    #[arg(value_name = "STUDY")]
    study: Option<PathBuf>,

    /// The study's folder; absent: `sweep-NAME` under the configuration's `output.runs`
    #[arg(long, value_name = "DIR")]
    study_dir: Option<PathBuf>,

    /// Runs at a time; changes no result. Threads are shared out among them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,

    /// Set one value of the study, as `trials=20`, `sampler=tpe` or `config.data.limit_train=500`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,

    /// A program that chooses values, asked and told in JSON lines (docs/sweeps.md)
    #[arg(long, value_name = "COMMAND")]
    sampler: Option<String>,

    /// Choose up to N trials and print for each a JSON line with its command, for others to run; run
    /// nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    plan: Option<u64>,

    /// Threads of all runs together; absent: the cores there are. Changes no result
    #[arg(long, value_name = "N")]
    threads: Option<u32>,

    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    plugins: Vec<PathBuf>,

    /// Check everything that can be known before, and print the study; run nothing
    #[arg(long)]
    dry_run: bool,

    /// Only warnings, errors and the result
    #[arg(long, short)]
    quiet: bool,

    /// Plain lines instead of a progress bar, also on a terminal
    #[arg(long)]
    plain: bool,

    /// The result as JSON: the best trials
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &RunArgs, open: Open) -> Result<ExitCode> {
    let Some(file) = &args.study else {
        return Err(Error::usage("no study given").hint(
            "try `biorule sweep configs/sweep/digits.toml`; docs/sweeps.md says how to write one",
        ));
    };
    let read = study::read(&StudySources {
        file: file.clone(),
        sets: args.sets.clone(),
        sampler: args.sampler.clone(),
        environment: std::env::vars()
            .filter(|(name, _)| name.starts_with(ENVIRONMENT))
            .collect(),
    })?;
    let asked = match args.threads {
        Some(threads) => threads as usize,
        None => config::threads(&read.base)?,
    };
    warn(&threads::start(asked)?);
    let folders = config::plugin_folders(&read.base)?;
    let host = plugin_folders::open(open, &args.plugins, &folders)?;
    warn_refused(&*host);
    let runs = output_runs(&read.base);
    let config = study::study(read, &*host)?;
    host.release();
    warn(config.warnings.iter());
    let study = &config.study;
    if args.dry_run {
        print(&config.normal().to_string())?;
        tell!(
            "nothing run; looked at: {} parameters, both ends of each, {} trials by `{}`",
            study.space.parameters().len(),
            study.trials,
            sampler_word(study)
        );
        return Ok(ExitCode::Done);
    }
    let path = args
        .study_dir
        .clone()
        .unwrap_or_else(|| runs.join(format!("sweep-{}", study.name)));
    let folder = StudyFolder::enter(&path, &config)?;
    let mut driver = Driver::new(&folder, &config, &*host)?;
    if let Some(most) = args.plan {
        return plan(&mut driver, most, &folder, args);
    }
    let there = driver
        .ledger()
        .entries()
        .filter(|e| e.state != State::Open)
        .count();
    if !args.quiet {
        let word = match there {
            0 => String::new(),
            n => format!(", {n} are over already"),
        };
        tell!(
            "study {}: {} trials by `{}`{word}",
            path.display(),
            driver.total(),
            sampler_word(study)
        );
    }
    let stop = StopFlag::new();
    stop.on_signals_saying("stopping after this step of each run, with checkpoints")?;
    let jobs = usize::from(args.jobs);
    let options = Options {
        jobs,
        threads: Some(fleet::share(threads::count(), jobs)),
        plugins: args.plugins.clone(),
    };
    let mut watch = Watch::new(args, &config, driver.total() as usize, there);
    let stopped = driver.run(&options, &stop, &mut |seen| {
        watch.see(seen);
        Ok(())
    });
    watch.display.clear();
    // Also after an error: what is there is told.
    report::write(study, &folder, driver.ledger())?;
    if stopped? {
        let (over, total) = (driver.ledger().told().len(), driver.total());
        tell!("stopped with {over} of {total} trials over; the same command goes on");
        return Ok(ExitCode::Stopped);
    }
    result(args, &config, &folder, &driver)
}

/// Prints what was found.
fn result(
    args: &RunArgs,
    config: &StudyConfig,
    folder: &StudyFolder,
    driver: &Driver<'_>,
) -> Result<ExitCode> {
    let (study, ledger) = (&config.study, driver.ledger());
    let best = ledger.best(study);
    if args.json {
        let all = best.iter().map(|e| report::json(study, folder, e));
        print_json(&serde_json::Value::Array(all.collect()))?;
    } else if !best.is_empty() {
        let screen = show::screen(study, folder, &best);
        print(&format!(
            "{screen}study {}, {}\n",
            folder.path().display(),
            report::counts(ledger)
        ))?;
    }
    if !best.is_empty() {
        return Ok(ExitCode::Done);
    }
    let first = ledger.entries().find_map(|e| e.state.error());
    let counts = report::counts(ledger);
    let hint = format!(
        "`biorule sweep table {}` shows all",
        folder.path().display()
    );
    let text = format!("no trial has finished within all bounds ({counts})");
    match first {
        Some(error) => {
            let mut e = Error::from(error);
            e.text = format!("{text}; the first that failed: {}", e.text);
            Err(e.or_hint(hint))
        }
        None => Err(Error::usage(text).hint(hint)),
    }
}

/// Chooses trials and prints how each is run.
fn plan(
    driver: &mut Driver<'_>,
    most: u64,
    folder: &StudyFolder,
    args: &RunArgs,
) -> Result<ExitCode> {
    let open = driver.plan(most)?;
    let mut text = String::new();
    for TrialRecord {
        number,
        params,
        seeds,
        ..
    } in &open
    {
        for seed in seeds {
            let run = folder.run(*number, *seed);
            let mut command = vec![
                "biorule".to_owned(),
                "train".to_owned(),
                folder.config(*number).display().to_string(),
                format!("--seed={seed}"),
                "--run-dir".to_owned(),
                run.display().to_string(),
                "--resume".to_owned(),
                "auto".to_owned(),
            ];
            for folder in &args.plugins {
                command.push(format!("--plugins={}", folder.display()));
            }
            if run_folder::has_ended(&run) {
                continue;
            }
            let line = json!({"trial": number, "seed": seed, "run": run, "params": params, "command": command});
            text.push_str(&format!("{line}\n"));
        }
    }
    print(&text)?;
    if (open.len() as u64) < most {
        let chosen = driver.ledger().entries().count() as u64;
        tell!(
            "{} trials can be run now, {chosen} of {} are chosen{}",
            open.len(),
            driver.total(),
            match chosen < driver.total() {
                true => "; the next depend on the results of these: run them, then plan again",
                false => "",
            }
        );
    }
    Ok(ExitCode::Done)
}

fn sampler_word(study: &Study) -> &str {
    match &study.sampler {
        SamplerPlan::Command { command } => command,
        own => own.kind(),
    }
}

/// The parent of folders of runs that merged layers name.
fn output_runs(base: &config::Table) -> PathBuf {
    study::text_at(base, &["output", "runs"]).map_or_else(|| PathBuf::from("runs"), PathBuf::from)
}

/// Who is told on the way.
struct Watch<'a> {
    display: Display,
    config: &'a StudyConfig,
    quiet: bool,
}

impl<'a> Watch<'a> {
    fn new(args: &RunArgs, config: &'a StudyConfig, total: usize, there: usize) -> Self {
        let seeds = config.study.seeds.len().max(1);
        let left = total.saturating_sub(there) * seeds;
        Self {
            display: Display::new(left, usize::from(args.jobs), args.quiet, args.plain).brief(),
            config,
            quiet: args.quiet,
        }
    }

    fn see(&mut self, seen: &Seen<'_>) {
        match seen {
            Seen::Run(told) => self.display.hear(told),
            Seen::Ended(ended) => self.display.ended(ended),
            Seen::Over {
                entry,
                ledger,
                total,
            } => {
                let study = &self.config.study;
                let best = ledger.best(study);
                let number = entry.record.number;
                let line = report::line(study, entry);
                let is_best = best.iter().any(|e| e.record.number == number);
                let mark = match best.as_slice() {
                    _ if is_best && study.objectives.len() == 1 => ", the best so far".to_owned(),
                    _ if is_best => ", no other is better".to_owned(),
                    [one] => format!(
                        " (best {}, trial {})",
                        report::line(study, one),
                        one.record.number
                    ),
                    _ => String::new(),
                };
                let over = ledger.entries().filter(|e| e.state != State::Open).count();
                if !self.quiet {
                    self.display.line(&format!(
                        "trial {number}: {line}{mark}  ({over} of {total})"
                    ));
                }
            }
        }
    }
}
