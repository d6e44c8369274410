//! What a folder holds that is not the set that was looked for: the same set in another layout, or
//! files of another kind.

use std::fs;
use std::path::Path;

/// Endings of files, what they are, and what to do about them.
const ENDINGS: &[(&[&str], &str)] = &[
    (
        &["npz", "npy"],
        "numpy arrays: `data.set = \"arrays\"` reads them",
    ),
    (&["csv", "tsv"], "tables: `data.set = \"csv\"` reads them"),
    (
        &["parquet", "arrow"],
        "Parquet or Arrow files, which are not read: save arrays with `numpy.savez` and use `data.set = \"arrays\"`",
    ),
    (
        &["pt", "pth"],
        "files of `torch.save`, which are not read: save arrays with `numpy.savez` and use `data.set = \"arrays\"`",
    ),
    (
        &["mat", "h5", "hdf5", "tfrecord"],
        "MATLAB, HDF5 or TensorFlow files, which are not read: save arrays with `numpy.savez` and use `data.set = \"arrays\"`",
    ),
    (
        &["zip", "7z", "rar", "tar", "tgz", "xz", "bz2"],
        "an archive: unpack it",
    ),
];

/// Names, what they are, and which sets read them.
const NAMES: &[(&str, &str)] = &[
    (
        "cifar-10-batches-py",
        "the Python version of CIFAR-10: `data.set = \"cifar10\"` reads it",
    ),
    (
        "data_batch_1",
        "the Python version of CIFAR-10: `data.set = \"cifar10\"` reads it",
    ),
    (
        "cifar-10-batches-bin",
        "the binary version of CIFAR-10: `data.set = \"cifar10\"` reads it",
    ),
    (
        "data_batch_1.bin",
        "the binary version of CIFAR-10: `data.set = \"cifar10\"` reads it",
    ),
    (
        "data_batch_1.mat",
        "the MATLAB version of CIFAR-10, which is not read: take the binary or the Python version",
    ),
    (
        "cifar-100-python",
        "the Python version of CIFAR-100: `data.set = \"cifar100\"` reads it",
    ),
    (
        "cifar-100-binary",
        "the binary version of CIFAR-100: `data.set = \"cifar100\"` reads it",
    ),
    (
        "fashion-mnist",
        "Fashion-MNIST: `data.set = \"fashion-mnist\"` reads it",
    ),
    (
        "FashionMNIST",
        "Fashion-MNIST: `data.set = \"fashion-mnist\"` reads it",
    ),
    ("mnist", "MNIST: `data.set = \"mnist\"` reads it"),
    ("MNIST", "MNIST: `data.set = \"mnist\"` reads it"),
];

/// What `folder` holds, in words, with what reads it; `None` where nothing is known.
pub(crate) fn recognise(folder: &Path) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(folder).ok()?.flatten() {
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    if let Some((name, what)) = NAMES.iter().find(|(n, _)| names.iter().any(|m| m == n)) {
        return Some(format!("`{name}`, {what}"));
    }
    let idx = |name: &&String| name.contains("idx3-ubyte") || name.contains("idx1-ubyte");
    if let Some(name) = names.iter().find(idx) {
        return Some(format!(
            "`{name}`, files in the layout of MNIST: `data.set = \"mnist\"` or `\"idx\"` reads them"
        ));
    }
    if has_pictures(folder, 2) {
        return Some(
            "pictures: `data.set = \"folder\"` reads them, a folder for each class".to_owned(),
        );
    }
    let ending = |name: &str| -> Option<String> {
        let name = name.strip_suffix(".gz").unwrap_or(name);
        Some(
            Path::new(name)
                .extension()?
                .to_string_lossy()
                .to_lowercase(),
        )
    };
    for (endings, what) in ENDINGS {
        let is = |name: &&String| ending(name).is_some_and(|e| endings.contains(&e.as_str()));
        if let Some(name) = names.iter().find(is) {
            return Some(format!("`{name}`, {what}"));
        }
    }
    None
}

/// Whether pictures lie in a folder of `folder`, so many levels down.
fn has_pictures(folder: &Path, depth: usize) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    let folders = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir());
    folders.take(100).any(|inner| {
        let picture = |path: &Path| {
            let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            ending.is_some_and(|e| ["png", "jpg", "jpeg"].contains(&e.as_str()))
        };
        let files = fs::read_dir(&inner).into_iter().flatten().flatten();
        files.take(100).any(|f| picture(&f.path()))
            || (depth > 1 && has_pictures(&inner, depth - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_file_is_told_with_what_reads_it() {
        for (name, what) in [
            ("cifar-10-batches-py/data_batch_1", "cifar10"),
            ("data_batch_1", "Python version of CIFAR-10"),
            ("train-images.idx3-ubyte", "idx"),
            ("mnist.npz", "arrays"),
            ("train.csv", "csv"),
            ("train/cat/1.PNG", "folder"),
            ("cat/1.jpeg", "folder"),
            ("train-00000.parquet", "not read"),
            ("training.pt", "not read"),
            ("archive.zip", "unpack"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"x").unwrap();
            let told = recognise(dir.path()).unwrap_or_default();
            assert!(told.contains(what), "{name}: {told}");
        }
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(recognise(dir.path()), None);
        assert_eq!(recognise(&dir.path().join("none")), None);
    }
}
