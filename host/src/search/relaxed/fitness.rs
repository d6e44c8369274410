//! What EG-NAS makes of the individuals of its exploration (Cai et al. 2024): candidates' weights, a
//! fitness that is lower the better, and the step of the architecture towards the winner. All
//! arithmetic is `f64`; rows are edges, a number for each candidate.

use crate::nn::Tables;
use crate::search::relax::softmax;

/// Least deviation that an exploration starts with.
const NARROWEST: f64 = 0.02;

/// Deviation with which the exploration before epoch `epoch` (from 0) starts.
#[must_use]
pub fn sigma(epoch: u64) -> f64 {
    (1.0 / (epoch + 1) as f64).max(NARROWEST)
}

/// `row` over its Euclidean norm; zeros stay.
#[must_use]
pub fn unit(row: &[f64]) -> Vec<f64> {
    let norm = norm(row);
    match norm > 0.0 {
        true => row.iter().map(|v| v / norm).collect(),
        false => row.to_vec(),
    }
}

/// The weights of candidates that an individual stands for: the softmax of each row, of length 1
/// before.
#[must_use]
pub fn weights(individual: &Tables) -> Tables {
    rows(individual, |row| softmax(&unit(row)))
}

/// Each row through a softmax once more, as the published search on CIFAR-10 does with a winner.
#[must_use]
pub fn again(weights: &Tables) -> Tables {
    rows(weights, softmax)
}

/// How near an individual is to the present architecture, 0 to 1: the mean over all rows of
/// `(1 + cos)/2`, of the angle between `weights`, the candidates' weights now, and the individual.
#[must_use]
pub fn similarity(weights: &Tables, individual: &Tables) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (kind, rows) in weights {
        let others = individual.get(kind).into_iter().flatten();
        for (row, other) in rows.iter().zip(others) {
            let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            let norms = (norm(row) * norm(other)).max(f64::MIN_POSITIVE);
            sum += f64::midpoint(1.0, dot / norms);
            count += 1.0;
        }
    }
    sum / f64::max(count, 1.0)
}

/// The composite fitness, lower is better: an individual at least as accurate as the present
/// architecture is pushed away from it, a worse one pulled towards it.
#[must_use]
pub fn fitness(loss: f64, similarity: f64, pull: f64, at_least_as_accurate: bool) -> f64 {
    match at_least_as_accurate {
        true => loss + pull * similarity,
        false => loss - pull * similarity,
    }
}

/// `alphas` moved by `step_size` along the winner's `direction`, of which a share `momentum` is
/// that of the exploration `before`; and the direction taken.
#[must_use]
pub fn moved(
    alphas: &Tables,
    direction: &Tables,
    before: Option<&Tables>,
    (step_size, momentum): (f64, f64),
) -> (Tables, Tables) {
    let mut taken = direction.clone();
    if let Some(before) = before {
        let old = before.values().flatten().flatten();
        let all = taken.values_mut().flatten().flatten();
        all.zip(old)
            .for_each(|(d, old)| *d = (1.0 - momentum) * *d + momentum * old);
    }
    let mut out = alphas.clone();
    let all = out.values_mut().flatten().flatten();
    let steps = taken.values().flatten().flatten();
    all.zip(steps).for_each(|(a, d)| *a += step_size * d);
    (out, taken)
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// What `f` makes of each row.
pub(super) fn rows(tables: &Tables, f: impl Fn(&[f64]) -> Vec<f64>) -> Tables {
    let one = |(kind, rows): (&String, &Vec<Vec<f64>>)| {
        (kind.clone(), rows.iter().map(|row| f(row)).collect())
    };
    tables.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[f64; 3]]) -> Tables {
        let rows = rows.iter().map(|r| r.to_vec()).collect();
        Tables::from([("normal".to_owned(), rows)])
    }

    #[test]
    fn similarity_is_one_along_a_row_and_zero_against_it() {
        let now = table(&[[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]);
        let times = |f: f64| rows(&now, |row| row.iter().map(|v| f * v).collect());
        assert!((similarity(&now, &times(7.0)) - 1.0).abs() < 1e-12);
        assert!(similarity(&now, &times(-0.1)).abs() < 1e-12);
        let across = table(&[[0.5, -0.2, 0.0], [0.1, -0.6, 0.0]]);
        assert!((similarity(&now, &across) - 0.5).abs() < 1e-12);
        // An individual of zeros has no direction.
        assert_eq!(similarity(&now, &times(0.0)), 0.5);
    }

    #[test]
    fn the_fitness_prefers_what_is_near_among_the_worse_and_far_among_the_better() {
        assert!(fitness(1.0, 0.9, 0.4, true) > fitness(1.0, 0.1, 0.4, true));
        assert!(fitness(1.0, 0.9, 0.4, false) < fitness(1.0, 0.1, 0.4, false));
    }

    #[test]
    fn weights_do_not_depend_on_the_length_of_a_row() {
        let one = table(&[[0.3, -1.0, 2.0]]);
        let (a, b) = (weights(&one), weights(&table(&[[3.0, -10.0, 20.0]])));
        for (a, b) in a["normal"][0].iter().zip(&b["normal"][0]) {
            assert!((a - b).abs() < 1e-15);
        }
        assert_eq!(weights(&table(&[[0.0; 3]]))["normal"][0], [1.0 / 3.0; 3]);
    }

    #[test]
    fn momentum_mixes_the_direction_before() {
        let (alphas, direction) = (table(&[[1.0, 2.0, 3.0]]), table(&[[0.0, 1.0, 0.0]]));
        let before = table(&[[1.0, 0.0, 0.0]]);
        let (out, taken) = moved(&alphas, &direction, Some(&before), (0.1, 0.25));
        assert_eq!(taken["normal"][0], [0.25, 0.75, 0.0]);
        assert_eq!(out["normal"][0], [1.025, 2.075, 3.0]);
        let (_, taken) = moved(&alphas, &direction, None, (0.1, 0.25));
        assert_eq!(taken, direction);
    }

    #[test]
    fn the_deviation_falls_to_its_least() {
        assert_eq!((sigma(0), sigma(1), sigma(4000)), (1.0, 0.5, NARROWEST));
    }
}
