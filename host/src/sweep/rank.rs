//! Results of trials, and which are better.

use super::plan::{Constraint, Objective, Score};
use super::space::Assignment;
use crate::plan::Direction;
use crate::search::pareto::{dominates, undominated};

/// What became of a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It ran to its end.
    Finished {
        /// A value for each objective.
        values: Vec<f64>,
        /// How far it misses the bounds, relative to them; 0 where all are kept.
        missed: f64,
    },
    /// It was given up.
    Pruned {
        /// After this epoch.
        epoch: u64,
        /// The value that it had there.
        value: f64,
    },
    /// It has no value: it diverged, or could not be trained.
    Failed,
}

/// A trial that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its parameters.
    pub values: Assignment,
    /// What became of it.
    pub outcome: Outcome,
    /// What pruning goes by: epochs with their values, up to the one in which it was given up.
    pub curve: Vec<(u64, f64)>,
}

/// Places of `rows` (upward) in layers: those that none is better than, then those that only the
/// first layer is better than, and so on (Deb et al. 2002).
fn layers(rows: &[Vec<f64>]) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = (0..rows.len()).collect();
    let mut layers = Vec::new();
    while !left.is_empty() {
        let beaten = |i: &usize| left.iter().any(|j| dominates(&rows[*j], &rows[*i]));
        let (rest, layer): (Vec<usize>, Vec<usize>) = left.iter().partition(|i| beaten(i));
        layers.push(layer);
        left = rest;
    }
    layers
}

/// Crowding distances of a layer (Deb et al. 2002): how far each one's neighbours lie apart.
fn crowding(rows: &[Vec<f64>], layer: &[usize]) -> Vec<f64> {
    let mut far = vec![0.0; layer.len()];
    let at = |i: usize, goal: usize| rows[layer[i]][goal];
    for goal in 0..rows.first().map_or(0, Vec::len) {
        let mut order: Vec<usize> = (0..layer.len()).collect();
        order.sort_by(|a, b| at(*a, goal).total_cmp(&at(*b, goal)));
        let (Some(first), Some(last)) = (order.first(), order.last()) else {
            continue;
        };
        let width = at(*last, goal) - at(*first, goal);
        (far[*first], far[*last]) = (f64::INFINITY, f64::INFINITY);
        for three in order.windows(3) {
            if width > 0.0 {
                far[three[1]] += (at(three[2], goal) - at(three[0], goal)) / width;
            }
        }
    }
    far
}

/// Places of `told`, best first: what keeps all bounds (by value; with several objectives by layers,
/// and within one those with the most room around them), then what was given up (the later, the
/// better), what misses bounds (by how far), and what failed. Of equal ones the earlier comes first.
#[must_use]
pub fn order(objectives: &[Objective], told: &[Told]) -> Vec<usize> {
    let (mut kept, mut pruned, mut missing, mut failed) = (vec![], vec![], vec![], vec![]);
    for (i, one) in told.iter().enumerate() {
        match &one.outcome {
            Outcome::Finished { values, .. } if values.iter().any(|v| v.is_nan()) => failed.push(i),
            Outcome::Finished { missed, .. } if *missed > 0.0 => missing.push((i, *missed)),
            Outcome::Finished { values, .. } => {
                let pairs = objectives.iter().zip(values);
                kept.push((
                    i,
                    pairs
                        .map(|(o, v)| o.direction.upward(*v))
                        .collect::<Vec<f64>>(),
                ));
            }
            Outcome::Pruned { epoch, value } => {
                let direction = objectives.first().map_or(Direction::Max, |o| o.direction);
                pruned.push((i, *epoch, direction.upward(*value)));
            }
            Outcome::Failed => failed.push(i),
        }
    }
    let mut all = Vec::with_capacity(told.len());
    if objectives.len() < 2 {
        kept.sort_by(|a, b| {
            let first = |row: &[f64]| row.first().copied().unwrap_or(f64::NEG_INFINITY);
            first(&b.1).total_cmp(&first(&a.1))
        });
        all.extend(kept.iter().map(|(i, _)| *i));
    } else {
        let rows: Vec<Vec<f64>> = kept.iter().map(|(_, row)| row.clone()).collect();
        for layer in layers(&rows) {
            let far = crowding(&rows, &layer);
            let mut order: Vec<usize> = (0..layer.len()).collect();
            order.sort_by(|a, b| far[*b].total_cmp(&far[*a]));
            all.extend(order.iter().map(|i| kept[layer[*i]].0));
        }
    }
    pruned.sort_by(|a, b| b.1.cmp(&a.1).then(b.2.total_cmp(&a.2)));
    missing.sort_by(|a, b| a.1.total_cmp(&b.1));
    all.extend(pruned.iter().map(|(i, ..)| *i));
    all.extend(missing.iter().map(|(i, _)| *i));
    all.extend(failed);
    all
}

/// Places of the results that keep all bounds and that no such result dominates, in the order given.
#[must_use]
pub fn front(objectives: &[Objective], results: &[(Vec<f64>, f64)]) -> Vec<usize> {
    let up = |values: &[f64]| -> Vec<f64> {
        let pairs = objectives.iter().zip(values);
        pairs.map(|(o, v)| o.direction.upward(*v)).collect()
    };
    let kept = |(_, (values, missed)): &(usize, &(Vec<f64>, f64))| {
        *missed == 0.0 && values.iter().all(|v| !v.is_nan())
    };
    let kept = results.iter().enumerate().filter(kept);
    let (places, rows): (Vec<usize>, Vec<Vec<f64>>) =
        kept.map(|(i, (values, _))| (i, up(values))).unzip();
    let front = undominated(&rows).into_iter();
    front.map(|i| places[i]).collect()
}

/// The 95 % quantile of Student's t for 1 to 30 degrees of freedom, then the normal one (Abramowitz
/// and Stegun 1964, table 26.10).
const QUANTILES: [f64; 30] = [
    6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771,
    1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706,
    1.703, 1.701, 1.699, 1.697,
];

/// What the values of several seeds are worth together.
#[must_use]
pub fn score(score: Score, direction: Direction, seeds: &[f64]) -> f64 {
    let n = seeds.len() as f64;
    let mean = seeds.iter().sum::<f64>() / n;
    if score == Score::Mean || seeds.len() < 2 {
        return mean;
    }
    let squares: f64 = seeds.iter().map(|x| (x - mean).powi(2)).sum();
    let deviation = (squares / (n - 1.0)).sqrt();
    let t = QUANTILES.get(seeds.len() - 2).copied().unwrap_or(1.645);
    mean - direction.upward(t * deviation / n.sqrt())
}

/// How far `values` (one for each constraint) miss the bounds together.
#[must_use]
pub fn missed(constraints: &[Constraint], values: &[f64]) -> f64 {
    constraints
        .iter()
        .zip(values)
        .map(|(c, v)| c.missed(*v))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::plan::At;
    use super::*;

    pub(super) fn objective(direction: Direction) -> Objective {
        Objective {
            metric: "m".to_owned(),
            direction,
            at: At::Last,
        }
    }

    fn told(outcome: Outcome) -> Told {
        Told {
            values: Assignment::new(),
            outcome,
            curve: Vec::new(),
        }
    }

    fn finished(values: &[f64], missed: f64) -> Told {
        told(Outcome::Finished {
            values: values.to_vec(),
            missed,
        })
    }

    #[test]
    fn bounds_come_first_then_values_then_how_long_it_lasted() {
        let pruned = |epoch, value| told(Outcome::Pruned { epoch, value });
        let all = [
            told(Outcome::Failed),
            finished(&[0.9], 0.5),
            pruned(3, 0.9),
            finished(&[0.7], 0.0),
            pruned(5, 0.1),
            finished(&[0.8], 0.0),
            finished(&[f64::NAN], 0.0),
            finished(&[0.1], 0.1),
        ];
        assert_eq!(
            order(&[objective(Direction::Max)], &all),
            [5, 3, 4, 2, 7, 1, 0, 6]
        );
        let down = order(&[objective(Direction::Min)], &all);
        assert_eq!(down[..2], [3, 5]);
    }

    #[test]
    fn several_objectives_are_layered_and_the_ends_of_a_front_come_first() {
        let goals = [objective(Direction::Max), objective(Direction::Min)];
        let all: Vec<Told> = [[0.9, 9.0], [0.5, 1.0], [0.7, 4.0], [0.6, 5.0], [0.4, 1.0]]
            .map(|v| finished(&v, 0.0))
            .into();
        assert_eq!(order(&goals, &all), [0, 1, 2, 3, 4]);
        let rows: Vec<(Vec<f64>, f64)> = all
            .iter()
            .map(|t| match &t.outcome {
                Outcome::Finished { values, missed } => (values.clone(), *missed),
                _ => (vec![], 0.0),
            })
            .collect();
        assert_eq!(front(&goals, &rows), [0, 1, 2]);
    }

    #[test]
    fn a_lower_bound_lies_below_the_mean_on_the_bad_side() {
        let seeds = [1.0, 2.0, 3.0];
        assert_eq!(score(Score::Mean, Direction::Max, &seeds), 2.0);
        let low = score(Score::LowerBound, Direction::Max, &seeds);
        assert!((low - (2.0 - 2.920 / 3f64.sqrt())).abs() < 1e-12);
        let high = score(Score::LowerBound, Direction::Min, &seeds);
        assert!((high - (2.0 + 2.920 / 3f64.sqrt())).abs() < 1e-12);
        assert_eq!(score(Score::LowerBound, Direction::Max, &[0.5]), 0.5);
    }

    #[test]
    fn a_bound_is_missed_relative_to_its_size() {
        let one = Constraint {
            metric: "parameters".to_owned(),
            at_least: None,
            at_most: Some(100.0),
        };
        assert_eq!(one.missed(100.0), 0.0);
        assert_eq!(one.missed(150.0), 0.5);
        assert_eq!(one.missed(f64::NAN), f64::INFINITY);
    }
}
