//! `attacks/` of a run folder: how the run's network fares when its pictures are changed, a file
//! for each list of attacks on a checkpoint.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::atomic;
use crate::attack::{Attack, Protocol, Row};
use crate::text::hex;
use crate::{Error, Result};

/// A list of attacks and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackRecord {
    /// Version of the program.
    pub version: String,
    /// File of the checkpoint.
    pub checkpoint: String,
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
    /// Part of the data.
    pub split: String,
    /// Only so many samples, the first ones.
    pub limit: Option<usize>,
    /// Seed of every random number.
    pub seed: u64,
    /// Digest of weights, samples, seed and attacks: the same for the same list on the same weights.
    pub list: String,
    /// Name of the published protocol whose attacks these are, with its faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Every attack has its row. Otherwise the command was stopped, and goes on when it is given
    /// again.
    pub complete: bool,
    /// Attacks that are done.
    pub rows: Vec<Row>,
}

impl AttackRecord {
    /// One of nothing about `attacks` on the checkpoint `file`.
    ///
    /// # Errors
    /// Storage error where the checkpoint cannot be read.
    pub fn new(
        file: &Path,
        (split, limit): (&str, Option<usize>),
        seed: u64,
        attacks: &[Attack],
    ) -> Result<Self> {
        let bytes = std::fs::read(file).map_err(|e| Error::storage_io(file, &e))?;
        let sha256 = hex(&Sha256::digest(&bytes));
        let asked = json!([sha256, split, limit, seed, attacks]);
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            checkpoint: file.display().to_string(),
            list: hex(&Sha256::digest(asked.to_string().as_bytes())[..4]),
            sha256,
            split: split.to_owned(),
            limit,
            seed,
            protocol: None,
            complete: false,
            rows: Vec::new(),
        })
    }

    /// The same of a published protocol.
    #[must_use]
    pub fn with_protocol(mut self, protocol: Option<Protocol>) -> Self {
        if let Some(protocol) = protocol {
            let asked = json!([self.list, protocol.name()]);
            self.list = hex(&Sha256::digest(asked.to_string().as_bytes())[..4]);
            self.protocol = Some(protocol.name().to_owned());
        }
        self
    }

    /// The accuracy that the protocol's program prints for `row`, where there is a protocol.
    #[must_use]
    pub fn printed(&self, row: &Row) -> Option<f64> {
        let protocol = Protocol::named(self.protocol.as_deref()?).ok()?;
        Some(protocol.printed(row))
    }

    /// The file of this record in the run folder `run`.
    #[must_use]
    pub fn path(&self, run: &Path) -> PathBuf {
        let stem = Path::new(&self.checkpoint).file_stem();
        let stem = stem.map_or("checkpoint".into(), |s| s.to_string_lossy());
        let name = format!("{stem}-{}-{}.json", self.split, self.list);
        run.join("attacks").join(name)
    }

    /// Takes over the rows of `path` where that is a record of the same list that is not complete: a
    /// stopped command goes on. `attacks` are those of the list, in whose order rows are made.
    pub fn go_on_from(&mut self, path: &Path, attacks: &[Attack]) {
        let same = |other: &Self| {
            !other.complete && (&other.version, &other.list) == (&self.version, &self.list)
        };
        if let Some(before) = Self::read(path).ok().filter(same) {
            self.rows = before.rows;
            self.rows.truncate(attacks.len());
            // Numbers lose their last bit on the way through JSON.
            for (row, attack) in self.rows.iter_mut().zip(attacks) {
                row.attack = attack.clone();
            }
        }
    }

    /// Reads `path`.
    ///
    /// # Errors
    /// Storage error for a file that cannot be read or is another.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| atomic::failed(path, &e))?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::storage(format!("`{}`: {e}", path.display())))
    }

    /// For programs: each row also with its shares.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut value = json!(self);
        if let Some(rows) = value["rows"].as_array_mut() {
            for (value, row) in rows.iter_mut().zip(&self.rows) {
                value["attack"] = row.attack.method.name().into();
                value["label"] = row.attack.label().into();
                value["clean_accuracy"] = json!(row.clean_accuracy());
                value["robust_accuracy"] = json!(row.robust_accuracy());
                value["accuracy_of_right"] = json!(row.accuracy_of_right());
                if let Some(printed) = self.printed(row) {
                    value["printed_accuracy"] = json!(printed);
                }
            }
        }
        value
    }

    /// Writes the record as `path`, making its folder.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| Error::storage_io(folder, &e))?;
        }
        let text = serde_json::to_string_pretty(&self.json())
            .map_err(|e| Error::internal(format!("attacks: {e}")))?;
        atomic::write(path, format!("{text}\n").as_bytes())
    }
}

/// The records in `attacks/` of the run folder `run`, by file name. What cannot be read is left out.
#[must_use]
pub fn of_run(run: &Path) -> Vec<(PathBuf, AttackRecord)> {
    let entries = std::fs::read_dir(run.join("attacks"));
    let mut files: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    files
        .into_iter()
        .filter_map(|path| Some((path.clone(), AttackRecord::read(&path).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::method::{Wishes, names};
    use crate::attack::{Gradient, Method};

    /// What is written is read again, every kind of attack, and goes on only where it is the same.
    #[test]
    fn a_record_is_read_as_it_was_written() {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("last.safetensors");
        std::fs::write(&file, b"weights").expect("written");
        let attack = |name| {
            let method = Method::named(name, &Wishes::default()).expect("an attack");
            let gradient = method.wants_gradient().then_some(Gradient::Rule);
            let strength = 1.0;
            Attack {
                method,
                strength,
                gradient,
            }
        };
        let attacks: Vec<Attack> = names().map(attack).collect();
        let make = |seed| {
            let made = AttackRecord::new(&file, ("test", Some(9)), seed, &attacks);
            made.expect("a record")
        };
        let mut record = make(3);
        for attack in attacks.clone() {
            let (samples, clean, robust, both) = (9, 8, 3, 2);
            let (mean_linf, mean_l2) = (0.125, 0.25);
            record.rows.push(Row {
                attack,
                samples,
                clean,
                robust,
                both,
                mean_linf,
                mean_l2,
            });
        }
        let path = record.path(home.path());
        record.write(&path).expect("written");
        let found = of_run(home.path());
        assert_eq!(found.len(), 1);
        for (read, row) in found[0].1.rows.iter().zip(&record.rows) {
            let key = |r: &Row| {
                (
                    r.attack.method.name(),
                    r.attack.label(),
                    r.robust,
                    r.mean_l2,
                )
            };
            assert_eq!(key(read), key(row));
        }
        let again = |seed| {
            let mut fresh = make(seed);
            fresh.go_on_from(&path, &attacks);
            fresh.rows
        };
        assert_eq!(again(3), record.rows);
        assert_eq!(again(4), []);
        record.complete = true;
        record.write(&path).expect("written");
        assert_eq!(again(3), []);
    }
}
