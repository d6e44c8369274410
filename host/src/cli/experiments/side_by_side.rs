//! The same lists side by side: every seed of every experiment is a process of its own, several at a
//! time. Folders, results and the table are those of one after the other.

use std::ffi::OsString;

use super::{Ended, Options, Planned, Ready};
use crate::cli::warn::is_new;
use crate::fleet::{self, Display, Fleet, Outcome, Told, Trial};
use crate::run::folder::{self, Resume};
use crate::run::summary::{self, Experiment, Failure};
use crate::run::{StopCause, StopFlag};
use crate::text::human;
use crate::threads;
use crate::train::baseline;
use crate::train::preflight::Report;
use crate::{Error, ExitCode, Result};

/// Where a trial belongs.
struct Place {
    /// Index of its experiment.
    experiment: usize,
    seed: u64,
}

/// An experiment while its seeds run.
struct Sought {
    done: Experiment,
    /// `None` for one that was refused before.
    ready: Option<Ready>,
    /// Seeds that are not over.
    left: usize,
}

/// Trains `list`, `jobs` runs at a time. `words` of each are the command line behind `train` that
/// leads to its configuration.
///
/// # Errors
/// Standard output refuses, or all together take more memory than there is.
pub fn run(
    list: Vec<Planned>,
    words: &[Vec<OsString>],
    jobs: usize,
    options: &Options,
    stop: &StopFlag,
) -> Result<Ended> {
    let alone = list.len() == 1;
    let mut all: Vec<Sought> = Vec::new();
    let mut trials: Vec<(Place, Trial)> = Vec::new();
    let mut needs = Vec::new();
    for (index, Planned { name, ready }) in list.into_iter().enumerate() {
        let mut one = Sought {
            done: Experiment::new(&name),
            ready: None,
            left: 0,
        };
        let looked = ready.map_err(|e| (e, true));
        match looked.and_then(|ready| match ready.look() {
            Ok(looked) => Ok((ready, looked)),
            Err(e) => Err((e, false)),
        }) {
            Err((error, told)) => {
                let failure = Failure { seed: None, error };
                if !told && !alone {
                    tell!("error: {}", failure.within(&name));
                }
                options.reporter.send_error(&failure.error, &name);
                one.done.failures.push(failure);
            }
            Ok((ready, (device, report))) => {
                ready.host.release();
                if let Some(report) = report.filter(|_| device.name == "cpu") {
                    let seeds = ready.resolved.plan.seeds.len();
                    needs.extend(std::iter::repeat_n(report, seeds));
                }
                let seeds = ready.resolved.plan.seeds.clone();
                one.left = seeds.len();
                for seed in seeds {
                    let place = Place {
                        experiment: index,
                        seed,
                    };
                    trials.push((place, trial(&ready, &name, &words[index], seed)));
                }
                one.ready = Some(ready);
            }
        }
        all.push(one);
    }
    let jobs = jobs.min(trials.len()).max(1);
    fits(&needs, jobs)?;
    for one in all.iter().filter_map(|one| one.ready.as_ref()) {
        if one.fresh {
            std::fs::create_dir_all(&one.root).map_err(|e| Error::storage_io(&one.root, &e))?;
            folder::link_latest(&one.root)?;
        }
    }
    let given = |one: &Sought| {
        let ready = one.ready.as_ref();
        ready.is_some_and(|ready| ready.resolved.plan.threads > 0)
    };
    let fleet = fleet::Options {
        jobs,
        threads: (!all.iter().any(given)).then(|| fleet::share(threads::count(), jobs)),
        resume: match options.resume {
            Resume::Auto => "auto",
            Resume::Never => "never",
            Resume::Must => "must",
        },
    };
    let fleet = Fleet::new(fleet, stop)?;
    let mut watch = Watch {
        display: Display::new(
            trials.len(),
            jobs,
            options.reporter.quiet,
            options.reporter.plain || options.reporter.jsonl,
        ),
        options,
        alone,
    };
    let outcome = watch.all(fleet, trials, &mut all);
    watch.display.clear();
    let stopped_some = outcome?;
    let stopped = stop.cause().filter(|_| stopped_some);
    if let (Some(StopCause::Signal | StopCause::Parent), Some(ready)) =
        (stopped, all.iter().find_map(|one| one.ready.as_ref()))
    {
        let again = ready.again.display();
        tell!("stopped; the same command with `--run-dir {again}` goes on");
    }
    let mut ended = Ended {
        stopped,
        ..Ended::default()
    };
    for Sought { done, ready, .. } in all {
        if let Some(ready) = ready {
            options.say_results(&done, &ready.root)?;
        }
        // One that a stop kept from beginning is not on the list.
        if !(done.runs.is_empty() && done.failures.is_empty()) {
            ended.experiments.push(done);
        }
    }
    Ok(ended)
}

/// The trial of one seed.
fn trial(ready: &Ready, name: &str, words: &[OsString], seed: u64) -> Trial {
    let plan = &ready.resolved.plan;
    let path = ready.folder_of(seed);
    let mut all: Vec<OsString> = vec!["train".into()];
    all.extend(words.iter().cloned());
    all.push(format!("--seed={seed}").into());
    let label = match plan.seeds.as_slice() {
        [_] => name.to_owned(),
        _ => format!("{name}, seed {seed}"),
    };
    let segments = baseline::segments(plan);
    let phases = || segments.iter().flat_map(|segment| &segment.phases);
    // One that its stop rule ends has no number of epochs.
    let known = phases().all(|phase| phase.epochs > 0);
    let is_new = !folder::is_run(&path);
    Trial {
        epochs: match known {
            true => phases().map(|phase| phase.epochs).sum(),
            false => 0,
        },
        config_hash: is_new.then(|| ready.resolved.with_seed(seed).hash()),
        ..Trial::new(label, path, all)
    }
}

/// Refuses what takes more memory side by side than there is.
fn fits(needs: &[Report], jobs: usize) -> Result<()> {
    let Some(room) = needs.iter().find_map(|report| report.room.as_ref()) else {
        return Ok(());
    };
    let mut bytes: Vec<u128> = needs.iter().map(|report| report.need.total()).collect();
    bytes.sort_unstable_by(|a, b| b.cmp(a));
    let most = |jobs: usize| bytes.iter().take(jobs).sum::<u128>();
    let there = u128::from(room.bytes);
    if most(jobs) <= there {
        return Ok(());
    }
    let fits = (1..jobs).rev().find(|jobs| most(*jobs) <= there);
    let text = format!(
        "{jobs} runs side by side need at least {} of memory, there is {} ({})",
        human(most(jobs)),
        human(there),
        room.by
    );
    Err(Error::usage(text).hint(match fits {
        Some(jobs) => format!("`--jobs {jobs}` fits"),
        None => "one after the other they need less: leave `--jobs` out".to_owned(),
    }))
}

/// Who is told while the fleet is at work.
struct Watch<'a> {
    display: Display,
    options: &'a Options,
    alone: bool,
}

impl Watch<'_> {
    /// Runs every trial to its end; whether a stop left any.
    fn all(
        &mut self,
        mut fleet: Fleet,
        trials: Vec<(Place, Trial)>,
        all: &mut [Sought],
    ) -> Result<bool> {
        let mut places = Vec::new();
        for (place, trial) in trials {
            fleet.add(trial);
            places.push(place);
        }
        let mut stopped = false;
        while let Some(ended) = fleet.next(&mut |told| {
            self.hear(told);
            Ok(())
        })? {
            self.display.ended(&ended);
            let place = &places[ended.number];
            let one = &mut all[place.experiment];
            let seeds = one.seeds();
            match ended.outcome {
                Outcome::Stopped => {
                    stopped = true;
                    continue;
                }
                Outcome::Done { results, .. } => one.done.runs.push((place.seed, results)),
                Outcome::Failed(error) => {
                    let seed = (seeds.len() > 1).then_some(place.seed);
                    let failure = Failure { seed, error };
                    // The only failure of the only run is the error of the command.
                    if !self.alone || seed.is_some() {
                        let text = failure.within(&one.done.name);
                        self.display.line(&format!("error: {text}"));
                    }
                    one.done.failures.push(failure);
                }
            }
            one.left -= 1;
            if one.left == 0 {
                self.conclude(one, &seeds);
            }
        }
        Ok(stopped || !fleet.is_empty())
    }

    /// The summary of an experiment whose seeds are over.
    fn conclude(&self, one: &mut Sought, seeds: &[u64]) {
        let place = |seed: u64| seeds.iter().position(|s| *s == seed);
        one.done.runs.sort_by_key(|(seed, _)| place(*seed));
        one.done.failures.sort_by_key(|f| f.seed.map(place));
        let Some(ready) = one.ready.as_ref().filter(|_| seeds.len() > 1) else {
            return;
        };
        // Under other settings, what is there stays as it is.
        let refused = |f: &Failure| f.error.code == ExitCode::Usage;
        if one.done.failures.iter().any(refused) {
            return;
        }
        if let Err(error) = summary::write(&ready.root, &one.done) {
            let failure = Failure { seed: None, error };
            self.display
                .line(&format!("error: {}", failure.within(&one.done.name)));
            one.done.failures.push(failure);
        }
    }

    fn hear(&mut self, told: &Told<'_>) {
        if let Told::Event { event, .. } = told {
            self.options.reporter.forward(event);
            if event["event"] == "warn"
                && event["replayed"] != true
                && let Some(text) = event["text"].as_str()
                && is_new(text)
            {
                self.display.line(&format!("warning: {text}"));
                if let Some(hint) = event["hint"].as_str() {
                    self.display.line(&format!("hint: {hint}"));
                }
            }
        }
        self.display.hear(told);
    }
}

impl Sought {
    fn seeds(&self) -> Vec<u64> {
        let ready = self.ready.as_ref();
        ready.map_or_else(Vec::new, |ready| ready.resolved.plan.seeds.clone())
    }
}
