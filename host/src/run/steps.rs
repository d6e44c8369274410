//! `steps.jsonl`: what rules report between epochs, such as radii, a line for each time they are
//! asked (`output.log_every`). A checkpoint holds how much of the file stands behind it; a run that goes
//! on cuts the file to that, so that each step is there once.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::measured::Metrics;
use super::{EventLog, atomic, events};
use crate::Result;

/// What rules reported after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRow {
    /// The phase, behind the name of a baseline where it is one's.
    pub place: String,
    /// Finished steps of the network or baseline.
    pub step: u64,
    /// What was reported, by block and name.
    pub metrics: Metrics,
}

/// The file, made when there is something to write.
#[derive(Debug)]
pub struct StepLog {
    path: PathBuf,
    log: Option<EventLog>,
}

impl StepLog {
    /// The file `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let path = path.to_owned();
        Self { path, log: None }
    }

    /// Appends what was reported at `place` after `step` steps. Numbers that are not finite are
    /// left out.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn append(&mut self, place: &str, step: u64, metrics: &[(String, f64)]) -> Result<()> {
        let finite = metrics.iter().filter(|(_, x)| x.is_finite());
        let metrics: BTreeMap<&str, f64> = finite.map(|(n, x)| (n.as_str(), *x)).collect();
        if metrics.is_empty() {
            return Ok(());
        }
        let log = match &mut self.log {
            Some(log) => log,
            none => none.insert(EventLog::open(&self.path)?),
        };
        log.append(
            &json!({"place": place, "step": step, "metrics": metrics}),
            false,
        )
    }

    /// Bytes on the disk, for the checkpoint that is about to be written.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn mark(&mut self) -> Result<u64> {
        let failed = |e: std::io::Error| atomic::failed(&self.path, &e);
        match File::open(&self.path) {
            Ok(file) => {
                file.sync_data().map_err(failed)?;
                file.metadata().map(|m| m.len()).map_err(failed)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(failed(e)),
        }
    }

    /// Goes back to what the file held when it was `length` bytes long.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn go_back(&mut self, length: u64) -> Result<()> {
        self.log = None;
        let failed = |e: std::io::Error| atomic::failed(&self.path, &e);
        match File::options().write(true).open(&self.path) {
            Ok(file) if file.metadata().map_err(failed)?.len() > length => {
                file.set_len(length).map_err(failed)
            }
            Ok(_) => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(failed(e)),
        }
    }
}

/// The steps in the file `path`, in their order; nothing where there is no such file.
///
/// # Errors
/// Storage error where the file is there and cannot be read.
pub fn read(path: &Path) -> Result<Vec<StepRow>> {
    let row = |line: &Value| -> Option<StepRow> {
        Some(StepRow {
            place: line["place"].as_str()?.to_owned(),
            step: line["step"].as_u64()?,
            metrics: serde_json::from_value(line["metrics"].clone()).ok()?,
        })
    };
    Ok(events::read(path)?.iter().filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_goes_back_has_each_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.jsonl");
        assert_eq!(read(&path).unwrap(), []);
        let radius = |x| {
            vec![
                ("conv1/radius_mean".to_owned(), x),
                ("nan".to_owned(), f64::NAN),
            ]
        };
        let mut log = StepLog::new(&path);
        assert_eq!(log.mark().unwrap(), 0);
        log.append("conv1", 100, &radius(4.5)).unwrap();
        let mark = log.mark().unwrap();
        log.append("conv1", 200, &radius(3.0)).unwrap();
        let mut again = StepLog::new(&path);
        again.go_back(mark).unwrap();
        again.append("conv1", 200, &radius(3.0)).unwrap();
        again.append("conv1", 300, &radius(2.0)).unwrap();
        again.append("conv1", 400, &[]).unwrap();
        let rows = read(&path).unwrap();
        let steps: Vec<u64> = rows.iter().map(|r| r.step).collect();
        assert_eq!(steps, [100, 200, 300]);
        assert_eq!(
            rows[1].metrics,
            Metrics::from([("conv1/radius_mean".to_owned(), 3.0)])
        );
        again.go_back(0).unwrap();
        assert_eq!(read(&path).unwrap(), []);
    }
}
