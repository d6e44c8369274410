//! `set = "arrays"`: numpy arrays, in one `.npz` file, in one for each part, or in `.npy` files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::labels::Labels;
use super::npy::{self, Array, Elements};
use super::options::{Axes, Task};
use super::raw::{Own, Raw, RawPart, RawTargets};
use crate::data::dataset::{Shape, Values};
use crate::data::read::damaged;
use crate::{Error, ExitCode, Result};

/// Names of inputs and of targets, without the part.
const NAMES: [&[&str]; 2] = [
    &[
        "x", "images", "image", "data", "features", "inputs", "input", "samples",
    ],
    &["y", "labels", "label", "targets", "target", "classes"],
];

/// Names of the parts.
const PARTS: [&[&str]; 2] = [&["train", "training", "tr"], &["test", "testing", "te"]];

/// Reads the arrays of `own.root`.
///
/// # Errors
/// Data errors that name the file and the array.
pub(super) fn read(own: &Own<'_>) -> Result<Raw> {
    let found = Found::gather(own)?;
    let mut arrays = found.arrays;
    let mut part = |at: usize| -> Result<Option<RawPart>> {
        let (x, y) = (take(&mut arrays, at, 0)?, take(&mut arrays, at, 1)?);
        match (x, y) {
            (None, None) => Ok(None),
            (Some(x), Some(y)) => together(own, x, y).map(Some),
            (Some(x), None) => Err(lacks(&x.0, "targets", at)),
            (None, Some(y)) => Err(lacks(&y.0, "inputs", at)),
        }
    };
    let (train, test) = (part(0)?, part(1)?);
    let train = train.ok_or_else(|| {
        let names: Vec<String> = found.names.iter().map(|n| format!("`{n}`")).collect();
        Error::data(format!(
            "no training arrays in `{}`; it has {}",
            own.root.display(),
            match names.is_empty() {
                true => "no array".to_owned(),
                false => names.join(", "),
            }
        ))
        .hint("arrays are named `x_train`, `y_train`, `x_test`, `y_test`, or `x` and `y`; files are named by `data.options.files`")
    })?;
    Ok(Raw {
        train,
        test,
        notes: Vec::new(),
        files: found.files,
        records: None,
    })
}

/// An array with where it came from, such as `a.npz/x_train`.
type Named = (PathBuf, Array);

/// What was found, by part (0 training) and role (0 inputs).
#[derive(Default)]
struct Found {
    arrays: BTreeMap<(usize, usize), Vec<Named>>,
    /// Names of all arrays, for messages.
    names: Vec<String>,
    files: Vec<PathBuf>,
}

impl Found {
    fn gather(own: &Own<'_>) -> Result<Self> {
        let mut found = Self::default();
        let given = &own.options.files;
        if given.is_empty() {
            for path in usual(&own.root)? {
                let stem = stem(&path);
                match ending(&path) {
                    "npz" => found.archive(&path, part_of(&stem))?,
                    _ => found.single(&path, roles(&stem, None))?,
                }
            }
            return Ok(found);
        }
        for (key, name) in given {
            let path = own.file(name)?;
            match key.as_str() {
                "train" => found.archive(&path, Some(0))?,
                "test" => found.archive(&path, Some(1))?,
                key => found.single(&path, roles(key, None))?,
            }
        }
        Ok(found)
    }

    fn single(&mut self, path: &Path, role: Option<(usize, usize)>) -> Result<()> {
        self.names.push(stem(path));
        let Some(role) = role else { return Ok(()) };
        let file = std::fs::read(path).map_err(|e| Error::io(ExitCode::Data, path, &e))?;
        let array = npy::parse(path, &file)?;
        self.files.push(path.to_owned());
        let all = self.arrays.entry(role).or_default();
        all.push((path.to_owned(), array));
        Ok(())
    }

    /// The arrays of a `.npz` file; those whose names tell no part belong to `part`.
    fn archive(&mut self, path: &Path, part: Option<usize>) -> Result<()> {
        if ending(path) == "npy" {
            return Err(Error::usage(format!(
                "`{}` holds one array; a `.npz` file with `x` and `y` is needed",
                path.display()
            ))
            .hint("name `.npy` files by `x_train`, `y_train`, `x_test`, `y_test`"));
        }
        let broken = |e: zip::result::ZipError| damaged(path, "a `.npz` archive", e);
        let file = File::open(path).map_err(|e| Error::io(ExitCode::Data, path, &e))?;
        let mut zip = zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(broken)?;
        for at in 0..zip.len() {
            let mut entry = zip.by_index(at).map_err(broken)?;
            let name = entry.name().map_err(broken)?;
            let name = name.trim_end_matches(".npy").to_owned();
            self.names.push(name.clone());
            let Some(role) = roles(&name, part) else {
                continue;
            };
            let mut bytes = Vec::new();
            entry
                .read_to_end(&mut bytes)
                .map_err(|e| damaged(path, format!("`{name}` whole"), e))?;
            let inside = path.join(&name);
            let array = npy::parse(&inside, &bytes)?;
            self.arrays.entry(role).or_default().push((inside, array));
        }
        self.files.push(path.to_owned());
        Ok(())
    }
}

/// `root` itself where it is a file, else its arrays.
fn usual(root: &Path) -> Result<Vec<PathBuf>> {
    if root.is_file() {
        return Ok(vec![root.to_owned()]);
    }
    let io = |e: std::io::Error| Error::io(ExitCode::Data, root, &e);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(root).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if matches!(ending(&path), "npz" | "npy") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(
            Error::data(format!("no `.npz` or `.npy` file in `{}`", root.display()))
                .hint(super::raw::other_set_hint(root)),
        );
    }
    Ok(paths)
}

fn ending(path: &Path) -> &str {
    let ending = path.extension().and_then(|e| e.to_str());
    ending.unwrap_or_default()
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Words of a name: `X_train`, `train-images` and `trainX` are `x train`, `train images`, `train x`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && lower) {
            words.push(String::new());
        }
        lower = letter.is_lowercase();
        if let (true, Some(last)) = (letter.is_alphanumeric(), words.last_mut()) {
            last.extend(letter.to_lowercase());
        }
    }
    words
        .into_iter()
        .filter(|w| !w.is_empty())
        // `xtrain`, `ytest`.
        .flat_map(|w| match w.strip_prefix(['x', 'y']) {
            Some(rest) if part_word(rest).is_some() => vec![w[..1].to_owned(), rest.to_owned()],
            _ => vec![w],
        })
        .collect()
}

fn part_word(word: &str) -> Option<usize> {
    PARTS.iter().position(|names| names.contains(&word))
}

/// The part that a name tells.
fn part_of(name: &str) -> Option<usize> {
    words(name).iter().find_map(|word| part_word(word))
}

/// Part and role that a name tells; `part` where it tells none. Arrays of a validation part have none.
fn roles(name: &str, part: Option<usize>) -> Option<(usize, usize)> {
    let words = words(name);
    if words
        .iter()
        .any(|w| ["val", "valid", "validation", "dev"].contains(&w.as_str()))
    {
        return None;
    }
    let of = |names: &[&str]| words.iter().any(|w| names.contains(&w.as_str()));
    // `train_labels` beside `train_data`: targets are asked first.
    let role = if of(NAMES[1]) {
        1
    } else if of(NAMES[0]) {
        0
    } else {
        return None;
    };
    let told = words.iter().find_map(|word| part_word(word));
    Some((told.or(part).unwrap_or(0), role))
}

/// The one array of a part and role.
fn take(
    arrays: &mut BTreeMap<(usize, usize), Vec<Named>>,
    part: usize,
    role: usize,
) -> Result<Option<Named>> {
    let mut all = arrays.remove(&(part, role)).unwrap_or_default();
    if all.len() > 1 {
        let names: Vec<String> = all
            .iter()
            .map(|(path, _)| format!("`{}`", path.display()))
            .collect();
        return Err(Error::data(format!(
            "several arrays could be the {} of the {} part: {}",
            ["inputs", "targets"][role],
            ["training", "test"][part],
            names.join(", ")
        ))
        .hint("name the files by `data.options.files`"));
    }
    Ok(all.pop())
}

fn lacks(path: &Path, what: &str, part: usize) -> Error {
    let part = ["train", "test"][part];
    Error::data(format!("`{}` is there without {what}", path.display())).hint(format!(
        "inputs are named `x_{part}`, targets `y_{part}`; files are named by `data.options.files`"
    ))
}

/// Inputs and targets as one part.
fn together(own: &Own<'_>, x: Named, y: Named) -> Result<RawPart> {
    let ((x_path, x), (y_path, y)) = (x, y);
    let count = *x.shape.first().unwrap_or(&0);
    if count == 0 {
        return Err(Error::data(format!(
            "`{}` has the shape {:?}: no samples",
            x_path.display(),
            x.shape
        )));
    }
    let (shape, last) = sample_shape(own, &x_path, &x)?;
    let values = inputs(&x_path, x.elements, shape, last)?;
    let targets = targets(own, &y_path, y, count)?;
    Ok(RawPart {
        shape,
        values,
        targets,
    })
}

/// Shape of a sample, and whether channels come last in the array.
fn sample_shape(own: &Own<'_>, path: &Path, x: &Array) -> Result<(Shape, bool)> {
    let told = own.options.layout;
    let channels = |c: usize| c == 1 || c == 3;
    match x.shape[1..] {
        [] => Ok((Shape::vector(1), false)),
        [d] => Ok((Shape::vector(d), false)),
        [h, w] => Ok((Shape::new(1, h, w), false)),
        [a, b, c] => match told {
            Some(Axes::ChannelsFirst) => Ok((Shape::new(a, b, c), false)),
            Some(Axes::ChannelsLast) => Ok((Shape::new(c, a, b), true)),
            None if channels(c) && !channels(a) => Ok((Shape::new(c, a, b), true)),
            None if channels(a) && !channels(c) => Ok((Shape::new(a, b, c), false)),
            None => Err(Error::usage(format!(
                "`{}` has the shape {:?}, which does not tell where the channels are",
                path.display(),
                x.shape
            ))
            .hint("set `data.options.layout = \"NCHW\"` or `\"NHWC\"`")),
        },
        _ => Err(Error::data(format!(
            "`{}` has the shape {:?}; samples are vectors or images: [N, D], [N, H, W], [N, C, H, W] or [N, H, W, C]",
            path.display(),
            x.shape
        ))),
    }
    .and_then(|(shape, last)| match shape.is_empty() {
        true => Err(Error::data(format!(
            "`{}` has the shape {:?}: samples without values",
            path.display(),
            x.shape
        ))),
        false => Ok((shape, last)),
    })
}

/// Bytes stay bytes, whole numbers that are bytes become some, others are floats.
fn inputs(path: &Path, elements: Elements, shape: Shape, last: bool) -> Result<Values> {
    let bytes = |data: Vec<u8>| Values::Bytes {
        data: if last {
            channels_first(&data, shape).into()
        } else {
            data.into()
        },
        white: 255,
    };
    let floats = |data: Vec<f32>| {
        Values::Floats(if last {
            channels_first(&data, shape)
        } else {
            data
        })
    };
    match elements {
        Elements::Bytes(data) => Ok(bytes(data)),
        Elements::Whole(data) if shape.plane() > 1 && data.iter().all(|v| (0..256).contains(v)) => {
            Ok(bytes(data.into_iter().map(|v| v as u8).collect()))
        }
        Elements::Whole(data) => Ok(floats(data.into_iter().map(|v| v as f32).collect())),
        Elements::Floats(data) => match data.iter().position(|v| !(*v as f32).is_finite()) {
            Some(at) => Err(Error::data(format!(
                "`{}` holds {} in sample {}",
                path.display(),
                data[at],
                at / shape.len()
            ))
            .hint("replace or remove samples with missing values")),
            None => Ok(floats(data.into_iter().map(|v| v as f32).collect())),
        },
        Elements::Words(_) => Err(Error::data(format!(
            "`{}` holds text, inputs are numbers",
            path.display()
        ))),
    }
}

/// `[N, H, W, C]` to `[N, C, H, W]`.
pub(in crate::data) fn channels_first<T: Copy>(data: &[T], shape: Shape) -> Vec<T> {
    let (channels, plane) = (shape.channels, shape.plane());
    let mut out = Vec::with_capacity(data.len());
    for sample in data.chunks_exact(channels * plane) {
        for c in 0..channels {
            out.extend(sample.iter().skip(c).step_by(channels).copied());
        }
    }
    out
}

fn targets(own: &Own<'_>, path: &Path, y: Array, count: usize) -> Result<RawTargets> {
    let width: usize = y.shape.iter().skip(1).product();
    let rows = *y.shape.first().unwrap_or(&0);
    if rows != count {
        return Err(Error::data(format!(
            "`{}` has {rows} targets, there are {count} samples",
            path.display()
        )));
    }
    if own.options.task == Task::Regression {
        let data: Vec<f64> = match y.elements {
            Elements::Floats(data) => data,
            Elements::Bytes(data) => data.into_iter().map(f64::from).collect(),
            Elements::Whole(data) => data.into_iter().map(|v| v as f64).collect(),
            Elements::Words(_) => {
                return Err(Error::data(format!(
                    "`{}` holds text, which is no regression target",
                    path.display()
                )));
            }
        };
        let data: Vec<f32> = data.into_iter().map(|v| v as f32).collect();
        if let Some(at) = data.iter().position(|v| !v.is_finite()) {
            return Err(Error::data(format!(
                "`{}` holds {} in sample {}",
                path.display(),
                data[at],
                at / width.max(1)
            )));
        }
        return Ok(RawTargets::Values { data, width });
    }
    let regression = |what: String| {
        Error::data(format!("`{}` {what}", path.display()))
            .hint("labels are one whole number or word a sample, or one-hot rows; for numbers to be predicted set `data.options.task = \"regression\"`")
    };
    if width > 1 {
        return one_hot(&y, width)
            .map(|labels| RawTargets::Labels(Labels::Numbers(labels)))
            .ok_or_else(|| regression(format!("has the shape {:?}, and is not one-hot", y.shape)));
    }
    let labels = match y.elements {
        Elements::Bytes(data) => Labels::Numbers(data.into_iter().map(i64::from).collect()),
        Elements::Whole(data) => Labels::Numbers(data),
        Elements::Words(words) => Labels::Words(words),
        Elements::Floats(data) => {
            let whole = |v: &f64| (v.fract() == 0.0 && v.abs() < 1e15).then_some(*v as i64);
            match data.iter().map(whole).collect::<Option<Vec<i64>>>() {
                Some(labels) => Labels::Numbers(labels),
                None => return Err(regression("holds labels that are not whole numbers".into())),
            }
        }
    };
    Ok(RawTargets::Labels(labels))
}

/// The position of the only 1 in each row.
fn one_hot(y: &Array, width: usize) -> Option<Vec<i64>> {
    let values: Vec<f64> = match &y.elements {
        Elements::Floats(data) => data.clone(),
        Elements::Bytes(data) => data.iter().map(|v| f64::from(*v)).collect(),
        Elements::Whole(data) => data.iter().map(|v| *v as f64).collect(),
        Elements::Words(_) => return None,
    };
    let row = |row: &[f64]| {
        let ones = row.iter().filter(|v| **v == 1.0).count();
        let zeros = row.iter().filter(|v| **v == 0.0).count();
        let at = row.iter().position(|v| *v == 1.0)?;
        (ones == 1 && zeros == width - 1).then_some(at as i64)
    };
    values.chunks_exact(width).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_tell_part_and_role() {
        for (name, expected) in [
            ("x_train", Some((0, 0))),
            ("X_test", Some((1, 0))),
            ("trainX", Some((0, 0))),
            ("ytest", Some((1, 1))),
            ("train_labels", Some((0, 1))),
            ("test-images", Some((1, 0))),
            ("y", Some((0, 1))),
            ("training_targets", Some((0, 1))),
            ("x_val", None),
            ("mean", None),
        ] {
            assert_eq!(roles(name, None), expected, "{name}");
        }
        assert_eq!(roles("x", Some(1)), Some((1, 0)));
    }

    #[test]
    fn channels_last_become_planes() {
        let shape = Shape::new(3, 1, 2);
        assert_eq!(
            channels_first(&[1, 2, 3, 4, 5, 6], shape),
            [1, 4, 2, 5, 3, 6]
        );
    }
}
