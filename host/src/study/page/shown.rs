//! What the drawings of a study show.

use crate::plan::Direction;
use crate::report::number;
use crate::study::ledger::Entry;
use crate::sweep::plan::Study;

/// What the drawings show.
pub(super) struct Shown<'a> {
    pub(super) study: &'a Study,
    /// Trials that have a value, by number.
    pub(super) points: Vec<Point<'a>>,
    /// The best trial.
    pub(super) best: Option<u64>,
}

/// A trial with a value.
pub(super) struct Point<'a> {
    pub(super) entry: &'a Entry,
    pub(super) value: f64,
    pub(super) finished: bool,
}

impl Shown<'_> {
    /// A value of the first objective, for people.
    pub(super) fn value(&self, x: f64) -> String {
        match self.metric().ends_with("accuracy") {
            true => number::percent(x, 2),
            false => number::short(x),
        }
    }

    /// Whether it is the best trial.
    pub(super) fn is_best(&self, point: &Point<'_>) -> bool {
        self.best == Some(point.entry.record.number)
    }

    /// Which way the first objective gets better.
    pub(super) fn direction(&self) -> Direction {
        let first = self.study.objectives.first();
        first.map_or(Direction::Max, |o| o.direction)
    }

    pub(super) fn metric(&self) -> &str {
        self.study
            .objectives
            .first()
            .map_or("", |o| o.metric.as_str())
    }
}
