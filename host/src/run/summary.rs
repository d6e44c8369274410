//! Several seeds together: mean and spread of each result, as a table for
//! people and as `summary.json` for programs. Several experiments side by side.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::{Metrics, atomic};
use crate::number::readable;
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

fn spread(name: &str, values: Vec<f64>) -> Spread {
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

/// Writes `summary.json` into `folder`.
///
/// # Errors
/// Internal error where the disk refuses.
pub fn write(folder: &Path, runs: &[(u64, Metrics)]) -> Result<()> {
    let seeds: Vec<u64> = runs.iter().map(|(seed, _)| *seed).collect();
    let summary = serde_json::json!({"seeds": seeds, "results": spreads(runs)});
    let text = serde_json::to_string_pretty(&summary)
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
fn show(name: &str, x: f64) -> String {
    match name.ends_with("accuracy") {
        true => format!("{:.2} %", 100.0 * x),
        false => readable(x),
    }
}

/// An experiment's name and the results of its seeds.
pub type Experiment = (String, Vec<(u64, Metrics)>);

/// What experiments are ranked by.
const RANKED_BY: &str = "test/accuracy";

/// Experiments as a table, a row each, the best test accuracy first; experiments without
/// one come last, in their order. Of several seeds it shows mean ± standard deviation.
#[must_use]
pub fn comparison(experiments: &[Experiment]) -> String {
    let mut rows: Vec<(&str, usize, Vec<Spread>)> = experiments
        .iter()
        .map(|(name, runs)| (name.as_str(), runs.len(), spreads(runs)))
        .collect();
    let rank = |spreads: &[Spread]| {
        let found = spreads.iter().find(|s| s.name == RANKED_BY);
        found.map_or(f64::NEG_INFINITY, |s| s.mean)
    };
    rows.sort_by(|a, b| rank(&b.2).total_cmp(&rank(&a.2)));
    let names: BTreeSet<&str> = (rows.iter())
        .flat_map(|(_, _, spreads)| spreads.iter().filter(|s| tells_more(s, spreads)))
        .map(|s| s.name.as_str())
        .collect();
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let head = ["experiment", "runs"]
        .into_iter()
        .chain(names.iter().copied());
    table.set_header(head);
    for (experiment, runs, spreads) in &rows {
        let mut row = vec![(*experiment).to_owned(), runs.to_string()];
        row.extend(
            names
                .iter()
                .map(|name| match spreads.iter().find(|s| s.name == *name) {
                    Some(s) if *runs > 1 => {
                        format!("{} ± {}", show(name, s.mean), show(name, s.deviation))
                    }
                    Some(s) => show(name, s.mean),
                    None => "-".to_owned(),
                }),
        );
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
        let none = (
            "none".to_owned(),
            vec![(0, Metrics::from([("test/loss".to_owned(), 2.0)]))],
        );
        let one = ("one".to_owned(), vec![run(0, 0.5)]);
        let two = ("two".to_owned(), vec![run(0, 0.6), run(1, 0.62)]);
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
    fn a_result_that_one_seed_lacks_is_left_out() {
        let mut runs = [run(0, 0.5), run(1, 0.5)];
        runs[1].1.clear();
        assert!(spreads(&runs).is_empty());
    }
}
