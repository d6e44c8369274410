//! Where the parts of each set lie below its folder, and what ImageNette's folders mean.

use crate::data::set::SetInfo;

/// Classes of ImageNette by their folders.
pub(super) const IMAGENETTE_NAMES: [(&str, &str); 10] = [
    ("n01440764", "tench"),
    ("n02102040", "English springer"),
    ("n02979186", "cassette player"),
    ("n03000684", "chain saw"),
    ("n03028079", "church"),
    ("n03394916", "French horn"),
    ("n03417042", "garbage truck"),
    ("n03425413", "gas pump"),
    ("n03445777", "golf ball"),
    ("n03888257", "parachute"),
];

/// Folders in which the parts may lie, below the one that was found.
pub(super) fn inner(set: &SetInfo) -> &'static [&'static str] {
    match set.name {
        "imagenette" => &["", "imagenette2-160", "imagenette2", "imagenette2-320"],
        "imagenet" => &["", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC"],
        "imagenet-v2-matched-frequency" => &["imagenetv2-matched-frequency-format-val"],
        "imagenet-v2-threshold07" => &["imagenetv2-threshold0.7-format-val"],
        _ => &["imagenetv2-top-images-format-val"],
    }
}

/// Of ImageNetV2 one folder is both parts.
pub(super) fn is_test_alone(set: &SetInfo) -> bool {
    set.name.starts_with("imagenet-v2")
}
