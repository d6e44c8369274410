//! What became of the trials of a study, read from their run folders. Where a trial is given up is
//! found again from its epochs and those of earlier trials, so that it does not depend on how far a run
//! came before it heard of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::folder::{StudyFolder, TrialRecord};
use super::judge::Run;
use crate::Result;
use crate::run::identity::ErrorRecord;
use crate::sweep::plan::{Objective, Study};
use crate::sweep::pruner::{Earlier, given_up};
use crate::sweep::rank::{self, Outcome, Told};

/// Where a trial stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Chosen and not over.
    Open,
    /// Every seed ran to its end.
    Finished,
    /// Given up after this epoch.
    Pruned(u64),
    /// A seed diverged.
    Diverged(ErrorRecord),
    /// It cannot be trained.
    Failed(ErrorRecord),
}

impl State {
    /// Its word in tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Finished => "finished",
            Self::Pruned(_) => "pruned",
            Self::Diverged(_) => "diverged",
            Self::Failed(_) => "failed",
        }
    }

    /// Why it diverged or failed.
    #[must_use]
    pub fn error(&self) -> Option<&ErrorRecord> {
        match self {
            Self::Diverged(error) | Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

/// A trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it is.
    pub record: TrialRecord,
    /// Where it stands.
    pub state: State,
    /// As samplers and pruners hear of it; of an open one only its values and epochs so far count.
    pub told: Told,
    /// A value for each objective, for each seed that has ended.
    pub seeds: Vec<(u64, Vec<f64>)>,
    /// A value for each constraint, mean over the seeds.
    pub bounds: Vec<f64>,
    /// Wall time of its epochs, seconds.
    pub seconds: f64,
}

impl Entry {
    /// Values of the objectives, where it finished.
    #[must_use]
    pub fn values(&self) -> Option<&[f64]> {
        match &self.told.outcome {
            Outcome::Finished { values, .. } if self.state == State::Finished => Some(values),
            _ => None,
        }
    }

    /// How far it misses the bounds; 0 where it keeps them all.
    #[must_use]
    pub fn missed(&self) -> f64 {
        match &self.told.outcome {
            Outcome::Finished { missed, .. } => *missed,
            _ => f64::INFINITY,
        }
    }
}

/// All trials that were chosen.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<u64, Entry>,
    /// The first trials that are over, one after the other.
    told: Vec<Told>,
    /// Some of the first of these, as the pruner looks at them.
    earlier: RefCell<Earlier>,
}

impl Ledger {
    /// What lies in `folder`.
    ///
    /// # Errors
    /// Storage error for a damaged file.
    pub fn read(folder: &StudyFolder, study: &Study) -> Result<Self> {
        let mut ledger = Self::default();
        let root = folder.path().join("trials");
        let mut numbers: Vec<u64> = Vec::new();
        if root.is_dir() {
            let entries =
                std::fs::read_dir(&root).map_err(|e| crate::Error::storage_io(&root, &e))?;
            for entry in entries.flatten() {
                numbers.extend(
                    entry
                        .file_name()
                        .to_str()
                        .and_then(|n| n.parse::<u64>().ok()),
                );
            }
        }
        numbers.sort_unstable();
        for number in numbers {
            if let Some(record) = folder.record(number)? {
                ledger.look(folder, study, record)?;
            }
        }
        Ok(ledger)
    }

    /// Trials in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Trial `number`.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(&number)
    }

    /// The first trials that are over, up to one that is not.
    #[must_use]
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// Looks at the run folders of a trial; whether it is over.
    ///
    /// # Errors
    /// Storage error for a damaged file.
    pub fn look(
        &mut self,
        folder: &StudyFolder,
        study: &Study,
        record: TrialRecord,
    ) -> Result<bool> {
        let number = record.number;
        let entry = self.judge(folder, study, record)?;
        let over = entry.state != State::Open;
        self.entries.insert(number, entry);
        while let Some(next) = self.entries.get(&(self.told.len() as u64))
            && next.state != State::Open
        {
            self.told.push(next.told.clone());
        }
        Ok(over)
    }

    /// How many of the first trials decide where trial `number` is given up.
    #[must_use]
    pub fn before(study: &Study, number: u64) -> u64 {
        match study.prunes() {
            true => (number + 1).saturating_sub(study.parallel),
            false => 0,
        }
    }

    /// The epoch after which a trial with `curve` is given up, as far as that is known.
    #[must_use]
    pub fn given_up(
        &self,
        study: &Study,
        record: &TrialRecord,
        curve: &[(u64, f64)],
    ) -> Option<u64> {
        let before = Self::before(study, record.number) as usize;
        let direction = study.objectives.first()?.direction;
        if !study.prunes() || before > self.told.len() {
            return None;
        }
        let mut kept = self.earlier.borrow_mut();
        let mut fresh;
        let earlier = match kept.trials() <= before {
            true => &mut *kept,
            // One that began earlier is looked at after a later one.
            false => {
                fresh = Earlier::default();
                &mut fresh
            }
        };
        for told in &self.told[earlier.trials()..before] {
            earlier.add(&study.pruner, direction, &told.curve);
        }
        given_up(
            &study.pruner,
            direction,
            curve,
            earlier,
            record.counted.measured,
        )
    }

    fn judge(&self, folder: &StudyFolder, study: &Study, record: TrialRecord) -> Result<Entry> {
        let mut wanted: Vec<&str> = study.objectives.iter().map(|o| o.metric.as_str()).collect();
        wanted.extend(study.constraints.iter().map(|c| c.metric.as_str()));
        let values = study.space.read(&record.params).map_err(|e| {
            e.within(format_args!(
                "`{}`",
                folder.trial(record.number).join("trial.json").display()
            ))
        })?;
        let mut entry = Entry {
            state: State::Open,
            told: Told {
                values,
                outcome: Outcome::Failed,
                curve: Vec::new(),
            },
            seeds: Vec::new(),
            bounds: Vec::new(),
            seconds: 0.0,
            record,
        };
        if let Some(error) = folder.failure(entry.record.number)? {
            entry.state = State::Failed(error);
            return Ok(entry);
        }
        let mut runs = Vec::new();
        for (i, seed) in entry.record.seeds.clone().into_iter().enumerate() {
            let Some(run) = Run::read(&folder.run(entry.record.number, seed), &wanted)? else {
                continue;
            };
            entry.seconds += run.seconds;
            if i == 0
                && let Some(first) = study.objectives.first()
            {
                entry.told.curve = run.curve(&first.metric).to_vec();
                if let Some(epoch) = self.given_up(study, &entry.record, &entry.told.curve) {
                    let curve = &mut entry.told.curve;
                    curve.retain(|(e, _)| *e <= epoch);
                    let value = curve.last().map_or(f64::NAN, |(_, v)| *v);
                    entry.told.outcome = Outcome::Pruned { epoch, value };
                    entry.state = State::Pruned(epoch);
                    return Ok(entry);
                }
            }
            if run.reason.as_deref() == Some("diverged") {
                let error = run.error.unwrap_or_else(|| ErrorRecord {
                    code: crate::ExitCode::Diverged as u8,
                    text: "training diverged".to_owned(),
                    hint: None,
                });
                entry.state = State::Diverged(error);
                return Ok(entry);
            }
            if run.is_over() {
                runs.push((seed, run));
            }
        }
        let counted = entry.record.counted;
        for (seed, run) in &runs {
            let value = |o: &Objective| counted.get(&o.metric).or_else(|| run.objective(o));
            let values = study
                .objectives
                .iter()
                .map(|o| value(o).unwrap_or(f64::NAN));
            entry.seeds.push((*seed, values.collect()));
        }
        if runs.len() < entry.record.seeds.len() {
            return Ok(entry);
        }
        let bounds = study.constraints.iter().map(|c| {
            let value = |run: &Run| counted.get(&c.metric).or_else(|| run.value(&c.metric));
            let values = runs.iter().map(|(_, run)| value(run).unwrap_or(f64::NAN));
            values.sum::<f64>() / runs.len() as f64
        });
        entry.bounds = bounds.collect();
        let scores = study.objectives.iter().enumerate().map(|(i, o)| {
            let seeds: Vec<f64> = entry.seeds.iter().map(|(_, values)| values[i]).collect();
            rank::score(study.score, o.direction, &seeds)
        });
        entry.told.outcome = Outcome::Finished {
            values: scores.collect(),
            missed: rank::missed(&study.constraints, &entry.bounds),
        };
        entry.state = State::Finished;
        Ok(entry)
    }

    /// All trials, the best first.
    #[must_use]
    pub fn ranked(&self, study: &Study) -> Vec<&Entry> {
        let entries: Vec<&Entry> = self.entries().collect();
        let told: Vec<Told> = entries.iter().map(|e| e.told.clone()).collect();
        let order = rank::order(&study.objectives, &told).into_iter();
        order.map(|i| entries[i]).collect()
    }

    /// Finished trials that keep all bounds and that no other is better than: with one objective the
    /// best, the earlier of equal ones.
    #[must_use]
    pub fn best(&self, study: &Study) -> Vec<&Entry> {
        let finished: Vec<&Entry> = self.entries().filter(|e| e.values().is_some()).collect();
        let rows: Vec<(Vec<f64>, f64)> = finished
            .iter()
            .map(|e| (e.values().unwrap_or_default().to_vec(), e.missed()))
            .collect();
        let mut front = rank::front(&study.objectives, &rows);
        if study.objectives.len() == 1 {
            front.truncate(1);
        }
        front.into_iter().map(|i| finished[i]).collect()
    }
}
