//! `set = "idx"`: files in the layout of MNIST, of any size and number of classes.

use std::path::{Path, PathBuf};

use super::labels::Labels;
use super::raw::{Own, Raw, RawPart, RawTargets};
use crate::data::dataset::{Split, Values};
use crate::data::idx::{Files, Part, Role};
use crate::{Error, Result};

/// Reads the files of `own.root`.
///
/// # Errors
/// Data errors that name the file, what was expected and what was found.
pub(super) fn read(own: &Own<'_>) -> Result<Raw> {
    let mut named = Vec::new();
    for (key, name) in &own.options.files {
        let split = match key.starts_with("train") {
            true => Split::Train,
            false => Split::Test,
        };
        let role = match key.ends_with("images") {
            true => Role::Images,
            false => Role::Labels,
        };
        named.push(((split, role), own.file(name)?));
    }
    let folder = match named.is_empty() {
        true => folder(&own.root)?,
        false => own.root.clone(),
    };
    let files = Files::named(&folder, own.set.name, named);
    let train = part(files.read(Split::Train)?);
    let test = match files.has(Split::Test) {
        true => Some(part(files.read(Split::Test)?)),
        false => None,
    };
    let mut read = files.all();
    if test.is_none() {
        read.truncate(2);
    }
    Ok(Raw {
        train,
        test,
        notes: Vec::new(),
        files: read,
        records: None,
    })
}

fn part(part: Part) -> RawPart {
    let labels = part.labels.iter().map(|label| i64::from(*label)).collect();
    RawPart {
        shape: part.shape,
        values: Values::Bytes {
            data: part.data.into(),
            white: 255,
        },
        targets: RawTargets::Labels(Labels::Numbers(labels)),
    }
}

/// `root`, or the only folder in it that holds such files.
fn folder(root: &Path) -> Result<PathBuf> {
    let holds = |folder: &Path| Files::usual(folder, "idx").has(Split::Train);
    if holds(root) {
        return Ok(root.to_owned());
    }
    let inner = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = inner
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && holds(path))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Error::data(format!(
            "several folders in `{}` hold idx files",
            root.display()
        ))
        .hint("name one of them by `data.root`")),
        (None, _) => Err(Error::data(format!(
            "no idx files in `{}`, such as `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`",
            root.display()
        ))
        .hint(match crate::data::layouts::recognise(root) {
            Some(found) => format!("it holds {found}"),
            None => "other names are given by `data.options.files`".to_owned(),
        })),
    }
}
