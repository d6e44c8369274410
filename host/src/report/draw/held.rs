//! How a finished network fares: which class it takes for which, and what changed pictures do to it.

use std::collections::BTreeMap;

use super::super::chart::Drawing;
use super::super::chart::lines::{Curve, End, Lines};
use super::super::chart::matrix;
use super::super::kind::Kind;
use super::super::runs::{Experiment, Run};
use crate::attack::Row;

/// Classes up to which all are drawn.
const CLASSES: usize = 100;

/// The counts behind [`confusion`].
#[must_use]
pub fn counts(run: &Run) -> Option<(Vec<String>, Vec<Vec<u64>>)> {
    let classes = run.classes();
    let rows = run.answers.as_ref()?.confusion("network", classes.len())?;
    // Samples taken for no class have a column of their own, which a square has no room for.
    let square: Vec<Vec<u64>> = rows
        .into_iter()
        .map(|mut r| {
            r.truncate(classes.len());
            r
        })
        .collect();
    (classes.len() > 1).then_some((classes, square))
}

/// Which class is taken for which.
#[must_use]
pub fn confusion(run: &Run) -> Option<Drawing> {
    let (classes, rows) = counts(run)?;
    (classes.len() <= CLASSES).then_some(())?;
    matrix::confusion(("confusion", "Who is taken for whom"), &classes, &rows)
}

/// What a strength is measured in, with the factor from the record's number.
fn unit(row: &Row) -> (String, f64) {
    let label = row.attack.label();
    match () {
        () if label.ends_with("/255") => ("largest change of a value, /255".into(), 255.0),
        () if label.contains("pixel") => ("changed pixels".into(), 1.0),
        () if label.contains("severity") => ("severity".into(), 1.0),
        () if row.attack.method.name() == "noise" => {
            ("standard deviation of the noise".into(), 1.0)
        }
        () => ("length of the change".into(), 1.0),
    }
}

/// A strength's curve: its unit, the attack, and points from 0, where pictures are clean.
type Curves = BTreeMap<(String, String), Vec<(f64, f64)>>;

fn curves(run: &Run) -> Curves {
    let mut all = Curves::new();
    for record in run.attacks.iter().filter(|a| a.split == "test") {
        for row in &record.rows {
            let (unit, factor) = unit(row);
            let mut name = row.attack.method.name().to_owned();
            if row.attack.gradient == Some(crate::attack::Gradient::Rule) {
                name.push_str(" (rule)");
            }
            if let Some(protocol) = &record.protocol {
                name.push_str(&format!(" ({protocol})"));
            }
            let points = all.entry((unit, name)).or_default();
            points.push((0.0, 100.0 * row.clean_accuracy()));
            points.push((factor * row.attack.strength, 100.0 * row.robust_accuracy()));
        }
    }
    for points in all.values_mut() {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by(|a, b| (a.0 - b.0).abs() < 1e-9);
    }
    all
}

/// Robust accuracy by strength, a drawing for each unit; of several experiments one for each attack.
#[must_use]
pub fn robustness(experiments: &[Experiment]) -> Vec<Drawing> {
    let mut drawings: BTreeMap<(String, String), Vec<Curve>> = BTreeMap::new();
    for experiment in experiments {
        let run = experiment.first();
        let kind = run.kind();
        for ((unit, attack), points) in curves(run) {
            let (title, name) = match experiments.len() {
                1 => (String::new(), attack),
                _ => (attack, experiment.short.clone()),
            };
            let list = drawings.entry((unit, title)).or_default();
            let same = |c: &&Curve| c.kind == kind || experiments.len() == 1;
            let nth = list.iter().filter(same).count();
            let kind = if kind == Kind::None { Kind::True } else { kind };
            list.push(Curve {
                name,
                kind,
                nth,
                points,
                band: Vec::new(),
                end: End::Done,
            });
        }
    }
    let all = drawings
        .into_iter()
        .enumerate()
        .filter_map(|(i, ((unit, title), curves))| {
            let title = match title.as_str() {
                "" => "Accuracy on changed test images".to_owned(),
                attack => format!("{attack}: accuracy on changed test images"),
            };
            Lines {
                name: format!("robustness-{i}"),
                title,
                note: "Strength 0 is the clean image.".into(),
                unit: "accuracy, %".into(),
                below: unit,
                curves,
                range: Some((0.0, 100.0)),
                decimals: 1,
                height: 130.0,
                ..Lines::default()
            }
            .draw()
        });
    all.collect()
}
