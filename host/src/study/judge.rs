//! What the run folder of one seed says.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::run::Metrics;
use crate::run::identity::ErrorRecord;
use crate::sweep::plan::{At, Objective};
use crate::{Error, Result};

/// What is read of `run.json`.
#[derive(Debug, Default, Deserialize)]
struct Ending {
    exit_reason: Option<String>,
    #[serde(default)]
    error: Option<ErrorRecord>,
    #[serde(default)]
    results: Metrics,
}

/// Counts epochs of the phases that have a metric: phases without it may end when they like, and the
/// epochs of two trials are still alike.
#[derive(Debug, Default)]
struct Clock {
    phase: String,
    /// Epochs of earlier phases.
    before: u64,
    /// The last epoch of this one.
    last: u64,
}

impl Clock {
    /// The epoch with a value that is the `epoch`-th of `phase`.
    fn at(&mut self, phase: &str, epoch: u64) -> u64 {
        if self.phase != phase {
            self.before += self.last;
            phase.clone_into(&mut self.phase);
        }
        self.last = epoch;
        self.before + epoch
    }
}

/// The run of one seed.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// `finished`, `pruned`, `diverged`, `stopped`, `failed`; absent while it runs and before.
    pub(super) reason: Option<String>,
    /// Why it diverged or failed.
    pub(super) error: Option<ErrorRecord>,
    /// Wall time of its epochs, seconds.
    pub(super) seconds: f64,
    results: Metrics,
    /// Values by metric, with their epochs.
    columns: BTreeMap<String, Vec<(u64, f64)>>,
}

impl Run {
    /// What lies in `folder`; of metrics only those in `wanted`.
    ///
    /// # Errors
    /// Storage error for a damaged file.
    pub(super) fn read(folder: &Path, wanted: &[&str]) -> Result<Option<Self>> {
        let file = folder.join("run.json");
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::storage_io(&file, &e)),
        };
        let ending: Ending = serde_json::from_slice(&bytes).map_err(|e| {
            Error::storage(format!("`{}` is damaged: {e}", file.display()))
                .hint("remove the run's folder, so that it is trained anew")
        })?;
        let mut run = Self {
            reason: ending.exit_reason,
            error: ending.error,
            results: ending.results,
            ..Self::default()
        };
        run.metrics(&folder.join("metrics.csv"), wanted)?;
        Ok(Some(run))
    }

    fn metrics(&mut self, file: &Path, wanted: &[&str]) -> Result<()> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::storage_io(file, &e)),
        };
        let damaged = |e: csv::Error| {
            Error::storage(format!("`{}` is damaged: {e}", file.display()))
                .hint("remove the run's folder, so that it is trained anew")
        };
        let mut table = csv::Reader::from_reader(bytes.as_slice());
        let head = table.headers().map_err(damaged)?.clone();
        let find = |name: &str| head.iter().position(|h| h == name);
        let (segment, seconds) = (find("segment"), find("seconds"));
        let (phase, epoch) = (find("phase"), find("epoch"));
        let wanted: Vec<(&str, usize)> = wanted
            .iter()
            .filter_map(|name| Some((*name, find(name)?)))
            .collect();
        let mut clocks: Vec<Clock> = wanted.iter().map(|_| Clock::default()).collect();
        for row in table.records() {
            let row = row.map_err(damaged)?;
            let at = |column: Option<usize>| column.and_then(|c| row.get(c));
            self.seconds += at(seconds)
                .and_then(|s| s.parse::<f64>().ok())
                .unwrap_or(0.0);
            if at(segment) != Some("network") {
                continue;
            }
            let Some(epoch) = at(epoch).and_then(|e| e.parse().ok()) else {
                continue;
            };
            for ((name, column), clock) in wanted.iter().zip(&mut clocks) {
                if let Some(value) = at(Some(*column)).and_then(|v| v.parse().ok()) {
                    let values = self.columns.entry((*name).to_owned()).or_default();
                    values.push((clock.at(at(phase).unwrap_or_default(), epoch), value));
                }
            }
        }
        Ok(())
    }

    /// Whether it has ended for good.
    pub(super) fn is_over(&self) -> bool {
        matches!(
            self.reason.as_deref(),
            Some("finished" | "pruned" | "diverged")
        )
    }

    /// The epochs of a metric with their values.
    pub(super) fn curve(&self, metric: &str) -> &[(u64, f64)] {
        self.columns.get(metric).map_or(&[], Vec::as_slice)
    }

    /// The value of `metric`: of the end, else of the last epoch that has it.
    pub(super) fn value(&self, metric: &str) -> Option<f64> {
        let last = || self.curve(metric).last().map(|(_, v)| *v);
        self.results.get(metric).copied().or_else(last)
    }

    /// The value of an objective.
    pub(super) fn objective(&self, objective: &Objective) -> Option<f64> {
        let up = |v: f64| objective.direction.upward(v);
        match objective.at {
            At::Last => self.value(&objective.metric),
            At::Best => {
                let values = self.curve(&objective.metric).iter().map(|(_, v)| *v);
                let best = values
                    .filter(|v| !v.is_nan())
                    .max_by(|a, b| up(*a).total_cmp(&up(*b)));
                best.or_else(|| self.value(&objective.metric))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Direction;

    #[test]
    fn epochs_of_baselines_do_not_count_and_the_best_is_found() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(
            home.path().join("run.json"),
            r#"{"exit_reason": "finished", "results": {"test/accuracy": 0.25}, "other": 1}"#,
        )
        .unwrap();
        std::fs::write(
            home.path().join("metrics.csv"),
            "segment,phase,epoch,total_epoch,step,seconds,a,b\nnetwork,o,1,1,1,0.5,,1\nnetwork,p,1,2,1,0.5,0.3,\n\
             network,p,2,3,1,0.5,0.9,1\nnetwork,p,3,4,1,0.5,0.5,NaN\nrandom-weights,p,1,5,1,0.5,1,1\n",
        )
        .unwrap();
        let run = Run::read(home.path(), &["a", "b", "c"]).unwrap().unwrap();
        assert!(run.is_over());
        assert_eq!(run.seconds, 2.5);
        assert_eq!(run.value("a"), Some(0.5));
        assert_eq!(run.value("test/accuracy"), Some(0.25));
        assert_eq!(run.value("c"), None);
        // Epochs of phases without a value do not count.
        let epochs = |metric| {
            run.curve(metric)
                .iter()
                .map(|(e, _)| *e)
                .collect::<Vec<_>>()
        };
        assert_eq!((epochs("a"), epochs("b")), (vec![1, 2, 3], vec![1, 3, 4]));
        let objective = |direction| Objective {
            metric: "a".to_owned(),
            direction,
            at: At::Best,
        };
        assert_eq!(run.objective(&objective(Direction::Max)), Some(0.9));
        assert_eq!(run.objective(&objective(Direction::Min)), Some(0.3));
        assert!(Run::read(&home.path().join("none"), &[]).unwrap().is_none());
    }
}
