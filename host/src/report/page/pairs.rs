//! Differences between two networks on the same images or with the same seeds.

use super::super::number;
use super::super::runs::{Experiment, Run};
use super::super::stats::{Over, Paired};

/// A paired difference with the reach of its interval.
pub(super) fn short_difference(paired: &Paired, decimals: usize) -> String {
    let reach = 0.5 * (paired.interval.1 - paired.interval.0);
    format!(
        "{}\u{a0}±\u{a0}{}",
        number::points(paired.difference, decimals),
        number::hundredths(reach, decimals)
    )
}

/// A paired difference in words.
pub(super) fn difference(paired: &Paired, decimals: usize) -> String {
    let p = paired.p.map_or(String::new(), |p| match p {
        p if p < 0.001 => ", p < 0.001".to_owned(),
        p => format!(", p = {}", number::fixed(p, if p < 0.1 { 3 } else { 2 })),
    });
    let over = match paired.over {
        Over::Images => "the same images",
        Over::Seeds => "the same seeds",
    };
    format!("{} points on {over}{p}", short_difference(paired, decimals))
}

/// `first` less `second`: over seeds that both have, where there are two, else over images.
pub(super) fn paired(first: &Experiment, second: &Experiment) -> Option<Paired> {
    let differences: Vec<f64> = (first.runs.iter())
        .filter_map(|a| {
            let b = second
                .runs
                .iter()
                .find(|b| b.record.seed == a.record.seed)?;
            Some(a.result("test/accuracy")? - b.result("test/accuracy")?)
        })
        .collect();
    let same = |a: &Run, b: &Run| {
        let (a, b) = (a.answers.as_ref()?, b.answers.as_ref()?);
        (a.labels == b.labels).then_some(())?;
        on_images(&a.labels, a.taken.get("network")?, b.taken.get("network")?)
    };
    match Paired::seeds(&differences) {
        Some(paired) => Some(paired),
        None => same(first.first(), second.first()),
    }
}

/// The network beside a baseline of the same runs.
pub(super) fn paired_with_baseline(experiment: &Experiment, segment: &str) -> Option<Paired> {
    if experiment.runs.len() > 1 {
        let both = |r: &Run| {
            Some(r.result("test/accuracy")? - r.result(&format!("{segment}/test/accuracy"))?)
        };
        let differences: Vec<f64> = experiment.runs.iter().filter_map(both).collect();
        if let Some(paired) = Paired::seeds(&differences) {
            return Some(paired);
        }
    }
    let answers = experiment.first().answers.as_ref()?;
    let (ours, theirs) = (answers.taken.get("network")?, answers.taken.get(segment)?);
    on_images(&answers.labels, ours, theirs)
}

/// What two networks take the same images for, beside what they are.
fn on_images(labels: &[u32], first: &[u32], second: &[u32]) -> Option<Paired> {
    let pairs = labels.iter().zip(first.iter().zip(second));
    Paired::images(pairs.map(|(label, (a, b))| (label == a, label == b)))
}
