//! `[data]` of a configuration: which set, which part of it, and how its values are prepared.
//! Every field has a default, so that an empty table is the embedded digits in [0, 1].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Table;

use super::define::words;
use super::parts::{PartRange, PartsOrder};

words! {
    /// How values are scaled.
    pub enum Scaling = Unit {
        /// Bytes to [0, 1]; floats as they are.
        Unit = "unit",
        /// To [0, 1], then (x - mean) / std of each channel: `mean` and `std` of the
        /// plan, else the set's usual ones, else those measured on the training part.
        Standard = "standard",
        /// As stored: 0 to 255 for most images.
        Raw = "raw",
    }
}

words! {
    /// How images reach another size.
    pub enum ResizeMethod = Bilinear {
        /// Weighted by distance, over a wider window when shrinking, as Pillow and
        /// torchvision do on images.
        Bilinear = "bilinear",
        /// The nearest pixel.
        Nearest = "nearest",
        /// Zeros around the picture, which stays as it is, centred.
        Pad = "pad",
        /// The shorter side to 8/7 of the size, and the middle cut out: 256 and 224, as usual on ImageNet.
        Crop = "crop",
    }
}

words! {
    /// What fills the border that a random crop may reach into.
    pub enum Padding = Zero {
        /// Black (0 before normalisation), as in BioTorch's `cifar10_benchmark`.
        Zero = "zero",
        /// Mirrored without repeating the edge, as in SoftHebb.
        Reflect = "reflect",
    }
}

/// Random changes of training images; each depends on (seed, epoch, sample)
/// only. Order: resized crop, crop, flip, noise, cutout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Chance of a mirror image, left to right. Default 0.
    pub flip: f32,
    /// Pad by this many pixels on each side and cut the original size out
    /// anywhere. Default 0, no crop.
    pub crop: usize,
    /// What the padding holds. Default `zero`.
    pub padding: Padding,
    /// Standard deviation of Gaussian noise on each value, in units of the
    /// [0, 1] scale. Default 0.
    pub noise: f32,
    /// A random piece of the picture in place of all of it, brought to the size of a sample: the least
    /// and the largest share of its area. Default: none.
    pub resized_crop: Option<[f32; 2]>,
    /// Side of a square of zeros (after scaling) around a pixel drawn uniformly; what of it lies
    /// outside the image is cut off (DeVries and Taylor 2017). Default 0, none.
    pub cutout: usize,
}

impl Augment {
    /// Whether samples stay as they are.
    pub fn is_none(&self) -> bool {
        self.flip <= 0.0
            && self.crop == 0
            && self.noise <= 0.0
            && self.cutout == 0
            && self.resized_crop.is_none()
    }

    /// Whether pixels change place.
    pub fn moves(&self) -> bool {
        self.flip > 0.0 || self.crop > 0
    }

    /// First row or column, which may be outside, of the square that is cut out around pixel
    /// `centre`.
    #[must_use]
    pub fn corner(&self, centre: usize) -> isize {
        centre as isize - (self.cutout / 2) as isize
    }

    /// Rows and columns of an image of `size` that the square with this `corner` cuts out.
    #[must_use]
    pub fn hole(&self, corner: [isize; 2], size: [usize; 2]) -> [Range<usize>; 2] {
        let within = |from: isize, size: usize| {
            let end = from.saturating_add_unsigned(self.cutout).max(0) as usize;
            from.max(0) as usize..end.min(size)
        };
        let ([row, column], [height, width]) = (corner, size);
        [within(row, height), within(column, width)]
    }
}

/// The `[data]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataPlan {
    /// Name in the registry (`biorule data list`). Default `digits`.
    pub set: String,
    /// Data folder, searched alone; for a user's own set the folder of its files. Default: the
    /// usual folders.
    pub root: Option<PathBuf>,
    /// Part of the training samples kept for validation: below 1 a fraction
    /// (rounded down), else a number of samples. Default 0, none.
    pub validation: f64,
    /// Name of a part that is held back for validation in place of samples drawn for it; `train` is
    /// what the part leaves. Default: none.
    pub validation_part: Option<String>,
    /// Parts of the training samples (those that `limit_train` and `validation` leave), by name: a
    /// phase takes one in place of all, architecture search learns weights and architecture from
    /// different ones. Default: none.
    pub parts: BTreeMap<String, PartRange>,
    /// In which order the samples stand that `parts` are ranges of. Default `random`.
    pub parts_order: PartsOrder,
    /// Seed of the choice of samples for `validation`, `parts` and the limits; kept apart
    /// from the training seed so that runs compare on the same samples. Default 0.
    pub split_seed: u64,
    /// Use this many training samples (validation included), chosen at random.
    /// Default: all.
    pub limit_train: Option<usize>,
    /// Use this many test samples, chosen at random. Default: all.
    pub limit_test: Option<usize>,
    /// The limits and the validation part take from each class its share. Default false: by chance
    /// alone.
    pub stratify: bool,
    /// Keep only these classes, by label or name; they are numbered from 0 in the order of the
    /// list. Default empty, all.
    pub classes: Vec<ClassRef>,
    /// How values are scaled. Default `unit`.
    pub normalize: Scaling,
    /// Channel means for `standard`, on the [0, 1] scale. Default: the set's.
    pub mean: Option<Vec<f32>>,
    /// Channel deviations for `standard`. Default: the set's.
    pub std: Option<Vec<f32>>,
    /// Whiten samples (ZCA) after scaling, with this added to the variances; the matrix
    /// comes from the training part. Default: not at all.
    pub whiten: Option<f64>,
    /// Bring images to `[height, width]`. Default: as they are.
    pub resize: Option<[usize; 2]>,
    /// How. Default `bilinear`.
    pub resize_method: ResizeMethod,
    /// Random order of training samples, new in each epoch. Default true.
    pub shuffle: bool,
    /// Leave out a last training batch that is not full. Default false.
    pub drop_last: bool,
    /// Loader threads; 0 prepares batches in the training thread. Default 1.
    pub threads: usize,
    /// Batches each loader thread prepares ahead. Default 4.
    pub prefetch: usize,
    /// Random changes of training images. Default: none.
    pub augment: Augment,
    /// Options of a generated set or of a user's own (`biorule data show NAME` lists them).
    pub options: Table,
}

impl DataPlan {
    /// Whether samples are held back for validation.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        self.validation > 0.0 || self.validation_part.is_some()
    }
}

impl Default for DataPlan {
    fn default() -> Self {
        Self {
            set: "digits".to_owned(),
            root: None,
            validation: 0.0,
            validation_part: None,
            parts: BTreeMap::new(),
            parts_order: PartsOrder::default(),
            split_seed: 0,
            limit_train: None,
            limit_test: None,
            stratify: false,
            classes: Vec::new(),
            normalize: Scaling::Unit,
            mean: None,
            std: None,
            whiten: None,
            resize: None,
            resize_method: ResizeMethod::Bilinear,
            shuffle: true,
            drop_last: false,
            threads: 1,
            prefetch: 4,
            augment: Augment::default(),
            options: Table::new(),
        }
    }
}

/// One entry of `data.classes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassRef {
    /// By label.
    Number(u32),
    /// By name, as `biorule data show` lists it.
    Name(String),
}

impl fmt::Display for ClassRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(label) => label.fmt(f),
            Self::Name(name) => write!(f, "\"{name}\""),
        }
    }
}

impl From<u32> for ClassRef {
    fn from(label: u32) -> Self {
        Self::Number(label)
    }
}
