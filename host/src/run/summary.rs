//! Several seeds together: mean and spread of each result, as a table for
//! people and as `summary.json` for programs. Several experiments side by side.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Metrics, atomic};
use crate::text::number::readable;
use crate::{Error, Result};

/// One result over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Name of the result.
    pub name: String,
    /// Value of each seed, in the order of the seeds.
    pub values: Vec<f64>,
    /// Mean.
    pub mean: f64,
    /// Standard deviation with n − 1 in the denominator; 0 for one seed.
    pub deviation: f64,
}

/// The spread of every result that all seeds have.
#[must_use]
pub fn spreads(runs: &[(u64, Metrics)]) -> Vec<Spread> {
    let Some((_, first)) = runs.first() else {
        return Vec::new();
    };
    first
        .keys()
        .filter_map(|name| {
            let values: Option<Vec<f64>> = runs
                .iter()
                .map(|(_, results)| results.get(name).copied())
                .collect();
            Some(spread(name, values?))
        })
        .collect()
}

pub(super) fn spread(name: &str, values: Vec<f64>) -> Spread {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    let deviation = if values.len() > 1 {
        (squares / (n - 1.0)).sqrt()
    } else {
        0.0
    };
    Spread {
        name: name.to_owned(),
        values,
        mean,
        deviation,
    }
}

/// What a list of experiments or seeds came to, of one of them.
#[derive(Debug, Default)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// The results of each seed that is done.
    pub runs: Vec<(u64, Metrics)>,
    /// What failed, in order.
    pub failures: Vec<Failure>,
}

impl Experiment {
    /// One of which nothing is known yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

/// Why an experiment, or one seed of it, has no results.
#[derive(Debug)]
pub struct Failure {
    /// The seed, where there are several.
    pub seed: Option<u64>,
    /// What went wrong.
    pub error: Error,
}

impl Failure {
    /// The error with the experiment and the seed in front, and its hint.
    #[must_use]
    pub fn within(&self, experiment: &str) -> String {
        match self.seed {
            Some(seed) => format!("{experiment}, seed {seed}: {}", self.error),
            None => format!("{experiment}: {}", self.error),
        }
    }

    /// The error's line, with the seed in front where there are several.
    fn line(&self) -> String {
        match self.seed {
            Some(seed) => format!("seed {seed}: {}", self.error.text),
            None => self.error.text.clone(),
        }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let Error { code, text, hint } = &self.error;
        json!({"seed": self.seed, "code": *code as u8, "text": text, "hint": hint})
    }
}

/// Writes `summary.json` of one experiment's seeds into `folder`: those that are done with their
/// results, and those that failed.
///
/// # Errors
/// Storage error where the disk refuses.
pub fn write(folder: &Path, experiment: &Experiment) -> Result<()> {
    write_json(folder, &summary(experiment))
}

/// Writes `summary.json` of several experiments into `folder`.
///
/// # Errors
/// Storage error where the disk refuses.
pub fn write_all(folder: &Path, experiments: &[Experiment]) -> Result<()> {
    let one = |experiment: &Experiment| {
        let mut value = summary(experiment);
        value["name"] = experiment.name.as_str().into();
        value
    };
    let all: Vec<Value> = experiments.iter().map(one).collect();
    write_json(folder, &json!({"experiments": all}))
}

fn summary(experiment: &Experiment) -> Value {
    let seeds: Vec<u64> = experiment.runs.iter().map(|(seed, _)| *seed).collect();
    let failed: Vec<Value> = experiment.failures.iter().map(Failure::json).collect();
    json!({"seeds": seeds, "results": spreads(&experiment.runs), "failed": failed})
}

fn write_json(folder: &Path, summary: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(summary)
        .map_err(|e| Error::internal(format!("summary: {e}")))?;
    atomic::write(&folder.join("summary.json"), format!("{text}\n").as_bytes())
}

/// Results as a table: one column a seed, then mean ± standard deviation.
/// Accuracies are shown in percent.
#[must_use]
pub fn table(runs: &[(u64, Metrics)]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let several = runs.len() > 1;
    let mut head = vec!["result".to_owned()];
    if several {
        head.extend(runs.iter().map(|(seed, _)| format!("seed {seed}")));
        head.push("mean ± deviation".to_owned());
    } else {
        head.push("value".to_owned());
    }
    table.set_header(head);
    let spreads = spreads(runs);
    let told = spreads.iter().filter(|s| tells_more(s, &spreads));
    for spread in told {
        let show = |x: f64| show(&spread.name, x);
        let mut row = vec![spread.name.clone()];
        row.extend(spread.values.iter().map(|x| show(*x)));
        if several {
            row.push(format!(
                "{} ± {}",
                show(spread.mean),
                show(spread.deviation)
            ));
        }
        table.add_row(row);
    }
    table.to_string()
}

/// Balanced accuracies closer than this to the plain ones are not shown beside them.
const SAME_ACCURACY: f64 = 0.005;

/// Whether a table should show `spread`: a balanced accuracy only where the classes are so unequal
/// that it differs from the accuracy. `run.json` has it anyway.
fn tells_more(spread: &Spread, all: &[Spread]) -> bool {
    let Some(part) = spread.name.strip_suffix("balanced_accuracy") else {
        return true;
    };
    let plain = all.iter().find(|s| s.name == format!("{part}accuracy"));
    plain.is_none_or(|p| (p.mean - spread.mean).abs() >= SAME_ACCURACY)
}

/// Value `x` of result `name` for people: accuracies in percent.
#[must_use]
pub fn show(name: &str, x: f64) -> String {
    match name.ends_with("accuracy") {
        true => format!("{:.2} %", 100.0 * x),
        false => readable(x),
    }
}

/// What experiments are ranked by.
const RANKED_BY: &str = "test/accuracy";

/// Mean of what experiments are ranked by; the least of all where there is none.
fn rank(spreads: &[Spread]) -> f64 {
    let found = spreads.iter().find(|s| s.name == RANKED_BY);
    found.map_or(f64::NEG_INFINITY, |s| s.mean)
}

/// The first experiment of the table of [`comparison`].
///
/// # Panics
/// There is none.
#[must_use]
pub fn best(experiments: &[Experiment]) -> &Experiment {
    let ranks = experiments.iter().map(|e| (rank(&spreads(&e.runs)), e));
    let first = ranks.reduce(|best, next| match next.0 > best.0 {
        true => next,
        false => best,
    });
    first.expect("an experiment").1
}

/// Experiments as a table, a row each, the best test accuracy first; experiments without
/// one come last, in their order. Of several seeds it shows mean ± standard deviation. Where one
/// failed, a last column says why.
#[must_use]
pub fn comparison(experiments: &[Experiment]) -> String {
    let mut rows: Vec<(&Experiment, Vec<Spread>)> =
        experiments.iter().map(|e| (e, spreads(&e.runs))).collect();
    rows.sort_by(|a, b| rank(&b.1).total_cmp(&rank(&a.1)));
    let names: BTreeSet<&str> = (rows.iter())
        .flat_map(|(_, spreads)| spreads.iter().filter(|s| tells_more(s, spreads)))
        .map(|s| s.name.as_str())
        .collect();
    let any_failed = experiments.iter().any(|e| !e.failures.is_empty());
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let head = ["experiment", "runs"].into_iter();
    let failed = any_failed.then_some("failed");
    table.set_header(head.chain(names.iter().copied()).chain(failed));
    for (experiment, spreads) in &rows {
        let runs = experiment.runs.len();
        let value = |name: &&str| match spreads.iter().find(|s| s.name == *name) {
            Some(s) if runs > 1 => format!("{} ± {}", show(name, s.mean), show(name, s.deviation)),
            Some(s) => show(name, s.mean),
            None => "-".to_owned(),
        };
        let mut row = vec![experiment.name.clone(), runs.to_string()];
        row.extend(names.iter().map(value));
        if any_failed {
            let lines: Vec<String> = experiment.failures.iter().map(Failure::line).collect();
            row.push(lines.join("; "));
        }
        table.add_row(row);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, accuracy: f64) -> (u64, Metrics) {
        (
            seed,
            Metrics::from([("test/accuracy".to_owned(), accuracy)]),
        )
    }

    #[test]
    fn mean_and_deviation() {
        let runs = [run(0, 0.70), run(1, 0.72), run(2, 0.71), run(3, 0.71)];
        let spread = &spreads(&runs)[0];
        assert!((spread.mean - 0.71).abs() < 1e-12);
        assert!((spread.deviation - (2e-4_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!(
            table(&runs).contains("71.00 % ± 0.82 %"),
            "{}",
            table(&runs)
        );
    }

    #[test]
    fn experiments_are_ranked_by_test_accuracy() {
        let with = |name: &str, runs| Experiment {
            runs,
            ..Experiment::new(name)
        };
        let none = vec![(0, Metrics::from([("test/loss".to_owned(), 2.0)]))];
        let none = with("none", none);
        let one = with("one", vec![run(0, 0.5)]);
        let two = with("two", vec![run(0, 0.6), run(1, 0.62)]);
        let text = comparison(&[none, one, two]);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[0],
            ["experiment", "runs", "test/accuracy", "test/loss"]
        );
        assert_eq!(lines[1], ["two", "2", "61.00", "%", "±", "1.41", "%", "-"]);
        assert_eq!(lines[2], ["one", "1", "50.00", "%", "-"]);
        assert_eq!(lines[3], ["none", "1", "-", "2.0000"]);
    }

    #[test]
    fn the_table_and_the_summary_say_what_failed() {
        let mut some = Experiment::new("some");
        some.runs.push(run(1, 0.5));
        let error = Error::new(crate::ExitCode::Diverged, "the loss is NaN").hint("smaller steps");
        let seed = Some(0);
        some.failures.push(Failure { seed, error });
        let fine = Experiment {
            runs: vec![run(0, 0.4), run(1, 0.4)],
            ..Experiment::new("fine")
        };
        let folder = tempfile::tempdir().unwrap();
        let text = comparison(&[fine, some]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].trim_end().ends_with("failed"), "{text}");
        assert!(lines[1].contains("some") && lines[1].contains("seed 0: the loss is NaN"));
        assert!(lines[2].contains("fine") && !lines[2].contains("seed"));
        let mut some = Experiment::new("some");
        some.failures.push(Failure {
            seed,
            error: Error::data("gone"),
        });
        write(folder.path(), &some).unwrap();
        let text = std::fs::read_to_string(folder.path().join("summary.json")).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["failed"][0]["seed"], 0);
        assert_eq!(json["failed"][0]["code"], 3);
        assert_eq!(json["seeds"], json!([]));
    }

    #[test]
    fn a_result_that_one_seed_lacks_is_left_out() {
        let mut runs = [run(0, 0.5), run(1, 0.5)];
        runs[1].1.clear();
        assert!(spreads(&runs).is_empty());
    }
}
