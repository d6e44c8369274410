//! Evaluations that train nothing: what a proxy says of a genotype, or a supernet that was trained
//! before.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::task::Search;
use super::values::{Left, counts, over, values};
use crate::config::DataShape;
use crate::run::search_folder::EvaluationRecord;
use crate::search::Genotype;
use crate::search::evaluate::{Evaluator, Statistics};
use crate::search::network::Counts;
use crate::search::rank::By;
use crate::search::strategy::Request;
use crate::{Error, Result};

/// Values found without training, in `scores.jsonl`: a line each, so that nothing is computed twice.
/// Each follows from the configuration and the supernet's weights alone, so that a line that is lost
/// or cut off is found anew.
pub(super) struct Scores {
    path: PathBuf,
    file: RefCell<Option<File>>,
    known: RefCell<BTreeMap<(String, String), f64>>,
}

/// A line of `scores.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// What says it; of a supernet with what identifies its weights.
    by: String,
    /// SHA-256 of the genotype's key.
    hash: String,
    value: f64,
}

impl Scores {
    /// Those in the search folder `root`.
    pub(super) fn read(root: &Path) -> Self {
        let path = root.join("scores.jsonl");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|l| serde_json::from_str(l).ok());
        let known = lines.map(|line: Line| ((line.by, line.hash), line.value));
        Self {
            known: RefCell::new(known.collect()),
            file: RefCell::new(None),
            path,
        }
    }

    /// The value that `by` has for the genotype `hash`: known, or found by `find` and written down;
    /// and whether it was found now.
    ///
    /// # Errors
    /// Those of `find`; storage error where the disk refuses.
    fn get(&self, by: &str, hash: &str, find: impl FnOnce() -> Result<f64>) -> Result<(f64, bool)> {
        let key = (by.to_owned(), hash.to_owned());
        if let Some(value) = self.known.borrow().get(&key) {
            return Ok((*value, false));
        }
        let value = find()?;
        let line = Line {
            by: key.0.clone(),
            hash: key.1.clone(),
            value,
        };
        let text = serde_json::to_string(&line)
            .map_err(|e| Error::internal(format!("scores.jsonl: {e}")))?;
        self.write(&text)
            .map_err(|e| Error::storage_io(&self.path, &e))?;
        self.known.borrow_mut().insert(key, value);
        Ok((value, true))
    }

    fn write(&self, line: &str) -> std::io::Result<()> {
        let mut open = self.file.borrow_mut();
        let file = match &mut *open {
            Some(file) => file,
            none => {
                let mut file = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&self.path)?;
                // Behind a line that a kill cut off.
                if std::fs::read(&self.path)?
                    .last()
                    .is_some_and(|b| *b != b'\n')
                {
                    file.write_all(b"\n")?;
                }
                none.insert(file)
            }
        };
        file.write_all(format!("{line}\n").as_bytes())
    }
}

impl Search<'_> {
    /// The value of `genotype` by `by`, whose network has the size `counts`; and whether it was
    /// found now.
    ///
    /// # Errors
    /// Failures of supernet, data and rules; internal error for a supernet that was not opened.
    pub(super) fn value_by(
        &self,
        scores: &Scores,
        by: By,
        genotype: &Genotype,
        (shape, counts): (&DataShape, &Counts),
    ) -> Result<(f64, bool)> {
        let host = &*self.host;
        let hash = genotype.hash();
        let inside = |statistics| {
            let inside = self
                .inside
                .as_ref()
                .ok_or_else(|| Error::internal("no supernet was opened"))?;
            let name = format!("{}@{}", by.word(), inside.digest);
            scores.get(&name, &hash, || inside.accuracy(genotype, statistics, host))
        };
        match by {
            By::SupernetFresh => inside(Statistics::Fresh),
            By::SupernetStale => inside(Statistics::Stale),
            By::Synflow => scores.get(by.word(), &hash, || {
                host.synflow(genotype, &self.config.size, shape, self.scene.seed)
            }),
            By::Parameters => Ok((counts.parameters as f64, true)),
            By::MultiplyAdds => Ok((counts.multiply_adds as f64, true)),
        }
    }
}

/// Answers without training.
pub(super) struct Scored<'a> {
    pub(super) search: &'a Search<'a>,
    pub(super) by: By,
    pub(super) scores: Scores,
    pub(super) shape: DataShape,
    pub(super) before: &'a [EvaluationRecord],
    pub(super) left: Rc<RefCell<Option<Left>>>,
}

impl Evaluator for Scored<'_> {
    fn evaluate(&mut self, request: &Request) -> Result<Vec<f64>> {
        let (search, genotype) = (self.search, &request.genotype);
        let counts = counts(genotype, &search.config.size, &self.shape)?;
        let goals = &search.scene.goals;
        let is_new = !self.before.iter().any(|r| r.number == request.number);
        if let Some(left) = over(goals, &counts, is_new) {
            *self.left.borrow_mut() = Some(left);
            return Ok(values(goals, f64::NAN, &counts));
        }
        let of = (&self.shape, &counts);
        let (value, _) = search.value_by(&self.scores, self.by, genotype, of)?;
        *self.left.borrow_mut() = Some(Left::bare(is_new));
        Ok(values(goals, value, &counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_back_to_the_bit_and_lines_that_were_cut_off_are_found_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        // Numbers whose last bits are lost without exact reading.
        let all = [0.1 + 0.2, 1.0 / 3.0, 1e-310, f64::sqrt(2.0), 5e-324];
        let scores = Scores::read(folder.path());
        for (i, value) in all.iter().enumerate() {
            let got = scores.get("synflow", &i.to_string(), || Ok(*value));
            assert_eq!(got.expect("written"), (*value, true));
        }
        let again = Scores::read(folder.path());
        for (i, value) in all.iter().enumerate() {
            let none = || Err(Error::internal("it was there"));
            let (got, new) = again.get("synflow", &i.to_string(), none).expect("read");
            assert_eq!((got.to_bits(), new), (value.to_bits(), false));
        }
        let file = folder.path().join("scores.jsonl");
        let text = std::fs::read_to_string(&file).expect("a file");
        std::fs::write(&file, &text[..text.len() - 9]).expect("written");
        let cut = Scores::read(folder.path());
        assert!(cut.get("synflow", "4", || Ok(2.0)).expect("found").1);
        assert!(!cut.get("synflow", "3", || Ok(2.0)).expect("read").1);
        let whole = Scores::read(folder.path());
        assert_eq!(
            whole.get("synflow", "4", || Ok(7.0)).expect("read"),
            (2.0, false)
        );
    }
}
