//! Images, labels and targets in plain memory: what every loader of a set
//! returns and every consumer reads. No tensor library here; a batch becomes a
//! tensor where it is used.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::bytes::Bytes;
use super::classes;
pub use super::targets::Targets;
use crate::{Error, Result};

/// Which part of a set, as its authors divided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The part to learn from.
    Train,
    /// The part to measure on.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

/// Shape of one sample, `[C, H, W]`. A vector of F features is `[F, 1, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Channels C (or features F).
    pub channels: usize,
    /// Height H in pixels.
    pub height: usize,
    /// Width W in pixels.
    pub width: usize,
}

impl Shape {
    /// `[channels, height, width]`.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
        }
    }
    /// A vector of `features`.
    pub const fn vector(features: usize) -> Self {
        Self::new(features, 1, 1)
    }
    /// Values in one sample, C·H·W.
    pub const fn len(&self) -> usize {
        self.channels * self.height * self.width
    }
    /// Whether a sample holds no value.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Pixels in one channel, H·W.
    pub const fn plane(&self) -> usize {
        self.height * self.width
    }
    /// As an array `[C, H, W]`.
    pub const fn dims(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// Samples that are made when they are asked for.
pub trait Made: fmt::Debug + Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Bytes of memory that they take.
    fn in_memory(&self) -> usize;
    /// Sample `index` as bytes `[C, H, W]` of which 255 means 1.0; with `area` and a random stream, a
    /// piece of the picture whose share of its area lies between the two.
    ///
    /// # Errors
    /// Data error for a file that cannot be read any more.
    fn sample(&self, index: usize, draw: Option<([f32; 2], &mut ChaCha8Rng)>) -> Result<Vec<u8>>;
}

/// The values of all samples, one after another, each `[C, H, W]`.
#[derive(Clone, Debug)]
pub enum Values {
    /// `[N, C, H, W]` bytes; `value / white` is in [0, 1].
    Bytes {
        /// The bytes.
        data: Bytes,
        /// The byte that means 1.0: 255 for most sets, 16 for `digits`.
        white: u8,
    },
    /// `[N, F]` floats, used as they are.
    Floats(Vec<f32>),
    /// Made one by one.
    Made {
        /// The samples.
        samples: Arc<dyn Made>,
        /// Values in one.
        each: usize,
    },
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bytes { data, white }, Self::Bytes { data: d, white: w }) => {
                white == w && data == d
            }
            (Self::Floats(a), Self::Floats(b)) => a == b,
            (Self::Made { samples: a, .. }, Self::Made { samples: b, .. }) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Values {
    /// Number of values over all samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes { data, .. } => data.len(),
            Self::Floats(data) => data.len(),
            Self::Made { samples, each } => samples.count() * each,
        }
    }
    /// The value that means 1.0.
    #[must_use]
    pub fn white(&self) -> f32 {
        match self {
            Self::Bytes { white, .. } => f32::from(*white),
            Self::Floats(_) => 1.0,
            Self::Made { .. } => 255.0,
        }
    }
    /// Sample `index` of `each` values as bytes; `None` for floats.
    ///
    /// # Errors
    /// Data error for a file that cannot be read any more.
    pub fn bytes_of(&self, index: usize, each: usize) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(match self {
            Self::Bytes { data, .. } => {
                Some(Cow::Borrowed(&data[index * each..(index + 1) * each]))
            }
            Self::Floats(_) => None,
            Self::Made { samples, .. } => Some(Cow::Owned(samples.sample(index, None)?)),
        })
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a dataset came from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Provenance {
    /// Compiled into the program.
    Embedded,
    /// Read from this folder or archive.
    File {
        /// The folder or file read.
        path: PathBuf,
    },
    /// Drawn from a seeded generator.
    Generated {
        /// The seed.
        seed: u64,
    },
}

/// One split of a set, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    name: String,
    split: Split,
    shape: Shape,
    values: Arc<Values>,
    targets: Targets,
    provenance: Provenance,
    notes: Vec<String>,
}

impl Dataset {
    /// Puts the parts together and checks that they fit.
    ///
    /// # Errors
    /// A data error when the lengths of `values` and `targets` do not belong to
    /// the same number of samples, or a label is out of range.
    pub fn new(
        name: impl Into<String>,
        split: Split,
        shape: Shape,
        values: Values,
        targets: Targets,
        provenance: Provenance,
    ) -> Result<Self> {
        let name = name.into();
        if shape.is_empty() || !values.len().is_multiple_of(shape.len()) {
            return Err(Error::data(format!(
                "`{name}` ({split}): {} values do not divide into samples of {shape}",
                values.len()
            )));
        }
        let count = values.len() / shape.len();
        let found = match &targets {
            Targets::Labels {
                labels, classes, ..
            } => {
                if let Some(at) = labels
                    .iter()
                    .position(|&l| l as usize >= *classes && l != classes::LEFT_OUT)
                {
                    return Err(Error::data(format!(
                        "`{name}` ({split}): label of sample {at} is {}, expected below {classes}",
                        labels[at]
                    )));
                }
                labels.len()
            }
            Targets::Values { data, width } => data.len() / (*width).max(1),
        };
        if found != count {
            return Err(Error::data(format!(
                "`{name}` ({split}): {count} samples but {found} targets"
            )));
        }
        Ok(Self {
            name,
            split,
            shape,
            values: Arc::new(values),
            targets,
            provenance,
            notes: Vec::new(),
        })
    }

    /// The same samples with other values, each of `shape`.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub(crate) fn with_values(self, shape: Shape, values: Values) -> Result<Self> {
        let Self {
            name,
            split,
            targets,
            provenance,
            notes,
            ..
        } = self;
        let set = Self::new(name, split, shape, values, targets, provenance)?;
        Ok(Self { notes, ..set })
    }

    /// The same set with one more thing to know about it.
    pub(crate) fn noted(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }

    /// What a user should know: other sizes than published, files left out, how labels count.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The same samples, of which only those of the classes `kept` have a label, numbered in that
    /// order. Values are shared.
    pub(crate) fn with_classes(&self, kept: &[u32]) -> Self {
        Self {
            targets: classes::renumbered(&self.targets, kept),
            ..self.clone()
        }
    }

    /// The set's name in the registry.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Which part this is.
    pub fn split(&self) -> Split {
        self.split
    }
    /// Shape of one sample.
    pub fn shape(&self) -> Shape {
        self.shape
    }
    /// Number of samples N.
    pub fn len(&self) -> usize {
        self.values.len() / self.shape.len()
    }
    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// All values, `[N, C, H, W]`.
    pub fn values(&self) -> &Values {
        &self.values
    }
    /// All targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }
    /// Bytes of its values and answers.
    pub fn bytes(&self) -> u128 {
        let values = match &*self.values {
            Values::Bytes { data, .. } => data.in_memory(),
            Values::Floats(data) => size_of_val(data.as_slice()),
            Values::Made { samples, .. } => samples.in_memory(),
        };
        let answers = match &self.targets {
            Targets::Labels { labels, .. } => size_of_val(labels.as_slice()),
            Targets::Values { data, .. } => size_of_val(data.as_slice()),
        };
        values as u128 + answers as u128
    }
    /// Where it came from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }
    /// Labels `[N]`; empty for regression.
    pub fn labels(&self) -> &[u32] {
        match &self.targets {
            Targets::Labels { labels, .. } => labels,
            Targets::Values { .. } => &[],
        }
    }
    /// Number of classes; 0 for regression.
    pub fn classes(&self) -> usize {
        match &self.targets {
            Targets::Labels { classes, .. } => *classes,
            Targets::Values { .. } => 0,
        }
    }
    /// Name of a class, or its number where the set names none.
    pub fn class_name(&self, class: u32) -> String {
        match &self.targets {
            Targets::Labels { names, .. } => names.get(class as usize).cloned(),
            Targets::Values { .. } => None,
        }
        .unwrap_or_else(|| class.to_string())
    }
    /// Outputs a network needs: classes, or target values per sample.
    pub fn outputs(&self) -> usize {
        match &self.targets {
            Targets::Labels { classes, .. } => *classes,
            Targets::Values { width, .. } => *width,
        }
    }
    /// Samples per class, `[classes]`; empty for regression.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes()];
        for &label in self.labels() {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// Mean and standard deviation (population) of each channel, of the values
    /// scaled to [0, 1] (bytes) or as they are (floats). A vector of features
    /// counts as one channel.
    pub fn channel_moments(&self) -> Vec<(f32, f32)> {
        let (groups, run) = if self.shape.plane() == 1 {
            (1, self.shape.len())
        } else {
            (self.shape.channels, self.shape.plane())
        };
        let mut sums = vec![(0f64, 0f64); groups];
        match &*self.values {
            Values::Bytes { data, white } => {
                // Exact: whole numbers, summed as whole numbers.
                let mut whole = vec![(0u64, 0u64); groups];
                for (at, run) in data.chunks_exact(run).enumerate() {
                    let (s, q) = run.iter().fold((0u64, 0u64), |(s, q), &v| {
                        (s + u64::from(v), q + u64::from(v) * u64::from(v))
                    });
                    whole[at % groups].0 += s;
                    whole[at % groups].1 += q;
                }
                let white = f64::from(*white);
                for (to, from) in sums.iter_mut().zip(whole) {
                    *to = (from.0 as f64 / white, from.1 as f64 / (white * white));
                }
            }
            Values::Made { samples, .. } => {
                // Of samples that cannot be made any more, training itself tells.
                for data in (0..samples.count()).filter_map(|i| samples.sample(i, None).ok()) {
                    for (at, run) in data.chunks_exact(run).enumerate() {
                        for v in run.iter().map(|v| f64::from(*v) / 255.0) {
                            sums[at % groups].0 += v;
                            sums[at % groups].1 += v * v;
                        }
                    }
                }
            }
            Values::Floats(data) => {
                for (at, run) in data.chunks_exact(run).enumerate() {
                    for &v in run {
                        sums[at % groups].0 += f64::from(v);
                        sums[at % groups].1 += f64::from(v) * f64::from(v);
                    }
                }
            }
        }
        let n = (self.len() * run).max(1) as f64;
        sums.into_iter()
            .map(|(s, q)| {
                let mean = s / n;
                (mean as f32, (q / n - mean * mean).max(0.0).sqrt() as f32)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: Vec<u32>, classes: usize) -> Targets {
        Targets::Labels {
            labels,
            classes,
            names: Vec::new(),
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let shape = Shape::new(1, 2, 2);
        let bytes = |n| Values::Bytes {
            data: vec![0; n].into(),
            white: 255,
        };
        let make = |v, t| Dataset::new("x", Split::Train, shape, v, t, Provenance::Embedded);
        assert!(make(bytes(8), labels(vec![0, 1], 2)).is_ok());
        let ragged = make(bytes(7), labels(vec![0, 1], 2)).unwrap_err();
        assert!(ragged.text.contains("7 values"), "{ragged}");
        let count = make(bytes(8), labels(vec![0], 2)).unwrap_err();
        assert!(count.text.contains("2 samples but 1 targets"), "{count}");
        let label = make(bytes(8), labels(vec![0, 2], 2)).unwrap_err();
        assert!(label.text.contains("label of sample 1 is 2"), "{label}");
    }

    #[test]
    fn moments_are_those_of_the_definition() {
        let data: Vec<u8> = (0..2 * 3 * 4).map(|i| (i * 37 % 256) as u8).collect();
        let set = Dataset::new(
            "x",
            Split::Test,
            Shape::new(3, 2, 2),
            Values::Bytes {
                data: data.clone().into(),
                white: 255,
            },
            labels(vec![0, 0], 1),
            Provenance::Embedded,
        )
        .unwrap();
        for (channel, (mean, std)) in set.channel_moments().into_iter().enumerate() {
            let values: Vec<f64> = (0..2)
                .flat_map(|n| (0..4).map(move |p| n * 12 + channel * 4 + p))
                .map(|at| f64::from(data[at]) / 255.0)
                .collect();
            let m = values.iter().sum::<f64>() / 8.0;
            let s = (values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / 8.0).sqrt();
            assert!((f64::from(mean) - m).abs() < 1e-6 && (f64::from(std) - s).abs() < 1e-6);
        }
    }
}
