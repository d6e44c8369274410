//! What is published: files, sizes, classes, and where the parts lie below a folder.

use super::reading::load;
use crate::data::dataset::Shape;
use crate::data::set::{FileInfo, Layout, SetInfo, Setting};

const SETTINGS: &[Setting] = &[Setting::new(
    "decoded",
    "64",
    "GiB of decoded pictures that the cache folder may hold; above, pictures are decoded from their files each time",
)];

const MEAN: &[f32] = &[0.485, 0.456, 0.406];
const STD: &[f32] = &[0.229, 0.224, 0.225];

const SET: SetInfo = SetInfo {
    name: "",
    summary: "",
    licence: "pictures of ImageNet: research only",
    shape: Shape::new(3, 224, 224),
    classes: 1000,
    train: 0,
    test: 0,
    mean: MEAN,
    std: STD,
    files: &[],
    mirrors: &[],
    folders: &[],
    markers: &[],
    layout: Layout::Pictures,
    load,
    settings: SETTINGS,
};

/// ImageNette, second edition, with a shorter side of 160 pixels.
pub(crate) const IMAGENETTE: SetInfo = SetInfo {
    name: "imagenette",
    summary: "photographs of 10 kinds of thing, shorter side 160, in colour (fast.ai, of ImageNet)",
    shape: Shape::new(3, 160, 160),
    classes: 10,
    train: 9_469,
    test: 3_925,
    files: &[FileInfo {
        name: "imagenette2-160.tgz",
        bytes: 99_003_388,
        md5: "",
        sha256: "64d0c4859f35a461889e0147755a999a48b49bf38a7e0f9bd27003f10db02fe5",
        also: &[(
            98_948_031,
            "88daccb09b6fce93f45e6c09ddeb269cce705549e6bff322092a2a5a11489863",
        )],
    }],
    mirrors: &["https://s3.amazonaws.com/fast-ai-imageclas/"],
    folders: &[
        "imagenette",
        "imagenette2-160",
        "imagenette2",
        "imagenette2-320",
        "",
    ],
    markers: &[
        "imagenette2-160",
        "imagenette2-320",
        "imagenette2",
        "imagenette2-160.tgz",
        "train/n03888257",
    ],
    ..SET
};

/// ImageNet as its challenge of 2012 has it.
pub(crate) const IMAGENET: SetInfo = SetInfo {
    name: "imagenet",
    summary: "photographs of 1000 kinds of thing in colour (ILSVRC 2012); no public mirror",
    train: 1_281_167,
    test: 50_000,
    folders: &[
        "imagenet",
        "ImageNet",
        "ILSVRC2012",
        "ilsvrc2012",
        "ILSVRC",
        "",
    ],
    markers: &[
        "train/n02123045",
        "val/n02123045",
        "ILSVRC/Data/CLS-LOC",
        "Data/CLS-LOC",
    ],
    ..SET
};

const fn second(
    name: &'static str,
    summary: &'static str,
    files: &'static [FileInfo],
    folders: &'static [&'static str],
    markers: &'static [&'static str],
) -> SetInfo {
    SetInfo {
        name,
        summary,
        licence: "MIT for the collection; pictures of Flickr",
        train: 10_000,
        test: 10_000,
        files,
        mirrors: &["https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main/"],
        folders,
        markers,
        ..SET
    }
}

const fn archive(name: &'static str, bytes: u64, sha256: &'static str) -> FileInfo {
    FileInfo {
        name,
        bytes,
        md5: "",
        sha256,
        also: &[],
    }
}

/// ImageNetV2's matched frequencies.
pub(crate) const MATCHED: SetInfo = second(
    "imagenet-v2-matched-frequency",
    "a second test set of ImageNet, as hard to label as the first (Recht et al. 2019)",
    &[archive(
        "imagenetv2-matched-frequency.tar.gz",
        1_264_079_360,
        "f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c",
    )],
    &[
        "imagenet-v2-matched-frequency",
        "imagenetv2",
        "ImageNetV2",
        "",
    ],
    &[
        "imagenetv2-matched-frequency-format-val",
        "imagenetv2-matched-frequency.tar.gz",
    ],
);

/// ImageNetV2's threshold of 0.7.
pub(crate) const THRESHOLD: SetInfo = second(
    "imagenet-v2-threshold07",
    "a second test set of ImageNet, chosen by seven of ten people (Recht et al. 2019)",
    &[archive(
        "imagenetv2-threshold0.7.tar.gz",
        1_249_906_176,
        "32142bfe998f9cfa4141be691f6a80eeb1e27b24bd532a668eb08c26d98897a2",
    )],
    &["imagenet-v2-threshold07", "imagenetv2", "ImageNetV2", ""],
    &[
        "imagenetv2-threshold0.7-format-val",
        "imagenetv2-threshold0.7.tar.gz",
    ],
);

/// ImageNetV2's most often chosen pictures.
pub(crate) const TOP: SetInfo = second(
    "imagenet-v2-top-images",
    "a second test set of ImageNet, the pictures chosen most often (Recht et al. 2019)",
    &[archive(
        "imagenetv2-top-images.tar.gz",
        1_245_927_936,
        "85e4ace30f3f0d660152062254b8759dda66267b27f7ec0fd8d5768f1073a04b",
    )],
    &["imagenet-v2-top-images", "imagenetv2", "ImageNetV2", ""],
    &[
        "imagenetv2-top-images-format-val",
        "imagenetv2-top-images.tar.gz",
    ],
);
