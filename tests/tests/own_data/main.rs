//! Data of a user's own, named in a configuration: pictures, idx files, arrays and tables, trained
//! on by the real binary; and the same published sets in the layouts of other tools.

mod files;

use std::path::Path;

use biorule_tests::plugins::{Ran, Run};
use files::{Folder, gz, idx, npy, npz, picture};

const CONFIG: &str = r#"
name = "own"
data = "digits"
device = "cpu"
[[blocks]]
name = "hidden"
layer = "dense"
out = 8
rule = "backprop"
activation = "relu"
flatten = true
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training]
mode = "end-to-end"
[training.gradient]
epochs = 1
batch = 8
"#;

/// `biorule train` in `dir` with these settings.
fn train(dir: &Path, sets: &[&str]) -> Ran {
    train_in(dir, "run", sets)
}

fn train_in(dir: &Path, run: &str, sets: &[&str]) -> Ran {
    std::fs::write(dir.join("config.toml"), CONFIG).unwrap();
    let mut arguments = vec!["train", "config.toml", "--run-dir", run];
    for set in sets {
        arguments.extend(["--set", set]);
    }
    biorule(dir, &arguments)
}

fn biorule(dir: &Path, arguments: &[&str]) -> Ran {
    Run::new(arguments.iter().copied())
        .env("BIORULE_CACHE", dir.join("cache"))
        .dir(dir)
        .finish()
}

#[track_caller]
fn says(ran: &Ran, code: i32, texts: &[&str]) {
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, Some(code), "{all}");
    for text in texts {
        assert!(all.contains(text), "`{text}` is not in:\n{all}");
    }
}

fn pictures(folder: &Folder, sizes: &[(u32, u32)]) {
    for part in ["train", "test"] {
        for (class, name) in ["cat", "dog", "eel"].iter().enumerate() {
            for n in 0..6 {
                let (w, h) = sizes[n % sizes.len()];
                let ending = if n % 2 == 0 { "png" } else { "jpg" };
                let path = format!("p/{part}/{name}/{n}.{ending}");
                folder.write(&path, &picture(w, h, (80 * class) as u8, ending));
            }
        }
    }
}

#[test]
fn folders_of_pictures_are_classes() {
    let folder = Folder::new();
    pictures(&folder, &[(9, 7)]);
    folder.write("p/train/cat/notes.txt", b"x");
    folder.write("p/train/.DS_Store", b"x");
    let sets = ["data.set=folder", "data.root=p"];
    let ran = train(folder.path(), &sets);
    says(
        &ran,
        0,
        &["1 file other than PNG and JPEG left out", "1 `.txt`"],
    );
    let show = biorule(folder.path(), &["data", "show", "folder", "--root", "p"]);
    says(&show, 0, &["18 samples of 3x7x9", "class 1 (dog): 6"]);
    // Once decoded, the pictures are not decoded again, and give the same.
    let stored = std::fs::read_dir(folder.path().join("cache")).unwrap();
    let stored: Vec<_> = stored.flatten().map(|e| e.path()).collect();
    assert!(
        stored
            .iter()
            .any(|p| p.to_string_lossy().contains("pictures-"))
    );
    let again = biorule(folder.path(), &["data", "show", "folder", "--root", "p"]);
    assert_eq!(show.stdout, again.stdout);
    let record = std::fs::read_to_string(folder.path().join("run/run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["data"][0]["set"], "folder");
    assert_eq!(
        record["data"][0]["files"][0]["sha256"]
            .as_str()
            .unwrap()
            .len(),
        64
    );
    says(
        &biorule(folder.path(), &["runs", "show", "run"]),
        0,
        &["data = folder in p"],
    );
    // A damaged store is no data.
    for path in &stored {
        let mut bytes = std::fs::read(path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let again = biorule(folder.path(), &["data", "show", "folder", "--root", "p"]);
    assert_eq!(show.stdout, again.stdout);
}

#[test]
fn pictures_of_several_sizes_need_a_size_and_broken_ones_are_named() {
    let folder = Folder::new();
    pictures(&folder, &[(9, 7), (16, 12)]);
    let sets = ["data.set=folder", "data.root=p"];
    let differ = train(folder.path(), &sets);
    says(&differ, 2, &["differ in size", "data.resize = [7, 9]"]);
    let resized = [
        &sets[..],
        &["data.resize=[8, 8]", "data.options.channels=1"],
    ]
    .concat();
    says(&train_in(folder.path(), "a", &resized), 0, &[]);
    let whole = std::fs::read(folder.path().join("p/train/dog/1.jpg")).unwrap();
    folder.write("p/train/dog/1.jpg", &whole[..whole.len() / 2]);
    let broken = train_in(folder.path(), "b", &resized);
    says(
        &broken,
        3,
        &["p/train/dog/1.jpg` is cut", "broken = \"skip\""],
    );
    let skip = [&resized[..], &["data.options.broken=skip"]].concat();
    says(
        &train_in(folder.path(), "c", &skip),
        0,
        &["left out: `p/train/dog/1.jpg`"],
    );
    folder.write("p/train/dog/1.jpg", b"<html>404</html>");
    let page = train_in(folder.path(), "d", &resized);
    says(&page, 3, &["1.jpg` is an HTML page, not a picture"]);
}

#[test]
fn one_level_of_classes_needs_a_test_part_which_is_drawn_by_class() {
    let folder = Folder::new();
    for (class, count) in [("a", 20), ("b", 10)] {
        for n in 0..count {
            folder.write(&format!("p/{class}/{n}.png"), &picture(6, 6, n, "png"));
        }
    }
    let sets = ["data.set=folder", "data.root=p"];
    says(
        &train(folder.path(), &sets),
        2,
        &["no test part", "data.options.test = 0.2"],
    );
    let ran = train(
        folder.path(),
        &[&sets[..], &["data.options.test=0.2"]].concat(),
    );
    says(&ran, 0, &["the test part is 6 of 30"]);
    let arguments = "data show folder --root p --set test=0.2 --split test";
    let show = biorule(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
    says(&show, 0, &["class 0 (a): 4", "class 1 (b): 2"]);
    let wrong = train_in(
        folder.path(),
        "w",
        &[&sets[..], &["data.options.tset=0.2"]].concat(),
    );
    says(&wrong, 2, &["did you mean `test`?"]);
    std::fs::create_dir_all(folder.path().join("empty/train/cat")).unwrap();
    let empty = train_in(folder.path(), "e", &["data.set=folder", "data.root=empty"]);
    says(&empty, 3, &["there is no picture", "empty/train"]);
}

/// Four files in the layout of MNIST below `place`.
fn idx_files(folder: &Folder, place: &str, (h, w): (usize, usize), labels: &[u8]) {
    for (part, count) in [("train", 40), ("t10k", 20)] {
        let pixels: Vec<u8> = (0..count * h * w).map(|i| (i * 37 % 251) as u8).collect();
        let labels: Vec<u8> = labels.iter().copied().cycle().take(count).collect();
        let images = idx(&[count, h, w], &pixels);
        folder.write(&format!("{place}/{part}-images-idx3-ubyte"), &images);
        let labels = gz(&idx(&[count], &labels));
        folder.write(&format!("{place}/{part}-labels-idx1-ubyte.gz"), &labels);
    }
}

#[test]
fn idx_files_of_any_size_and_classes_are_trained_on_under_either_name() {
    let folder = Folder::new();
    let letters: Vec<u8> = (1..=26).collect();
    idx_files(&folder, "letters/mnist", (20, 30), &letters);
    let own = train_in(folder.path(), "a", &["data.set=idx", "data.root=letters"]);
    says(&own, 0, &["labels count from 1"]);
    let named = train_in(folder.path(), "b", &["data.set=mnist", "data.root=letters"]);
    says(
        &named,
        0,
        &["not the published `mnist`: images of 1x20x30, 26 classes"],
    );
    let list = biorule(folder.path(), &["data", "list", "--root", "letters"]);
    let line = list
        .stdout
        .lines()
        .find(|l| l.trim_start().starts_with("mnist"));
    let line = line.unwrap();
    assert!(
        line.contains(" 40 ") && line.contains(" 20 ") && !line.contains("60000"),
        "{line}"
    );
    let arguments = ["data", "verify", "idx", "--root", "letters/mnist"];
    says(
        &biorule(folder.path(), &arguments),
        0,
        &["train: 40 samples read"],
    );
    // EMNIST's names, and files named one by one.
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("e")).unwrap();
    for (part, other) in [("train", "train"), ("t10k", "test")] {
        for (what, ending) in [("images-idx3-ubyte", ""), ("labels-idx1-ubyte", ".gz")] {
            let from = path(&format!("letters/mnist/{part}-{what}{ending}"));
            let to = path(&format!("e/emnist-letters-{other}-{what}{ending}"));
            std::fs::copy(from, to).unwrap();
        }
    }
    says(
        &train_in(folder.path(), "c", &["data.set=idx", "data.root=e"]),
        0,
        &[],
    );
    let files = "data.options.files={train_images=\"emnist-letters-train-images-idx3-ubyte\", \
        train_labels=\"emnist-letters-train-labels-idx1-ubyte.gz\", test_images=\"nowhere\"}";
    let lacks = train_in(folder.path(), "d", &["data.set=idx", "data.root=e", files]);
    says(&lacks, 3, &["`e/nowhere` is not there"]);
}

#[test]
fn arrays_of_numpy_are_read_in_every_common_form() {
    let folder = Folder::new();
    let labels: Vec<u8> = (0..30).map(|i| i % 3).collect();
    let x: Vec<u8> = (0..30 * 5 * 4 * 3).map(|i| (i % 256) as u8).collect();
    let long = |v: &[u8]| {
        v.iter()
            .flat_map(|l| i64::from(*l).to_le_bytes())
            .collect::<Vec<_>>()
    };
    let float = |v: &[u8]| {
        v.iter()
            .flat_map(|l| f32::from(*l).to_le_bytes())
            .collect::<Vec<_>>()
    };
    let images = npy("|u1", "(30, 5, 4, 3)", &x);
    let numbers = npy("<i8", "(30,)", &long(&labels));
    for (name, packed) in [("keras.npz", true), ("plain.npz", false)] {
        let arrays = [
            ("x_train", &images),
            ("y_train", &numbers),
            ("x_test", &images),
            ("y_test", &numbers),
        ];
        folder.write(name, &npz(&arrays, packed));
        let sets = ["data.set=arrays", &format!("data.root={name}")];
        says(
            &train_in(folder.path(), &format!("run-{name}"), &sets),
            0,
            &[],
        );
        let show = biorule(folder.path(), &["data", "show", "arrays", "--root", name]);
        says(&show, 0, &["30 samples of 3x5x4", "class 2 (2): 10"]);
    }
    folder.write("v/X_train.npy", &npy("<f4", "(30, 60)", &float(&x[..1800])));
    folder.write("v/y_train.npy", &npy("<f4", "(30, 1)", &float(&labels)));
    let vectors = ["data.set=arrays", "data.root=v", "data.options.test=6"];
    says(
        &train_in(folder.path(), "v1", &vectors),
        0,
        &["the test part is 6 of 30"],
    );
    let regression = [
        &vectors[..],
        &["data.options.task=regression", "training.gradient.loss=mse"],
    ];
    says(&train_in(folder.path(), "v2", &regression.concat()), 0, &[]);
    folder.write(
        "f/x_train.npy",
        &npy("<f4", "(2, 2)", &float(&[1, 2, 3, 4])),
    );
    let lacks = train_in(folder.path(), "f1", &["data.set=arrays", "data.root=f"]);
    says(&lacks, 3, &["x_train.npy` is there without targets"]);
    let nan: Vec<u8> = [1.0f32, f32::NAN, 3.0, 4.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    folder.write("f/x_train.npy", &npy("<f4", "(2, 2)", &nan));
    folder.write("f/y_train.npy", &npy("|u1", "(2,)", &[0, 1]));
    let nan = train_in(folder.path(), "f2", &["data.set=arrays", "data.root=f"]);
    says(&nan, 3, &["holds NaN in sample 0"]);
    let cut = std::fs::read(folder.path().join("keras.npz")).unwrap();
    folder.write("cut.npz", &cut[..cut.len() / 2]);
    let cut = train_in(
        folder.path(),
        "f3",
        &["data.set=arrays", "data.root=cut.npz"],
    );
    says(&cut, 3, &["cut.npz` is damaged"]);
}

#[test]
fn tables_are_read_with_labels_of_any_column() {
    let folder = Folder::new();
    let mut text = String::from("length,width,species\n");
    for n in 0..30 {
        let name = ["setosa", "virginica", "versicolor"][n % 3];
        text.push_str(&format!("{}.5,{},{name}\n", n % 7, n % 5));
    }
    folder.write("iris.csv", text.as_bytes());
    let sets = [
        "data.set=csv",
        "data.root=iris.csv",
        "data.options.test=0.2",
    ];
    says(
        &train(folder.path(), &sets),
        0,
        &["the test part is 6 of 30"],
    );
    let arguments = "data show csv --root iris.csv --set test=0.2 --set label=species";
    let show = biorule(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
    says(
        &show,
        0,
        &["24 samples of 2x1x1", "class 1 (versicolor): 8"],
    );
    let column = train_in(
        folder.path(),
        "w",
        &[&sets[..], &["data.options.label=kind"]].concat(),
    );
    says(&column, 2, &["`kind`, which is no column", "`length`"]);
    folder.write("bad.csv", text.replace("3.5,3,", "3.5,?,").as_bytes());
    let bad = train_in(
        folder.path(),
        "b",
        &["data.set=csv", "data.root=bad.csv", sets[2]],
    );
    says(&bad, 3, &["bad.csv` line 5: column `width` is `?`"]);
    folder.write("short.csv", b"1,2,0\n3,1\n");
    let short = train_in(
        folder.path(),
        "s",
        &["data.set=csv", "data.root=short.csv", sets[2]],
    );
    says(&short, 3, &["line 2: 2 fields, expected 3"]);
    // Kaggle's MNIST: label first, pixels behind it.
    let mut text = String::from("label,p0,p1,p2,p3\n");
    (0..20).for_each(|n| text.push_str(&format!("{},{n},0,255,{}\n", n % 2, 2 * n)));
    folder.write("k/train.csv", &gz(text.as_bytes()));
    let table = std::fs::rename(
        folder.path().join("k/train.csv"),
        folder.path().join("k/train.csv.gz"),
    );
    table.unwrap();
    let sets = [
        "data.set=csv",
        "data.root=k",
        "data.options.test=0.25",
        "data.options.shape=[1, 2, 2]",
    ];
    says(&train_in(folder.path(), "k1", &sets), 0, &["5 of 20"]);
}

#[test]
fn kept_classes_are_as_many_outputs_and_one_or_a_repeated_one_is_refused() {
    let folder = Folder::new();
    let two = train_in(folder.path(), "a", &["data.classes=[5, 3]"]);
    says(
        &two,
        0,
        &["keeps 2 of 10 classes of `digits`, numbered 0: 5, 1: 3"],
    );
    let given = ["data.classes=[3, 5]", "blocks.readout.out=2"];
    says(&train_in(folder.path(), "b", &given), 0, &[]);
    let ten = train_in(
        folder.path(),
        "c",
        &["data.classes=[3, 5]", "blocks.readout.out=10"],
    );
    says(&ten, 2, &["`data.classes` keeps 2 classes"]);
    let none = train_in(folder.path(), "d", &["blocks.readout.out=2"]);
    says(&none, 2, &["`data.classes` keeps some"]);
    says(
        &train_in(folder.path(), "e", &["data.classes=[3]"]),
        2,
        &["keeps one class"],
    );
    says(
        &train_in(folder.path(), "f", &["data.classes=[3, 3]"]),
        2,
        &["lists 3 twice"],
    );
    says(
        &train_in(folder.path(), "g", &["data.classes=[3, 10]"]),
        2,
        &["has class 10"],
    );
    pictures(&folder, &[(6, 6)]);
    let named = [
        "data.set=folder",
        "data.root=p",
        "data.classes=[\"eel\", \"cat\"]",
    ];
    says(
        &train_in(folder.path(), "h", &named),
        0,
        &["0: eel, 1: cat"],
    );
    let unknown = [
        "data.set=folder",
        "data.root=p",
        "data.classes=[\"eal\", \"cat\"]",
    ];
    says(
        &train_in(folder.path(), "i", &unknown),
        2,
        &["did you mean `eel`?"],
    );
}

#[test]
fn data_that_is_named_is_not_taken_from_elsewhere() {
    let folder = Folder::new();
    idx_files(&folder, "data/mnist", (28, 28), &[0, 1, 2]);
    // The usual folder, as nothing is named.
    says(&train_in(folder.path(), "a", &["data.set=mnist"]), 0, &[]);
    let gone = train_in(folder.path(), "b", &["data.set=mnist", "data.root=gone"]);
    says(&gone, 3, &["the data folder `gone` is not there"]);
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let empty = train_in(folder.path(), "c", &["data.set=mnist", "data.root=empty"]);
    says(
        &empty,
        3,
        &["looked in `empty/mnist`", "a copy lies in `data/mnist`"],
    );
    let list = ["data", "verify", "mnist"];
    let variable = Run::new(list)
        .dir(folder.path())
        .env("BIORULE_DATA", "gone")
        .finish();
    says(
        &variable,
        3,
        &["`gone` is not there (named by `BIORULE_DATA`)"],
    );
    folder.write("npz/mnist/mnist.npz", b"x");
    let other = train_in(folder.path(), "d", &["data.set=mnist", "data.root=npz"]);
    says(&other, 3, &["mnist.npz", "data.set = \"arrays\""]);
    let own = train_in(folder.path(), "e", &["data.set=folder"]);
    says(&own, 2, &["needs `data.root`"]);
}

#[test]
fn a_run_goes_on_only_with_the_data_it_started_with() {
    let folder = Folder::new();
    idx_files(&folder, "d", (6, 6), &[0, 1, 2]);
    let sets = ["data.set=idx", "data.root=d"];
    says(&train(folder.path(), &sets), 0, &[]);
    let run = folder.path().join("run/run.json");
    let record = std::fs::read_to_string(&run).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["data"][0]["files"].as_array().unwrap().len(), 4);
    // As after a stop: the run has not ended.
    record["exit_reason"] = serde_json::Value::Null;
    std::fs::write(&run, record.to_string()).unwrap();
    says(&train(folder.path(), &sets), 0, &[]);
    record["exit_reason"] = serde_json::Value::Null;
    std::fs::write(&run, record.to_string()).unwrap();
    idx_files(&folder, "d", (6, 6), &[2, 1, 0]);
    says(
        &train(folder.path(), &sets),
        3,
        &["the data has changed", "labels-idx1-ubyte"],
    );
}

#[test]
fn damaged_files_are_called_what_they_are_by_train_and_verify() {
    let whole = Folder::new();
    idx_files(&whole, "mnist", (28, 28), &[0, 1, 2]);
    let read = |name: &str| std::fs::read(whole.path().join("mnist").join(name)).unwrap();
    let images = read("train-images-idx3-ubyte");
    let labels = read("train-labels-idx1-ubyte.gz");
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("train-images-idx3-ubyte", images[..5000].to_vec(), "5000"),
        (
            "train-images-idx3-ubyte",
            b"<!DOCTYPE html>503".to_vec(),
            "an HTML page",
        ),
        ("train-images-idx3-ubyte", Vec::new(), "an empty file"),
        (
            "train-images-idx3-ubyte",
            b"PK\x03\x04abcd".to_vec(),
            "a zip archive",
        ),
        ("train-labels-idx1-ubyte.gz", gz(&labels), "gzip in gzip"),
        (
            "train-labels-idx1-ubyte.gz",
            labels[..labels.len() - 9].to_vec(),
            "was cut",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            b"{\"message\": \"no\"}".to_vec(),
            "a JSON message",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            read("t10k-labels-idx1-ubyte.gz"),
            "labels of the test part",
        ),
    ];
    for (at, (name, bytes, what)) in cases.into_iter().enumerate() {
        let folder = Folder::new();
        idx_files(&folder, "mnist", (28, 28), &[0, 1, 2]);
        folder.write(&format!("mnist/{name}"), &bytes);
        let what = if what == "5000" { "4984 bytes" } else { what };
        let run = format!("run{at}");
        let ran = train_in(folder.path(), &run, &["data.set=mnist", "data.root=."]);
        says(&ran, 3, &[name, what]);
        let verify = biorule(folder.path(), &["data", "verify", "mnist", "--root", "."]);
        says(&verify, 3, &[name, what]);
    }
}
