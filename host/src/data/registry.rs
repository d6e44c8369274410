//! The one table of data sets. Listing, help, fetching, verifying and loading
//! all read it: a new set is one entry here and its `load` function.
//!
//! Bytes and hashes: tensorflow/datasets `url_checksums` and torchvision's
//! `mnist.py` and `cifar.py`; the CIFAR md5 are those of the authors' page.

use super::dataset::Shape;
use super::own::SETS as OWN;
pub use super::set::{FileInfo, Layout, SetInfo, Setting, Source};
use super::{cifar, digits, generated, idx, image_set, stl10};
use crate::{Error, Result};

const IDX_MARKERS: &[&str] = &[
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
    "train-images.idx3-ubyte",
    "train-images.idx3-ubyte.gz",
    "train-labels.idx1-ubyte",
    "train-labels.idx1-ubyte.gz",
    "t10k-images.idx3-ubyte",
    "t10k-images.idx3-ubyte.gz",
];

const fn file(name: &'static str, bytes: u64, md5: &'static str, sha256: &'static str) -> FileInfo {
    FileInfo {
        name,
        bytes,
        md5,
        sha256,
        also: &[],
    }
}

/// Every set, in the order of `biorule data list`.
pub static SETS: &[SetInfo] = &[
    SetInfo {
        name: "digits",
        summary: "handwritten digits, 8x8 (UCI, embedded in the program)",
        licence: "CC BY 4.0, Alpaydin and Kaynak 1998",
        shape: Shape::new(1, 8, 8),
        classes: 10,
        train: digits::TRAIN,
        test: digits::TEST,
        mean: &[0.3054],
        std: &[0.3759],
        files: &[],
        mirrors: &[],
        folders: &[],
        markers: &[],
        layout: Layout::InMemory,
        load: digits::load,
        settings: &[],
    },
    SetInfo {
        name: "mnist",
        summary: "handwritten digits, 28x28 grey (LeCun, Cortes and Burges)",
        licence: "CC BY-SA 3.0",
        shape: Shape::new(1, 28, 28),
        classes: 10,
        train: 60_000,
        test: 10_000,
        mean: &[0.1307],
        std: &[0.3081],
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                28_881,
                "d53e105ee54ea40749a09fcbcd1e9432",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "9fb629c4189551a2d022fa330f9573f3",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            file(
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "ec29112dd5afa0611ce80d1b7f02629c",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ],
        mirrors: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ],
        folders: &["mnist", "MNIST/raw", "MNIST", "", "raw"],
        markers: IDX_MARKERS,
        layout: Layout::Idx,
        load: idx::load_mnist,
        settings: &[],
    },
    SetInfo {
        name: "fashion-mnist",
        summary: "pictures of clothing, 28x28 grey (Zalando Research)",
        licence: "MIT",
        shape: Shape::new(1, 28, 28),
        classes: 10,
        train: 60_000,
        test: 10_000,
        mean: &[0.2859],
        std: &[0.3530],
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "25c81989df183df01b3e8a0aad5dffbe",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "bef4ecab320f06d8554ea6380940ec79",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            file(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "bb300cfdad3c16e7a12a480ee83cd310",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ],
        mirrors: &[
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ],
        folders: &[
            "fashion-mnist",
            "FashionMNIST/raw",
            "FashionMNIST",
            "",
            "raw",
        ],
        markers: IDX_MARKERS,
        layout: Layout::Idx,
        load: idx::load_fashion_mnist,
        settings: &[],
    },
    SetInfo {
        name: "cifar10",
        summary: "photographs of 10 kinds of thing, 32x32 colour (Krizhevsky 2009)",
        licence: "none stated by the authors",
        shape: Shape::new(3, 32, 32),
        classes: 10,
        train: 50_000,
        test: 10_000,
        mean: &[0.4914, 0.4821, 0.4465],
        std: &[0.2470, 0.2435, 0.2616],
        files: &[file(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "c32a1d4ab5d03f1284b67883e8d87530",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        )],
        mirrors: &["https://www.cs.toronto.edu/~kriz/"],
        folders: &["cifar10", "cifar-10", ""],
        markers: &[
            "cifar-10-batches-bin",
            "data_batch_1.bin",
            "cifar-10-binary.tar.gz",
            "cifar-10-batches-py",
            "data_batch_1",
            "cifar-10-python.tar.gz",
        ],
        layout: Layout::Cifar,
        load: cifar::load_cifar10,
        settings: &[],
    },
    SetInfo {
        name: "cifar100",
        summary: "photographs of 100 kinds of thing, 32x32 colour, fine labels (Krizhevsky 2009)",
        licence: "none stated by the authors",
        shape: Shape::new(3, 32, 32),
        classes: 100,
        train: 50_000,
        test: 10_000,
        mean: &[0.5071, 0.4867, 0.4408],
        std: &[0.2675, 0.2565, 0.2761],
        files: &[file(
            "cifar-100-binary.tar.gz",
            168_513_733,
            "03b5dce01913d631647c71ecec9e9cb8",
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        )],
        mirrors: &["https://www.cs.toronto.edu/~kriz/"],
        folders: &["cifar100", "cifar-100", ""],
        markers: &[
            "cifar-100-binary",
            "cifar-100-binary.tar.gz",
            "fine_label_names.txt",
            "cifar-100-python",
            "cifar-100-python.tar.gz",
            "meta",
        ],
        layout: Layout::Cifar,
        load: cifar::load_cifar100,
        settings: &[],
    },
    stl10::STL10,
    image_set::IMAGENETTE,
    image_set::IMAGENET,
    image_set::MATCHED,
    image_set::THRESHOLD,
    image_set::TOP,
    generated::BARS,
    generated::GABOR,
    generated::TEACHER,
    generated::SINE,
];

/// Names that other programs have for the sets of a user.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("npz", "arrays"),
    ("npy", "arrays"),
    ("numpy", "arrays"),
    ("imagefolder", "folder"),
    ("images", "folder"),
    ("pictures", "folder"),
    ("ubyte", "idx"),
    ("emnist", "idx"),
    ("table", "csv"),
    ("tsv", "csv"),
];

/// Every set, those of the user last.
pub fn all() -> impl Iterator<Item = &'static SetInfo> {
    SETS.iter().chain(OWN)
}

/// The set named `name`.
///
/// # Errors
/// A usage error that lists the sets and the nearest name.
pub fn find(name: &str) -> Result<&'static SetInfo> {
    all().find(|set| set.name == name).ok_or_else(|| {
        let names = all()
            .map(|s| format!("`{}`", s.name))
            .collect::<Vec<_>>()
            .join(", ");
        let error = Error::usage(format!("unknown data set `{name}`; known: {names}"));
        let lower = name.to_lowercase();
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == lower);
        let near = crate::text::nearest(name, all().map(|s| s.name)).map(str::to_owned);
        match other.map(|(_, set)| (*set).to_owned()).or(near) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for (at, set) in SETS.iter().enumerate() {
            assert!(
                SETS[..at].iter().all(|other| other.name != set.name),
                "{}",
                set.name
            );
            assert_eq!(set.mean.len(), set.std.len(), "{}", set.name);
            assert!(
                set.mean.is_empty() || set.mean.len() == set.shape.channels,
                "{}",
                set.name
            );
            assert_eq!(set.files.is_empty(), set.mirrors.is_empty(), "{}", set.name);
            // ImageNet lies on disk and has no public mirror.
            let on_disk = !set.files.is_empty() || set.name == "imagenet";
            assert_eq!(!on_disk, set.folders.is_empty(), "{}", set.name);
            for file in set.files {
                let hex = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit());
                let md5 = file.md5.is_empty() || file.md5.len() == 32;
                assert!(md5 && hex(file.md5), "{}", file.name);
                assert!(file.sha256.len() == 64 && hex(file.sha256), "{}", file.name);
                assert!(set.markers.contains(&file.name), "{}", file.name);
            }
            assert!(
                set.mirrors.iter().all(|url| url.ends_with('/')),
                "{}",
                set.name
            );
        }
    }

    #[test]
    fn an_unknown_set_gets_the_nearest_name() {
        let error = find("cifar-10").unwrap_err().to_string();
        assert!(error.contains("did you mean `cifar10`?"), "{error}");
    }
}
