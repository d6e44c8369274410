//! The data sets: those that `presets.json` describes, as ours.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::call::find;
use crate::import::text::number;
use crate::{Error, Result};

/// Families of data sets and ours.
const FAMILIES: &[(&str, &str)] = &[
    ("MNIST", "mnist"),
    ("FashionMNIST", "fashion-mnist"),
    ("CIFAR10", "cifar10"),
    ("CIFAR100", "cifar100"),
    ("STL10", "stl10"),
    ("ImageNette", "imagenette"),
    ("ImageNet", "imagenet"),
    (
        "ImageNetV2MatchedFrequency",
        "imagenet-v2-matched-frequency",
    ),
    ("ImageNetV2Threshold07", "imagenet-v2-threshold07"),
    ("ImageNetV2TopImages", "imagenet-v2-top-images"),
];

/// Settings of a data set: those of all, of its family, of its variant.
pub(super) struct Dataset {
    name: String,
    set: &'static str,
    all: BTreeMap<String, Value>,
}

pub(super) fn dataset(file: &Value, name: &str) -> Result<Dataset> {
    let (family, variant) = name
        .split_once('_')
        .map_or((name, None), |(f, v)| (f, Some(v)));
    let section = &file["dataset"];
    let table = find(section, family, "family of data sets")?;
    let Some((_, set)) = FAMILIES.iter().find(|(own, _)| *own == family) else {
        return Err(Error::usage(format!(
            "the data set `{family}` has no counterpart here"
        )));
    };
    let mut all = BTreeMap::new();
    let mut lay = |table: Option<&Map<String, Value>>| {
        for (key, value) in table.into_iter().flatten() {
            all.insert(key.clone(), value.clone());
        }
    };
    lay(section["default"].as_object());
    lay(table.get("default").and_then(Value::as_object));
    if let Some(variant) = variant {
        lay(Some(find(
            &section[family],
            variant,
            &format!("variant of `{family}`"),
        )?));
    }
    Ok(Dataset {
        name: name.to_owned(),
        set,
        all,
    })
}

impl Dataset {
    pub(super) fn whole(&self, key: &str, default: u64) -> u64 {
        self.all.get(key).and_then(Value::as_u64).unwrap_or(default)
    }
    pub(super) fn number(&self, key: &str, default: f64) -> f64 {
        self.all.get(key).and_then(Value::as_f64).unwrap_or(default)
    }
    fn flag(&self, key: &str) -> bool {
        self.all.get(key).and_then(Value::as_bool).unwrap_or(false)
    }
    fn is_imagenet(&self) -> bool {
        self.set.starts_with("image")
    }
    /// Whether training samples change.
    pub(super) fn augments(&self) -> bool {
        self.flag("augmentation")
    }

    /// Its table, without what belongs to phases.
    pub(super) fn table(&self, notes: &mut Vec<String>) -> Result<String> {
        let mut text = format!("set = \"{}\"\n", self.set);
        if self.flag("zca_whitened") {
            text.push_str("normalize = \"standard\"\nmean = [0.4914, 0.48216, 0.44653]\nstd = [0.247, 0.2434, 0.2616]\nwhiten = 0.1\n");
            note(
                notes,
                "`zca_whitened` fails there; here it does what the code is meant to do",
            );
        }
        if self.is_imagenet() {
            text.push_str("normalize = \"standard\"\nmean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\n");
            let (height, width) = (self.whole("height", 0), self.whole("width", 0));
            text.push_str(&format!("resize = [{height}, {width}]\n"));
        }
        if let Some(classes) = self.all.get("training_class").and_then(Value::as_array) {
            let classes: Vec<String> = classes.iter().map(Value::to_string).collect();
            text.push_str(&format!("classes = [{}]\n", classes.join(", ")));
        }
        let split = self
            .all
            .get("split")
            .and_then(Value::as_str)
            .unwrap_or("train");
        if self.set == "stl10" && split != "train" {
            text.push_str(&format!("options = {{ split = \"{split}\" }}\n"));
        }
        let whole = match (self.set, split) {
            ("mnist" | "fashion-mnist", _) => 60_000,
            ("cifar10" | "cifar100", _) => 50_000,
            ("stl10", "unlabeled") => 100_000,
            ("stl10", "train+unlabeled") => 105_000,
            ("stl10", _) => 5_000,
            ("imagenette", _) => 9_469,
            ("imagenet", _) => 1_281_167,
            _ => 10_000,
        };
        let samples = self.whole("training_sample", whole);
        let filtered = text.contains("classes = ");
        if samples < whole && !filtered {
            text.push_str(&format!("limit_train = {samples}\n"));
        }
        if self.augments() {
            text.push_str(&match self.set {
                "mnist" => format!(
                    "augment = {{ noise = {} }}\n",
                    number(self.number("noise_std", 0.0))
                ),
                _ if self.is_imagenet() => {
                    "augment = { flip = 0.5, resized_crop = [0.08, 1.0] }\n".to_owned()
                }
                _ => "augment = { flip = 0.5, crop = 4, padding = \"reflect\" }\n".to_owned(),
            });
        }
        if self.set == "imagenet" {
            note(
                notes,
                "the authors cap ImageNet at its first 1,000,000 pictures; here samples are drawn from all",
            );
        }
        if self.all.get("shuffle").and_then(Value::as_bool) == Some(false) {
            text.push_str("shuffle = false\n");
        }
        if let Some(workers) = self
            .all
            .get("num_workers")
            .and_then(Value::as_u64)
            .filter(|n| *n > 0)
        {
            text.push_str(&format!("threads = {workers}\n"));
        }
        let known = [
            "name",
            "noise_std",
            "channels",
            "width",
            "height",
            "px",
            "validation_split",
            "training_sample",
            "testing_sample",
            "out_channels",
            "num_workers",
            "seed",
            "shuffle",
            "batch_size",
            "augmentation",
            "zca_whitened",
            "training_class",
            "nb_epoch",
            "print_freq",
            "split",
        ];
        for key in self.all.keys().filter(|key| !known.contains(&key.as_str())) {
            note(
                notes,
                &format!(
                    "`{key}` of `{}` is no setting of SoftHebb's data sets and has no counterpart",
                    self.name
                ),
            );
        }
        if self.set == "imagenette" && self.whole("px", 160) != 160 {
            note(
                notes,
                "pictures of another size than 160 come from the folder of 160, as there",
            );
        }
        Ok(text)
    }
}

/// Adds a note once.
fn note(notes: &mut Vec<String>, text: &str) {
    if !notes.iter().any(|own| own == text) {
        notes.push(text.to_owned());
    }
}
