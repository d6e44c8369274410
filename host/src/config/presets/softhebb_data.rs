//! SoftHebb's data presets: a data set or a part of it with epochs and batch
//! sizes, named as in the authors' `presets.json`.

use std::fmt::Write as _;

use super::Preset;

/// Name, epochs, batch, batch of evaluations, epochs between evaluations, and
/// what is special: `n=` that many samples, `class=` only that class, `zca`
/// whitened, `noise=` Gaussian noise of that deviation, `augment` crop and
/// flip, `px=` other size of pictures, or the name of a split.
pub type Row = (&'static str, u64, usize, usize, u64, &'static str);

/// All data presets.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    ("MNIST", 100, 64, 1000, 50, ""),
    ("MNIST_100aug", 100, 64, 1000, 50, "noise=1"),
    ("MNIST_1aug", 1, 32, 1000, 50, "noise=0"),
    ("MNIST_1-1", 1, 1, 1000, 1, ""),
    ("MNIST_1-10", 1, 5, 1000, 1, ""),
    ("MNIST_1-32", 1, 32, 1000, 1, ""),
    ("MNIST_1c", 2, 64, 1000, 1, "n=59000 class=1"),
    ("MNIST_2", 2, 10, 1000, 1, ""),
    ("MNIST_5", 5, 32, 1000, 1, ""),
    ("MNIST_10", 10, 32, 1000, 5, ""),
    ("MNIST_20", 20, 64, 1000, 5, ""),
    ("MNIST_50", 50, 64, 1000, 10, ""),
    ("FashionMNIST", 100, 64, 1000, 50, ""),
    ("CIFAR10", 50, 64, 1000, 10, ""),
    ("CIFAR10_2", 2, 10, 1000, 50, ""),
    ("CIFAR10_10", 10, 10, 1000, 50, ""),
    ("CIFAR10_20", 20, 10, 1000, 10, ""),
    ("CIFAR10_50", 50, 64, 1000, 10, ""),
    ("CIFAR10_70", 70, 64, 1000, 10, ""),
    ("CIFAR10_100", 100, 64, 1000, 10, ""),
    ("CIFAR10_1000", 1000, 64, 1000, 10, ""),
    ("CIFAR10_1", 1, 10, 1000, 10, ""),
    ("CIFAR10_1-50", 1, 50, 1000, 10, ""),
    ("CIFAR10_1-1", 1, 1, 1000, 10, ""),
    ("CIFAR10_1c", 50, 64, 1000, 10, "class=8"),
    ("CIFAR10_1c0", 10, 64, 1000, 10, "n=5000 class=0"),
    ("CIFAR10_1c1", 10, 64, 1000, 10, "n=5000 class=1"),
    ("CIFAR10_1c2", 10, 64, 1000, 10, "n=5000 class=2"),
    ("CIFAR10_1c3", 10, 64, 1000, 10, "n=5000 class=3"),
    ("CIFAR10_1c4", 10, 64, 1000, 10, "n=5000 class=4"),
    ("CIFAR10_1c5", 10, 64, 1000, 10, "n=5000 class=5"),
    ("CIFAR10_1c6", 10, 64, 1000, 10, "n=5000 class=6"),
    ("CIFAR10_1c7", 10, 64, 1000, 10, "n=5000 class=7"),
    ("CIFAR10_1c8", 10, 64, 1000, 10, "n=5000 class=8"),
    ("CIFAR10_1c9", 10, 64, 1000, 10, "n=5000 class=9"),
    ("CIFAR10_1p", 500, 10, 1000, 50, "n=500"),
    ("CIFAR10_1p100e", 100, 10, 1000, 50, "n=500"),
    ("CIFAR10_2p", 250, 10, 1000, 50, "n=1000 augment"),
    ("CIFAR10_5p", 100, 10, 1000, 50, "n=5000 augment"),
    ("CIFAR10_10p", 10, 10, 1000, 10, "n=5000"),
    ("CIFAR10_zca", 10, 64, 1000, 10, "zca"),
    ("CIFAR10_50zca", 50, 64, 1000, 10, "zca"),
    ("CIFAR10_100zca", 100, 64, 1000, 10, "zca"),
    ("CIFAR10_1zca", 1, 32, 1000, 10, "zca"),
    ("CIFAR10_zca100", 100, 64, 1000, 10, "zca"),
    ("CIFAR10_zca50", 50, 64, 1000, 10, "zca"),
    ("CIFAR10_zca1", 1, 64, 1000, 10, "zca"),
    ("CIFAR100", 100, 64, 1000, 10, ""),
    ("CIFAR100_2", 2, 10, 1000, 50, ""),
    ("CIFAR100_5", 5, 10, 1000, 10, ""),
    ("CIFAR100_10", 10, 10, 1000, 10, ""),
    ("CIFAR100_20", 20, 32, 1000, 10, ""),
    ("CIFAR100_50", 50, 64, 1000, 10, ""),
    ("CIFAR100_70", 70, 64, 1000, 10, ""),
    ("CIFAR100_100", 100, 64, 1000, 10, ""),
    ("CIFAR100_1000", 1000, 64, 1000, 10, ""),
    ("CIFAR100_1", 1, 10, 1000, 50, ""),
    ("CIFAR100_1-50", 1, 50, 1000, 50, ""),
    ("CIFAR100_1c", 100, 64, 1000, 10, "class=8"),
    ("CIFAR100_1p", 500, 10, 1000, 50, "n=500"),
    ("CIFAR100_2p", 250, 10, 1000, 50, "n=1000 augment"),
    ("CIFAR100_5p", 100, 10, 1000, 50, "n=5000 augment"),
    ("CIFAR100_10p", 10, 10, 1000, 10, "n=5000"),
    ("CIFAR100_zca", 10, 64, 1000, 10, "zca"),
    ("CIFAR100_50zca", 50, 64, 1000, 10, "zca"),
    ("CIFAR100_100zca", 100, 64, 1000, 10, "zca"),
    ("CIFAR100_1zca", 1, 32, 1000, 10, "zca"),
    ("CIFAR100_zca100", 100, 64, 1000, 10, "zca"),
    ("CIFAR100_zca50", 50, 64, 1000, 10, "zca"),
    ("CIFAR100_zca1", 1, 64, 1000, 10, "zca"),
    ("STL10", 100, 64, 64, 25, ""),
    ("STL10_aug", 100, 64, 64, 10, "augment"),
    ("STL10_10", 10, 64, 64, 10, ""),
    ("STL10_50", 50, 32, 32, 10, ""),
    ("STL10_50aug", 50, 64, 64, 10, "augment"),
    ("STL10_100aug", 100, 64, 64, 10, "augment"),
    ("STL10_200aug", 200, 64, 64, 50, "augment"),
    ("STL10_500aug", 500, 64, 64, 100, "augment"),
    ("STL10_1", 1, 32, 32, 1, ""),
    ("STL10_unlabel", 1, 32, 32, 25, "unlabeled"),
    ("STL10_unlabel-10", 10, 32, 32, 25, "unlabeled"),
    ("STL10_train+unlabel", 50, 32, 32, 25, "augment train+unlabeled"),
    ("ImageNet", 100, 100, 100, 10, ""),
    ("ImageNet_50", 50, 32, 32, 10, ""),
    ("ImageNet_200aug160", 200, 32, 32, 10, "augment px=160"),
    ("ImageNet_1160", 1, 10, 10, 10, "n=128116 augment px=160"),
    ("ImageNet_1", 1, 10, 10, 10, "n=128116"),
    ("ImageNet_200aug", 200, 32, 32, 50, "augment"),
    ("ImageNetV2MatchedFrequency", 100, 100, 100, 10, ""),
    ("ImageNetV2MatchedFrequency_200aug160", 200, 32, 32, 10, "augment px=160"),
    ("ImageNetV2MatchedFrequency_160", 100, 32, 32, 10, "px=160"),
    ("ImageNetV2Threshold07", 100, 100, 100, 10, ""),
    ("ImageNetV2Threshold07_200aug160", 200, 32, 32, 10, "augment px=160"),
    ("ImageNetV2Threshold07_160", 100, 32, 32, 10, "px=160"),
    ("ImageNetV2TopImages", 100, 100, 100, 10, ""),
    ("ImageNetV2TopImages_200aug160", 200, 32, 32, 10, "augment px=160"),
    ("ImageNetV2TopImages_160", 100, 32, 32, 10, "px=160"),
    ("ImageNette", 100, 100, 100, 10, ""),
    ("ImageNette_50", 50, 32, 32, 10, ""),
    ("ImageNette_10", 10, 32, 32, 10, ""),
    ("ImageNette_10+250px", 10, 32, 32, 10, "px=250"),
    ("ImageNette_20", 20, 32, 32, 10, ""),
    ("ImageNette_40", 40, 32, 32, 10, ""),
    ("ImageNette_200aug", 200, 32, 32, 50, "augment"),
    ("ImageNette_200aug+250px", 200, 32, 32, 50, "augment px=250"),
    ("ImageNette_100aug", 100, 64, 64, 20, "augment"),
    ("ImageNette_1", 1, 10, 10, 10, ""),
    ("ImageNette_5", 5, 32, 32, 10, ""),
];

/// Family as named there, our name of the set.
const SETS: &[(&str, &str)] = &[
    ("MNIST", "mnist"),
    ("FashionMNIST", "fashion-mnist"),
    ("CIFAR10", "cifar10"),
    ("CIFAR100", "cifar100"),
    ("STL10", "stl10"),
    ("ImageNet", "imagenet"),
    ("ImageNette", "imagenette"),
    (
        "ImageNetV2MatchedFrequency",
        "imagenet-v2-matched-frequency",
    ),
    ("ImageNetV2Threshold07", "imagenet-v2-threshold07"),
    ("ImageNetV2TopImages", "imagenet-v2-top-images"),
];

/// Channel constants and smoothing of whitened CIFAR (SoftHebb, `dataset.py`).
const WHITENED: &str = "normalize = \"standard\"\nmean = [0.4914, 0.48216, 0.44653]\n\
     std = [0.247, 0.2434, 0.2616]\nwhiten = 0.1";

/// Whether a row serves phases of this role: a read-out cannot learn from one class.
fn serves(role: &str, row: &Row) -> bool {
    role == "local" || !row.5.contains("class=")
}

/// The presets, twice each: for local and for gradient phases.
pub(super) fn list() -> impl Iterator<Item = Preset> {
    ["local", "gradient"].into_iter().flat_map(|role| {
        let rows = ROWS.iter().filter(move |row| serves(role, row));
        rows.map(move |row| {
            let (name, epochs, batch, _, _, special) = row;
            let special = match *special {
                "" => String::new(),
                words => format!(", {words}"),
            };
            Preset {
                name: format!("softhebb/{role}/{name}"),
                doc: format!(
                    "{role} phases on {}: {epochs} epochs, batch {batch}{special}",
                    set(row).unwrap_or("?")
                ),
            }
        })
    })
}

/// The TOML text of the preset `local/NAME` or `gradient/NAME`.
pub(super) fn text(short: &str) -> Option<String> {
    let (role, name) = short.split_once('/')?;
    let row = row(name).filter(|row| serves(role, row))?;
    match role {
        "local" => Some(local_data(row, None)? + &local_phases(row, None)),
        "gradient" => Some(main_data(row)? + &gradient_phases(row)),
        _ => None,
    }
}

/// The data of a network preset, from the names of its two data presets.
pub(super) fn top(local: &str, gradient: &str) -> Option<String> {
    let gradient = row(gradient)?;
    Some(main_data(gradient)? + &local_data(row(local)?, Some(gradient))?)
}

/// The training of a network preset, below `[training]`.
pub(super) fn training(local: &str, gradient: &str) -> Option<String> {
    let gradient = row(gradient)?;
    Some(local_phases(row(local)?, Some(gradient)) + &gradient_phases(gradient))
}

fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.0 == name)
}

fn set(row: &Row) -> Option<&'static str> {
    let family = row.0.split('_').next()?;
    SETS.iter().find(|s| s.0 == family).map(|s| s.1)
}

/// Whether local phases need a data set of their own beside that of `gradient`,
/// or beside a plain one where that is not known. Whether samples are augmented
/// is a matter of the phase; how, of the data.
fn is_own(local: &Row, gradient: Option<&Row>) -> bool {
    let same = |word: &str| gradient.is_some_and(|g| g.5.split_whitespace().any(|w| w == word));
    let other_set = gradient.is_some_and(|g| set(g) != set(local));
    let fewer = gradient.is_some_and(|g| {
        g.5.split_whitespace()
            .any(|w| w != "augment" && !local.5.contains(w))
    });
    other_set || fewer || local.5.split_whitespace().any(|word| !same(word))
}

fn main_data(row: &Row) -> Option<String> {
    Some(format!("\n[data]\n{}", describe(row)?))
}

fn local_data(row: &Row, gradient: Option<&Row>) -> Option<String> {
    if is_own(row, gradient) {
        return Some(format!("\n[extra_data.local]\n{}", describe(row)?));
    }
    Some(String::new())
}

fn describe(row: &Row) -> Option<String> {
    let imagenet = row.0.starts_with("ImageNet");
    let mut text = format!("set = \"{}\"\n", set(row)?);
    if imagenet {
        text.push_str(
            "normalize = \"standard\"\nmean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\n",
        );
    }
    // A class is taken whole; its number of samples needs no limit.
    let class = row.5.contains("class=");
    for word in row
        .5
        .split_whitespace()
        .filter(|w| !(class && w.starts_with("n=")))
    {
        write_special(&mut text, word, imagenet);
    }
    Some(text)
}

/// One special word as settings of a data set.
fn write_special(text: &mut String, word: &str, imagenet: bool) {
    let _ = match word.split_once('=') {
        Some(("n", n)) => writeln!(text, "limit_train = {n}"),
        Some(("class", class)) => writeln!(text, "classes = [{class}]"),
        Some(("noise", deviation)) => writeln!(text, "augment = {{ noise = {deviation}.0 }}"),
        Some(("px", px)) => writeln!(text, "resize = [{px}, {px}]"),
        // What the source means to do (softhebb.md 4.4); there it does not run.
        _ if word == "zca" => writeln!(text, "{WHITENED}"),
        // The random resized crop of ImageNet has no counterpart yet.
        _ if word == "augment" && imagenet => writeln!(text, "augment = {{ flip = 0.5 }}"),
        _ if word == "augment" => writeln!(
            text,
            "augment = {{ flip = 0.5, crop = 4, padding = \"reflect\" }}"
        ),
        _ => writeln!(text, "options = {{ split = \"{word}\" }}"),
    };
}

fn local_phases(row: &Row, gradient: Option<&Row>) -> String {
    let mut text = String::from("\n[training.local]\n");
    if is_own(row, gradient) {
        text.push_str("data = \"local\"\n");
    }
    write_phase(&mut text, row);
    text
}

fn gradient_phases(row: &Row) -> String {
    let mut text = String::from("\n[training.gradient]\n");
    write_phase(&mut text, row);
    let _ = writeln!(text, "evaluate_every = {}", row.4);
    text.push_str("optimizer = { kind = \"adam\", lr = 0.001 }\nschedule = \"softhebb\"\n");
    text
}

fn write_phase(text: &mut String, row: &Row) {
    let _ = writeln!(text, "epochs = {}\nbatch = {}", row.1, row.2);
    if row
        .5
        .split_whitespace()
        .any(|w| w == "augment" || w.starts_with("noise"))
    {
        text.push_str("augment = true\n");
    }
}
