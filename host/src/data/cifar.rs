//! CIFAR-10 and CIFAR-100 in the authors' binary layout: records of one label
//! byte (CIFAR-100: two, coarse then fine) and 3,072 bytes red, green, blue,
//! row by row; from an unpacked folder or straight from the `.tar.gz`. The Python version, which
//! other tools fetch, is read where the binary one is not there.

#[path = "cifar_names.rs"]
mod names;
#[path = "cifar_python.rs"]
mod python;
#[path = "cifar_records.rs"]
mod records;

use std::path::{Path, PathBuf};

use super::dataset::{Dataset, Provenance, Shape, Split, Targets, Values};
use super::read::{damaged, open, read_up_to};
use super::set::{SetInfo, Source};
use crate::{Error, Result};
use records::{PIXELS, Parts, check_label, from_archive};

/// How one of the two sets is laid out.
struct Layout {
    /// Folder inside the archive.
    folder: &'static str,
    archive: &'static str,
    train: &'static [&'static str],
    test: &'static [&'static str],
    /// Records in each training and each test file.
    records: [usize; 2],
    /// Bytes before the pixels; the last one is the label.
    label_bytes: usize,
    names: &'static [&'static str],
    python: python::Layout,
}

const CIFAR10: Layout = Layout {
    folder: "cifar-10-batches-bin",
    archive: "cifar-10-binary.tar.gz",
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: &["test_batch.bin"],
    records: [10_000, 10_000],
    label_bytes: 1,
    names: &names::CIFAR10,
    python: python::CIFAR10,
};

const CIFAR100: Layout = Layout {
    folder: "cifar-100-binary",
    archive: "cifar-100-binary.tar.gz",
    train: &["train.bin"],
    test: &["test.bin"],
    records: [50_000, 10_000],
    label_bytes: 2,
    names: &names::CIFAR100,
    python: python::CIFAR100,
};

/// Loads CIFAR-10.
pub(crate) fn load_cifar10(source: &Source<'_>, split: Split) -> Result<Dataset> {
    load(source, split, &CIFAR10)
}

/// Loads CIFAR-100 with its fine labels.
pub(crate) fn load_cifar100(source: &Source<'_>, split: Split) -> Result<Dataset> {
    load(source, split, &CIFAR100)
}

fn load(source: &Source<'_>, split: Split, layout: &Layout) -> Result<Dataset> {
    let root = source.folder;
    let (files, records) = match split {
        Split::Train => (layout.train, layout.records[0]),
        Split::Test => (layout.test, layout.records[1]),
    };
    let (origin, data, labels) = match place(root, layout) {
        Place::PythonFolder(folder) => {
            let (data, labels) =
                python::folder(&folder, &layout.python, layout.names.len(), split)?;
            (folder, data, labels)
        }
        Place::PythonArchive(archive) => {
            let (data, labels) =
                python::archive(&archive, &layout.python, layout.names.len(), split)?;
            (archive, data, labels)
        }
        Place::Folder(_) | Place::Archive(_) => {
            let (origin, parts) = find(root, layout, files, records, source.set.name)?;
            let mut data = Vec::with_capacity(files.len() * records * PIXELS);
            let mut labels = Vec::with_capacity(files.len() * records);
            for (path, bytes) in parts {
                unpack(&path, &bytes, layout, records, &mut data, &mut labels)?;
            }
            (origin, data, labels)
        }
    };
    let targets = Targets::Labels {
        labels,
        classes: layout.names.len(),
        names: layout.names.iter().map(ToString::to_string).collect(),
    };
    let values = Values::Bytes {
        data: data.into(),
        white: 255,
    };
    let origin = Provenance::File { path: origin };
    Dataset::new(
        source.set.name,
        split,
        Shape::new(3, 32, 32),
        values,
        targets,
        origin,
    )
}

/// Where one of the versions lies.
enum Place {
    /// The binary version, unpacked.
    Folder(PathBuf),
    /// The binary version, packed.
    Archive(PathBuf),
    PythonFolder(PathBuf),
    PythonArchive(PathBuf),
}

/// The version that is taken: binary before Python, unpacked before packed.
fn place(root: &Path, layout: &Layout) -> Place {
    let holds = |folder: &Path, names: &[&str]| names.iter().any(|n| folder.join(n).is_file());
    let binary = [layout.train, layout.test].concat();
    for folder in [root.join(layout.folder), root.to_path_buf()] {
        if holds(&folder, &binary) {
            return Place::Folder(folder);
        }
    }
    let archive = root.join(layout.archive);
    if archive.is_file() {
        return Place::Archive(archive);
    }
    let python = &layout.python;
    for folder in [root.join(python.folder), root.to_path_buf()] {
        if holds(&folder, &[python.train, python.test].concat()) {
            return Place::PythonFolder(folder);
        }
    }
    let packed = root.join(python.archive);
    match packed.is_file() {
        true => Place::PythonArchive(packed),
        false => Place::Folder(root.join(layout.folder)),
    }
}

fn layout_of(set: &SetInfo) -> &'static Layout {
    match set.name {
        "cifar100" => &CIFAR100,
        _ => &CIFAR10,
    }
}

/// Names of the classes.
pub(crate) fn class_names(set: &SetInfo) -> Vec<String> {
    layout_of(set)
        .names
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The files that are read, training part first.
pub(crate) fn files(set: &SetInfo, root: &Path) -> Vec<PathBuf> {
    let layout = layout_of(set);
    let of = |folder: PathBuf, train: &[&str], test: &[&str]| -> Vec<PathBuf> {
        let names = train.iter().chain(test).map(|name| folder.join(name));
        names.filter(|path| path.is_file()).collect()
    };
    match place(root, layout) {
        Place::Folder(folder) => of(folder, layout.train, layout.test),
        Place::PythonFolder(folder) => of(folder, layout.python.train, layout.python.test),
        Place::Archive(path) | Place::PythonArchive(path) => vec![path],
    }
}

/// Samples of each part by the lengths of the files; those of an archive are not known.
pub(crate) fn counts(set: &SetInfo, root: &Path) -> [Option<usize>; 2] {
    let layout = layout_of(set);
    let Place::Folder(folder) = place(root, layout) else {
        return [None, None];
    };
    let record = (layout.label_bytes + PIXELS) as u64;
    [layout.train, layout.test].map(|names| {
        let mut sum = 0;
        for name in names {
            let bytes = std::fs::metadata(folder.join(name)).ok()?.len();
            if !bytes.is_multiple_of(record) {
                return None;
            }
            sum += bytes / record;
        }
        Some(sum as usize)
    })
}

/// Splits the records of one file, checking its length and its labels.
fn unpack(
    path: &Path,
    bytes: &[u8],
    layout: &Layout,
    records: usize,
    data: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<()> {
    let record = layout.label_bytes + PIXELS;
    if bytes.len() != records * record {
        let found = if bytes.len() > records * record {
            "more bytes".to_owned()
        } else {
            format!(
                "{} bytes, or {:.2} records",
                bytes.len(),
                bytes.len() as f64 / record as f64
            )
        };
        let expected = format!("{} bytes ({records} records of {record})", records * record);
        return Err(damaged(path, expected, found));
    }
    for (at, record) in bytes.chunks_exact(record).enumerate() {
        let label = record[layout.label_bytes - 1];
        check_label(path, u64::from(label), at, layout.names.len())?;
        labels.push(u32::from(label));
        data.extend_from_slice(&record[layout.label_bytes..]);
    }
    Ok(())
}

/// The bytes of `files`, from a folder where there is one, else the archive.
fn find(
    root: &Path,
    layout: &Layout,
    files: &[&str],
    records: usize,
    set: &str,
) -> Result<(PathBuf, Parts)> {
    // One byte more than expected is enough to see that a file is too long.
    let limit = records * (layout.label_bytes + PIXELS) + 1;
    let missing = |name: &str, place: &Path| {
        Error::data(format!(
            "data set `{set}` is incomplete: `{name}` is not in `{}`",
            place.display()
        ))
        .hint(format!(
            "`biorule data fetch {set}` downloads what is missing"
        ))
    };
    for folder in [root.join(layout.folder), root.to_path_buf()] {
        if files.iter().any(|name| folder.join(name).is_file()) {
            let mut parts = Vec::new();
            for name in files {
                let path = folder.join(name);
                if !path.is_file() {
                    return Err(missing(name, &folder));
                }
                let bytes = read_up_to(&path, &mut *open(&path)?, limit)?;
                parts.push((path, bytes));
            }
            return Ok((folder, parts));
        }
    }
    let archive = root.join(layout.archive);
    if !archive.is_file() {
        return Err(missing(files[0], &root.join(layout.folder)));
    }
    let mut parts = from_archive(&archive, files, limit)?;
    let mut ordered = Vec::new();
    for name in files {
        let at = parts.iter().position(|(path, _)| path.ends_with(name));
        ordered.push(parts.swap_remove(at.ok_or_else(|| missing(name, &archive))?));
    }
    Ok((archive, ordered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExitCode;
    use flate2::{Compression, write::GzEncoder};

    /// CIFAR-100's layout with two records a file, so that fixtures stay small.
    const TINY: Layout = Layout {
        records: [2, 2],
        ..CIFAR100
    };

    fn record(coarse: u8, fine: u8, start: u8) -> Vec<u8> {
        let pixels = (0..PIXELS).map(|i| start.wrapping_add((i % 256) as u8));
        [coarse, fine].into_iter().chain(pixels).collect()
    }
    fn file() -> Vec<u8> {
        [record(3, 42, 0), record(1, 99, 7)].concat()
    }
    fn source_load(root: &Path) -> Result<Dataset> {
        let set = crate::data::registry::find("cifar100").unwrap();
        let folder = crate::data::DataFolders::only([root]).require(set)?;
        let source = Source {
            set,
            folder: &folder,
            options: &toml::Table::new(),
        };
        load(&source, Split::Train, &TINY)
    }
    fn archive(bytes: &[u8]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, bytes) in [("test.bin", &bytes[..10]), ("train.bin", bytes)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("cifar-100-binary/{name}"), bytes)
                .unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn folder_and_archive_give_the_same_records() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("cifar100/cifar-100-binary")).unwrap();
        std::fs::write(
            dir.path().join("cifar100/cifar-100-binary/train.bin"),
            file(),
        )
        .unwrap();
        let unpacked = source_load(dir.path()).unwrap();
        let other = tempfile::tempdir().unwrap();
        std::fs::write(
            other.path().join("cifar-100-binary.tar.gz"),
            archive(&file()),
        )
        .unwrap();
        let packed = source_load(other.path()).unwrap();
        assert_eq!(
            unpacked.labels(),
            [42, 99],
            "the fine label is the second byte"
        );
        assert_eq!(unpacked.class_name(99), "worm");
        let Values::Bytes { data, .. } = unpacked.values() else {
            panic!("bytes")
        };
        assert_eq!(data[..PIXELS], record(3, 42, 0)[2..]);
        assert_eq!(data[PIXELS..], record(1, 99, 7)[2..]);
        assert_eq!(packed.values(), unpacked.values());
        assert_eq!(packed.labels(), unpacked.labels());
    }

    #[test]
    fn truncated_and_wrong_records_are_named() {
        let whole = file();
        let cases: [(Vec<u8>, &[&str]); 4] = [
            (
                whole[..5000].to_vec(),
                &["train.bin", "expected 6148 bytes", "5000 bytes"],
            ),
            (
                whole[..3074].to_vec(),
                &["train.bin", "2 records", "1.00 records"],
            ),
            (
                [whole.clone(), vec![0]].concat(),
                &["train.bin", "more bytes"],
            ),
            (
                [record(0, 100, 0), record(0, 1, 0)].concat(),
                &["labels below 100", "100 in record 0"],
            ),
        ];
        for (bytes, parts) in cases {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("cifar-100-binary")).unwrap();
            std::fs::write(dir.path().join("cifar-100-binary/train.bin"), bytes).unwrap();
            let error = source_load(dir.path()).unwrap_err();
            assert_eq!(error.code, ExitCode::Data);
            for part in parts {
                assert!(error.text.contains(part), "`{part}` not in: {error}");
            }
        }
    }

    #[test]
    fn a_cut_archive_is_an_error_not_a_short_set() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cifar-100-binary.tar.gz");
        let bytes = archive(&file());
        for keep in [bytes.len() / 2, bytes.len() / 4, 100, 0] {
            std::fs::write(&path, &bytes[..keep]).unwrap();
            let error = source_load(dir.path()).unwrap_err();
            assert_eq!(error.code, ExitCode::Data);
            assert!(
                error.text.contains("cifar-100-binary.tar.gz"),
                "{keep}: {error}"
            );
        }
    }

    #[test]
    fn there_are_as_many_names_as_classes() {
        assert_eq!((CIFAR10.names.len(), CIFAR100.names.len()), (10, 100));
        assert!(CIFAR100.names.is_sorted());
    }
}
