//! The Python version of CIFAR: pickles of a table with an array of bytes, `[N, 3072]` red, green,
//! blue, row by row, and a list of labels.

use std::path::Path;

use super::records::{PIXELS, check_label, from_archive};
use crate::data::dataset::Split;
use crate::data::pickle::Pickle;
use crate::data::read::damaged;
use crate::{Error, ExitCode, Result};

/// How one of the two sets is laid out.
pub(super) struct Layout {
    pub folder: &'static str,
    pub archive: &'static str,
    pub train: &'static [&'static str],
    pub test: &'static [&'static str],
    /// Key of the labels.
    labels: &'static str,
}

pub(super) const CIFAR10: Layout = Layout {
    folder: "cifar-10-batches-py",
    archive: "cifar-10-python.tar.gz",
    train: &[
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
    ],
    test: &["test_batch"],
    labels: "labels",
};

pub(super) const CIFAR100: Layout = Layout {
    folder: "cifar-100-python",
    archive: "cifar-100-python.tar.gz",
    train: &["train"],
    test: &["test"],
    labels: "fine_labels",
};

/// Pixels `[N, 3, 32, 32]` and labels.
type Content = (Vec<u8>, Vec<u32>);

/// Longest file that is read: 50,000 records with the names of their files have some 155 MB.
const LONGEST: usize = 1 << 29;

/// Reads one part from an unpacked folder.
pub(super) fn folder(
    folder: &Path,
    layout: &Layout,
    classes: usize,
    split: Split,
) -> Result<Content> {
    let mut content = Content::default();
    for name in names(layout, split) {
        let path = folder.join(name);
        if !path.is_file() {
            return Err(missing(name, folder));
        }
        let file = std::fs::read(&path).map_err(|e| Error::io(ExitCode::Data, &path, &e))?;
        unpack(&path, &file, layout, classes, &mut content)?;
    }
    Ok(content)
}

/// Reads one part from the archive.
pub(super) fn archive(
    archive: &Path,
    layout: &Layout,
    classes: usize,
    split: Split,
) -> Result<Content> {
    let files = names(layout, split);
    let parts = from_archive(archive, files, LONGEST)?;
    let mut content = Content::default();
    for name in files {
        let part = parts.iter().find(|(path, _)| path.ends_with(name));
        let (path, file) = part.ok_or_else(|| missing(name, archive))?;
        unpack(path, file, layout, classes, &mut content)?;
    }
    Ok(content)
}

fn names(layout: &Layout, split: Split) -> &'static [&'static str] {
    match split {
        Split::Train => layout.train,
        Split::Test => layout.test,
    }
}

fn missing(name: &str, place: &Path) -> Error {
    Error::data(format!(
        "the Python version of CIFAR is incomplete: `{name}` is not in `{}`",
        place.display()
    ))
    .hint("fetch it again, or take the binary version (`biorule data fetch`)")
}

/// Adds the records of one file.
fn unpack(
    path: &Path,
    file: &[u8],
    layout: &Layout,
    classes: usize,
    (data, labels): &mut Content,
) -> Result<()> {
    let expected = "a Python pickle of CIFAR";
    let pickle = Pickle::parse(file).map_err(|found| damaged(path, expected, found))?;
    let key = layout.labels;
    let array = pickle.get("data").and_then(|value| pickle.array(value));
    let array = array.ok_or_else(|| damaged(path, expected, "no array `data`"))?;
    let found = pickle.get(key).and_then(|value| pickle.numbers(value));
    let found = found.ok_or_else(|| damaged(path, expected, format!("no list `{key}`")))?;
    let shape = [found.len(), PIXELS];
    if array.kind != "u1" || array.shape != shape || array.bytes.len() != found.len() * PIXELS {
        return Err(damaged(
            path,
            format!("bytes of the shape {shape:?}, a row for each label"),
            format!(
                "`{}` of the shape {:?}, {} bytes",
                array.kind,
                array.shape,
                array.bytes.len()
            ),
        ));
    }
    for (at, label) in found.into_iter().enumerate() {
        check_label(path, u64::try_from(label).unwrap_or(u64::MAX), at, classes)?;
        labels.push(label as u32);
    }
    data.extend_from_slice(&array.bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python 2 wrote: a batch of two images.
    fn batch(labels: [u8; 2]) -> Vec<u8> {
        let mut file = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x05batchU\x06labels]".to_vec();
        file.extend([b"(K".as_slice(), &labels[..1], b"K", &labels[1..], b"e"].concat());
        file.extend(b"U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n");
        file.extend(
            b"K\x00\x85U\x01b\x87R(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R",
        );
        file.extend(
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x18\x00\x00",
        );
        file.extend((0..2 * PIXELS).map(|i| (i % 251) as u8));
        file.extend(b"tbu.");
        file
    }

    fn load(dir: &Path, split: Split) -> Result<crate::data::Dataset> {
        let folders = crate::data::DataFolders::only([dir]);
        crate::data::published::load("cifar10", split, &folders, &toml::Table::new())
    }

    #[test]
    fn batches_of_python_are_read_in_order_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cifar10/cifar-10-batches-py");
        std::fs::create_dir_all(&folder).unwrap();
        for (at, name) in CIFAR10.train.iter().enumerate() {
            std::fs::write(folder.join(name), batch([at as u8, 9])).unwrap();
        }
        std::fs::write(folder.join("test_batch"), batch([1, 10])).unwrap();
        let set = load(dir.path(), Split::Train).unwrap();
        assert_eq!(set.labels(), [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]);
        assert_eq!(set.class_name(9), "truck");
        let crate::data::Values::Bytes { data, .. } = set.values() else {
            panic!("bytes")
        };
        assert_eq!(data[PIXELS], (PIXELS % 251) as u8);
        let error = load(dir.path(), Split::Test).unwrap_err();
        assert!(error.text.contains("labels below 10"), "{error}");
        // The folder itself.
        assert_eq!(load(&folder, Split::Train).unwrap().len(), 10);
        let whole = batch([0, 1]);
        std::fs::write(folder.join("data_batch_3"), &whole[..whole.len() / 2]).unwrap();
        let error = load(dir.path(), Split::Train).unwrap_err();
        assert!(error.text.contains("data_batch_3` is damaged"), "{error}");
        std::fs::remove_file(folder.join("data_batch_2")).unwrap();
        let error = load(dir.path(), Split::Train).unwrap_err();
        assert!(error.text.contains("`data_batch_2` is not in"), "{error}");
    }
}
