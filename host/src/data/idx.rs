//! The idx layout of MNIST and Fashion-MNIST: a big-endian header (magic,
//! sizes), then bytes; plain or gzip. Lengths are checked against the header,
//! never against the published count: a shortened training file is legitimate.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::dataset::{Dataset, Provenance, Shape, Split, Targets, Values};
use super::read::{damaged, open, read_up_to};
use super::registry::Source;
use crate::{Error, Result};

/// Magic of unsigned bytes in three dimensions (images).
const IMAGES: u32 = 0x0803;
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
    let folder = source.folders.require(source.set)?;
    let part = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let images_path = plain_or_gz(
        &folder,
        &format!("{part}-images-idx3-ubyte"),
        source.set.name,
    )?;
    let labels_path = plain_or_gz(
        &folder,
        &format!("{part}-labels-idx1-ubyte"),
        source.set.name,
    )?;
    let images = read_images(&images_path, &mut *open(&images_path)?)?;
    let labels = read_labels(&labels_path, &mut *open(&labels_path)?)?;
    if images.shape != source.set.shape {
        return Err(damaged(
            &images_path,
            format!("images of {}", source.set.shape),
            images.shape,
        ));
    }
    let count = images.data.len() / images.shape.len();
    if labels.len() != count {
        return Err(damaged(
            &labels_path,
            format!("{count} labels, one an image"),
            labels.len(),
        ));
    }
    let targets = Targets::Labels {
        labels: labels.into_iter().map(u32::from).collect(),
        classes: source.set.classes,
        names: names.iter().map(ToString::to_string).collect(),
    };
    let values = Values::Bytes {
        data: images.data,
        white: 255,
    };
    let origin = Provenance::File {
        path: folder.clone(),
    };
    Dataset::new(
        source.set.name,
        split,
        images.shape,
        values,
        targets,
        origin,
    )
    .map_err(|e| e.within(labels_path.display()))
}

/// `name.gz` or `name` in `folder`.
fn plain_or_gz(folder: &Path, name: &str, set: &str) -> Result<PathBuf> {
    [format!("{name}.gz"), name.to_owned()]
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Error::data(format!(
                "data set `{set}` is incomplete: `{name}.gz` is not in `{}`",
                folder.display()
            ))
            .hint(format!(
                "`biorule data fetch {set}` downloads what is missing"
            ))
        })
}

/// Reads an image file; `path` is for errors.
pub(crate) fn read_images(path: &Path, from: &mut dyn Read) -> Result<Images> {
    let [count, height, width] = header(path, from, IMAGES, "idx images")?;
    let shape = Shape::new(1, height, width);
    if shape.is_empty() || shape.len() > 1 << 24 {
        return Err(damaged(path, "images of a plausible size", shape));
    }
    Ok(Images {
        data: body(path, from, count, shape.len())?,
        shape,
    })
}

/// Reads a label file; `path` is for errors.
pub(crate) fn read_labels(path: &Path, from: &mut dyn Read) -> Result<Vec<u8>> {
    let [count] = header(path, from, LABELS, "idx labels")?;
    body(path, from, count, 1)
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
    use crate::data::{DataFolders, registry};
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
        registry::load("mnist", Split::Train, &folders, &toml::Table::new())
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
                data: pixels(3),
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
            (vec![], labels.clone(), &[I, "magic 0x00000803", "0 bytes"]),
            (
                labels.clone(),
                labels.clone(),
                &[I, "magic 0x00000803", "0x00000801"],
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
                images.clone(),
                idx(LABELS, &[2], &[1, 10]),
                &[L, "label of sample 1 is 10"],
            ),
            (
                idx(IMAGES, &[1, 8, 8], &[0; 64]),
                labels.clone(),
                &[I, "1x28x28", "1x8x8"],
            ),
            (
                idx(IMAGES, &[u32::MAX, 28, 28], &[0; 64]),
                labels,
                &[I, "found 64 bytes"],
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
}
