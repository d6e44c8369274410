//! Experiments beside one of them, seed by seed: two runs of one seed have the same order of samples
//! and much the same initial weights, so that their difference varies less than either.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Metrics;
use super::summary::{Experiment, comparison, mean_and_deviation, show};
use crate::text::nearest;
use crate::{Error, Result};

/// What the `±` of tables is.
pub const SPREAD: &str = "± is the standard deviation over seeds (n − 1): what another seed changes, not what other test samples would";

/// How a result differs between two experiments.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Name of the result.
    pub name: String,
    /// Seeds that both experiments have, in order.
    pub seeds: Vec<u64>,
    /// Mean over these seeds of the result minus the other's.
    pub mean: f64,
    /// Standard deviation of the differences, with n − 1 in the denominator.
    pub deviation: f64,
    /// Interval that holds the mean difference with 95 %, if differences are normal: mean ± t·s/√n.
    pub interval: [f64; 2],
}

/// The differences of `one` to `other`, of every result that both have for two seeds or more.
#[must_use]
pub fn differences(one: &Experiment, other: &Experiment) -> Vec<Difference> {
    // Of several runs with one seed the latest counts.
    let by_seed = |of: &Experiment| -> BTreeMap<u64, Metrics> { of.runs.iter().cloned().collect() };
    let (one, other) = (by_seed(one), by_seed(other));
    let mut all: BTreeMap<&str, Vec<(u64, f64)>> = BTreeMap::new();
    for (seed, results) in &one {
        let Some(theirs) = other.get(seed) else {
            continue;
        };
        for (name, value) in results {
            if let Some(reference) = theirs.get(name) {
                all.entry(name)
                    .or_default()
                    .push((*seed, value - reference));
            }
        }
    }
    let of = |(name, pairs): (&str, Vec<(u64, f64)>)| {
        let (seeds, each): (Vec<u64>, Vec<f64>) = pairs.into_iter().unzip();
        let (mean, deviation) = mean_and_deviation(&each);
        let deviation = deviation?;
        let half = student(each.len() - 1) * deviation / (each.len() as f64).sqrt();
        Some(Difference {
            name: name.to_owned(),
            seeds,
            mean,
            deviation,
            interval: [mean - half, mean + half],
        })
    };
    all.into_iter().filter_map(of).collect()
}

/// [`comparison`], and where experiments have seeds in common, their differences to `reference` seed
/// by seed; with what the `±` is, where there are several seeds.
#[must_use]
pub fn side_by_side(experiments: &[Experiment], reference: &Experiment) -> String {
    let mut text = format!("{}\n", comparison(experiments));
    if experiments.iter().any(|e| e.runs.len() > 1) {
        text.push_str(&format!("{}\n", SPREAD));
    }
    if let Some(table) = table(experiments, reference) {
        text.push_str(&format!("\n{table}\n"));
    }
    text
}

/// The experiment named `name`.
///
/// # Errors
/// A usage error where there is none.
pub fn named<'a>(experiments: &'a [Experiment], name: &str) -> Result<&'a Experiment> {
    let found = experiments.iter().find(|e| e.name == name);
    found.ok_or_else(|| {
        let e = Error::usage(format!("no experiment there is named `{name}`"));
        let names = || experiments.iter().map(|e| e.name.as_str());
        match nearest(name, names()) {
            Some(near) => e.hint(format!("did you mean `{near}`?")),
            None => e.hint(format!(
                "there are `{}`",
                names().collect::<Vec<_>>().join("`, `")
            )),
        }
    })
}

/// The differences of all others to `reference` as a table with a line that says what it is; nothing
/// where no other has two seeds with it. Balanced accuracies are left out.
#[must_use]
pub fn table(experiments: &[Experiment], reference: &Experiment) -> Option<String> {
    let head = [
        "minus",
        "result",
        "seeds",
        "mean difference",
        "95 % interval",
    ];
    let mut table = crate::text::table(&head);
    let mut rows = 0;
    for experiment in experiments.iter().filter(|e| e.name != reference.name) {
        for of in differences(experiment, reference) {
            if of.name.ends_with("balanced_accuracy") {
                continue;
            }
            let value = |x: f64| match x < 0.0 {
                true => format!("−{}", show(&of.name, -x)),
                false => format!("+{}", show(&of.name, x)),
            };
            let [low, high] = of.interval;
            table.add_row(vec![
                experiment.name.clone(),
                of.name.clone(),
                of.seeds.len().to_string(),
                format!("{} ± {}", value(of.mean), show(&of.name, of.deviation)),
                format!("{} to {}", value(low), value(high)),
            ]);
            rows += 1;
        }
    }
    (rows > 0).then(|| {
        format!(
            "each minus `{}`, seeds paired; the interval holds the mean difference with 95 % (Student's t)\n{table}",
            reference.name
        )
    })
}

/// The 97.5 % point of Student's t with `freedom` degrees of freedom, to three digits.
#[must_use]
pub fn student(freedom: usize) -> f64 {
    const FIRST: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    if let Some(t) = freedom.checked_sub(1).and_then(|at| FIRST.get(at)) {
        return *t;
    }
    // Abramowitz and Stegun 26.7.5, from the normal distribution's point.
    let (z, v) = (1.959_964_f64, freedom.max(1) as f64);
    let z3 = z.powi(3);
    z + (z3 + z) / (4.0 * v) + (5.0 * z.powi(5) + 16.0 * z3 + 3.0 * z) / (96.0 * v * v)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(name: &str, values: &[(u64, f64)]) -> Experiment {
        let run =
            |(seed, x): &(u64, f64)| (*seed, Metrics::from([("test/accuracy".to_owned(), *x)]));
        Experiment {
            runs: values.iter().map(run).collect(),
            ..Experiment::new(name)
        }
    }

    #[test]
    fn seeds_are_paired_and_others_left_out() {
        let a = experiment("a", &[(0, 0.70), (1, 0.80), (7, 0.1)]);
        let b = experiment("b", &[(1, 0.79), (0, 0.68), (3, 0.9)]);
        let both = [a, b];
        let of = &differences(&both[0], &both[1])[0];
        assert_eq!(of.seeds, [0, 1]);
        assert!((of.mean - 0.015).abs() < 1e-12);
        // The deviation of 0.02 and 0.01, and t = 12.706 with one degree of freedom.
        let deviation = 0.005 * 2f64.sqrt();
        assert!((of.deviation - deviation).abs() < 1e-12);
        let half = 12.706 * 0.005;
        assert!((of.interval[1] - 0.015 - half).abs() < 1e-9);
        let text = table(&both, &both[0]).unwrap();
        assert!(text.contains("−1.50 % ± 0.71 %"), "{text}");
        assert!(text.contains("−7.85 % to +4.85 %"), "{text}");
    }

    #[test]
    fn one_seed_in_common_is_no_comparison() {
        let a = experiment("a", &[(0, 0.7)]);
        let b = experiment("b", &[(0, 0.6), (1, 0.6)]);
        assert!(differences(&a, &b).is_empty());
        assert_eq!(table(&[b], &a), None);
    }

    #[test]
    fn points_of_student_go_over_into_those_of_the_normal_distribution() {
        assert_eq!(student(3), 3.182);
        assert!((student(31) - 2.0395).abs() < 5e-4);
        assert!((student(100) - 1.9840).abs() < 5e-4);
        assert!((student(1_000_000) - 1.96).abs() < 1e-3);
    }
}
