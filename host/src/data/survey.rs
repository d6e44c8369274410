//! What a plan's data looks like, without reading more than that takes: shape, classes, and which of
//! them are used. Configurations are checked against it before anything is trained.

use super::classes;
use super::dataset::Shape;
use super::folders::DataFolders;
use super::own;
use super::record::{DataRecord, FileRecord};
use super::set::{Layout, Source};
use super::{cifar, idx, image_set, published, stl10};
use crate::Result;
use crate::plan::DataPlan;

/// Shape and outputs of a plan's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Of a prepared sample, `[C, H, W]`.
    pub shape: Shape,
    /// Outputs a network needs: classes in use, or target values per sample.
    pub outputs: usize,
    /// Whether the answers are classes, not values to regress.
    pub has_classes: bool,
}

impl DataPlan {
    /// Looks at what there is. Published sets are known by headers and labels; generated sets and a
    /// user's own are read.
    ///
    /// # Errors
    /// Usage errors for settings that do not fit the set; data errors for files that are missing
    /// or, as far as they are read, damaged.
    pub fn survey(&self) -> Result<Survey> {
        self.survey_in(&self.folders())
    }

    /// As [`Self::survey`], searching only `folders`.
    ///
    /// # Errors
    /// As [`Self::survey`].
    pub fn survey_in(&self, folders: &DataFolders) -> Result<Survey> {
        self.check()?;
        let set = self.info()?;
        let mut has_classes = true;
        let (shape, classes, names) = match set.layout {
            Layout::InMemory if !set.settings.is_empty() => {
                let data = self.open_in(folders)?;
                return Ok(Survey {
                    shape: data.shape(),
                    outputs: data.outputs(),
                    has_classes: data.classes() > 0,
                });
            }
            Layout::Own => {
                let parts = own::load(self, folders)?;
                let set = &parts.train;
                let names = (0..set.classes()).map(|c| set.class_name(c as u32));
                has_classes = set.classes() > 0;
                match set.classes() {
                    0 => (set.shape(), set.outputs(), Vec::new()),
                    classes => (set.shape(), classes, names.collect()),
                }
            }
            Layout::Idx => idx::survey(&Source {
                set,
                folder: &folders.require(set)?,
                options: &self.options,
            })?,
            Layout::Cifar => {
                folders.require(set)?;
                (set.shape, set.classes, cifar::class_names(set))
            }
            Layout::Stl => {
                folders.require(set)?;
                (set.shape, set.classes, stl10::class_names())
            }
            Layout::Pictures => {
                let names = image_set::class_names(set, &folders.require(set)?)?;
                (set.shape, names.len(), names)
            }
            Layout::InMemory => (set.shape, set.classes, Vec::new()),
        };
        let [height, width] = self.resize.unwrap_or([shape.height, shape.width]);
        let kept = classes::resolve(&self.classes, &self.set, classes, &names)?;
        Ok(Survey {
            shape: Shape::new(shape.channels, height, width),
            outputs: if kept.is_empty() { classes } else { kept.len() },
            has_classes,
        })
    }

    /// The files that the data comes from, with their digests; none for embedded and generated
    /// sets. `name` is `data`, or the name in `extra_data`.
    ///
    /// # Errors
    /// Data errors for files that are missing or cannot be read.
    pub fn record(&self, name: &str) -> Result<Option<DataRecord>> {
        let (set, folders) = (self.info()?, self.folders());
        let (folder, files): (String, Vec<FileRecord>) = match set.layout {
            Layout::InMemory => return Ok(None),
            Layout::Own => {
                let parts = own::load(self, &folders)?;
                let folder = match parts.train.provenance() {
                    super::Provenance::File { path } => path.display().to_string(),
                    _ => String::new(),
                };
                (folder, parts.files.clone())
            }
            Layout::Pictures => {
                let root = folders.require(set)?;
                let records = image_set::records(self, set, &root)?;
                (root.display().to_string(), records)
            }
            Layout::Idx | Layout::Cifar | Layout::Stl => {
                let files = published::files(set, &folders, &self.options)?;
                let folder = folders.require(set)?.display().to_string();
                (folder, super::digest::records(&files)?)
            }
        };
        Ok(Some(DataRecord {
            name: name.to_owned(),
            set: self.set.clone(),
            folder,
            files,
        }))
    }
}
