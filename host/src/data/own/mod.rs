//! Data sets of the user: pictures in folders, files in the layout of MNIST, numpy arrays and tables,
//! named in a configuration by `set = "folder"`, `"idx"`, `"arrays"` or `"csv"` and `data.root`.
//! Shape, classes and parts are those of the files.

pub(super) mod arrays;
mod folder;
mod idx;
mod labels;
pub(super) mod npy;
mod options;
pub(super) mod picture;
mod raw;
pub(super) mod split;
mod store;
mod table;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub use options::SETS;
pub(crate) use options::{ARRAYS, CSV, FOLDER, IDX};
use raw::{Own, Raw, RawTargets};

use super::dataset::{Dataset, Provenance, Split, Targets};
use super::digest;
use super::folders::DataFolders;
use super::resize;
use super::set::SetInfo;
use crate::data::record::FileRecord;
use crate::plan::{DataPlan, ResizeMethod};
use crate::{Error, Result};

/// Both parts of a user's set.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub train: Dataset,
    pub test: Dataset,
    /// Files with their digests.
    pub files: Vec<FileRecord>,
}

/// What decides the content of [`Parts`].
type Key = (
    String,
    PathBuf,
    String,
    u64,
    Option<[usize; 2]>,
    ResizeMethod,
);

/// The set read last: shapes are asked for before training reads it.
static LAST: Mutex<Option<(Key, Arc<Parts>)>> = Mutex::new(None);

/// Reads the set that `plan` names from the first of `folders`.
///
/// # Errors
/// Usage errors for options that do not fit; data errors for files that are missing or damaged.
pub(crate) fn load(plan: &DataPlan, folders: &DataFolders) -> Result<Arc<Parts>> {
    let set = plan.info()?;
    let options = options::read(set, &plan.options)?;
    let root = root(set, folders)?;
    let key = (
        plan.set.clone(),
        root.clone(),
        plan.options.to_string(),
        plan.split_seed,
        plan.resize,
        plan.resize_method,
    );
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, parts)) = &*last
        && *known == key
    {
        return Ok(Arc::clone(parts));
    }
    // The former set makes room before this one is read.
    *last = None;
    let own = Own {
        set,
        root,
        options: &options,
        resize: plan.resize,
        method: plan.resize_method,
    };
    let raw = match set.name {
        "folder" => folder::read(&own),
        "idx" => idx::read(&own),
        "arrays" => arrays::read(&own),
        _ => table::read(&own),
    }?;
    let parts = Arc::new(finish(&own, raw, plan.split_seed)?);
    *last = Some((key, Arc::clone(&parts)));
    Ok(parts)
}

/// Checks the options of a plan for one of these sets without reading anything.
///
/// # Errors
/// Usage errors that name the key.
pub(crate) fn check(plan: &DataPlan) -> Result<()> {
    options::read(plan.info()?, &plan.options).map(|_| ())
}

/// The folder or file that the set is read from.
fn root(set: &SetInfo, folders: &DataFolders) -> Result<PathBuf> {
    let missing = || {
        Error::usage(format!(
            "`data.set = \"{}\"` needs `data.root`, the folder of its files",
            set.name
        ))
        .hint(format!(
            "`--set data.root=FOLDER`, or `biorule data show {} --root FOLDER`",
            set.name
        ))
    };
    let root = folders.named().first().ok_or_else(missing)?;
    match root.exists() {
        true => Ok(root.clone()),
        false => Err(folders.absent(root)),
    }
}

/// Numbers labels and makes the test part where there is none.
fn finish(own: &Own<'_>, raw: Raw, seed: u64) -> Result<Parts> {
    let mut notes = raw.notes;
    let name = own.set.name;
    if let Some(test) = &raw.test
        && test.shape != raw.train.shape
    {
        return Err(Error::data(format!(
            "training samples are {}, test samples {}",
            raw.train.shape, test.shape
        ))
        .hint("both parts have to be of one size"));
    }
    let shape = raw.train.shape;
    let mut values = vec![raw.train.values];
    let mut targets = vec![raw.train.targets];
    if let Some(test) = raw.test {
        values.push(test.values);
        targets.push(test.targets);
    }
    let mut targets = number(own, targets, &mut notes)?;
    match (targets.len(), own.options.test) {
        (2, None) => {}
        (2, Some(_)) => {
            return Err(
                Error::usage("`data.options.test` is set, but the set has a test part")
                    .hint("remove the setting, or name only the training files"),
            );
        }
        (_, None) => {
            return Err(
                Error::usage(format!("`{}` has no test part", own.root.display()))
                    .hint("make one from the samples: `data.options.test = 0.2`"),
            );
        }
        (_, Some(test)) => {
            let labels = match &targets[0] {
                Targets::Labels { labels, .. } if own.options.stratify => labels.clone(),
                _ => Vec::new(),
            };
            let count = values[0].len() / shape.len();
            let (train, held) = split::positions(count, &labels, test, seed)?;
            notes.push(format!(
                "the test part is {} of {count} samples, chosen by `data.split_seed`",
                held.len()
            ));
            let whole = (values.swap_remove(0), targets.swap_remove(0));
            for positions in [train, held] {
                let (v, t) = split::select((&whole.0, &whole.1), shape, &positions);
                values.push(v);
                targets.push(t);
            }
        }
    }
    let origin = Provenance::File {
        path: own.root.clone(),
    };
    let mut sets = Vec::new();
    let splits = [Split::Train, Split::Test];
    for ((split, values), targets) in splits.into_iter().zip(values).zip(targets) {
        let set = Dataset::new(name, split, shape, values, targets, origin.clone())?;
        sets.push(match (own.resize, name) {
            // Brought to size one by one.
            (_, "folder") | (None, _) => set,
            (Some([height, width]), _) => resize::resize(set, height, width, own.method)?,
        });
    }
    let files = match raw.records {
        Some(records) => records,
        None => digest::records(&raw.files)?,
    };
    let (Some(test), Some(mut train)) = (sets.pop(), sets.pop()) else {
        return Err(Error::internal("a set of one part"));
    };
    for note in notes {
        train = train.noted(note);
    }
    Ok(Parts { train, test, files })
}

/// Labels of all parts as class numbers; regression targets as they are.
fn number(own: &Own<'_>, parts: Vec<RawTargets>, notes: &mut Vec<String>) -> Result<Vec<Targets>> {
    let mut all = Vec::new();
    let mut labels = Vec::new();
    for part in parts {
        match part {
            RawTargets::Labels(part) => labels.push(part),
            RawTargets::Values { data, width } => all.push(Targets::Values { data, width }),
        }
    }
    if labels.is_empty() {
        let width = |t: &Targets| match t {
            Targets::Values { width, .. } => *width,
            Targets::Labels { .. } => 0,
        };
        if let [train, test] = all.as_slice()
            && width(train) != width(test)
        {
            return Err(Error::data(format!(
                "training samples have {} targets, test samples {}",
                width(train),
                width(test)
            )));
        }
        return Ok(all);
    }
    let numbered = labels::number(labels, own.options)
        .map_err(|e| e.within(format!("`{}`", own.root.display())))?;
    if numbered.classes < 2 {
        return Err(Error::data(format!(
            "`{}` has samples of one class only",
            own.root.display()
        ))
        .hint("a classifier needs two or more; classes without a sample here are counted by `data.options.num_classes`"));
    }
    notes.extend(numbered.note);
    let (classes, names) = (numbered.classes, numbered.names);
    Ok(numbered
        .parts
        .into_iter()
        .map(|labels| Targets::Labels {
            labels,
            classes,
            names: names.clone(),
        })
        .collect())
}
