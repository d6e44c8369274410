//! Evaluations of genotypes: a training in a run folder of its own, or a row of a table.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::report;
use super::score::{Scored, Scores};
use super::spent::{self, Meter};
use super::task::{Found, Search};
use super::values::{Left, counts, over, values};
use crate::config::{DataShape, Resolved};
use crate::run::SearchFolder;
use crate::run::folder;
use crate::run::search_folder::{EvaluationRecord, Spent};
use crate::search::drive::drive;
use crate::search::evaluate::Evaluator;
use crate::search::strategy::{Answer, Request, Strategy};
use crate::{Error, Result};

/// Evaluations without training are written down and told so often.
const TELL_EVERY: Duration = Duration::from_secs(2);

impl Search<'_> {
    /// Answers the strategy until it asks for nothing more. What was answered before is read from
    /// the run folders.
    ///
    /// # Errors
    /// Those of a training but for divergence, which is an answer; [`crate::ExitCode::Stopped`] on request;
    /// usage error where no genotype keeps the bounds.
    pub(super) fn ask(&self, folder: &mut SearchFolder, strategy: &dyn Strategy) -> Result<Found> {
        let left = Rc::new(RefCell::new(None));
        let root = folder.path().to_owned();
        let before = folder.evaluations();
        let (mut table, mut training, mut scored);
        let evaluator: &mut dyn Evaluator = match (&self.table, &self.pattern) {
            (Some(values), _) => {
                table = values.clone();
                &mut table
            }
            (None, Some(pattern)) => {
                let shape = self.host.dataset(&pattern.plan.data)?;
                let shape = shape.ok_or_else(|| Error::internal("data without a shape"))?;
                match self.config.plan.evaluator.by() {
                    Some(by) => {
                        scored = Scored {
                            search: self,
                            by,
                            scores: Scores::read(&root),
                            shape,
                            before: &before,
                            left: Rc::clone(&left),
                        };
                        &mut scored
                    }
                    None => {
                        training = Training {
                            search: self,
                            pattern,
                            root: &root,
                            shape,
                            before: &before,
                            left: Rc::clone(&left),
                        };
                        &mut training
                    }
                }
            }
            (None, None) => return Err(Error::internal("a training without a plan")),
        };
        let mut records: Vec<EvaluationRecord> = Vec::new();
        let mut clock = Clock::start(strategy.requests());
        let mut again = 0;
        // What costs no training comes fast.
        let trains = self.config.plan.evaluator.trains();
        let mut told = Instant::now();
        let answers = drive(strategy, evaluator, Vec::new(), &mut |answer| {
            let (mut record, trained) = self.record(answer, left.borrow_mut().take());
            if record.folder.is_none() {
                record.same_as = earlier(&records, &record);
            }
            let known = record.same_as.is_some();
            again += u64::from(!trained && record.folder.is_some());
            records.push(record);
            clock.tick(trained);
            let due = trains || told.elapsed() > TELL_EVERY;
            if due {
                told = Instant::now();
            }
            // What is only read again is written once, at the end.
            if trained && due {
                folder.write_evaluations(&records)?;
            }
            if due && (trained || (known && clock.trained > 0)) {
                let line = report::line(&self.scene.goals, answer);
                self.note(&format!("{line}  {}", clock.left(answer.request.number)));
            }
            self.go_on(folder)?;
            Ok(true)
        })?;
        if again > 0 {
            self.note(&format!(
                "{again} of {} evaluations were there already",
                records.len()
            ));
        }
        folder.write_evaluations(&records)?;
        self.warn_of_equal_scores(&answers);
        records.iter().for_each(|r| folder.record.cost.add(r));
        let winner = report::winner(&self.scene, &answers)?;
        let mut genotype = winner.request.genotype.clone();
        genotype.name.clone_from(&self.config.name);
        Ok(Found { genotype, answers })
    }

    /// Warns where a proxy has said the same of genotypes that differ.
    fn warn_of_equal_scores(&self, answers: &[Answer]) {
        let first = |a: &Answer| a.values.first().map(|v| v.to_bits());
        let Some((one, others)) = answers.split_first() else {
            return;
        };
        let hash = one.request.genotype.hash();
        let differ = others.iter().any(|a| a.request.genotype.hash() != hash);
        let same = others.iter().all(|a| first(a) == first(one));
        if self.config.plan.evaluator.by().is_some() && differ && same {
            super::super::warn::warn_once(&format!(
                "all {} genotypes have the same value: the first that was asked for wins by its place alone",
                answers.len()
            ));
        }
    }

    /// The record of `answer`, and whether it was trained now.
    fn record(&self, answer: &Answer, left: Option<Left>) -> (EvaluationRecord, bool) {
        let left = left.unwrap_or_default();
        let request = &answer.request;
        let values = self.scene.goals.iter().zip(&answer.values);
        let values = values.map(|(goal, v)| {
            let value = Some(*v).filter(|v| v.is_finite());
            (goal.objective.name().to_owned(), value)
        });
        let record = EvaluationRecord {
            number: request.number,
            origin: request.origin.clone(),
            share: request.share,
            hash: request.genotype.hash(),
            genotype: request.genotype.to_json(),
            values: values.collect(),
            folder: left.folder,
            note: left.note,
            same_as: None,
            spent: left.spent,
        };
        (record, left.now)
    }
}

/// The earlier request with the values of `record`.
fn earlier(records: &[EvaluationRecord], record: &EvaluationRecord) -> Option<u64> {
    let same = |r: &&EvaluationRecord| r.hash == record.hash && r.share == record.share;
    records.iter().find(same).map(|r| r.number)
}

/// Guesses how long a search still takes.
struct Clock {
    start: Instant,
    requests: u64,
    trained: u32,
    idle: std::time::Duration,
}

impl Clock {
    fn start(requests: u64) -> Self {
        Self {
            start: Instant::now(),
            requests,
            trained: 0,
            idle: std::time::Duration::ZERO,
        }
    }

    /// An evaluation is done; one that was there already says nothing of the time of others.
    fn tick(&mut self, trained: bool) {
        match trained {
            true => self.trained += 1,
            false => self.idle = self.start.elapsed(),
        }
    }

    /// The time left after request `number`, as words.
    fn left(&self, number: u64) -> String {
        let spent = self.start.elapsed().saturating_sub(self.idle);
        let one = spent.as_secs_f64() / f64::from(self.trained.max(1));
        let left = self.requests.saturating_sub(number + 1) as f64 * one;
        let left = match left {
            left if left < 90.0 => format!("{left:.0} s"),
            left if left < 5400.0 => format!("{:.0} min", left / 60.0),
            left => format!("{:.1} h", left / 3600.0),
        };
        format!("({} of {}, {left} left)", number + 1, self.requests)
    }
}

/// Trains the network of each genotype.
struct Training<'a> {
    search: &'a Search<'a>,
    pattern: &'a Resolved,
    root: &'a Path,
    shape: DataShape,
    before: &'a [EvaluationRecord],
    left: Rc<RefCell<Option<Left>>>,
}

impl Evaluator for Training<'_> {
    fn evaluate(&mut self, request: &Request) -> Result<Vec<f64>> {
        let counts = counts(&request.genotype, &self.search.config.size, &self.shape)?;
        let goals = &self.search.scene.goals;
        let is_new = !self.before.iter().any(|r| r.number == request.number);
        if let Some(left) = over(goals, &counts, is_new) {
            *self.left.borrow_mut() = Some(left);
            return Ok(values(goals, f64::NAN, &counts));
        }
        let name = run_name(request);
        let place = format!("evaluations/{name}");
        let folder = self.root.join(&place);
        let (mut now, mut spent) = (false, None);
        let mut meter = Meter::start();
        if !folder::has_ended(&folder) {
            now = true;
            self.train(request, &name, &folder)?;
        }
        let (accuracy, note) = match accuracy(&folder)? {
            Some(accuracy) => (accuracy, None),
            None => (f64::NAN, Some("the training diverged".to_owned())),
        };
        let robust = match &self.search.config.plan.robustness {
            Some(plan) if accuracy.is_finite() => {
                let run = (name.as_str(), folder.as_path(), self.root);
                Some(self.search.robustness(plan, request, run)?)
            }
            _ => None,
        };
        if let Some(used) = meter.stop().filter(|_| now) {
            spent = Some(used);
        }
        let earlier = self.before.iter().find(|r| r.number == request.number);
        let known = earlier.filter(|_| !now).and_then(|r| r.spent);
        let history = spent::History::read(&folder)?;
        let phases = &self.pattern.plan.phases;
        let (cpu_seconds, peak_memory_mib) = match (spent, known) {
            (Some((cpu, peak)), _) => (cpu, peak),
            (None, Some(known)) => (known.cpu_seconds, known.peak_memory_mib),
            (None, None) => (None, None),
        };
        *self.left.borrow_mut() = Some(Left {
            folder: Some(place),
            note,
            spent: Some(Spent {
                seconds: history.seconds,
                cpu_seconds,
                multiply_adds: counts.multiply_adds as f64
                    * (3.0 * history.samples(phases) as f64
                        + robust.as_ref().map_or(0.0, |r| r.passes)),
                peak_memory_mib,
            }),
            now,
        });
        let mut found = values(goals, accuracy, &counts);
        super::robust::put(goals, &mut found, robust);
        Ok(found)
    }
}

impl Training<'_> {
    /// Trains the network of a genotype, or goes on with it. A training that diverges is over.
    fn train(&self, request: &Request, name: &str, folder: &Path) -> Result<()> {
        let search = self.search;
        let host = &*search.host;
        let resolved = search.config.evaluation(&request.genotype, name, host)?;
        let resolved = resolved.with_share(request.share);
        search.train(resolved, &request.genotype, folder, self.root)
    }
}

/// The name of a request's run, and of its folder below `evaluations`.
fn run_name(request: &Request) -> String {
    format!("{:04}-{}", request.number, &request.genotype.hash()[..8])
}

/// The held-out accuracy at the end of the run in `folder`, which has ended; `None` where it
/// diverged.
fn accuracy(folder: &Path) -> Result<Option<f64>> {
    let record = crate::run::identity::RunRecord::read(&folder.join("run.json"))?;
    if record.exit_reason.as_deref() == Some("diverged") {
        return Ok(None);
    }
    let history = spent::History::read(folder)?;
    history.accuracy.map(Some).ok_or_else(|| {
        Error::storage(format!(
            "`{}` has no `validation/accuracy`",
            folder.join("metrics.csv").display()
        ))
        .hint("remove the run's folder, so that it is trained anew")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::search::strategy::Origin;

    fn record(number: u64, hash: &str, share: f64) -> EvaluationRecord {
        EvaluationRecord {
            number,
            origin: Origin::Drawn,
            share,
            hash: hash.to_owned(),
            genotype: serde_json::Value::Null,
            values: BTreeMap::new(),
            folder: None,
            note: None,
            same_as: None,
            spent: None,
        }
    }

    #[test]
    fn the_same_genotype_trained_as_long_is_found() {
        let known = [
            record(0, "a", 1.0),
            record(1, "b", 0.5),
            record(2, "b", 1.0),
        ];
        assert_eq!(earlier(&known, &record(3, "b", 1.0)), Some(2));
        assert_eq!(earlier(&known, &record(3, "b", 0.5)), Some(1));
        assert_eq!(earlier(&known, &record(3, "a", 0.5)), None);
    }
}
