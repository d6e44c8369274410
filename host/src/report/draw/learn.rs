//! What changed while a network learned: accuracies, radii, angles.

use std::collections::BTreeMap;

use super::super::chart::lines::{Curve, End, Lines, SOLID};
use super::super::chart::{Drawing, scale};
use super::super::kind::{Kind, rule_name};
use super::super::runs::{Experiment, Run, State};
use super::super::table::word;
use super::super::{number, stats};
use crate::run::EpochRecord;
use crate::text::capital;

/// Width of drawings that stand side by side.
const MULTIPLE: f64 = 250.0;
/// Seeds up to which a band is lowest to highest; beyond, the deviation.
const FEW_SEEDS: usize = 5;

/// How curves of a run end.
fn end(run: &Run) -> End {
    match run.state {
        State::Finished => End::Done,
        State::Running => End::Open,
        _ => End::Stopped,
    }
}

/// The epochs of a segment's phases that learn from the loss.
fn driven<'a>(run: &'a Run, segment: &str) -> Vec<&'a EpochRecord> {
    let of = |e: &&EpochRecord| e.segment == segment && e.metrics.contains_key("train/loss");
    run.epochs.iter().filter(of).collect()
}

/// A curve over seeds: each point the mean, the band what seeds differ by.
fn over_seeds(name: &str, kind: Kind, nth: usize, runs: &[Vec<(f64, f64)>], end: End) -> Curve {
    let mut by_place: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (x, y) in runs.iter().flatten().filter(|(_, y)| y.is_finite()) {
        by_place.entry(x.to_bits()).or_default().push(*y);
    }
    let (mut points, mut band) = (Vec::new(), Vec::new());
    for (x, values) in &by_place {
        let x = f64::from_bits(*x);
        let (mean, deviation) = stats::spread(values);
        points.push((x, mean));
        let (low, high) = values
            .iter()
            .fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        match deviation {
            Some(s) if values.len() > FEW_SEEDS => band.push((x, mean - s, mean + s)),
            Some(_) => band.push((x, low, high)),
            None => {}
        }
    }
    Curve {
        name: name.to_owned(),
        kind,
        nth,
        points,
        band,
        end,
    }
}

/// Values of `metric` in percent (accuracies) or as they are, by epoch of the segment's driven phases.
fn points(run: &Run, segment: &str, metric: &str) -> Vec<(f64, f64)> {
    let factor = if metric.ends_with("accuracy") {
        100.0
    } else {
        1.0
    };
    let epochs = driven(run, segment);
    let numbered = epochs.iter().enumerate();
    numbered
        .filter_map(|(i, e)| Some(((i + 1) as f64, factor * e.metrics.get(metric)?)))
        .collect()
}

/// Which part was evaluated between epochs: `validation` or `test`.
#[must_use]
pub fn held_out(run: &Run) -> Option<&'static str> {
    let has = |part: &str| {
        let accuracy = format!("{part}/loss");
        run.epochs.iter().any(|e| e.metrics.contains_key(&accuracy))
    };
    ["validation", "test"].into_iter().find(|part| has(part))
}

fn bands(seeds: usize) -> &'static str {
    match seeds {
        1 => "",
        n if n <= FEW_SEEDS => {
            " Lines are means over seeds, bands reach from the lowest to the highest."
        }
        _ => " Lines are means over seeds, bands are ± one standard deviation.",
    }
}

/// Accuracy, or for regression the loss, while one experiment learns, beside its baselines.
#[must_use]
pub fn learning(experiment: &Experiment) -> Option<Drawing> {
    let first = experiment.first();
    let part = held_out(first);
    let by_accuracy = first
        .epochs
        .iter()
        .any(|e| e.metrics.contains_key("train/accuracy"));
    let measure = if by_accuracy { "accuracy" } else { "loss" };
    let mut curves = Vec::new();
    let mut add = |name: &str, kind: Kind, nth: usize, segment: &str, metric: &str| {
        let runs: Vec<_> = (experiment.runs.iter())
            .map(|r| points(r, segment, metric))
            .collect();
        if runs.iter().any(|r| !r.is_empty()) {
            curves.push(over_seeds(name, kind, nth, &runs, end(first)));
        }
    };
    let train = format!("train/{measure}");
    add("training", Kind::None, 0, "network", &train);
    if let Some(part) = part {
        let kind = match first.kind() {
            Kind::None => Kind::True,
            kind => kind,
        };
        add(part, kind, SOLID, "network", &format!("{part}/{measure}"));
        for (nth, (segment, name)) in [("random-weights", "random"), ("linear-pixels", "pixels")]
            .iter()
            .enumerate()
        {
            add(
                name,
                Kind::True,
                nth + 1,
                segment,
                &format!("{part}/{measure}"),
            );
        }
    }
    let epochs = driven(first, "network");
    let mut parts: Vec<(f64, String)> = Vec::new();
    for (i, e) in epochs.iter().enumerate() {
        if i > 0 && epochs[i - 1].phase != e.phase {
            parts.push(((i + 1) as f64, e.phase.clone()));
        }
    }
    let what = part.map_or("training", |p| p);
    let gain = gain_sentence(
        &points(first, "network", &format!("{what}/{measure}")),
        measure,
    );
    Lines {
        name: "learning".into(),
        title: gain.unwrap_or_else(|| format!("{} while the network learns", capital(measure))),
        note: format!(
            "Dotted: on training samples{}.{}",
            if part.is_some() {
                "; solid: on those that nothing is learned from"
            } else {
                ""
            },
            bands(experiment.runs.len())
        ),
        unit: if by_accuracy {
            "accuracy, %".into()
        } else {
            "loss".into()
        },
        below: "epoch".into(),
        curves,
        parts,
        decimals: if by_accuracy {
            number::decimals(first.samples())
        } else {
            4
        },
        ..Lines::default()
    }
    .draw()
}

/// When most of the gain was there: the first epoch within a tenth of the way from first to best.
fn gain_sentence(points: &[(f64, f64)], measure: &str) -> Option<String> {
    let (first, last) = (points.first()?, points.last()?);
    let sign = if measure == "accuracy" { 1.0 } else { -1.0 };
    let best = points.iter().map(|p| sign * p.1).fold(f64::MIN, f64::max);
    let way = best - sign * first.1;
    if points.len() < 4 || way <= 0.0 {
        return None;
    }
    let near = points.iter().find(|p| sign * p.1 >= best - 0.1 * way)?;
    match near.0 < last.0 {
        true => Some(format!(
            "Nine tenths of the gain are there after {:.0} of {:.0} epochs",
            near.0, last.0
        )),
        false => Some(format!(
            "{} still improves at the last epoch",
            capital(measure)
        )),
    }
}

/// Curves that one drawing takes; more are parted by kind.
const TOGETHER: usize = 6;

/// Held-out accuracies of several experiments in one drawing, or one for each kind of rule, all with
/// the same axes.
#[must_use]
pub fn learning_of_all(experiments: &[Experiment]) -> Vec<Drawing> {
    let mut numbers = BTreeMap::new();
    let mut curves = Vec::new();
    for experiment in experiments {
        let first = experiment.first();
        let Some(part) = held_out(first) else {
            continue;
        };
        let metric = format!("{part}/accuracy");
        let runs: Vec<_> = (experiment.runs.iter())
            .map(|r| points(r, "network", &metric))
            .collect();
        if runs.iter().all(Vec::is_empty) {
            continue;
        }
        let kind = first.kind();
        let nth = numbers
            .entry(kind)
            .and_modify(|n| *n += 1)
            .or_insert(0usize);
        curves.push(over_seeds(&experiment.short, kind, *nth, &runs, end(first)));
    }
    if curves.len() < 2 {
        return Vec::new();
    }
    let seeds = experiments.iter().map(|e| e.runs.len()).max().unwrap_or(1);
    let values = |of: fn(&(f64, f64)) -> f64| {
        scale::range(curves.iter().flat_map(|c| c.points.iter().map(of)))
    };
    let (Some(x), Some(y)) = (values(|p| p.0), values(|p| p.1)) else {
        return Vec::new();
    };
    let draw = |name: String, title: String, curves: Vec<Curve>, width: f64| {
        Lines {
            name,
            title,
            note: format!("Accuracy on held-out samples.{}", bands(seeds)),
            unit: "accuracy, %".into(),
            below: "epoch of learning from labels".into(),
            curves,
            range: Some(scale::rounded(y, 5)),
            across: Some(x),
            decimals: number::decimals(experiments[0].first().samples()),
            height: if width > 0.0 { 120.0 } else { 0.0 },
            width,
            ..Lines::default()
        }
        .draw()
    };
    if curves.len() <= TOGETHER {
        let title = "While they learn".to_owned();
        return draw("learning-all".into(), title, curves, 0.0)
            .into_iter()
            .collect();
    }
    let mut kinds: Vec<Kind> = curves.iter().map(|c| c.kind).collect();
    kinds.sort();
    kinds.dedup();
    let drawn = kinds.into_iter().filter_map(|kind| {
        let own: Vec<Curve> = curves.iter().filter(|c| c.kind == kind).cloned().collect();
        let title = match kind {
            Kind::None => "First layer does not learn".to_owned(),
            kind => format!("First layer: {}", kind.words()),
        };
        draw(
            format!("learning-{}", kind.class()),
            title,
            own,
            MULTIPLE + 60.0,
        )
    });
    drawn.collect()
}

/// Mean length of the weight vectors of each local layer by step, with one deviation.
#[must_use]
pub fn radii(run: &Run) -> Vec<Drawing> {
    let drawn = run
        .blocks()
        .into_iter()
        .filter_map(|block| radius(run, block));
    drawn.collect()
}

fn radius(run: &Run, block: &toml::Table) -> Option<Drawing> {
    let name = word(block, "name");
    let (rule, kind) = run.rule_of(block)?;
    let phases = run.phases_of(name);
    let here = |place: &str| {
        phases
            .iter()
            .any(|p| word(p, "name") == place && word(p, "drive") != "gradient")
    };
    let (mean, deviation) = (format!("{name}/radius_mean"), format!("{name}/radius_std"));
    let mut found: Vec<(f64, f64, Option<f64>)> = (run.steps.iter())
        .filter(|row| here(&row.place))
        .filter_map(|row| {
            Some((
                row.step as f64,
                *row.metrics.get(&mean)?,
                row.metrics.get(&deviation).copied(),
            ))
        })
        .collect();
    let ends = run
        .epochs
        .iter()
        .filter(|e| e.segment == "network" && here(&e.phase));
    found.extend(ends.filter_map(|e| {
        Some((
            e.step as f64,
            *e.metrics.get(&mean)?,
            e.metrics.get(&deviation).copied(),
        ))
    }));
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    let last = *found.last()?;
    (found.len() > 1).then_some(())?;
    let band = found
        .iter()
        .filter_map(|(x, y, s)| Some((*x, y - (*s)?, y + (*s)?)))
        .collect();
    let goal = rule == "softhebb" || rule == "krotov";
    let highest = found
        .iter()
        .map(|f| f.1 + f.2.unwrap_or(0.0))
        .fold(0.0, f64::max);
    let spread = last.2.map_or(String::new(), |s| format!(" ± {s:.1}"));
    Lines {
        name: format!("radius-{}", safe(name)),
        title: format!("{name}: {:.1} → {:.1}{spread}", found[0].1, last.1),
        note: format!(
            "{}; mean over units, band ± one deviation",
            rule_name(&rule)
        ),
        unit: "radius".into(),
        below: "step".into(),
        curves: vec![Curve {
            name: String::new(),
            kind,
            nth: 0,
            points: found.iter().map(|f| (f.0, f.1)).collect(),
            band,
            end: end(run),
        }],
        range: Some((
            0.0,
            super::super::chart::scale::rounded((0.0, highest.max(1e-6)), 4).1,
        )),
        levels: if goal {
            vec![(1.0, "goal 1".into())]
        } else {
            Vec::new()
        },
        decimals: 2,
        height: 96.0,
        width: MULTIPLE,
        ..Lines::default()
    }
    .draw()
}

/// Letters, digits and hyphens of `name`.
#[must_use]
pub fn safe(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.chars().map(plain).collect()
}

/// Angles between what rules do and the true gradient, and between weights and feedback, a drawing
/// for each block, all with the same axes.
#[must_use]
pub fn angles(experiments: &[Experiment]) -> Vec<Drawing> {
    let first = experiments.first().map(|e| e.first().blocks());
    let blocks: Vec<&str> = first.iter().flatten().map(|b| word(b, "name")).collect();
    let kinds = [
        ("gradient_cosine", "update and true gradient"),
        ("weight_angle", "weights and feedback"),
    ];
    let all: Vec<_> = kinds
        .into_iter()
        .flat_map(|(metric, words)| blocks.iter().map(move |block| (*block, metric, words)))
        .map(|(block, metric, words)| (block, metric, words, angle(experiments, block, metric)))
        // The true gradient's own angle is 0 by construction: alone it says nothing.
        .filter(|(.., curves)| curves.iter().flat_map(|c| &c.points).any(|p| p.1 > 1e-3))
        .collect();
    let seen = all
        .iter()
        .flat_map(|(.., curves)| curves)
        .flat_map(|c| &c.points);
    let beyond = seen.map(|p| p.1).fold(0.0, f64::max) > 92.0;
    let (most, rows) = match beyond {
        true => (180.0, vec![0.0, 60.0, 120.0, 180.0]),
        false => (90.0, vec![0.0, 30.0, 60.0, 90.0]),
    };
    let draw = |(block, metric, words, curves): (&str, &str, &str, Vec<Curve>)| {
        Lines {
            name: format!("angle-{}-{}", metric.replace('_', "-"), safe(block)),
            title: format!("{block}: {words}"),
            note: "smaller is closer".into(),
            unit: "angle, °".into(),
            below: "epoch".into(),
            curves,
            range: Some((0.0, most)),
            rows: rows.clone(),
            levels: vec![(90.0, "chance".into())],
            decimals: 1,
            height: 110.0,
            width: MULTIPLE + 40.0,
            ..Lines::default()
        }
        .draw()
    };
    all.into_iter().filter_map(draw).collect()
}

/// The curves of a block's angle in degrees.
fn angle(experiments: &[Experiment], block: &str, metric: &str) -> Vec<Curve> {
    let name = format!("{block}/{metric}");
    let degrees = |x: f64| match metric {
        "weight_angle" => x,
        _ => x.clamp(-1.0, 1.0).acos().to_degrees(),
    };
    let mut numbers = BTreeMap::new();
    let mut curves = Vec::new();
    for experiment in experiments {
        let of = |run: &Run| -> Vec<(f64, f64)> {
            let epochs = driven(run, "network");
            let value = |(i, e): (usize, &&EpochRecord)| {
                Some(((i + 1) as f64, degrees(*e.metrics.get(&name)?)))
            };
            epochs.iter().enumerate().filter_map(value).collect()
        };
        let runs: Vec<_> = experiment.runs.iter().map(of).collect();
        if runs.iter().all(Vec::is_empty) {
            continue;
        }
        let run = experiment.first();
        let table = run.blocks().into_iter().find(|b| word(b, "name") == block);
        let rule = table.and_then(|b| run.rule_of(b));
        let (rule, kind) = rule.unwrap_or((String::new(), Kind::None));
        let nth = numbers
            .entry(kind)
            .and_modify(|n| *n += 1)
            .or_insert(0usize);
        let shown = match experiments.len() {
            1 => rule.rsplit('/').next().unwrap_or_default().to_owned(),
            _ => experiment.short.clone(),
        };
        curves.push(over_seeds(&shown, kind, *nth, &runs, end(run)));
    }
    curves
}
