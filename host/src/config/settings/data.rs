//! Settings of data sets, for the reference page. Their type, defaults and
//! checks are those of [`crate::data::DataPlan`]; a test compares the two.

use super::{Kind, SectionDoc, Setting};
use crate::data::own;
use crate::data::registry as data;
use crate::plan::define::Field;
use crate::plan::{Padding, PartsOrder, ResizeMethod, Scaling};

/// The settings of `data` and of each entry of `extra_data`.
pub const DATA_SET: &[Setting] = &[
    Setting::new(
        "set",
        Kind::Text,
        "\"digits\"",
        "name in the registry (`biorule data list`); `folder`, `idx`, `arrays` and `csv` are your own files",
    ),
    Setting::new(
        "root",
        Kind::Text,
        "",
        "data folder, searched in place of the usual ones; for your own files, where they are",
    ),
    Setting::new(
        "validation",
        Kind::Number,
        "0.0",
        "part of the training samples held back: below 1 a share, else a number of samples",
    )
    .min(0.0),
    Setting::new(
        "validation_part",
        Kind::Text,
        "",
        "the part of `parts` that is held back in place of samples drawn for `validation`: `train` is what it leaves, and no other part may have samples of it; absent: none",
    ),
    Setting::new(
        "parts",
        Kind::Described,
        "{}",
        "parts of the training samples that `limit_train` and `validation` leave, each a range: `parts = { weights = \":50%\", alphas = \"50%:\" }`; a bound is a number of samples, a share with `%` or a fraction `1/3`, the end is not included; a phase takes one by `data = \"weights\"`",
    )
    .source("ranges as in TensorFlow Datasets"),
    Setting::new(
        "parts_order",
        PartsOrder::KIND,
        "\"random\"",
        "what `parts` are ranges of: samples in an order drawn under `split_seed`, or as the set stores them (DARTS's halves of CIFAR-10)",
    ),
    Setting::new(
        "split_seed",
        Kind::Whole,
        "0",
        "seed of the choice of samples for `validation`, `parts` and the limits, apart from the training seed",
    ),
    Setting::new(
        "limit_train",
        Kind::Whole,
        "",
        "use this many training samples, chosen at random",
    ),
    Setting::new(
        "limit_test",
        Kind::Whole,
        "",
        "use this many test samples, chosen at random",
    ),
    Setting::new(
        "stratify",
        Kind::Flag,
        "false",
        "`limit_train`, `limit_test` and `validation` take from each class its share of the samples",
    ),
    Setting::new(
        "classes",
        Kind::Labels,
        "[]",
        "keep only these classes, by label or name: as many outputs, numbered from 0 in this order; empty: all",
    ),
    Setting::new(
        "normalize",
        Scaling::KIND,
        "\"unit\"",
        "values to [0, 1]; that and then to mean 0 and deviation 1 of each channel; or as stored",
    ),
    Setting::new(
        "mean",
        Kind::Numbers,
        "",
        "channel means for `standard`, on the [0, 1] scale; absent: the set's usual ones",
    ),
    Setting::new(
        "std",
        Kind::Numbers,
        "",
        "channel deviations for `standard`",
    ),
    Setting::new(
        "whiten",
        Kind::Number,
        "",
        "ZCA whitening after scaling, by the covariance of the training part with this much added to the variances; absent: none",
    )
    .source("SoftHebb dataset.py: 0.1"),
    Setting::new(
        "resize",
        Kind::Pair,
        "",
        "bring images to `[height, width]`",
    ),
    Setting::new(
        "resize_method",
        ResizeMethod::KIND,
        "\"bilinear\"",
        "how: weighted by distance, the nearest pixel, zeros around the picture, or `crop`: the shorter side to 8/7 of the size and the middle cut out (256 and 224 on ImageNet)",
    ),
    Setting::new(
        "shuffle",
        Kind::Flag,
        "true",
        "new order each epoch, in phases on this set that do not set `shuffle` themselves",
    ),
    Setting::new(
        "drop_last",
        Kind::Flag,
        "false",
        "leave out a last, smaller batch, in phases on this set that do not set `drop_last` themselves",
    ),
    Setting::new(
        "threads",
        Kind::Whole,
        "1",
        "loader threads; 0 prepares batches in the training thread",
    ),
    Setting::new(
        "prefetch",
        Kind::Whole,
        "4",
        "batches each loader thread prepares ahead",
    ),
    Setting::new(
        "augment",
        Kind::Table("data.augment"),
        "",
        "random changes of training images, in phases with `augment = true`",
    ),
    Setting::new(
        "options",
        Kind::Table("data.options"),
        "",
        "options of a generated set (`biorule data show NAME`) or of your own files (below)",
    ),
];

/// The settings of `data.augment`.
pub const AUGMENT: &[Setting] = &[
    Setting::new(
        "flip",
        Kind::Number,
        "0.0",
        "chance of a mirror image, left to right",
    )
    .range(0.0, 1.0),
    Setting::new(
        "crop",
        Kind::Whole,
        "0",
        "pad by this many pixels on each side and cut the original size out anywhere",
    )
    .unit("pixels"),
    Setting::new(
        "padding",
        Padding::KIND,
        "\"zero\"",
        "what the padding holds",
    ),
    Setting::new(
        "noise",
        Kind::Number,
        "0.0",
        "standard deviation of Gaussian noise on each value, on the [0, 1] scale",
    )
    .min(0.0),
    Setting::new(
        "resized_crop",
        Kind::Numbers,
        "",
        "a random piece of the picture, brought to the size of a sample: least and largest share of its area, such as `[0.08, 1.0]`; its proportions lie between 3/4 and 4/3. Of a set of pictures the pieces come from the pictures as they are stored, of others from images of `resize`",
    )
    .source("torchvision RandomResizedCrop; Szegedy et al. 2015"),
    Setting::new(
        "cutout",
        Kind::Whole,
        "0",
        "side of a square of zeros (after scaling) around a pixel drawn uniformly, cut off at the border; 0 is none",
    )
    .unit("pixels")
    .source("DeVries and Taylor 2017"),
];

/// The options of a user's own set, defined where they are read.
const fn options<const N: usize>(of: &[data::Setting]) -> [Setting; N] {
    let mut all = [Setting::new("", Kind::Described, "", ""); N];
    let mut at = 0;
    while at < N {
        all[at] = Setting::new(of[at].key, Kind::Described, of[at].default, of[at].summary);
        at += 1;
    }
    all
}

/// `data.options` of `folder`.
pub const FOLDER: &[Setting] = &options::<{ own::FOLDER.len() }>(own::FOLDER);
/// `data.options` of `idx`.
pub const IDX: &[Setting] = &options::<{ own::IDX.len() }>(own::IDX);
/// `data.options` of `arrays`.
pub const ARRAYS: &[Setting] = &options::<{ own::ARRAYS.len() }>(own::ARRAYS);
/// `data.options` of `csv`.
pub const CSV: &[Setting] = &options::<{ own::CSV.len() }>(own::CSV);

/// Sections of this file.
pub(super) fn sections() -> Vec<SectionDoc> {
    let own = |place, doc, settings| SectionDoc {
        place,
        doc,
        settings,
    };
    vec![
        SectionDoc {
            place: "data",
            doc: "A data set and what is done to it; also each entry of `extra_data`.",
            settings: DATA_SET,
        },
        SectionDoc {
            place: "data.augment",
            doc: "Order: resized crop or crop, flip, noise, cutout. Each change depends on seed, epoch and sample only.",
            settings: AUGMENT,
        },
        own(
            "data.options (folder)",
            "Pictures (PNG, JPEG): `root/train/CLASS/` and `root/test/CLASS/`, or `root/CLASS/` with `test`. `data.resize` brings pictures of different sizes to one.",
            FOLDER,
        ),
        own(
            "data.options (idx)",
            "Files in the layout of MNIST, packed by gzip or not, of any size and number of classes.",
            IDX,
        ),
        own(
            "data.options (arrays)",
            "Numpy arrays, `.npz` or `.npy`: inputs `[N, D]`, `[N, H, W]`, `[N, C, H, W]` or `[N, H, W, C]`, and targets. Bytes are scaled as pixels, other numbers are taken as they are.",
            ARRAYS,
        ),
        own(
            "data.options (csv)",
            "A table with a sample in each line, packed by gzip or not; `data.root` is the file or its folder.",
            CSV,
        ),
    ]
}
