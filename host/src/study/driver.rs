//! Starts trials as soon as what they depend on is known, gives them up where the pruner says so, and
//! ends when all are over. It keeps nothing that the folder does not say: started again after any
//! kill, it finds the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use super::folder::{Given, StudyFolder, TrialRecord};
use super::judge::Run;
use super::ledger::{Entry, Ledger, State};
use super::program::Program;
use crate::config::study::{Counted, StudyConfig};
use crate::config::{self, ENVIRONMENT, PlanContext};
use crate::fleet::{self, Ended, Fleet, Outcome, Told as Heard, Trial};
use crate::run::StopFlag;
use crate::sweep::Assignment;
use crate::sweep::plan::SamplerPlan;
use crate::sweep::sampler::{Past, Sampler, own};
use crate::{Error, ExitCode, Result};

/// Starts of a run that is killed or has a defect, after those of the fleet.
const ROUNDS: u32 = 3;

/// Time before a run folder that another process holds is tried again.
const WAIT: Duration = Duration::from_millis(500);

/// How trials are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs at a time.
    pub jobs: usize,
    /// Threads of each; `None` where the configuration says how many.
    pub threads: Option<usize>,
    /// Folders with plugins for the runs.
    pub plugins: Vec<PathBuf>,
}

/// What is told on the way.
pub enum Seen<'a> {
    /// What the fleet tells.
    Run(&'a Heard<'a>),
    /// A run is over.
    Ended(&'a Ended),
    /// A trial is over; of how many, and whether it was before this start.
    Over {
        /// The trial.
        entry: &'a Entry,
        /// All trials so far.
        ledger: &'a Ledger,
        /// Trials there are to be.
        total: u64,
    },
}

/// A run that the fleet has.
struct Job {
    trial: u64,
    /// The run of the first seed, by which the trial is given up.
    first: bool,
    rounds: u32,
}

/// The driver of a study.
pub struct Driver<'a> {
    folder: &'a StudyFolder,
    config: &'a StudyConfig,
    context: &'a dyn PlanContext,
    sampler: Box<dyn Sampler>,
    ledger: Ledger,
    total: u64,
    given: Given,
    /// The first number that nobody has chosen yet.
    next: u64,
    /// Where the sampler has no more.
    done: bool,
}

impl<'a> Driver<'a> {
    /// Of the study in `folder`, which is entered.
    ///
    /// # Errors
    /// Storage error for damaged files; those of a sampler that is a program.
    pub fn new(
        folder: &'a StudyFolder,
        config: &'a StudyConfig,
        context: &'a dyn PlanContext,
    ) -> Result<Self> {
        let sampler: Box<dyn Sampler> = match &config.study.sampler {
            SamplerPlan::Command { command } => Box::new(Program::start(command, config)?),
            _ => own(&config.study)?,
        };
        let (total, given) = folder.total(config.study.trials)?;
        Ok(Self {
            folder,
            config,
            context,
            sampler,
            ledger: Ledger::read(folder, &config.study)?,
            total,
            given,
            next: 0,
            done: false,
        })
    }

    /// All trials so far.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Trials there are to be.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether trial `number` can be chosen: what it depends on is over.
    fn is_ready(&self, number: u64) -> bool {
        let sampler = match self.given.contains_key(&number) {
            true => 0,
            false => self.sampler.needs(number),
        };
        let needs = sampler.max(Ledger::before(&self.config.study, number));
        self.ledger.told().len() as u64 >= needs
    }

    /// The values of trial `number` and who chose them.
    fn choose(&mut self, number: u64) -> Result<Option<(String, Assignment)>> {
        let space = &self.config.study.space;
        if let Some(params) = self.given.get(&number) {
            return Ok(Some(("added".to_owned(), space.read(params)?)));
        }
        let needs = self.sampler.needs(number);
        let mut pending = Vec::new();
        for n in needs..number {
            if let Some(entry) = self.ledger.get(n) {
                pending.push(entry.told.values.clone());
            }
        }
        let past = Past {
            told: &self.ledger.told()[..needs as usize],
            pending: &pending,
        };
        let values = self.sampler.ask(number, &past)?;
        Ok(values.map(|values| (self.config.study.sampler.kind().to_owned(), values)))
    }

    /// Chooses trial `number` and writes down what it is, where nobody has; whether it is open. `None`
    /// where the sampler has no more.
    ///
    /// # Errors
    /// Those of the sampler, the disk, data and plugins. A configuration that is refused makes a trial
    /// that failed.
    fn make(&mut self, number: u64) -> Result<Option<bool>> {
        if let Some(entry) = self.ledger.get(number) {
            return Ok(Some(entry.state == State::Open));
        }
        let Some((by, values)) = self.choose(number)? else {
            return Ok(None);
        };
        let study = &self.config.study;
        let mut record = TrialRecord {
            number,
            by,
            params: study.space.to_json(&values),
            seeds: study.seeds.clone(),
            counted: Counted::default(),
        };
        let looked = self
            .config
            .resolve(&values, self.context)
            .and_then(|resolved| {
                let counted = Counted::of(&resolved.plan, study, self.context)?;
                Ok((resolved.plan.seeds.clone(), counted))
            });
        match looked {
            Ok((seeds, counted)) => {
                (record.seeds, record.counted) = (seeds, counted);
                let text = config::study::text(self.config.trial(&values)?);
                self.folder.put(&record, Some(&text))?;
            }
            Err(e) if e.code == ExitCode::Usage => {
                self.folder.put(&record, None)?;
                self.folder.put_failure(number, &e)?;
            }
            Err(e) => return Err(e),
        }
        let over = self.ledger.look(self.folder, study, record)?;
        Ok(Some(!over))
    }

    /// Chooses up to `most` trials that are not over without running them; those that can be run, by
    /// number.
    ///
    /// # Errors
    /// As for a run.
    pub fn plan(&mut self, most: u64) -> Result<Vec<TrialRecord>> {
        let mut open = Vec::new();
        for number in 0..self.total {
            if open.len() as u64 >= most {
                break;
            }
            if self.ledger.get(number).is_none() && !self.is_ready(number) {
                break;
            }
            match self.make(number)? {
                None => break,
                Some(true) => {
                    open.extend(self.ledger.get(number).map(|e| e.record.clone()));
                }
                Some(false) => {}
            }
        }
        Ok(open)
    }

    /// Runs all trials; whether a stop left some. `see` hears what happens.
    ///
    /// # Errors
    /// What ends every run (data, plugins, the disk), and those of the sampler and of `see`.
    pub fn run(
        &mut self,
        options: &Options,
        stop: &StopFlag,
        see: &mut dyn FnMut(&Seen<'_>) -> Result<()>,
    ) -> Result<bool> {
        let fleet = fleet::Options {
            jobs: options.jobs,
            threads: options.threads,
            resume: "auto",
        };
        let mut fleet = Fleet::new(fleet, stop)?;
        let mut jobs: BTreeMap<usize, Job> = BTreeMap::new();
        let mut told = BTreeSet::new();
        let pruner = fleet.pruner();
        loop {
            self.fill(&mut fleet, &mut jobs, options, see)?;
            let ended = fleet.next(&mut |heard| {
                see(&Seen::Run(heard))?;
                if let Heard::Event { number, event } = heard
                    && let Some(job) = jobs.get(number).filter(|job| job.first)
                    && self.gives_up(job.trial, event)
                    && told.insert(*number)
                {
                    pruner.prune(*number);
                }
                Ok(())
            })?;
            let Some(ended) = ended else {
                return Ok(stop.stopped());
            };
            see(&Seen::Ended(&ended))?;
            let Some(job) = jobs.remove(&ended.number) else {
                continue;
            };
            self.end(job, ended, &mut fleet, &mut jobs, options, see)?;
        }
    }

    /// Starts what can be started.
    fn fill(
        &mut self,
        fleet: &mut Fleet,
        jobs: &mut BTreeMap<usize, Job>,
        options: &Options,
        see: &mut dyn FnMut(&Seen<'_>) -> Result<()>,
    ) -> Result<()> {
        while fleet.len() < options.jobs.max(1)
            && !self.done
            && self.next < self.total
            && self.is_ready(self.next)
        {
            let number = self.next;
            match self.make(number)? {
                None => {
                    self.done = true;
                    self.total = number;
                }
                Some(open) => {
                    self.next += 1;
                    if open {
                        self.start((number, 0), fleet, jobs, options);
                    } else {
                        self.tell(number, see)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn tell(&self, number: u64, see: &mut dyn FnMut(&Seen<'_>) -> Result<()>) -> Result<()> {
        let Some(entry) = self.ledger.get(number) else {
            return Ok(());
        };
        see(&Seen::Over {
            entry,
            ledger: &self.ledger,
            total: self.total,
        })
    }

    /// Gives the fleet the runs of trial `number` that are not over, of its seeds from place `from` on:
    /// with a pruner the first seed alone, until it is.
    fn start(
        &self,
        (number, from): (u64, usize),
        fleet: &mut Fleet,
        jobs: &mut BTreeMap<usize, Job>,
        options: &Options,
    ) {
        let Some(entry) = self.ledger.get(number) else {
            return;
        };
        let over = |seed: &u64| entry.seeds.iter().any(|(s, _)| s == seed);
        let seeds = entry.record.seeds.iter().enumerate().skip(from);
        for (i, seed) in seeds.filter(|(_, seed)| !over(seed)) {
            let trial = self.trial(&entry.record, *seed, options);
            let job = Job {
                trial: number,
                first: i == 0,
                rounds: 1,
            };
            jobs.insert(fleet.add(trial), job);
            if i == 0 && self.config.study.prunes() {
                break;
            }
        }
    }

    /// The run of one seed.
    fn trial(&self, record: &TrialRecord, seed: u64, options: &Options) -> Trial {
        let number = record.number;
        let mut words = vec!["train".into(), self.folder.config(number).into_os_string()];
        words.push(format!("--seed={seed}").into());
        for folder in &options.plugins {
            let mut word = std::ffi::OsString::from("--plugins=");
            word.push(folder);
            words.push(word);
        }
        let label = match record.seeds.len() {
            1 => format!("trial {number}"),
            _ => format!("trial {number}, seed {seed}"),
        };
        // What settings in the environment set is in the trial's configuration: they are taken away.
        let names = std::env::vars().map(|(name, _)| name);
        let set = names.filter(|name| name.starts_with(ENVIRONMENT));
        let mut variables: Vec<(String, String)> = set.map(|name| (name, String::new())).collect();
        variables.push((
            "BIORULE_TRIAL_ID".to_owned(),
            format!("{}-{number}", self.config.study.name),
        ));
        Trial {
            epochs: record.counted.epochs.unwrap_or(0),
            variables,
            ..Trial::new(label, self.folder.run(number, seed), words)
        }
    }

    /// Whether a trial is given up by the epochs that its first seed has had; looked at after each.
    fn gives_up(&self, number: u64, event: &Json) -> bool {
        let study = &self.config.study;
        if !study.prunes() || event["event"] != "epoch" || event["segment"] != "network" {
            return false;
        }
        let (Some(first), Some(entry)) = (study.objectives.first(), self.ledger.get(number)) else {
            return false;
        };
        let Some(seed) = entry.record.seeds.first() else {
            return false;
        };
        // What cannot be read now is read at the end.
        let run = Run::read(&self.folder.run(number, *seed), &[first.metric.as_str()]);
        let Ok(Some(run)) = run else {
            return false;
        };
        let curve = run.curve(&first.metric);
        self.ledger.given_up(study, &entry.record, curve).is_some()
    }

    /// Takes in the end of a run.
    fn end(
        &mut self,
        job: Job,
        ended: Ended,
        fleet: &mut Fleet,
        jobs: &mut BTreeMap<usize, Job>,
        options: &Options,
        see: &mut dyn FnMut(&Seen<'_>) -> Result<()>,
    ) -> Result<()> {
        let again = |job: Job, fleet: &mut Fleet, jobs: &mut BTreeMap<usize, Job>| {
            let job = Job {
                rounds: job.rounds + 1,
                ..job
            };
            jobs.insert(fleet.add(ended.trial.clone()), job);
        };
        match &ended.outcome {
            Outcome::Stopped => return Ok(()),
            Outcome::Done { .. } => {}
            Outcome::Failed(e) => match e.code {
                ExitCode::Diverged => {}
                ExitCode::Locked => {
                    // A run that outlived its driver ends soon.
                    std::thread::sleep(WAIT);
                    again(Job { rounds: 0, ..job }, fleet, jobs);
                    return Ok(());
                }
                ExitCode::Stopped => {
                    again(Job { rounds: 0, ..job }, fleet, jobs);
                    return Ok(());
                }
                ExitCode::Internal if job.rounds < ROUNDS => {
                    again(job, fleet, jobs);
                    return Ok(());
                }
                ExitCode::Usage | ExitCode::Internal => {
                    self.folder.put_failure(job.trial, e)?;
                }
                ExitCode::Data | ExitCode::Plugin | ExitCode::Storage | ExitCode::Done => {
                    let mut error = Error::new(e.code, e.text.clone());
                    error.hint.clone_from(&e.hint);
                    return Err(error.within(&ended.trial.label));
                }
            },
        }
        let Some(record) = self.ledger.get(job.trial).map(|e| e.record.clone()) else {
            return Ok(());
        };
        let number = record.number;
        let over = self.ledger.look(self.folder, &self.config.study, record)?;
        if over {
            let left: Vec<usize> = jobs
                .iter()
                .filter(|(_, j)| j.trial == number)
                .map(|(n, _)| *n)
                .collect();
            // Other seeds of one that diverged or failed.
            left.iter().for_each(|n| fleet.prune(*n));
            return self.tell(number, see);
        }
        if job.first && self.config.study.prunes() {
            // It was not given up: the other seeds.
            self.start((number, 1), fleet, jobs, options);
        }
        Ok(())
    }
}
