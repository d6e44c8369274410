//! What is known of a data set without reading it: its entry in the registry and its options.

use std::path::Path;

use toml::Table;

use super::dataset::{Dataset, Shape, Split};
use crate::{Error, Result};

/// A published file.
#[derive(Debug)]
pub struct FileInfo {
    /// Its name, below a mirror's address and in the set's folder.
    pub name: &'static str,
    /// Length in bytes.
    pub bytes: u64,
    /// MD5, hexadecimal, as the authors publish it; empty where they do not.
    pub md5: &'static str,
    /// SHA-256, hexadecimal.
    pub sha256: &'static str,
    /// Length and SHA-256 of other editions under the same name.
    pub also: &'static [(u64, &'static str)],
}

/// What a set's loader gets.
#[derive(Debug)]
pub struct Source<'a> {
    /// The set's entry.
    pub set: &'a SetInfo,
    /// Folder of its files; empty for a set without files.
    pub folder: &'a Path,
    /// `[data.options]` of the configuration.
    pub options: &'a Table,
}

/// One set: everything that is known of it without reading it.
#[derive(Debug)]
pub struct SetInfo {
    /// The name used in configurations and commands.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Terms of use, as the authors state them.
    pub licence: &'static str,
    /// Shape of one sample (of generated sets: with the default options).
    pub shape: Shape,
    /// Number of classes; 0 for regression.
    pub classes: usize,
    /// Published number of training samples (generated: the default).
    pub train: usize,
    /// Published number of test samples (generated: the default).
    pub test: usize,
    /// Usual mean of each channel, of values in [0, 1]; empty: measured on the
    /// training part.
    pub mean: &'static [f32],
    /// Usual standard deviation of each channel, beside `mean`.
    pub std: &'static [f32],
    /// Files that `fetch` downloads; empty for embedded and generated sets.
    pub files: &'static [FileInfo],
    /// Addresses that hold the files, tried in order.
    pub mirrors: &'static [&'static str],
    /// Subfolders of a data folder in which the set may lie; the first is where
    /// `fetch` puts it, the others are the layouts of other tools.
    pub folders: &'static [&'static str],
    /// Paths in such a folder of which at least one exists where the set is.
    pub markers: &'static [&'static str],
    /// How its files are laid out.
    pub layout: Layout,
    /// Reads or makes one part.
    pub load: fn(&Source<'_>, Split) -> Result<Dataset>,
    /// What `[data.options]` may set; empty for published sets.
    pub settings: &'static [Setting],
}

/// How a set's files are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// No files: embedded or generated.
    InMemory,
    /// Four files as MNIST has them; shape and classes are those of the files.
    Idx,
    /// CIFAR's binary or Python version.
    Cifar,
    /// STL-10's binary files.
    Stl,
    /// Pictures in a folder for each class.
    Pictures,
    /// Files of the user, of any shape.
    Own,
}

/// An option of a set, for help.
#[derive(Debug)]
pub struct Setting {
    /// Key under `[data.options]`.
    pub key: &'static str,
    /// Its default, as one writes it.
    pub default: &'static str,
    /// One line.
    pub summary: &'static str,
}

impl SetInfo {
    /// An entry without files, to which its name, shape and loader are added.
    pub(crate) const fn without_files(layout: Layout, licence: &'static str) -> Self {
        Self {
            name: "",
            summary: "",
            licence,
            shape: Shape::new(0, 0, 0),
            classes: 0,
            train: 0,
            test: 0,
            mean: &[],
            std: &[],
            files: &[],
            mirrors: &[],
            folders: &[],
            markers: &[],
            layout,
            load: |source, _| {
                let text = format!("`{}` has no loader of single parts", source.set.name);
                Err(Error::internal(text))
            },
            settings: &[],
        }
    }

    /// Whether the set's samples come from files on disk.
    pub fn is_on_disk(&self) -> bool {
        !self.folders.is_empty()
    }

    /// Whether it is read from a user's own files.
    pub fn is_own(&self) -> bool {
        self.layout == Layout::Own
    }
}

impl Setting {
    /// An option with its default, as one writes it, and its line of help.
    pub(crate) const fn new(
        key: &'static str,
        default: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            key,
            default,
            summary,
        }
    }
}
