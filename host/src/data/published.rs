//! Published and generated sets: their parts, files and counts, by the layout of their entry.

use std::path::{Path, PathBuf};

use toml::Table;

use super::dataset::{Dataset, Split};
use super::folders::DataFolders;
use super::set::{Layout, SetInfo, Source};
use super::{cifar, idx, image_set, registry, stl10};
use crate::{Error, Result};

/// Loads one part of the published or generated set named `name`; those of a user are read by
/// [`crate::data::DataPlan::part`].
///
/// # Errors
/// Usage errors for an unknown set or bad `options`; data errors (exit code 3)
/// for files that are missing or damaged.
pub fn load(name: &str, split: Split, folders: &DataFolders, options: &Table) -> Result<Dataset> {
    let set = registry::find(name)?;
    no_options(set, options)?;
    let folder = match set.is_on_disk() {
        true => folders.require(set)?,
        false => PathBuf::new(),
    };
    let source = Source {
        set,
        folder: &folder,
        options,
    };
    (set.load)(&source, split)
}

/// Unpacks what was fetched of `set` into `folder`, where it is not read as it is; whether there was
/// anything to do.
///
/// # Errors
/// Data error for a damaged archive, storage error where the disk refuses.
pub fn unpack(set: &SetInfo, folder: &Path) -> Result<bool> {
    match set.layout {
        Layout::Pictures => image_set::unpack(set, folder),
        _ => Ok(false),
    }
}

/// Refuses options of a set that has none.
pub(crate) fn no_options(set: &SetInfo, options: &Table) -> Result<()> {
    match options.keys().next() {
        Some(key) if set.settings.is_empty() => Err(Error::usage(format!(
            "data set `{}` has no options, but `data.options.{key}` is set",
            set.name
        ))),
        _ => Ok(()),
    }
}

/// The files of a published set, training part first.
///
/// # Errors
/// A data error when the set is nowhere.
pub(crate) fn files(set: &SetInfo, folders: &DataFolders, options: &Table) -> Result<Vec<PathBuf>> {
    if !set.is_on_disk() {
        return Ok(Vec::new());
    }
    let folder = folders.require(set)?;
    Ok(match set.layout {
        Layout::Idx => idx::Files::usual(&folder, set.name).all(),
        Layout::Stl => stl10::files(&folder, options),
        Layout::Pictures => Vec::new(),
        _ => cifar::files(set, &folder),
    })
}

/// Samples that are there of the training and the test part, by headers and lengths; `None` where
/// that cannot be told without reading the files.
pub(crate) fn counts(set: &SetInfo, folder: &Path) -> [Option<usize>; 2] {
    match set.layout {
        Layout::Idx => idx::counts(set, folder),
        Layout::Cifar => cifar::counts(set, folder),
        Layout::Stl => stl10::counts(folder),
        Layout::Pictures => image_set::counts(set, folder),
        Layout::InMemory => [Some(set.train), Some(set.test)],
        Layout::Own => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::registry::SETS;

    #[test]
    fn sets_without_files_load_with_the_shape_the_table_says() {
        let folders = DataFolders::only(Vec::<std::path::PathBuf>::new());
        for set in SETS.iter().filter(|set| !set.is_on_disk()) {
            for (split, count) in [(Split::Train, set.train), (Split::Test, set.test)] {
                let data = load(set.name, split, &folders, &Table::new()).unwrap();
                assert_eq!(data.shape(), set.shape, "{}", set.name);
                assert_eq!(data.len(), count, "{}", set.name);
                assert_eq!(data.classes(), set.classes, "{}", set.name);
                assert_eq!(data.name(), set.name);
            }
        }
    }

    #[test]
    fn options_of_a_set_without_any_are_refused() {
        let options: Table = "size = 3".parse().unwrap();
        let folders = DataFolders::only(["x"]);
        let error = load("digits", Split::Train, &folders, &options).unwrap_err();
        assert!(error.text.contains("data.options.size"), "{error}");
    }
}
