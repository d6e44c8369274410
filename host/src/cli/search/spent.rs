//! What an evaluation takes.

use std::path::Path;
use std::time::Duration;

use crate::bench::machine;
use crate::config::PhasePlan;
use crate::{Error, Result};

/// Seconds of all processors and most memory in MiB, as far as this system says.
pub(super) type Used = (Option<f64>, Option<f64>);

/// Measures processors and memory of this process for a while.
pub(super) struct Meter {
    cpu: Option<Duration>,
    peak: bool,
}

impl Meter {
    pub(super) fn start() -> Self {
        Self {
            peak: machine::forget_peak(),
            cpu: cpu_time(),
        }
    }

    /// Seconds of all processors and most memory in MiB since the start, as far as this system says.
    pub(super) fn stop(&mut self) -> Option<(Option<f64>, Option<f64>)> {
        let since = cpu_time().zip(self.cpu);
        let cpu = since.map(|(now, then)| now.saturating_sub(then).as_secs_f64());
        let peak = machine::peak_memory().filter(|_| self.peak);
        Some((cpu, peak))
    }
}

/// Time that all threads of this process have computed, its children not among them.
pub(super) fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    ticks(&stat).map(|ticks| Duration::from_millis(ticks * 10))
}

/// Ticks of a hundredth of a second (Linux tells programs no other) in the text of `/proc/PID/stat`.
fn ticks(stat: &str) -> Option<u64> {
    // `NUMBER (NAME) STATE …`; the name may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// What the search takes from a run's `metrics.csv`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct History {
    /// Wall time of all epochs, evaluation included.
    pub(super) seconds: f64,
    /// Accuracy on the validation part after the last epoch that has one.
    pub(super) accuracy: Option<f64>,
    /// Finished steps of the network at the end of each phase, in order.
    steps: Vec<(String, u64)>,
}

impl History {
    /// Reads that of the run in `folder`; nothing where a run ended before its first epoch.
    ///
    /// # Errors
    /// Storage error for a file that cannot be read.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("metrics.csv");
        if !path.exists() {
            return Ok(Self::default());
        }
        let damaged = |e: &dyn std::fmt::Display| {
            Error::storage(format!("`{}` is damaged: {e}", path.display()))
                .hint("remove the run's folder, so that it is trained anew")
        };
        let mut table = csv::Reader::from_path(&path).map_err(|e| damaged(&e))?;
        let head = table.headers().map_err(|e| damaged(&e))?.clone();
        let column = |name: &str| head.iter().position(|h| h == name);
        let (segment, phase) = (column("segment"), column("phase"));
        let (seconds, step) = (column("seconds"), column("step"));
        let accuracy = column("validation/accuracy");
        let mut history = Self::default();
        for line in table.records() {
            let line = line.map_err(|e| damaged(&e))?;
            let word = |at: Option<usize>| line.get(at?);
            if word(segment) != Some("network") {
                continue;
            }
            let number = |at: Option<usize>| word(at)?.parse::<f64>().ok();
            history.seconds += number(seconds).unwrap_or(0.0);
            history.accuracy = number(accuracy).or(history.accuracy);
            let (name, steps) = (word(phase).unwrap_or_default(), number(step).unwrap_or(0.0));
            match history.steps.last_mut() {
                Some((last, n)) if last == name => *n = steps as u64,
                _ => history.steps.push((name.to_owned(), steps as u64)),
            }
        }
        Ok(history)
    }

    /// Steps of all phases.
    pub(super) fn steps(&self) -> u64 {
        self.steps.last().map_or(0, |(_, n)| *n)
    }

    /// Samples that the network was trained on; a last batch that is not full counts as a full one.
    pub(super) fn samples(&self, phases: &[PhasePlan]) -> u64 {
        let mut before = 0;
        let mut samples = 0;
        for (name, steps) in &self.steps {
            let batch = phases
                .iter()
                .find(|p| p.name == *name)
                .map_or(0, |p| p.batch);
            samples += steps.saturating_sub(before) * batch as u64;
            before = *steps;
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_processors_is_found_behind_any_name() {
        let stat = "7 (a) b (c) R 1 1 1 0 -1 4194304 10 0 0 0 12 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a)"), None);
    }

    #[test]
    fn the_last_accuracy_of_the_network_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "segment,phase,epoch,total_epoch,step,seconds,validation/accuracy\n\
                    network,a,1,1,5,0.5,\n\
                    network,b,1,2,8,1.0,0.25\n\
                    network,b,2,3,11,1.5,0.75\n\
                    network,b,3,4,14,1.0,\n\
                    random-weights,b,1,5,3,9,0.9\n";
        std::fs::write(folder.path().join("metrics.csv"), text).expect("written");
        let history = History::read(folder.path()).expect("a history");
        assert_eq!(history.seconds, 4.0);
        assert_eq!(history.accuracy, Some(0.75));
        assert_eq!(history.steps, [("a".to_owned(), 5), ("b".to_owned(), 14)]);
    }
}
