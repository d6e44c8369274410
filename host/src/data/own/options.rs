//! `[data.options]` of the sets that are read from a user's own files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::data::set::{Layout, SetInfo, Setting};
use crate::{Error, Result};

/// What a target is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Task {
    /// One of several classes.
    #[default]
    Classification,
    /// Real numbers.
    Regression,
}

/// What happens to a picture that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Broken {
    /// The command ends with its name.
    #[default]
    Stop,
    /// It is left out and counted.
    Skip,
}

/// Order of an array's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Axes {
    /// `[N, C, H, W]`, PyTorch's.
    #[serde(rename = "NCHW")]
    ChannelsFirst,
    /// `[N, H, W, C]`, TensorFlow's.
    #[serde(rename = "NHWC")]
    ChannelsLast,
}

/// Columns of a table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Columns {
    /// `"first"`, `"last"` or a name of the header.
    Word(String),
    /// From 0; negative counts from the end.
    Position(i64),
    /// Several (regression).
    List(Vec<Columns>),
}

/// All of them; which a set knows is said by its entry in the registry.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    pub files: BTreeMap<String, String>,
    pub test: Option<f64>,
    pub stratify: bool,
    pub first_label: Option<u32>,
    pub num_classes: Option<usize>,
    pub task: Task,
    pub channels: Option<usize>,
    pub broken: Broken,
    pub layout: Option<Axes>,
    pub label: Option<Columns>,
    pub header: Option<bool>,
    pub delimiter: Option<String>,
    pub shape: Option<[usize; 3]>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            test: None,
            stratify: true,
            first_label: None,
            num_classes: None,
            task: Task::default(),
            channels: None,
            broken: Broken::default(),
            layout: None,
            label: None,
            header: None,
            delimiter: None,
            shape: None,
        }
    }
}

const TEST: Setting = Setting::new(
    "test",
    "",
    "where there is no test part: this much of the samples becomes it, below 1 a share, else a number; chosen at random by `data.split_seed`",
);
const STRATIFY: Setting = Setting::new(
    "stratify",
    "true",
    "the test part that `test` makes has the same shares of the classes",
);
const FIRST_LABEL: Setting = Setting::new(
    "first_label",
    "",
    "label of the first class, 0 or 1; absent: seen in the labels",
);
const NUM_CLASSES: Setting = Setting::new(
    "num_classes",
    "",
    "number of classes, where some of them have no sample here; absent: counted",
);
const TASK: Setting = Setting::new(
    "task",
    "\"classification\"",
    "or `regression`: targets are real numbers",
);

/// Options of `folder`.
pub(crate) const FOLDER: &[Setting] = &[
    TEST,
    STRATIFY,
    Setting::new(
        "channels",
        "",
        "1 (grey) or 3 (red, green, blue); absent: 3 where any picture has colour",
    ),
    Setting::new(
        "broken",
        "\"stop\"",
        "a picture that cannot be read ends the command, or with `skip` is left out and counted",
    ),
    NUM_CLASSES,
];

/// Options of `idx`.
pub(crate) const IDX: &[Setting] = &[
    Setting::new(
        "files",
        "{}",
        "file names in `data.root`: `train_images`, `train_labels`, `test_images`, `test_labels`; absent: found by their usual names",
    ),
    TEST,
    STRATIFY,
    FIRST_LABEL,
    NUM_CLASSES,
];

/// Options of `arrays`.
pub(crate) const ARRAYS: &[Setting] = &[
    Setting::new(
        "files",
        "{}",
        "file names in `data.root`: `train` and `test` (`.npz` with `x` and `y`), or `x_train`, `y_train`, `x_test`, `y_test` (`.npy`); absent: found by their usual names",
    ),
    Setting::new(
        "layout",
        "",
        "axes of the images, `NCHW` or `NHWC`; absent: seen in the shape",
    ),
    TASK,
    TEST,
    STRATIFY,
    FIRST_LABEL,
    NUM_CLASSES,
];

/// Options of `csv`.
pub(crate) const CSV: &[Setting] = &[
    Setting::new(
        "files",
        "{}",
        "file names in `data.root`: `train`, `test`; absent: `train.csv` and `test.csv`, or the only `.csv` file",
    ),
    Setting::new(
        "label",
        "\"last\"",
        "column of the target: its name, `first`, `last` or its position from 0; a list for regression. Absent: `label`, `class` or `target` of the header, else the last",
    ),
    Setting::new(
        "header",
        "",
        "whether the first line names the columns; absent: it does where none of its fields is a number",
    ),
    Setting::new("delimiter", "\",\"", "what separates fields"),
    Setting::new(
        "shape",
        "",
        "`[C, H, W]` of a sample whose columns are the pixels of an image",
    ),
    TASK,
    TEST,
    STRATIFY,
    FIRST_LABEL,
    NUM_CLASSES,
];

/// What the entries below have in common; shape and classes are those of the files.
const OWN: SetInfo = SetInfo::without_files(Layout::Own, "your own");

/// The sets of the user, after the published and generated ones.
pub static SETS: &[SetInfo] = &[
    SetInfo {
        name: "folder",
        summary: "your pictures (PNG, JPEG), a folder for each class",
        settings: FOLDER,
        ..OWN
    },
    SetInfo {
        name: "idx",
        summary: "your files in the layout of MNIST, of any size and number of classes",
        settings: IDX,
        ..OWN
    },
    SetInfo {
        name: "arrays",
        summary: "your numpy arrays (`.npz`, `.npy`): images or vectors",
        settings: ARRAYS,
        ..OWN
    },
    SetInfo {
        name: "csv",
        summary: "your table, a sample in each line",
        settings: CSV,
        ..OWN
    },
];

/// Reads and checks `[data.options]` of `set`.
///
/// # Errors
/// Usage errors that name the key.
pub(crate) fn read(set: &SetInfo, table: &Table) -> Result<Options> {
    let known: Vec<&str> = set.settings.iter().map(|s| s.key).collect();
    if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
        let e = Error::usage(format!(
            "unknown key `data.options.{key}` for `{}`",
            set.name
        ));
        return Err(
            e.hint(match crate::config::nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are `{}`", known.join("`, `")),
            }),
        );
    }
    let refused = |text: String| {
        Error::usage(text).hint(format!(
            "`biorule data show {}` and `biorule config reference` list the options",
            set.name
        ))
    };
    // One by one, so that the message can name the key.
    for (key, value) in table {
        let one = Table::from_iter([(key.clone(), value.clone())]);
        if Options::deserialize(one).is_err() {
            let expected = expected(key);
            let text = format!("`data.options.{key}` is `{value}`, expected {expected}");
            return Err(refused(text));
        }
    }
    let options = Options::deserialize(table.clone()).map_err(|e| {
        let why = e.message().lines().next().unwrap_or_default();
        refused(format!("`data.options` of `{}`: {why}", set.name))
    })?;
    options.check(set)?;
    Ok(options)
}

/// What the value of an option looks like, in words.
fn expected(key: &str) -> &'static str {
    match key {
        "files" => "a table of file names",
        "test" => "a share below 1 or a number of samples",
        "stratify" | "header" => "`true` or `false`",
        "first_label" => "0 or 1",
        "num_classes" => "a number of classes",
        "task" => "`classification` or `regression`",
        "channels" => "1 or 3",
        "broken" => "`stop` or `skip`",
        "layout" => "`NCHW` or `NHWC`",
        "label" => "a column's name, `first`, `last`, its position, or a list of them",
        "delimiter" => "one character in quotes",
        "shape" => "three sizes, `[C, H, W]`",
        _ => "another kind of value",
    }
}

impl Options {
    fn check(&self, set: &SetInfo) -> Result<()> {
        let refuse =
            |key: &str, what: String| Err(Error::usage(format!("`data.options.{key}` {what}")));
        if let Some(test) = self.test {
            let whole = test >= 1.0 && test.fract() == 0.0 && test <= f64::from(u32::MAX);
            if !(whole || (test > 0.0 && test < 1.0)) {
                return refuse(
                    "test",
                    format!("must be above 0 and below 1, or a whole number, not {test}"),
                );
            }
        }
        if let Some(first) = self.first_label
            && first > 1
        {
            return refuse("first_label", format!("must be 0 or 1, not {first}"));
        }
        if let Some(classes) = self.num_classes
            && !(2..=MOST_CLASSES).contains(&classes)
        {
            return refuse(
                "num_classes",
                format!("must be 2 to {MOST_CLASSES}, not {classes}"),
            );
        }
        if let Some(channels) = self.channels
            && channels != 1
            && channels != 3
        {
            return refuse("channels", format!("must be 1 or 3, not {channels}"));
        }
        if let Some(delimiter) = &self.delimiter
            && delimiter.len() != 1
            && delimiter != "\\t"
        {
            return refuse(
                "delimiter",
                format!("must be one character, not `{delimiter}`"),
            );
        }
        if let Some([c, h, w]) = self.shape
            && c.checked_mul(h)
                .and_then(|n| n.checked_mul(w))
                .is_none_or(|n| n == 0 || n > 1 << 28)
        {
            return refuse(
                "shape",
                format!("must be a plausible size, not {c}x{h}x{w}"),
            );
        }
        if self.task == Task::Regression && (self.num_classes, self.first_label) != (None, None) {
            return refuse(
                "task",
                "is `regression`; `num_classes` and `first_label` are for classes".into(),
            );
        }
        let keys: &[&str] = match set.name {
            "idx" => &["train_images", "train_labels", "test_images", "test_labels"],
            "arrays" => &["train", "test", "x_train", "y_train", "x_test", "y_test"],
            _ => &["train", "test"],
        };
        match self.files.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(Error::usage(format!(
                "unknown key `data.options.files.{key}` for `{}`",
                set.name
            ))
            .hint(format!("known are `{}`", keys.join("`, `")))),
            None => Ok(()),
        }
    }

    /// The character between fields.
    pub(super) fn delimiter(&self) -> u8 {
        match self.delimiter.as_deref() {
            Some("\\t") => b'\t',
            Some(text) => text.bytes().next().unwrap_or(b','),
            None => b',',
        }
    }
}

/// More classes than any set has; numbers that only look like labels have more.
pub(crate) const MOST_CLASSES: usize = 1 << 16;
