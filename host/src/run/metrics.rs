//! `metrics.csv`: one row an epoch, one column a metric. Rewritten whole after
//! each epoch (it is small), so that columns may appear late and a resumed run
//! has each epoch once.

use std::path::{Path, PathBuf};

use super::atomic;
use super::measured::EpochRecord;
use crate::{Error, Result};

/// The metrics file of a run.
#[derive(Debug)]
pub struct MetricsCsv {
    path: PathBuf,
}

impl MetricsCsv {
    /// The metrics file `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Writes all `epochs`.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn write(&self, epochs: &[EpochRecord]) -> Result<()> {
        let mut columns: Vec<&String> = Vec::new();
        for name in epochs.iter().flat_map(|e| e.metrics.keys()) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        let mut table = csv::Writer::from_writer(Vec::new());
        let fixed = [
            "segment",
            "phase",
            "epoch",
            "total_epoch",
            "step",
            "seconds",
        ];
        let head = fixed.into_iter().chain(columns.iter().map(|c| c.as_str()));
        let mut written = table.write_record(head);
        for epoch in epochs {
            let first = [
                epoch.segment.clone(),
                epoch.phase.clone(),
                epoch.epoch.to_string(),
                epoch.total_epoch.to_string(),
                epoch.step.to_string(),
                format!("{:.3}", epoch.seconds),
            ];
            let rest = columns
                .iter()
                .map(|c| epoch.metrics.get(*c).map_or(String::new(), f64::to_string));
            written = written.and_then(|()| table.write_record(first.into_iter().chain(rest)));
        }
        written.map_err(|e| Error::internal(format!("metrics table: {e}")))?;
        let bytes = table
            .into_inner()
            .map_err(|e| Error::internal(format!("metrics table: {e}")))?;
        atomic::write(&self.path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn epoch(n: u64, metrics: &[(&str, f64)]) -> EpochRecord {
        EpochRecord {
            segment: "network".into(),
            phase: "p".into(),
            epoch: n,
            epochs: 2,
            total_epoch: n,
            step: 10 * n,
            seconds: 0.5,
            metrics: metrics
                .iter()
                .map(|(k, v)| ((*k).to_owned(), *v))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn late_columns_leave_early_rows_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let epochs = [
            epoch(1, &[("radius", 4.5)]),
            epoch(2, &[("accuracy", 0.1), ("radius", 4.0)]),
        ];
        MetricsCsv::new(&path).write(&epochs).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "segment,phase,epoch,total_epoch,step,seconds,radius,accuracy\n\
             network,p,1,1,10,0.500,4.5,\nnetwork,p,2,2,20,0.500,4,0.1\n"
        );
    }
}
