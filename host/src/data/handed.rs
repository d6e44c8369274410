//! Samples that a user hands to a trained network: picture files, numpy arrays and image files in
//! MNIST's layout, brought to what the network sees in the way its own test samples are.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dataset::{Dataset, Provenance, Shape, Split, Targets, Values};
use super::feed::Samples;
use super::normalize::Normalizer;
use super::own::arrays::channels_first;
use super::own::npy::{self, Elements};
use super::own::picture;
use super::part::Part;
use super::plan::Data;
use super::read::{GZIP_MAGIC, damaged};
use super::set::Layout;
use super::subset::Subset;
use super::{idx, resize, whiten};
use crate::plan::{Augment, ResizeMethod};
use crate::{Error, ExitCode, Result};

/// Endings of the files that a folder is searched for.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "npy", "npz"];

/// Folders below a folder that are looked into.
const DEPTH: usize = 16;

/// Samples of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `[N, C·H·W]`, on the scale on which the set stores its samples.
    pub values: Vec<f32>,
    /// Whether the file is one sample, and not a list that may have one.
    pub is_one: bool,
}

/// From files to samples of a trained network.
#[derive(Debug)]
pub struct Reader {
    shape: Shape,
    normalizer: Arc<Normalizer>,
    whitening: Option<Vec<f64>>,
    /// Value that means 1.0 where the set stores bytes.
    white: Option<f32>,
    /// Class names or values, as the set has them.
    targets: Targets,
    /// How pictures of another size are brought to that of the network.
    resize: Option<ResizeMethod>,
    /// Pictures of other channels are converted.
    converts: bool,
    /// Samples that are taken at a time.
    threads: (usize, usize),
}

impl Data {
    /// Reads samples for a network that was trained on this set. It has to be opened without
    /// whitening; `whiten` is the smoothing of the whitening that the network was trained behind.
    /// With `convert`, pictures of other size or channels than the network's are brought to these,
    /// also where the set has no setting that does so.
    ///
    /// # Errors
    /// Those of whitening.
    pub fn reader(&self, whiten: Option<f64>, convert: bool) -> Result<Reader> {
        let set = self.train.dataset();
        let whitening = whiten
            .map(|smoothing| whiten::fitted(&self.train, &self.normalizer, smoothing, 0))
            .transpose()?;
        let plan = self.plan();
        let is_pictures = plan.info()?.layout == Layout::Pictures;
        let channels = plan.options.contains_key("channels");
        let resizes = plan.resize.is_some() || is_pictures;
        Ok(Reader {
            shape: self.shape(),
            normalizer: Arc::clone(&self.normalizer),
            whitening,
            white: match set.values() {
                Values::Floats(_) => None,
                Values::Bytes { .. } | Values::Made { .. } => Some(set.values().white()),
            },
            targets: match set.targets() {
                Targets::Labels { classes, names, .. } => Targets::Labels {
                    labels: Vec::new(),
                    classes: *classes,
                    names: names.clone(),
                },
                Targets::Values { width, .. } => Targets::Values {
                    data: Vec::new(),
                    width: *width,
                },
            },
            resize: match (resizes, convert) {
                (true, _) => Some(plan.resize_method),
                (false, true) => Some(ResizeMethod::Bilinear),
                (false, false) => None,
            },
            converts: convert || is_pictures || channels,
            threads: (plan.threads, plan.prefetch),
        })
    }
}

/// The files that `paths` name: of folders, the pictures and arrays in them in order.
///
/// # Errors
/// Usage error for a path that is not there and a folder without such files.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = all.len();
            below(path, DEPTH, &mut all)?;
            all[before..].sort();
            if all.len() == before {
                let text = format!("no picture and no array in `{}`", path.display());
                return Err(Error::usage(text)
                    .hint("files that end in .png, .jpg, .jpeg, .npy and .npz are looked for"));
            }
        } else if path.exists() {
            all.push(path.clone());
        } else {
            let text = format!("`{}` is not there", path.display());
            return Err(Error::usage(text).hint("name pictures, arrays or folders with these"));
        }
    }
    Ok(all)
}

fn below(folder: &Path, depth: usize, all: &mut Vec<PathBuf>) -> Result<()> {
    let io = |e: std::io::Error| Error::io(ExitCode::Data, folder, &e);
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        if path.is_dir() && depth > 0 {
            below(&path, depth - 1, all)?;
        } else if ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
            all.push(path);
        }
    }
    Ok(())
}

impl Reader {
    /// The samples in `file`.
    ///
    /// # Errors
    /// A data error with the file's name for one that cannot be read; a usage error for samples
    /// that the network does not take.
    pub fn read(&self, file: &Path) -> Result<Found> {
        let bytes = std::fs::read(file).map_err(|e| Error::io(ExitCode::Data, file, &e))?;
        if bytes.starts_with(b"\x93NUMPY") {
            let array = npy::parse(file, &bytes)?;
            return self.array(file, &array.shape, &array.elements);
        }
        if bytes.starts_with(b"PK\x03\x04") {
            return self.archive(file, &bytes);
        }
        let unpacked = || -> Box<dyn Read + '_> {
            match bytes.starts_with(&GZIP_MAGIC) {
                true => Box::new(flate2::read::GzDecoder::new(&bytes[..])),
                false => Box::new(&bytes[..]),
            }
        };
        let mut head = [0; 4];
        if unpacked().read_exact(&mut head).is_ok() && u32::from_be_bytes(head) == idx::IMAGES {
            let idx::Images { data, shape } = idx::read_images(file, &mut *unpacked())?;
            let shape = [data.len() / shape.len(), shape.height, shape.width];
            let found = self.array(file, &shape, &Elements::Bytes(data))?;
            return Ok(Found {
                is_one: false,
                ..found
            });
        }
        self.picture(file, &bytes)
    }

    /// The samples whose values are `values`, as [`Self::read`] gives them, as a network takes them.
    /// Their answers are of no meaning.
    ///
    /// # Errors
    /// A defect of this program.
    pub fn samples(&self, values: Vec<f32>) -> Result<Box<dyn Samples>> {
        let count = values.len() / self.shape.len();
        let targets = match &self.targets {
            Targets::Labels { classes, names, .. } => Targets::Labels {
                labels: vec![0; count],
                classes: *classes,
                names: names.clone(),
            },
            Targets::Values { width, .. } => Targets::Values {
                data: vec![0.0; count * width],
                width: *width,
            },
        };
        let origin = Provenance::Embedded;
        let values = Values::Floats(values);
        let mut set = Dataset::new("files", Split::Test, self.shape, values, targets, origin)?;
        let mut normalizer = Arc::clone(&self.normalizer);
        if let Some(matrix) = &self.whitening {
            set = whiten::whitened(&set, &normalizer, matrix)?;
            normalizer = Arc::new(Normalizer::plain(&set, true));
        }
        Ok(Box::new(Part {
            samples: Subset::all(Arc::new(set)),
            normalizer,
            augment: Augment::default(),
            threads: self.threads.0,
            prefetch: self.threads.1,
        }))
    }

    /// Values in one sample.
    #[must_use]
    pub fn each(&self) -> usize {
        self.shape.len()
    }

    /// What the network takes, in words.
    fn takes(&self) -> String {
        match self.shape.plane() {
            1 => format!("vectors of {} values", self.shape.channels),
            _ => format!("images of {}", self.shape),
        }
    }

    fn refused(&self, file: &Path, what: &str) -> Error {
        Error::usage(format!(
            "`{}` {what}; the network takes {}",
            file.display(),
            self.takes()
        ))
    }

    fn picture(&self, file: &Path, bytes: &[u8]) -> Result<Found> {
        if self.shape.plane() == 1 {
            return Err(self.refused(file, "is no array"));
        }
        let channels = self.converts.then_some(self.shape.channels);
        let picture = picture::decode(file, bytes, channels, true)
            .map_err(|why| Error::data(format!("`{}` {why}", file.display())))?;
        if picture.channels != self.shape.channels {
            let kind = match picture.channels {
                1 => "is grey",
                _ => "has colours",
            };
            return Err(self.refused(file, kind).hint(
                "`--convert` converts it: grey to three equal channels, colours to Rec. 601 luma",
            ));
        }
        let from = Shape::new(picture.channels, picture.height, picture.width);
        let bytes = self.sized(file, picture.bytes, from)?;
        // 255 is white in a picture, whatever it is in the set.
        let (white, scale) = (255.0, self.normalizer.white());
        let value = |b: u8| match self.white {
            Some(own) if own == white => self.stored(b),
            _ => f32::from(b) / white * scale,
        };
        Ok(Found {
            values: bytes.into_iter().map(value).collect(),
            is_one: true,
        })
    }

    /// A byte as the set stores it, on the scale that the normaliser takes.
    fn stored(&self, byte: u8) -> f32 {
        // The same quotient as in the normaliser's table.
        f32::from(byte) / (self.white.unwrap_or(1.0) / self.normalizer.white())
    }

    /// Images of shape `from`, one after another, in the network's size.
    fn sized(&self, file: &Path, bytes: Vec<u8>, from: Shape) -> Result<Vec<u8>> {
        let (height, width) = (self.shape.height, self.shape.width);
        if (from.height, from.width) == (height, width) {
            return Ok(bytes);
        }
        match self.resize {
            Some(method) => resize::planes(&bytes, from, (height, width), method)
                .map_err(|e| e.within(format_args!("`{}`", file.display()))),
            None => Err(self
                .refused(file, &format!("has {}x{} pixels", from.height, from.width))
                .hint("`--convert` brings it to size (bilinear); a network that is trained with `data.resize` does so for any picture")),
        }
    }

    fn archive(&self, file: &Path, bytes: &[u8]) -> Result<Found> {
        let broken = |e: zip::result::ZipError| damaged(file, "a `.npz` archive", e);
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        let mut names = Vec::new();
        for at in 0..zip.len() {
            let entry = zip.by_index(at).map_err(broken)?;
            let name = entry.name().map_err(broken)?;
            names.push(name.trim_end_matches(".npy").to_owned());
        }
        let inputs = |name: &&String| {
            let name = name.to_lowercase();
            name == "x" || name.starts_with("x_") || name.contains("image") || name.contains("data")
        };
        let chosen = match names.as_slice() {
            [one] => one.clone(),
            all => match all.iter().filter(inputs).collect::<Vec<_>>().as_slice() {
                [one] => (*one).clone(),
                _ => {
                    let text = format!(
                        "`{}` holds the arrays `{}`, and which of them has the samples is not known",
                        file.display(),
                        all.join("`, `")
                    );
                    return Err(Error::usage(text).hint("name it `x`, or save it alone as `.npy`"));
                }
            },
        };
        let at = names.iter().position(|name| *name == chosen).unwrap_or(0);
        let mut inside = Vec::new();
        zip.by_index(at)
            .map_err(broken)?
            .read_to_end(&mut inside)
            .map_err(|e| damaged(file, format!("`{chosen}` whole"), e))?;
        let place = file.join(&chosen);
        let array = npy::parse(&place, &inside)?;
        self.array(&place, &array.shape, &array.elements)
    }

    /// An array of one sample or of several.
    fn array(&self, file: &Path, shape: &[usize], elements: &Elements) -> Result<Found> {
        let read = self.laid_out(shape).ok_or_else(|| {
            self.refused(file, &format!("has the shape {shape:?}")).hint(
                "samples lie along the first axis: [N, C, H, W], [N, H, W, C], [N, H, W] of one channel, or [N, D]; other sizes need bytes and `--convert`, or a network that was trained with `data.resize`",
            )
        })?;
        let order = |values: Vec<f32>| match read.last {
            true => channels_first(&values, read.from),
            false => values,
        };
        let bytes: Option<Vec<u8>> = match elements {
            Elements::Bytes(data) => Some(data.clone()),
            Elements::Whole(data) => data.iter().map(|v| u8::try_from(*v).ok()).collect(),
            _ => None,
        };
        let values = match (self.white, bytes, elements) {
            (Some(white), Some(bytes), _) => {
                if let Some(high) = bytes
                    .iter()
                    .copied()
                    .max()
                    .filter(|b| f32::from(*b) > white)
                {
                    let text = format!(
                        "`{}` holds {high}, and samples of the set that the network was trained on go up to {white}",
                        file.display()
                    );
                    return Err(Error::usage(text).hint(
                        "divide by the largest value there can be and save floats from 0 to 1",
                    ));
                }
                let bytes = match read.last {
                    true => channels_first(&bytes, read.from),
                    false => bytes,
                };
                let bytes = self.sized(file, bytes, read.from)?;
                bytes.into_iter().map(|b| self.stored(b)).collect()
            }
            (_, _, Elements::Words(_)) => {
                return Err(self.refused(file, "holds text"));
            }
            (None, Some(bytes), _) => order(bytes.into_iter().map(f32::from).collect()),
            (white, _, Elements::Whole(data)) => {
                if white.is_some() {
                    return Err(self.refused(file, "holds whole numbers that are no bytes"));
                }
                order(data.iter().map(|v| *v as f32).collect())
            }
            (white, _, Elements::Floats(data)) => {
                let all: Vec<f32> = data.iter().map(|v| *v as f32).collect();
                if let Some(at) = all.iter().position(|v| !v.is_finite()) {
                    let text = format!(
                        "`{}` holds {} in sample {}",
                        file.display(),
                        all[at],
                        at / read.from.len()
                    );
                    return Err(
                        Error::data(text).hint("replace or remove samples with missing values")
                    );
                }
                let scale = match white {
                    Some(_) => {
                        if let Some(bad) = all.iter().find(|v| !(0.0..=1.0).contains(*v)) {
                            let text = format!(
                                "`{}` holds {bad}, and floats are pixels from 0 to 1 for a network that was trained on bytes",
                                file.display()
                            );
                            return Err(Error::usage(text).hint("divide by 255, or save bytes (`uint8`); what the network subtracts and divides by comes after"));
                        }
                        self.normalizer.white()
                    }
                    None => 1.0,
                };
                order(all.into_iter().map(|v| v * scale).collect())
            }
            (_, None, Elements::Bytes(_)) => Vec::new(),
        };
        // Floats have no size but the network's.
        if !values.len().is_multiple_of(self.shape.len()) || values.is_empty() {
            return Err(self.refused(file, &format!("has the shape {shape:?}")));
        }
        Ok(Found {
            values,
            is_one: read.is_one,
        })
    }

    /// How an array of `shape` is a list of samples or one of them.
    fn laid_out(&self, shape: &[usize]) -> Option<LaidOut> {
        let Shape {
            channels: c,
            height: h,
            width: w,
        } = self.shape;
        let own = |is_one, last| LaidOut {
            from: self.shape,
            is_one,
            last,
        };
        let is_image = self.shape.plane() > 1;
        let sample = |dims: &[usize], is_one: bool| {
            if dims == [c, h, w] && is_image {
                Some(own(is_one, false))
            } else if dims == [h, w, c] && is_image {
                Some(own(is_one, true))
            } else if (dims == [h, w] && is_image && c == 1) || dims == [self.shape.len()] {
                Some(own(is_one, false))
            } else {
                None
            }
        };
        if let Some(one) = sample(shape, true) {
            return Some(one);
        }
        let (count, rest) = shape.split_first()?;
        if *count == 0 {
            return None;
        }
        if let Some(many) = sample(rest, false) {
            return Some(many);
        }
        // Another size, which bytes may have.
        self.resize?;
        let other = |dims: &[usize], is_one: bool| {
            let (from, last) = match *dims {
                [channels, a, b] if channels == c => (Shape::new(c, a, b), false),
                [a, b, channels] if channels == c => (Shape::new(c, a, b), true),
                [a, b] if c == 1 => (Shape::new(1, a, b), false),
                _ => return None,
            };
            (is_image && !from.is_empty()).then_some(LaidOut { from, is_one, last })
        };
        other(rest, false).or_else(|| other(shape, true))
    }
}

/// How an array is laid out.
struct LaidOut {
    /// Shape of a sample in it.
    from: Shape,
    is_one: bool,
    /// Channels come last.
    last: bool,
}
