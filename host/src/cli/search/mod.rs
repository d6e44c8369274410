//! `biorule search`: looks for a genotype. A strategy asks for evaluations, each of which is an
//! ordinary run in a folder of its own; it is a function of the seed and the answers, so that the same
//! command on the same folder goes on after any interruption: it asks again, and finds answered what
//! was answered.

mod check;
mod evaluate;
mod finals;
mod inside;
mod ledger;
mod rank;
mod report;
mod robust;
mod score;
mod spent;
mod supernet;
mod supernet_cost;
mod task;
mod training;
mod values;

use std::path::PathBuf;

use clap::Args;

use super::Open;
use super::experiments::Options;
use super::options::{ConfigArgs, warn_refused};
use crate::config;
use crate::config::shown::to_toml;
use crate::run::experiment::ExperimentRecord;
use crate::run::folder::{self, Resume};
use crate::run::search_folder::SearchRecord;
use crate::run::{ReporterOptions, SearchFolder, StopFlag};
use crate::search::evaluate::Table;
use crate::search::plan::EvaluatorPlan;
use crate::search::strategy::{Derived, Scene, Strategy};
use crate::text::print;
use crate::{Error, ExitCode, Result};
use check::check;
use inside::Inside;
use ledger::Ledger;
use task::Search;

/// Looks for a genotype.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule search configs/search/digits.toml
  biorule search configs/search/digits.toml --run-dir here
  biorule search configs/search/digits-darts.toml
  biorule search configs/search/digits.toml --set search.strategy=random --seed 3
  biorule search configs/search/digits-synflow.toml
  biorule search configs/search/digits-rank.toml --set search.rank.supernet=D/supernet
  biorule search configs/search/digits.toml --dry-run
  biorule train configs/search/digits.toml --genotype here

Ctrl-C stops after the current step with a checkpoint (exit code 75); the same
command with --run-dir goes on.")]
pub struct SearchArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// The search's folder; absent: a new one under `output.runs`
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,

    /// What to do where the folder holds a search already
    #[arg(long, value_enum, default_value_t)]
    resume: Resume,

    /// Go on with runs although the libraries of their rules are other builds than they began with
    #[arg(long)]
    accept_plugins: bool,

    /// Only warnings, errors and the result
    #[arg(long, short)]
    quiet: bool,

    /// Check everything that can be known before, and print the configuration; evaluate nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub(super) fn run(args: &SearchArgs, open: Open) -> Result<ExitCode> {
    if args.config.files.is_empty() && args.config.preset.is_empty() && args.config.sets.is_empty()
    {
        return Err(Error::usage("no configuration given")
            .hint("try `biorule search configs/search/digits.toml`"));
    }
    let (table, host) = args.config.open(open)?;
    warn_refused(&*host);
    let config = config::search(table, &*host)?;
    super::warn(config.warnings.iter());
    let scene = Scene {
        space: config.space.clone(),
        goals: config.plan.objectives.clone(),
        seed: config.seed,
    };
    // A supernet is trained first; what it derives is evaluated alone.
    let strategy = match config.plan.supernet {
        None => Some(config.plan.strategy.strategy(scene.clone())?),
        Some(_) => None,
    };
    let requests = strategy.as_ref().map_or(1, |s| s.requests());
    let (pattern, table) = match &config.plan.evaluator {
        EvaluatorPlan::Table { file } => {
            let table = Table::read(std::path::Path::new(file), &scene.goals)?;
            (None, Some(table))
        }
        _ => (Some(check(&config, &*host)?), None),
    };
    let inside = match (config.plan.supernet_run(), &pattern) {
        (Some(run), Some(pattern)) => Some(Inside::look(run, &config, pattern, &*host)?),
        _ => None,
    };
    let text = to_toml(&config.shown(pattern.as_ref()), false);
    if args.dry_run {
        host.release();
        print(&text)?;
        tell!(
            "nothing evaluated; looked at: space `{}` of {} candidates, 10^{:.1} architectures, {} evaluations",
            config.space.name,
            config.space.candidates.len(),
            config.space.size_log10(),
            requests
        );
        return Ok(ExitCode::Done);
    }
    let root = match &args.run_dir {
        Some(dir) => dir.clone(),
        None => folder::fresh_path(&config.runs, &config.name),
    };
    let stop = StopFlag::new();
    stop.on_signals()?;
    let mut record = SearchRecord::new(&config.name, config.seed, config.plan.clone());
    record.candidates = scene
        .space
        .candidates
        .iter()
        .map(ToString::to_string)
        .collect();
    record.size_log10 = scene.space.size_log10();
    record.requests = requests;
    if let Some(pattern) = &pattern {
        record.device = Some(host.device(&pattern.plan)?.name);
    }
    record.experiment =
        ExperimentRecord::of(config.experiment.as_ref(), args.config.origin().as_ref());
    record.plugins = host.plugins().iter().map(Into::into).collect();
    let overrides = args.config.overrides();
    let mut folder = SearchFolder::enter(&root, record, &text, &overrides, args.resume)?;
    if args.run_dir.is_none() {
        folder::link_latest(&root)?;
    }
    let search = Search {
        config: &config,
        host: host.into(),
        pattern,
        table,
        inside,
        overrides,
        options: Options {
            reporter: ReporterOptions {
                quiet: true,
                plain: true,
                jsonl: false,
            },
            resume: Resume::Auto,
            no_tables: true,
            accept_plugins: args.accept_plugins,
        },
        quiet: args.quiet,
        stop,
        scene,
        command: args.config.training_command(),
    };
    let ledger = Ledger::start(folder.path(), folder.record.starts)?;
    match search.whole(&mut folder, strategy.as_deref(), &ledger) {
        Ok(text) => {
            folder.record_state("finished", None)?;
            print(&text)?;
            Ok(ExitCode::Done)
        }
        Err(e) if e.code == ExitCode::Stopped => {
            folder.record_state("stopped", None)?;
            tell!("{}", e.text);
            Ok(ExitCode::Stopped)
        }
        Err(e) => {
            // The error itself matters more than whether it could be noted.
            let _ = folder.record_state("failed", Some(&e));
            Err(e)
        }
    }
}

impl Search<'_> {
    /// Searches, writes down what was found, trains what is to be compared; the last screen.
    fn whole(
        &self,
        folder: &mut SearchFolder,
        sampled: Option<&dyn Strategy>,
        ledger: &Ledger,
    ) -> Result<String> {
        let derived;
        let strategy = match (sampled, &self.config.plan.supernet) {
            (Some(sampled), _) => sampled,
            (None, Some(supernet)) => {
                let relaxed = self.config.plan.strategy.relaxed(supernet);
                let relaxed = relaxed.ok_or_else(|| Error::internal("a supernet for nothing"))?;
                let trained = folder::has_ended(&folder.path().join("supernet"));
                let mut meter = spent::Meter::start();
                let genotype = self.supernet(folder, (&relaxed, supernet))?;
                let used = meter.stop().filter(|_| !trained);
                let before = folder.record.cost.supernet;
                let plans = (&relaxed, supernet);
                let spent = self.supernet_spent(folder.path(), plans, used, before)?;
                folder.record.cost.add_supernet(spent);
                derived = Derived::new("the derived genotype", genotype);
                &derived
            }
            (None, None) => return Err(Error::internal("a search without a strategy")),
        };
        self.note(&format!(
            "search folder {}: {} of {} evaluations in space `{}` of {} candidates",
            folder.path().display(),
            strategy.name(),
            strategy.requests(),
            self.scene.space.name,
            self.scene.space.candidates.len()
        ));
        let found = self.ask(folder, strategy)?;
        report::write(folder, &found, &self.scene)?;
        let trained = self.finals(folder, &found.genotype)?;
        if let Some(record) = &mut folder.record.found {
            record.trained = trained;
        }
        let ranked = match &self.config.plan.rank {
            Some(plan) => format!("{}\n", self.rank(folder, &found, plan)?),
            None => String::new(),
        };
        let cost = &mut folder.record.cost;
        for process in ledger.all()? {
            let of = (
                process.seconds,
                process.cpu_seconds,
                process.peak_memory_mib,
            );
            cost.add_process(of);
        }
        folder.write()?;
        let screen = report::screen(folder, &found, &self.scene, &self.command);
        Ok(format!("{ranked}{screen}"))
    }
}
