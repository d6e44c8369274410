//! Several objectives: bounds on each, and the set of results that none is better than.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::Direction;
use crate::text::nearest;
use crate::{Error, Result};

/// What is asked of an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Share of held-out samples that are right, 0 to 1.
    Accuracy,
    /// Share of held-out samples that are right under attack, 0 to 1.
    Robustness,
    /// Trained numbers.
    Parameters,
    /// Products for one sample, forward.
    MultiplyAdds,
    /// What the proxy of an evaluator says.
    Score,
}

/// All objectives with their names, units and directions.
const ALL: [(Objective, &str, Direction); 5] = [
    (Objective::Accuracy, "accuracy", Direction::Max),
    (Objective::Robustness, "robustness", Direction::Max),
    (Objective::Parameters, "parameters", Direction::Min),
    (Objective::MultiplyAdds, "multiply_adds", Direction::Min),
    (Objective::Score, "score", Direction::Max),
];

impl Objective {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        ALL.iter()
            .find(|(one, ..)| *one == self)
            .map_or("", |(_, name, _)| name)
    }

    /// Which way is better.
    #[must_use]
    pub fn direction(self) -> Direction {
        let found = ALL.iter().find(|(one, ..)| *one == self);
        found.map_or(Direction::Max, |(.., direction)| *direction)
    }

    /// By its name.
    ///
    /// # Errors
    /// Usage error with the nearest name.
    pub fn named(name: &str) -> Result<Self> {
        if let Some((one, ..)) = ALL.iter().find(|(_, own, _)| *own == name) {
            return Ok(*one);
        }
        let names = ALL.iter().map(|(_, name, _)| *name);
        let e = Error::usage(format!("unknown objective `{name}`"));
        Err(match nearest(name, names.clone()) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => {
                let all: Vec<&str> = names.collect();
                e.hint(format!("there are `{}`", all.join("`, `")))
            }
        })
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An objective, and the value that a result has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// What is asked.
    pub objective: Objective,
    /// Least accuracy or robustness, most parameters or multiply-adds.
    pub bound: Option<f64>,
}

impl Goal {
    /// `value` so that larger is better.
    #[must_use]
    pub fn upward(&self, value: f64) -> f64 {
        self.objective.direction().upward(value)
    }

    /// How far `value` misses the bound, relative to it; 0 where it is kept.
    #[must_use]
    pub fn missed(&self, value: f64) -> f64 {
        let Some(bound) = self.bound else { return 0.0 };
        let short = self.upward(bound) - self.upward(value);
        // A value that is not a number misses every bound.
        if short.is_nan() {
            return f64::INFINITY;
        }
        short.max(0.0) / bound.abs().max(f64::MIN_POSITIVE)
    }
}

/// How good a result is to a strategy that needs one number: results that keep all bounds come
/// before those that miss some, and among them the first goal decides; among the others how far
/// they miss. Compare with [`f64::total_cmp`], part by part; larger is better.
#[must_use]
pub fn score(goals: &[Goal], values: &[f64]) -> (f64, f64) {
    let missed: f64 = goals.iter().zip(values).map(|(g, v)| g.missed(*v)).sum();
    let first = goals.first().zip(values.first());
    let first = first.map_or(f64::NEG_INFINITY, |(g, v)| g.upward(*v));
    let first = if first.is_nan() {
        f64::NEG_INFINITY
    } else {
        first
    };
    (-missed, first)
}

/// Whether `a` is as good as `b` in every value and better in one; larger is better.
#[must_use]
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    let pairs = || a.iter().zip(b);
    pairs().all(|(a, b)| a >= b) && pairs().any(|(a, b)| a > b)
}

/// Positions of the rows that no other dominates, in the order given; larger is better.
#[must_use]
pub fn undominated(rows: &[Vec<f64>]) -> Vec<usize> {
    let beaten = |i: &usize| rows.iter().any(|other| dominates(other, &rows[*i]));
    (0..rows.len()).filter(|i| !beaten(i)).collect()
}

/// Positions of the results that keep all bounds and that no such result dominates, in the order
/// given. Equal ones are all in it.
#[must_use]
pub fn front(goals: &[Goal], results: &[Vec<f64>]) -> Vec<usize> {
    let kept = |i: &usize| {
        let values = &results[*i];
        let whole = values.iter().all(|v| !v.is_nan());
        whole && goals.iter().zip(values).all(|(g, v)| g.missed(*v) == 0.0)
    };
    let kept: Vec<usize> = (0..results.len()).filter(kept).collect();
    let up = |i: &usize| -> Vec<f64> {
        let pairs = goals.iter().zip(&results[*i]);
        pairs.map(|(g, v)| g.upward(*v)).collect()
    };
    let rows: Vec<Vec<f64>> = kept.iter().map(up).collect();
    undominated(&rows).into_iter().map(|i| kept[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goals(bounds: [Option<f64>; 2]) -> Vec<Goal> {
        let objectives = [Objective::Accuracy, Objective::Parameters];
        let pairs = objectives.into_iter().zip(bounds);
        pairs
            .map(|(objective, bound)| Goal { objective, bound })
            .collect()
    }

    #[test]
    fn the_front_holds_what_none_is_better_than() {
        let results: Vec<Vec<f64>> = [
            [0.9, 100.0],
            [0.8, 50.0],
            [0.8, 60.0],
            [0.95, 200.0],
            [0.7, 50.0],
            [0.9, 100.0],
            [f64::NAN, 1.0],
        ]
        .map(Vec::from)
        .into();
        assert_eq!(front(&goals([None, None]), &results), [0, 1, 3, 5]);
        assert_eq!(front(&goals([None, Some(150.0)]), &results), [0, 1, 5]);
        assert_eq!(front(&goals([Some(0.85), Some(150.0)]), &results), [0, 5]);
        assert_eq!(front(&goals([Some(0.99), None]), &results), [0; 0]);
    }

    #[test]
    fn bounds_come_before_the_first_goal() {
        let goals = goals([None, Some(100.0)]);
        let better = |a: [f64; 2], b: [f64; 2]| {
            let (a, b) = (score(&goals, &a), score(&goals, &b));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).is_gt()
        };
        assert!(better([0.5, 100.0], [0.9, 101.0]));
        assert!(better([0.9, 100.0], [0.5, 1.0]));
        assert!(better([0.1, 150.0], [0.9, 300.0]));
        assert!(better([0.1, 1.0], [f64::NAN, 1.0]));
    }

    #[test]
    fn names_are_read_back() {
        for (one, name, _) in ALL {
            assert_eq!(Objective::named(name).expect(name), one);
        }
        let e = Objective::named("acuracy").expect_err("a slip");
        assert!(e.hint.unwrap_or_default().contains("`accuracy`"));
    }
}
