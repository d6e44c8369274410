//! What the readers of a user's files get and give.

use std::path::{Path, PathBuf};

use super::labels::Labels;
use super::options::Options;
use crate::data::dataset::{Shape, Values};
use crate::data::layouts;
use crate::data::record::FileRecord;
use crate::data::set::SetInfo;
use crate::plan::ResizeMethod;
use crate::{Error, Result};

/// What is to be read, and how.
pub(super) struct Own<'a> {
    pub(super) set: &'static SetInfo,
    /// `data.root`.
    pub(super) root: PathBuf,
    pub(super) options: &'a Options,
    pub(super) resize: Option<[usize; 2]>,
    pub(super) method: ResizeMethod,
}

impl Own<'_> {
    /// A file named in `data.options.files`, in `data.root` unless its path is absolute.
    pub(super) fn file(&self, name: &str) -> Result<PathBuf> {
        let folder = match self.root.is_file() {
            true => self.root.parent().unwrap_or(Path::new("")),
            false => &self.root,
        };
        let path = folder.join(name);
        match path.is_file() {
            true => Ok(path),
            false => Err(Error::data(format!("`{}` is not there", path.display()))
                .hint("names in `data.options.files` are relative to `data.root`")),
        }
    }
}

/// What a reader found, before labels are numbered and a missing test part is made.
pub(super) struct Raw {
    pub(super) train: RawPart,
    pub(super) test: Option<RawPart>,
    pub(super) notes: Vec<String>,
    /// The files read.
    pub(super) files: Vec<PathBuf>,
    /// Their digests, where the reader has them already.
    pub(super) records: Option<Vec<FileRecord>>,
}

pub(super) struct RawPart {
    pub(super) shape: Shape,
    pub(super) values: Values,
    pub(super) targets: RawTargets,
}

pub(super) enum RawTargets {
    Labels(Labels),
    /// `[N, width]`.
    Values {
        data: Vec<f32>,
        width: usize,
    },
}

/// What to do about a folder without the files that were looked for.
pub(super) fn other_set_hint(root: &Path) -> String {
    match layouts::recognise(root) {
        Some(found) => format!("it holds {}", found),
        None => "name the folder of the files by `data.root`".to_owned(),
    }
}
