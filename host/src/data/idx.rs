//! The idx layout of MNIST and Fashion-MNIST: a big-endian header (magic,
//! sizes), then bytes; plain or gzip. Lengths are checked against the header,
//! never against the published count: a shortened training file is legitimate.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::dataset::{Dataset, Provenance, Shape, Split, Targets, Values};
use super::read::{damaged, incomplete, open, read_up_to};
use super::set::{SetInfo, Source};
use crate::{Error, Result};

/// Magic of unsigned bytes in three dimensions (images).
pub(super) const IMAGES: u32 = 0x0803;
/// Magic of unsigned bytes in one dimension (labels).
const LABELS: u32 = 0x0801;

/// Images `[N, 1, H, W]` as bytes, with H and W.
pub(crate) struct Images {
    pub(crate) data: Vec<u8>,
    pub(crate) shape: Shape,
}

/// Loads MNIST.
pub(crate) fn load_mnist(source: &Source<'_>, split: Split) -> Result<Dataset> {
    load(source, split, &[])
}

/// Loads Fashion-MNIST.
pub(crate) fn load_fashion_mnist(source: &Source<'_>, split: Split) -> Result<Dataset> {
    const NAMES: [&str; 10] = [
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ];
    load(source, split, &NAMES)
}

fn load(source: &Source<'_>, split: Split, names: &[&str]) -> Result<Dataset> {
    let files = Files::of_set(source)?;
    let part = files.read(split)?;
    let classes = classes(source.set, &files, &part)?;
    let published = classes.published && part.shape == source.set.shape;
    let targets = Targets::Labels {
        labels: part
            .labels
            .iter()
            .map(|label| u32::from(*label - classes.first))
            .collect(),
        classes: classes.count,
        names: match published {
            true => names.iter().map(ToString::to_string).collect(),
            false => classes.names(),
        },
    };
    let values = Values::Bytes {
        data: part.data.into(),
        white: 255,
    };
    let origin = Provenance::File {
        path: files.folder.clone(),
    };
    let set = Dataset::new(source.set.name, split, part.shape, values, targets, origin)?;
    Ok(match published {
        true => set,
        false => set.noted(classes.note(source.set, &files.folder, part.shape)),
    })
}

/// Shape, classes and numbers of samples of a set in this layout, by headers and labels alone.
///
/// # Errors
/// As for loading, where a file is missing or its header or the labels are damaged.
pub(crate) fn survey(source: &Source<'_>) -> Result<(Shape, usize, Vec<String>)> {
    let files = Files::of_set(source)?;
    let path = files.path(Split::Train, Role::Images)?;
    let (_, shape) = image_sizes(&path, &mut *open(&path)?)?;
    let part = Part {
        data: Vec::new(),
        shape,
        labels: files.labels(Split::Train)?,
    };
    let classes = classes(source.set, &files, &part)?;
    Ok((part.shape, classes.count, classes.names()))
}

/// Samples of each part by the header of its images; `None` where that cannot be read.
pub(crate) fn counts(set: &SetInfo, folder: &Path) -> [Option<usize>; 2] {
    let files = Files::usual(folder, set.name);
    [Split::Train, Split::Test].map(|split| {
        let path = files.path(split, Role::Images).ok()?;
        let (count, _) = image_sizes(&path, &mut *open(&path).ok()?).ok()?;
        Some(count)
    })
}

/// Label of the first class and number of classes.
struct Classes {
    first: u8,
    count: usize,
    /// Whether they are those of the published set.
    published: bool,
}

impl Classes {
    fn names(&self) -> Vec<String> {
        match self.first {
            0 => Vec::new(),
            first => (0..self.count)
                .map(|c| (c + usize::from(first)).to_string())
                .collect(),
        }
    }

    fn note(&self, set: &SetInfo, folder: &Path, shape: Shape) -> String {
        let from = match self.first {
            0 => String::new(),
            first => format!(", labelled from {first}"),
        };
        format!(
            "the files in `{}` are not the published `{}`: images of {shape}, {} classes{from}",
            folder.display(),
            set.name,
            self.count
        )
    }
}

/// The published classes where labels fit them; else those that both parts have, from 0 or 1 on.
fn classes(set: &SetInfo, files: &Files, part: &Part) -> Result<Classes> {
    let mut both = part.labels.clone();
    for split in [Split::Train, Split::Test] {
        // A part that is not there or damaged is told when it is read itself.
        both.extend(files.labels(split).unwrap_or_default());
    }
    let (low, high) = both
        .iter()
        .fold((u8::MAX, 0), |(low, high), l| (low.min(*l), high.max(*l)));
    if usize::from(high) < set.classes {
        return Ok(Classes {
            first: 0,
            count: set.classes,
            published: true,
        });
    }
    let first = u8::from(low >= 1);
    Ok(Classes {
        first,
        count: usize::from(high - first) + 1,
        published: false,
    })
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Images, three dimensions.
    Images,
    /// Labels, one dimension.
    Labels,
}

/// The files of a set in the layout of MNIST.
pub(crate) struct Files {
    folder: PathBuf,
    /// Name of the set, for messages.
    set: String,
    /// Files named in the configuration.
    named: Vec<((Split, Role), PathBuf)>,
}

/// One part as it is stored.
pub(crate) struct Part {
    /// `[N, 1, H, W]`.
    pub(crate) data: Vec<u8>,
    pub(crate) shape: Shape,
    pub(crate) labels: Vec<u8>,
}

impl Files {
    fn of_set(source: &Source<'_>) -> Result<Self> {
        Ok(Self::usual(source.folder, source.set.name))
    }

    /// Files of `folder` under their usual names.
    pub(crate) fn usual(folder: &Path, set: &str) -> Self {
        Self::named(folder, set, Vec::new())
    }

    /// Files of `folder`, of which some have other names.
    pub(crate) fn named(folder: &Path, set: &str, named: Vec<((Split, Role), PathBuf)>) -> Self {
        Self {
            folder: folder.to_owned(),
            set: set.to_owned(),
            named,
        }
    }

    /// Every file that is there, training part first.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        let parts = [Split::Train, Split::Test].into_iter();
        parts
            .flat_map(|split| [Role::Images, Role::Labels].map(|role| self.find(split, role)))
            .flatten()
            .collect()
    }

    /// Whether any file of the part is there.
    pub(crate) fn has(&self, split: Split) -> bool {
        [Role::Images, Role::Labels]
            .iter()
            .any(|role| self.find(split, *role).is_some())
    }

    fn find(&self, split: Split, role: Role) -> Option<PathBuf> {
        if let Some((_, path)) = self.named.iter().find(|(key, _)| *key == (split, role)) {
            return Some(path.clone());
        }
        let usual = names(split, role)
            .into_iter()
            // Some archives unpack each file into a folder of its name.
            .flat_map(|name| [self.folder.join(&name), self.folder.join(&name).join(&name)])
            .find(|path| path.is_file());
        usual.or_else(|| self.similar(split, role))
    }

    /// The only file whose name says part and role, such as
    /// `emnist-letters-train-images-idx3-ubyte.gz`.
    fn similar(&self, split: Split, role: Role) -> Option<PathBuf> {
        let part: &[&str] = match split {
            Split::Train => &["train"],
            Split::Test => &["t10k", "test"],
        };
        let what = match role {
            Role::Images => "images",
            Role::Labels => "labels",
        };
        let mut found = std::fs::read_dir(&self.folder).ok()?.flatten().filter(|e| {
            let name = e.file_name().to_string_lossy().to_lowercase();
            let is = part.iter().any(|p| name.contains(p)) && name.contains(what);
            is && name.contains("ubyte") && e.path().is_file()
        });
        let one = found.next()?.path();
        found.next().is_none().then_some(one)
    }

    fn path(&self, split: Split, role: Role) -> Result<PathBuf> {
        self.find(split, role).ok_or_else(|| {
            let name = names(split, role).swap_remove(0);
            let e = Error::data(format!(
                "data set `{}` is incomplete: `{name}` is not in `{}`",
                self.set,
                self.folder.display()
            ));
            e.hint(match self.set.as_str() {
                "idx" => "name the files by `data.options.files`".to_owned(),
                set => format!("`biorule data fetch {set}` downloads what is missing"),
            })
        })
    }

    fn labels(&self, split: Split) -> Result<Vec<u8>> {
        let path = self.path(split, Role::Labels)?;
        read_labels(&path, &mut *open(&path)?)
    }

    /// Reads one part.
    ///
    /// # Errors
    /// A data error that names the file, what was expected and what was found.
    pub(crate) fn read(&self, split: Split) -> Result<Part> {
        let path = self.path(split, Role::Images)?;
        let labels_path = self.path(split, Role::Labels)?;
        let images = read_images(&path, &mut *open(&path)?)?;
        let labels = read_labels(&labels_path, &mut *open(&labels_path)?)?;
        let count = images.data.len() / images.shape.len();
        if labels.len() != count {
            let e = damaged(
                &labels_path,
                format!("{count} labels, one for each image of `{}`", path.display()),
                labels.len(),
            );
            return Err(match self.is_other_part(split, labels.len()) {
                Some(other) => e.hint(format!(
                    "there are as many {other} images: these seem to be the labels of the {other} part"
                )),
                None => e,
            });
        }
        Ok(Part {
            data: images.data,
            shape: images.shape,
            labels,
        })
    }

    /// The other part, where it has `count` images.
    fn is_other_part(&self, split: Split, count: usize) -> Option<Split> {
        let other = match split {
            Split::Train => Split::Test,
            Split::Test => Split::Train,
        };
        let path = self.find(other, Role::Images)?;
        let [images, ..] =
            header::<3>(&path, &mut *open(&path).ok()?, IMAGES, "idx images").ok()?;
        (images == count).then_some(other)
    }
}

/// Usual names of a file: as published, and with the dot that some mirrors have.
fn names(split: Split, role: Role) -> Vec<String> {
    let parts: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["t10k", "test"],
    };
    let (what, dimensions) = match role {
        Role::Images => ("images", 3),
        Role::Labels => ("labels", 1),
    };
    let mut names = Vec::new();
    for part in parts {
        for point in ["-", "."] {
            let name = format!("{part}-{what}{point}idx{dimensions}-ubyte");
            names.extend([format!("{name}.gz"), name]);
        }
    }
    names
}

/// Reads an image file; `path` is for errors.
pub(crate) fn read_images(path: &Path, from: &mut dyn Read) -> Result<Images> {
    let (count, shape) = image_sizes(path, from)?;
    Ok(Images {
        data: body(path, from, count, shape.len())?,
        shape,
    })
}

/// Reads a label file; `path` is for errors.
pub(crate) fn read_labels(path: &Path, from: &mut dyn Read) -> Result<Vec<u8>> {
    let [count] = header(path, from, LABELS, "idx labels")?;
    holds(path, count, "labels", 1)?;
    body(path, from, count, 1)
}

/// Number and shape of the images of a file, by its header.
fn image_sizes(path: &Path, from: &mut dyn Read) -> Result<(usize, Shape)> {
    let [count, height, width] = header(path, from, IMAGES, "idx images")?;
    let shape = Shape::new(1, height, width);
    if shape.is_empty() || height.saturating_mul(width) > 1 << 24 {
        return Err(incomplete(path, "images of a plausible size", shape));
    }
    holds(path, count, "images", shape.len())?;
    Ok((count, shape))
}

/// Deflate packs no more than so many bytes into one (zlib's documentation: 1032).
const TIGHTEST: u128 = 1032;

/// Refuses a header that promises nothing, or more than the file can hold: nothing is made for it.
fn holds(path: &Path, count: usize, what: &str, each: usize) -> Result<()> {
    if count == 0 {
        return Err(incomplete(path, format!("one or more {what}"), "none"));
    }
    let promised = count as u128 * each as u128;
    let file = std::fs::metadata(path).map(|meta| u128::from(meta.len()));
    match file {
        Ok(bytes) if promised > bytes * TIGHTEST => Err(incomplete(
            path,
            format!("{promised} bytes after the header ({count} x {each})"),
            format!("a file of {bytes} bytes"),
        )),
        _ => Ok(()),
    }
}

/// Checks the magic and reads the `D` sizes.
fn header<const D: usize>(
    path: &Path,
    from: &mut dyn Read,
    magic: u32,
    what: &str,
) -> Result<[usize; D]> {
    let bytes = read_up_to(path, from, 4 * (D + 1))?;
    let mut words = bytes
        .chunks_exact(4)
        .map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]));
    let found = words.next();
    if found != Some(magic) {
        let found = found.map_or(format!("{} bytes", bytes.len()), |m| format!("0x{m:08x}"));
        return Err(damaged(
            path,
            format!("magic 0x{magic:08x} ({what})"),
            found,
        ));
    }
    let sizes: Vec<usize> = words.map(|w| w as usize).collect();
    sizes.try_into().map_err(|_| {
        damaged(
            path,
            format!("a header of {} bytes", 4 * (D + 1)),
            format!("{} bytes", bytes.len()),
        )
    })
}

/// Reads exactly `count * each` bytes and finds the end behind them.
fn body(path: &Path, from: &mut dyn Read, count: usize, each: usize) -> Result<Vec<u8>> {
    let length = count * each;
    let mut data = read_up_to(path, from, length)?;
    if data.len() < length {
        return Err(damaged(
            path,
            format!("{length} bytes after the header ({count} x {each})"),
            format!("{} bytes", data.len()),
        ));
    }
    // Reading on also makes the gzip reader check its trailing checksum.
    if !read_up_to(path, from, 1)?.is_empty() {
        return Err(damaged(
            path,
            format!("{length} bytes after the header"),
            "more bytes",
        ));
    }
    data.shrink_to_fit();
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExitCode;
    use crate::data::{DataFolders, published};
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_be_bytes().to_vec();
        sizes.iter().for_each(|s| bytes.extend(s.to_be_bytes()));
        bytes.extend(body);
        bytes
    }
    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut to = GzEncoder::new(Vec::new(), Compression::default());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }
    fn pixels(n: usize) -> Vec<u8> {
        (0..n * 784).map(|i| (i * 7 % 251) as u8).collect()
    }
    fn folder(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, DataFolders) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("mnist")).unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join("mnist").join(name), bytes).unwrap();
        }
        let folders = DataFolders::only([dir.path()]);
        (dir, folders)
    }
    fn load_train(files: &[(&str, Vec<u8>)]) -> Result<Dataset> {
        let (_dir, folders) = folder(files);
        published::load("mnist", Split::Train, &folders, &toml::Table::new())
    }
    const I: &str = "train-images-idx3-ubyte";
    const L: &str = "train-labels-idx1-ubyte";

    #[test]
    fn plain_and_gzip_files_give_the_same_set() {
        let images = idx(IMAGES, &[3, 28, 28], &pixels(3));
        let labels = idx(LABELS, &[3], &[4, 0, 9]);
        let plain = load_train(&[(I, images.clone()), (L, labels.clone())]).unwrap();
        let (ig, lg) = (format!("{I}.gz"), format!("{L}.gz"));
        let zipped = load_train(&[(&ig, gz(&images)), (&lg, gz(&labels))]).unwrap();
        assert_eq!(
            plain.values(),
            &Values::Bytes {
                data: pixels(3).into(),
                white: 255
            }
        );
        assert_eq!(plain.labels(), [4, 0, 9]);
        assert_eq!(plain.values(), zipped.values());
        assert_eq!(plain.labels(), zipped.labels());
    }

    #[test]
    fn damage_is_named_with_file_expected_and_found() {
        let images = idx(IMAGES, &[2, 28, 28], &pixels(2));
        let labels = idx(LABELS, &[2], &[1, 2]);
        let longer = [images.clone(), vec![0]].concat();
        let mut flipped = gz(&images);
        let at = flipped.len() - 6; // inside the stored CRC
        flipped[at] ^= 1;
        let cases: Vec<(Vec<u8>, Vec<u8>, &[&str])> = vec![
            (
                images[..900].to_vec(),
                labels.clone(),
                &[I, "1568 bytes", "884 bytes"],
            ),
            (
                images[..10].to_vec(),
                labels.clone(),
                &[I, "header of 16 bytes", "10 bytes"],
            ),
            (
                vec![],
                labels.clone(),
                &[I, "magic 0x00000803", "0 bytes", "an empty file"],
            ),
            (
                labels.clone(),
                labels.clone(),
                &[I, "magic 0x00000803", "0x00000801", "idx file of labels"],
            ),
            (longer, labels.clone(), &[I, "1568 bytes", "more bytes"]),
            (gz(&images)[..60].to_vec(), labels.clone(), &[I, "damaged"]),
            (flipped, labels.clone(), &[I, "damaged"]),
            (
                images.clone(),
                idx(LABELS, &[1], &[1]),
                &[L, "2 labels", "found 1"],
            ),
            (
                b"<!DOCTYPE html><html><body>503</body></html>".to_vec(),
                labels.clone(),
                &[I, "an HTML page"],
            ),
            (gz(&gz(&images)), labels.clone(), &[I, "gzip in gzip"]),
            (
                idx(IMAGES, &[u32::MAX, 28, 28], &[0; 64]),
                labels,
                &[I, "found a file of 80 bytes"],
            ),
        ];
        for (at, (images, labels, parts)) in cases.into_iter().enumerate() {
            let error = load_train(&[(I, images), (L, labels)]).unwrap_err();
            assert_eq!(error.code, ExitCode::Data, "case {at}");
            for part in parts {
                assert!(
                    error.text.contains(part),
                    "case {at}: `{part}` not in: {error}"
                );
            }
        }
    }

    #[test]
    fn a_missing_file_of_a_present_set_is_named() {
        let error = load_train(&[(L, idx(LABELS, &[1], &[0]))]).unwrap_err();
        assert!(error.text.contains("train-images-idx3-ubyte.gz"), "{error}");
        assert!(
            error.to_string().contains("biorule data fetch mnist"),
            "{error}"
        );
    }

    #[test]
    fn whole_files_of_another_size_and_other_classes_are_read_and_said_to_be() {
        let images = idx(IMAGES, &[3, 20, 30], &[7; 3 * 600]);
        let letters =
            load_train(&[(I, images.clone()), (L, idx(LABELS, &[3], &[1, 26, 2]))]).unwrap();
        assert_eq!(letters.shape().dims(), [1, 20, 30]);
        assert_eq!((letters.labels(), letters.classes()), (&[0, 25, 1][..], 26));
        assert_eq!(letters.class_name(25), "26");
        let note = letters.notes().concat();
        assert!(
            note.contains("1x20x30, 26 classes, labelled from 1"),
            "{note}"
        );
        // The labels of both parts count: 0 in one of them is enough.
        let both = load_train(&[
            (I, images),
            (L, idx(LABELS, &[3], &[1, 10, 2])),
            ("t10k-labels-idx1-ubyte", idx(LABELS, &[1], &[0])),
        ])
        .unwrap();
        assert_eq!((both.labels(), both.classes()), (&[1, 10, 2][..], 11));
    }

    #[test]
    fn the_names_of_mirrors_are_understood() {
        let images = idx(IMAGES, &[1, 28, 28], &pixels(1));
        let labels = idx(LABELS, &[1], &[3]);
        for (image, label) in [
            ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
            ("train-images.idx3-ubyte.gz", "train-labels.idx1-ubyte"),
        ] {
            let set = load_train(&[(image, images.clone()), (label, labels.clone())]).unwrap();
            assert_eq!(set.labels(), [3]);
        }
    }

    #[test]
    fn labels_of_the_other_part_are_called_that() {
        let error = load_train(&[
            (I, idx(IMAGES, &[2, 28, 28], &pixels(2))),
            (L, idx(LABELS, &[3], &[1, 2, 3])),
            (
                "t10k-images-idx3-ubyte",
                idx(IMAGES, &[3, 28, 28], &pixels(3)),
            ),
        ])
        .unwrap_err();
        assert!(
            error.to_string().contains("labels of the test part"),
            "{error}"
        );
    }
}
