//! `metrics.csv`: one row an epoch, one column a metric. Rewritten whole after
//! each epoch (it is small), so that columns may appear late and a resumed run
//! has each epoch once.

use std::path::{Path, PathBuf};

use super::atomic;
use super::measured::EpochRecord;
use crate::{Error, Result};

/// The first columns.
const FIXED: [&str; 6] = [
    "segment",
    "phase",
    "epoch",
    "total_epoch",
    "step",
    "seconds",
];

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

    /// The epochs in the file `path`; none where it is not there. An empty field was not measured.
    ///
    /// # Errors
    /// Storage error for a file that is no such table.
    pub fn read(path: &Path) -> Result<Vec<EpochRecord>> {
        let Some(bytes) = atomic::read(path)? else {
            return Ok(Vec::new());
        };
        let damaged = |what: String| Error::storage(format!("`{}`: {what}", path.display()));
        let mut table = csv::Reader::from_reader(bytes.as_slice());
        let head = table.headers().map_err(|e| damaged(e.to_string()))?.clone();
        if !FIXED.iter().zip(&head).all(|(a, b)| *a == b) || head.len() < FIXED.len() {
            return Err(damaged("not a table of epochs".to_owned()));
        }
        let mut epochs = Vec::new();
        for row in table.records() {
            let row = row.map_err(|e| damaged(e.to_string()))?;
            let number = |i: usize| -> Result<f64> {
                let text = row.get(i).unwrap_or_default();
                let parsed = text.parse();
                parsed.map_err(|_| damaged(format!("`{text}` is no number")))
            };
            let filled =
                (FIXED.len()..head.len()).filter(|i| row.get(*i).is_some_and(|t| !t.is_empty()));
            epochs.push(EpochRecord {
                segment: row.get(0).unwrap_or_default().to_owned(),
                phase: row.get(1).unwrap_or_default().to_owned(),
                epoch: number(2)? as u64,
                epochs: 0,
                total_epoch: number(3)? as u64,
                step: number(4)? as u64,
                seconds: number(5)?,
                metrics: filled
                    .map(|i| Ok((head[i].to_owned(), number(i)?)))
                    .collect::<Result<_>>()?,
            });
        }
        Ok(epochs)
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
        let head = FIXED.into_iter().chain(columns.iter().map(|c| c.as_str()));
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
        let read = MetricsCsv::read(&path).unwrap();
        let written: Vec<_> = epochs.iter().map(|e| (e.place(), &e.metrics)).collect();
        assert_eq!(
            read.iter()
                .map(|e| (e.place(), &e.metrics))
                .collect::<Vec<_>>(),
            written
        );
        std::fs::write(&path, &text[..text.len() - 8]).unwrap();
        let torn = MetricsCsv::read(&path);
        assert!(torn.is_err(), "{torn:?}");
        assert_eq!(
            MetricsCsv::read(&folder.path().join("none.csv")).unwrap(),
            []
        );
    }
}
