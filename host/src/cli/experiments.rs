//! Experiments one after the other, each with all its seeds. One that fails is noted and the
//! others run: a sweep over a night is worth what it has by the morning. Only a request to stop
//! ends the list.

pub(super) mod catalogue;
pub(super) mod side_by_side;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Host;
use crate::config::Resolved;
use crate::report::pictures;
use crate::run::extend;
use crate::run::folder::{self, Resume};
use crate::run::identity::DeviceRecord;
use crate::run::identity::Longer;
use crate::run::initial;
use crate::run::summary::{self, Experiment, Failure};
use crate::run::{Metrics, Outcome, Reporter, ReporterOptions, RunFolder, StopCause, StopFlag};
use crate::text::print;
use crate::train::Steps;
use crate::train::longer::Began;
use crate::train::preflight::Report;
use crate::{Error, ExitCode, Result};
pub use catalogue::ExperimentsCommand;

/// What all experiments of a command share.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Who is told.
    pub reporter: ReporterOptions,
    /// What to do where a folder holds a run already.
    pub resume: Resume,
    /// No table after each experiment: the command makes one of its own.
    pub no_tables: bool,
    /// A run that began with other builds of its plugins goes on all the same.
    pub accept_plugins: bool,
}

impl Options {
    /// Results on standard output, or with events there, on standard error.
    ///
    /// # Errors
    /// Standard output refuses.
    pub fn say(&self, text: &str) -> Result<()> {
        if !self.reporter.jsonl {
            return print(text);
        }
        if !self.reporter.quiet {
            tell!("{}", text.trim_end());
        }
        Ok(())
    }

    /// The results of an experiment in the folder `root`, where it has any and the command makes no
    /// table of its own.
    fn say_results(&self, done: &Experiment, root: &Path) -> Result<()> {
        if self.no_tables || done.runs.is_empty() {
            return Ok(());
        }
        let table = summary::table(&done.runs);
        self.say(&format!("{table}\nrun folder {}\n", root.display()))
    }
}

/// A checked experiment and where it runs.
pub struct Ready {
    /// Its plan.
    pub resolved: Resolved,
    /// Plugins, data and trainer.
    pub host: Rc<dyn Host>,
    /// What was typed, for the record.
    pub overrides: Vec<String>,
    /// Its folder; of several seeds, the folder of their folders.
    pub root: PathBuf,
    /// The folder that the same command takes with `--run-dir` to go on.
    pub again: PathBuf,
    /// The folder is a new one below `runs/NAME`, where `latest` is to point to it.
    pub fresh: bool,
    /// Kinds of step in place of the usual ones.
    pub steps: Option<Rc<dyn Steps>>,
}

impl Ready {
    /// The folder of one seed: that of the experiment where it has no other.
    #[must_use]
    pub fn folder_of(&self, seed: u64) -> PathBuf {
        match self.resolved.plan.seeds.as_slice() {
            [_] => self.root.clone(),
            _ => self.root.join(format!("seed-{seed}")),
        }
    }

    /// Looks at all that can be known before the first seed is trained: the device and, where
    /// something is left to train, initial weights, data, rules and memory. Nothing is made on the
    /// disk.
    ///
    /// # Errors
    /// What would end the training later.
    fn look(&self) -> Result<(DeviceRecord, Option<Report>)> {
        let plan = &self.resolved.plan;
        one_or_many(&self.root, plan.seeds.len())?;
        let device = self.host.device(plan)?;
        let every = |is: &dyn Fn(&Path) -> bool| plan.seeds.iter().all(|s| is(&self.folder_of(*s)));
        if every(&folder::has_ended) {
            return Ok((device, None));
        }
        if let Some(init) = &plan.init
            && !every(&folder::is_run)
        {
            initial::read(&init.from)?;
        }
        let report = self.host.inspect(plan)?;
        super::warn(&report.warnings);
        Ok((device, Some(report)))
    }
}

/// An experiment of the list: ready to run, or refused when its plan was checked.
pub struct Planned {
    /// Its name; of a refused one, that of its file.
    pub name: String,
    /// The experiment.
    pub ready: Result<Ready>,
}

/// What a list of experiments came to.
#[derive(Debug, Default)]
pub struct Ended {
    /// Every experiment that ran or was refused, in order.
    pub experiments: Vec<Experiment>,
    /// Why the list was left before its end; `None` where it was not.
    pub stopped: Option<StopCause>,
}

impl Ended {
    /// Names of the experiments with a failure.
    #[must_use]
    pub fn failed(&self) -> Vec<&str> {
        let failed = self.experiments.iter().filter(|e| !e.failures.is_empty());
        failed.map(|e| e.name.as_str()).collect()
    }

    /// Exit code: 75 for a stop that is to be taken up again, else that of the first failure.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        if matches!(self.stopped, Some(StopCause::Signal | StopCause::Parent)) {
            return ExitCode::Stopped;
        }
        let first = self.experiments.iter().find_map(|e| e.failures.first());
        first.map_or(ExitCode::Done, |failure| failure.error.code)
    }

    /// The code, or where something failed, the one error that stands for all that were told.
    ///
    /// # Errors
    /// The failure itself where it is the only experiment's only seed; else their number, with the
    /// code of the first.
    pub fn conclude(mut self) -> Result<ExitCode> {
        let code = self.code();
        if matches!(code, ExitCode::Done | ExitCode::Stopped) {
            return Ok(code);
        }
        if let [only] = self.experiments.as_mut_slice()
            && only.failures.len() == 1
            && only.failures[0].seed.is_none()
        {
            return Err(only.failures.remove(0).error);
        }
        let text = match self.experiments.as_slice() {
            [one] => {
                let seeds = one.failures.iter().filter_map(|f| f.seed);
                let seeds: Vec<String> = seeds.map(|s| format!("`{s}`")).collect();
                let all = one.runs.len() + one.failures.len();
                let (n, seeds) = (seeds.len(), seeds.join(", "));
                format!("{n} of {all} seeds failed: {seeds}")
            }
            all => {
                let failed = self.failed();
                let (n, all, names) = (failed.len(), all.len(), failed.join("`, `"));
                format!("{n} of {all} experiments failed: `{names}`")
            }
        };
        Err(Error::new(code, text).hint("each is told above, with what to do"))
    }
}

/// Trains `list` in order. Failures are told as they come, on standard error; what becomes of the
/// results of an experiment is told after it.
///
/// # Errors
/// Standard output refuses. A failure of an experiment is no error here: it is in the result.
pub fn run(list: Vec<Planned>, options: &Options, stop: &StopFlag) -> Result<Ended> {
    let mut ended = Ended::default();
    let alone = list.len() == 1;
    for Planned { name, ready } in list {
        let mut done = Experiment::new(&name);
        // The only failure of the only experiment is the error of the command.
        let told = |failure: &Failure| {
            if !alone || failure.seed.is_some() {
                tell!("error: {}", failure.within(&name));
            }
        };
        match ready {
            // Told when its plan was checked.
            Err(error) => {
                options.reporter.send_error(&error, &name);
                done.failures.push(Failure { seed: None, error });
            }
            Ok(ready) => {
                let at = Started {
                    ready,
                    options,
                    stop,
                    is_sent: Cell::new(false),
                };
                ended.stopped = at.all_seeds(&mut done, &told)?;
            }
        }
        // One that a stop kept from beginning is not on the list.
        if !(done.runs.is_empty() && done.failures.is_empty()) {
            ended.experiments.push(done);
        }
        if ended.stopped.is_some() {
            break;
        }
    }
    Ok(ended)
}

/// One experiment of the list.
struct Started<'a> {
    ready: Ready,
    options: &'a Options,
    stop: &'a StopFlag,
    /// The last error went out as an event of its run.
    is_sent: Cell<bool>,
}

impl Started<'_> {
    /// Trains every seed: in the folder itself where there is one, else in
    /// `seed-N` folders below it, with a summary.
    fn all_seeds(
        &self,
        done: &mut Experiment,
        tell: &dyn Fn(&Failure),
    ) -> Result<Option<StopCause>> {
        let seeds = &self.ready.resolved.plan.seeds;
        let root = &self.ready.root;
        let fail = |done: &mut Experiment, seed: Option<u64>, error: Error| {
            let failure = Failure { seed, error };
            if !self.is_sent.take() {
                self.options.reporter.send_error(&failure.error, &done.name);
            }
            tell(&failure);
            done.failures.push(failure);
        };
        let (device, warnings) = match self.ready.look() {
            Ok((device, report)) => (device, report.map_or_else(Vec::new, |r| r.warnings)),
            Err(e) => {
                fail(done, None, e);
                return Ok(None);
            }
        };
        let (mut stopped, mut refused) = (None, false);
        for seed in seeds {
            // Between two seeds nothing else looks at the flag.
            stopped = self.stop.cause();
            if stopped.is_some() {
                break;
            }
            let path = self.ready.folder_of(*seed);
            let mut resolved = self.ready.resolved.with_seed(*seed);
            warnings.iter().for_each(|text| resolved.warnings.add(text));
            let entered =
                RunFolder::enter(&path, &resolved, &self.ready.overrides, self.options.resume)
                    .and_then(|mut folder| Ok((self.extend(&mut folder, &resolved)?, folder)));
            let (longer, folder) = match entered {
                Ok(entered) => entered,
                // What is wrong with the settings is so for every seed.
                Err(e) if e.code == ExitCode::Usage => {
                    fail(done, None, e);
                    refused = true;
                    break;
                }
                Err(e) => {
                    fail(done, (seeds.len() > 1).then_some(*seed), e);
                    continue;
                }
            };
            match self.one_seed(folder, &device, &resolved, &longer) {
                Ok((None, results)) => done.runs.push((*seed, results)),
                Ok((cause, _)) => {
                    stopped = cause;
                    break;
                }
                Err(e) => fail(done, (seeds.len() > 1).then_some(*seed), e),
            }
        }
        // Under other settings, what is there stays as it is.
        if seeds.len() > 1 && !refused {
            let written = summary::write(root, done);
            written.unwrap_or_else(|e| fail(done, None, e));
        }
        self.ready.host.release();
        if stopped.is_none() {
            self.options.say_results(done, root)?;
        }
        Ok(stopped)
    }

    /// Results of one seed, or why it was stopped.
    fn one_seed(
        &self,
        mut folder: RunFolder,
        device: &DeviceRecord,
        resolved: &Resolved,
        longer: &[Longer],
    ) -> Result<(Option<StopCause>, Metrics)> {
        let options = self.options.reporter;
        let ready = &self.ready;
        if ready.fresh {
            folder::link_latest(&ready.root)?;
        }
        if folder.is_over() {
            let results = replay(&folder, options)?;
            let finished = folder.record().exit_reason.as_deref() == Some("finished");
            // A kill came between the end and the pictures, or an earlier version drew none.
            if finished && resolved.plan.output.pictures && !pictures::are_in(folder.path()) {
                pictures::draw(folder.path(), None)?;
            }
            return Ok((None, results));
        }
        folder.note_warnings(resolved.warnings.iter());
        if let Some(data) = ready.host.dataset(&resolved.plan.data)? {
            folder.note_shapes(&data)?;
        }
        let rules = ready.host.rules_used(&resolved.plan)?;
        let others = folder.same_rules(&rules, self.options.accept_plugins)?;
        folder.note_warnings(others.iter().map(String::as_str));
        let moves = folder.record_use(device, &ready.host.plugins(), rules)?;
        let crash = folder.take_crash();
        folder.record_data(ready.host.data(&resolved.plan)?)?;
        let mut reporter = Reporter::open(&folder, options)?;
        for text in &moves {
            reporter.warn("moved", text, None)?;
        }
        for text in &others {
            reporter.warn("plugins", text, None)?;
        }
        if let Some(text) = &crash {
            reporter.warn("crash", text, None)?;
        }
        reporter.note(&format!("run folder {}", folder.path().display()));
        reporter.extended(longer)?;
        for text in resolved.warnings.iter() {
            reporter.note_warning("plan", text, None)?;
        }
        let result = (ready.host).train(
            &resolved.plan,
            &folder,
            &mut reporter,
            self.stop,
            ready.steps.as_deref(),
        );
        self.is_sent.set(result.is_err());
        finish(&mut folder, &mut reporter, result, &ready.again)
    }
}

impl Started<'_> {
    /// Takes the folder over for more epochs, where that is what differs: the phases that get
    /// them.
    fn extend(&self, folder: &mut RunFolder, resolved: &Resolved) -> Result<Vec<Longer>> {
        let Some(extension) = folder.extension().cloned() else {
            return Ok(Vec::new());
        };
        if let Some((index, epochs, position)) = extension.began {
            let began = Began {
                phase: &resolved.plan.phases[index],
                epochs,
                position,
            };
            if let Some(why) = self.ready.host.what_differs(&resolved.plan, &began)? {
                let phase = format!("in phase `{}` {why}", began.phase.name);
                let path = folder.path().display();
                return Err(extend::refused(&phase).within(format_args!("run folder `{path}`")));
            }
        }
        folder.extend()?;
        Ok(extension.phases)
    }
}

/// Refuses a folder of one run for several seeds, and a folder of several for one run: tables would
/// show one of both.
fn one_or_many(root: &Path, seeds: usize) -> Result<()> {
    let record = |folder: &Path| folder.join("run.json").is_file();
    let path = root.display();
    if seeds > 1 && record(root) {
        return Err(Error::usage(format!(
            "`{path}` holds one run, and {seeds} seeds are asked for"
        ))
        .hint("choose another `--run-dir`, or give the seed of that run"));
    }
    let inside = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("seed-") && record(&entry.path())
    };
    let mut entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    if seeds == 1 && !record(root) && entries.any(inside) {
        return Err(Error::usage(format!(
            "`{path}` holds the runs of several seeds, and one is asked for"
        ))
        .hint("choose another `--run-dir`, such as one of its `seed-N`"));
    }
    Ok(())
}

/// Writes down how the run ended and says so; what it means for those after it.
fn finish(
    folder: &mut RunFolder,
    reporter: &mut Reporter,
    result: Result<Outcome>,
    again: &Path,
) -> Result<(Option<StopCause>, Metrics)> {
    folder.note_warnings(reporter.warnings().iter().map(String::as_str));
    match result {
        Ok(outcome) => {
            let reason = match outcome.stopped {
                None => "finished",
                Some(StopCause::Pruned) => "pruned",
                Some(StopCause::Signal | StopCause::Parent) => "stopped",
            };
            reporter.done(&outcome, reason, folder)?;
            folder.record_details(&outcome)?;
            folder.record_end(reason, &outcome.results)?;
            if reason == "finished" && folder.plan().output.pictures {
                draw(folder, reporter)?;
            }
            if let Some(best) = &outcome.best {
                reporter.note(&best.describe());
            }
            if reason == "stopped" {
                tell!(
                    "stopped; the same command with `--run-dir {}` goes on",
                    again.display()
                );
            }
            Ok((outcome.stopped, outcome.results))
        }
        Err(e) => {
            // The error itself matters more than whether it could be noted.
            let _ = reporter.error(&e);
            let _ = folder.record_failure(&e);
            Err(e)
        }
    }
}

/// Draws the run into its folder. What goes wrong is no reason to lose the run.
fn draw(folder: &RunFolder, reporter: &mut Reporter) -> Result<()> {
    let step = reporter.history().last().map_or(0, |e| e.step);
    match pictures::draw(folder.path(), Some((reporter, step))) {
        Ok(()) => Ok(()),
        Err(e) => reporter.warn("pictures", &format!("no pictures of the run: {e}"), None),
    }
}

/// A run that is over tells its events again and ends as it ended.
fn replay(folder: &RunFolder, options: ReporterOptions) -> Result<Metrics> {
    let quiet = ReporterOptions {
        quiet: true,
        ..options
    };
    let record = folder.record();
    // Of one that diverged there need not be any.
    if record.exit_reason.as_deref() != Some("diverged") {
        let path = folder.path().display();
        folder.checkpoints().check_last().map_err(|e| {
            let text = format!("the run in `{path}` has ended, but its weights are lost: {}", e.text);
            Error::new(e.code, text).hint(format!(
                "put a good copy in its place, or choose another `--run-dir` to train anew; its results are still in `biorule runs show {path}`"
            ))
        })?;
    }
    let mut reporter = Reporter::open(folder, quiet)?;
    reporter.replay(folder)?;
    if record.exit_reason.as_deref() == Some("diverged") {
        let why = (record.error.as_ref()).map_or(String::new(), |e| format!(": {}", e.text));
        let text = format!(
            "the run in `{}` diverged earlier{why}",
            folder.path().display()
        );
        return Err(
            Error::new(ExitCode::Diverged, text).hint("choose another `--run-dir` for another try")
        );
    }
    if !options.quiet {
        tell!("nothing left to do in {}", folder.path().display());
    }
    Ok(record.results.clone())
}
