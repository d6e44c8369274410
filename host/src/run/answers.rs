//! `answers.csv` and `winners.json` of a run folder: what the network says to each test sample, and
//! which units of local layers answer loudest. Both are written at the end of a run, whole.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::atomic;
use crate::train::Winners;
use crate::{Error, Result};

/// Name of the file of answers.
pub const ANSWERS: &str = "answers.csv";
/// Name of the file of winners.
pub const WINNERS: &str = "winners.json";
/// Column of the true class.
const LABEL: &str = "label";

/// The class that each test sample was taken for, in the order of the test set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The true class of each sample.
    pub labels: Vec<u32>,
    /// What it was taken for, by `network` and the names of baselines. The number of classes stands
    /// for none of them.
    pub taken: BTreeMap<String, Vec<u32>>,
}

impl Answers {
    /// Writes them as `path`: a column for the label and one for each network, a row a sample.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let columns: Vec<_> = (self.taken.iter())
            .filter(|(_, t)| t.len() == self.labels.len())
            .collect();
        let mut text = LABEL.to_owned();
        for (name, _) in &columns {
            text.push(',');
            text.push_str(name);
        }
        text.push('\n');
        for (i, label) in self.labels.iter().enumerate() {
            text.push_str(&label.to_string());
            for (_, taken) in &columns {
                text.push(',');
                text.push_str(&taken[i].to_string());
            }
            text.push('\n');
        }
        atomic::write(path, text.as_bytes())
    }

    /// Reads `path`; `None` where there is no such file.
    ///
    /// # Errors
    /// Storage error for a file that cannot be read or is another.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let Some(bytes) = atomic::read(path)? else {
            return Ok(None);
        };
        let damaged = |what: String| Error::storage(format!("`{}`: {what}", path.display()));
        let mut table = csv::Reader::from_reader(bytes.as_slice());
        let head = table.headers().map_err(|e| damaged(e.to_string()))?.clone();
        if head.get(0) != Some(LABEL) {
            return Err(damaged("not a table of answers".to_owned()));
        }
        let mut columns = vec![Vec::new(); head.len()];
        for row in table.records() {
            let row = row.map_err(|e| damaged(e.to_string()))?;
            for (column, text) in columns.iter_mut().zip(&row) {
                let class = text.parse::<u32>();
                column.push(class.map_err(|_| damaged(format!("`{text}` is no class")))?);
            }
        }
        let mut columns = columns.into_iter();
        Ok(Some(Self {
            labels: columns.next().unwrap_or_default(),
            taken: head
                .iter()
                .skip(1)
                .map(str::to_owned)
                .zip(columns)
                .collect(),
        }))
    }

    /// Which samples of each of `classes` classes `network` takes for which: row by row; a last
    /// column counts those taken for none, where there are any. `None` for a class beyond.
    #[must_use]
    pub fn confusion(&self, network: &str, classes: usize) -> Option<Vec<Vec<u64>>> {
        let taken = self.taken.get(network)?;
        let none = taken.iter().any(|t| *t as usize >= classes);
        let mut rows = vec![vec![0; classes + usize::from(none)]; classes];
        for (label, taken) in self.labels.iter().zip(taken) {
            *rows.get_mut(*label as usize)?.get_mut(*taken as usize)? += 1;
        }
        Some(rows)
    }
}

/// Places won by each unit, by block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WinnersRecord {
    /// Test samples that were looked at, the first ones.
    pub samples: usize,
    /// Places won by each unit of a block's layer.
    pub blocks: BTreeMap<String, Vec<u64>>,
}

impl WinnersRecord {
    /// Of what the trainer found.
    #[must_use]
    pub fn of((samples, winners): (usize, Vec<Winners>)) -> Self {
        let blocks = winners.into_iter().map(|w| (w.block, w.wins));
        Self {
            samples,
            blocks: blocks.collect(),
        }
    }

    /// Writes them as `path`.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text =
            serde_json::to_string(self).map_err(|e| Error::internal(format!("winners: {e}")))?;
        atomic::write(path, format!("{text}\n").as_bytes())
    }

    /// Reads `path`; `None` where there is no such file.
    ///
    /// # Errors
    /// Storage error for a file that cannot be read or is another.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let Some(bytes) = atomic::read(path)? else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&bytes);
        record
            .map(Some)
            .map_err(|e| Error::storage(format!("`{}`: {e}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ANSWERS);
        assert_eq!(Answers::read(&path).unwrap(), None);
        let taken = [
            ("network", vec![0, 1, 2]),
            ("random-weights", vec![2, 2, 2]),
        ];
        let answers = Answers {
            labels: vec![0, 1, 1],
            taken: taken.map(|(n, t)| (n.to_owned(), t)).into(),
        };
        answers.write(&path).unwrap();
        assert_eq!(Answers::read(&path).unwrap(), Some(answers.clone()));
        let rows = answers.confusion("network", 2).unwrap();
        assert_eq!(rows, [[1, 0, 0], [0, 1, 1]]);
        assert_eq!(answers.confusion("network", 1), None);
        std::fs::write(&path, "label,network\n1,x\n").unwrap();
        assert!(
            Answers::read(&path)
                .unwrap_err()
                .text
                .contains("`x` is no class")
        );
    }
}
