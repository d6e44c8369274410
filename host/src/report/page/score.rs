//! A result with what may be said of its luck, and the published one beside it.

use super::super::chart::dots::Dot;
use super::super::kind::Kind;
use super::super::runs::{Experiment, Run};
use super::super::{number, stats};

/// Baselines of a run, with their names on pages.
pub(super) const BASELINES: [(&str, &str); 2] = [
    ("random-weights", "random weights"),
    ("linear-pixels", "linear on pixels"),
];

/// A result with what may be said of its luck.
pub(super) struct Score {
    pub(super) mean: f64,
    /// Standard deviation over seeds.
    pub(super) deviation: Option<f64>,
    /// 95 % interval: over images for one seed, over seeds for several.
    pub(super) interval: Option<(f64, f64)>,
    pub(super) each: Vec<f64>,
    pub(super) decimals: usize,
    /// A share of 1, shown in percent.
    pub(super) is_share: bool,
}

impl Score {
    /// The result `name` of an experiment; `None` where no run has it.
    pub(super) fn of(experiment: &Experiment, name: &str) -> Option<Self> {
        let each = experiment.results(name);
        if each.is_empty() {
            return None;
        }
        let (mean, deviation) = stats::spread(&each);
        let samples = experiment.first().samples();
        let is_share = name.ends_with("accuracy");
        let interval = match (deviation, samples) {
            (Some(s), _) => {
                let reach = stats::student(each.len() - 1) * s / (each.len() as f64).sqrt();
                Some((mean - reach, mean + reach))
            }
            (None, Some(n)) if is_share => Some(stats::wilson(mean * n as f64, n)),
            _ => None,
        };
        let decimals = if is_share {
            number::decimals(samples)
        } else {
            4
        };
        Some(Self {
            mean,
            deviation,
            interval,
            each,
            decimals,
            is_share,
        })
    }

    fn number(&self, x: f64) -> String {
        match self.is_share {
            true => number::hundredths(x, self.decimals),
            false => number::fixed(x, self.decimals),
        }
    }

    /// `77.52 %`, or with several seeds `77.52 ± 0.14 %`.
    pub(super) fn shown(&self) -> String {
        let sign = if self.is_share { "\u{a0}%" } else { "" };
        match self.deviation {
            Some(s) => format!(
                "{}\u{a0}±\u{a0}{}{sign}",
                self.number(self.mean),
                self.number(s)
            ),
            None => format!("{}{sign}", self.number(self.mean)),
        }
    }

    /// As a dot beside what was published, in percent where it is a share.
    pub(super) fn dot(&self, name: &str, kind: Kind, published: Option<(f64, Option<f64>)>) -> Dot {
        let factor = if self.is_share { 100.0 } else { 1.0 };
        let several = self.each.len() > 1;
        let each = self.each.iter().filter(|_| several);
        Dot {
            name: name.to_owned(),
            kind,
            value: factor * self.mean,
            interval: self.interval.map(|(a, b)| (factor * a, factor * b)),
            each: each.map(|x| factor * x).collect(),
            published: published.map(|(v, s)| (factor * v, s.map(|s| factor * s))),
            shown: self.shown(),
        }
    }

    /// What the numbers cover.
    pub(super) fn covers(&self) -> String {
        let range = self
            .interval
            .map(|(a, b)| format!("{} to {}", self.number(a), self.number(b)));
        match (self.each.len(), range) {
            (1, Some(range)) => format!("; 95 % interval over test images {range}"),
            (1, None) => String::new(),
            (n, range) => format!(
                "; mean ± standard deviation over {n} seeds{}",
                range.map_or(String::new(), |r| format!(
                    ", 95 % interval of the mean {r}"
                ))
            ),
        }
    }
}

/// The result that stands for a run: accuracy, or for regression the loss.
pub(super) fn headline_name(experiment: &Experiment) -> &'static str {
    headline_of(|| experiment.runs.iter())
}

/// Accuracies where any of `runs` has one, else losses.
pub(super) fn headline_of<'a, I: Iterator<Item = &'a Run>>(runs: impl Fn() -> I) -> &'static str {
    let any = |name: &str| runs().any(|r| r.result(name).is_some());
    match !any("test/accuracy") && any("test/loss") {
        true => "test/loss",
        false => "test/accuracy",
    }
}

/// The published figure `name` with its deviation.
pub(super) fn published(experiment: &Experiment, name: &str) -> Option<(f64, Option<f64>)> {
    let record = experiment.first().record.experiment.as_ref()?;
    Some((
        *record.published.get(name)?,
        record.published_deviation.get(name).copied(),
    ))
}

/// The published figure as people read it; it keeps the digits it was given with.
pub(super) fn published_shown((value, deviation): (f64, Option<f64>), is_share: bool) -> String {
    let number = |x: f64| {
        if is_share {
            number::hundredths(x, 2)
        } else {
            number::short(x)
        }
    };
    let sign = if is_share { "\u{a0}%" } else { "" };
    match deviation {
        Some(s) => format!("{}\u{a0}±\u{a0}{}{sign}", number(value), number(s)),
        None => format!("{}{sign}", number(value)),
    }
}
