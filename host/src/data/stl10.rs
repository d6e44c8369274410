//! STL-10 in the authors' binary layout (Coates, Ng and Lee 2011): 96x96 colour pictures as three planes,
//! each stored column by column, and labels from 1 to 10. `data.options.split` takes the 5,000 labelled
//! pictures, the 100,000 without labels or both for training, `data.options.fold` one of the ten given
//! choices of 1,000. Pixels are brought into rows once and kept in the cache folder, mapped, so that the
//! part without labels takes no memory of its own.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::bytes::Bytes;
use super::classes::LEFT_OUT;
use super::dataset::{Dataset, Provenance, Shape, Split, Targets, Values};
use super::digest;
use super::prepared::{self, Head};
use super::read::damaged;
use super::set::{Layout, SetInfo, Setting, Source};
use crate::text::hex;
use crate::{Error, ExitCode, Result};

/// Pixels on a side.
const SIDE: usize = 96;
/// Bytes of a picture.
const PIXELS: usize = 3 * SIDE * SIDE;
/// Pictures that are in memory at a time while they are prepared.
const PART: usize = 256;
/// Folder in the archive.
const FOLDER: &str = "stl10_binary";
/// The archive.
const ARCHIVE: &str = "stl10_binary.tar.gz";

const NAMES: [&str; 10] = [
    "airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck",
];

/// Choices of 1,000 training pictures.
const FOLDS: usize = 10;

/// The registry's entry.
pub(crate) const STL10: SetInfo = SetInfo {
    name: "stl10",
    summary: "photographs of 10 kinds of thing, 96x96 colour, and 100,000 without labels (Coates 2011)",
    licence: "pictures of ImageNet: research only",
    shape: Shape::new(3, SIDE, SIDE),
    classes: 10,
    train: 5_000,
    test: 8_000,
    mean: &[0.4467, 0.4398, 0.4066],
    std: &[0.2603, 0.2566, 0.2713],
    files: &[super::set::FileInfo {
        name: ARCHIVE,
        bytes: 2_640_397_119,
        md5: "91f7769df0f17e558f3565bffb0c7dfb",
        sha256: "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
        also: &[],
    }],
    mirrors: &["http://ai.stanford.edu/~acoates/stl10/"],
    folders: &["stl10", "stl-10", "STL10", ""],
    markers: &[FOLDER, "train_X.bin", "test_X.bin", ARCHIVE],
    layout: Layout::Stl,
    load,
    settings: &[
        Setting::new(
            "split",
            "\"train\"",
            "training samples: `train`, `unlabeled` (for phases that need no labels) or `train+unlabeled`",
        ),
        Setting::new(
            "fold",
            "",
            "one of the ten choices of 1,000 labelled training samples, 0 to 9; absent: all",
        ),
    ],
};

/// Which samples are trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Part {
    #[default]
    #[serde(rename = "train")]
    Train,
    #[serde(rename = "unlabeled")]
    Unlabeled,
    #[serde(rename = "train+unlabeled")]
    Both,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    split: Part,
    fold: Option<usize>,
}

fn options(source: &Source<'_>) -> Result<Options> {
    let options: Options = source.options.clone().try_into().map_err(|e: toml::de::Error| {
        Error::usage(format!("`data.options` of `stl10`: {}", e.message()))
            .hint("known options: `split` (`train`, `unlabeled`, `train+unlabeled`) and `fold` (0 to 9)")
    })?;
    if let Some(fold) = options.fold {
        if fold >= FOLDS {
            return Err(Error::usage(format!(
                "`data.options.fold` is {fold}, expected 0 to 9"
            )));
        }
        if options.split != Part::Train {
            return Err(
                Error::usage("`data.options.fold` is one of the labelled samples")
                    .hint("leave out `split`, or `fold`"),
            );
        }
    }
    Ok(options)
}

/// Checks `[data.options]` without reading anything.
///
/// # Errors
/// Usage errors that name the option.
pub(crate) fn check(table: &toml::Table) -> Result<()> {
    let source = Source {
        set: &STL10,
        folder: Path::new(""),
        options: table,
    };
    options(&source).map(|_| ())
}

/// Where the files are.
enum Place {
    Folder(PathBuf),
    Archive(PathBuf),
}

fn place(root: &Path) -> Place {
    for folder in [root.join(FOLDER), root.to_path_buf()] {
        if ["train_X.bin", "test_X.bin"]
            .iter()
            .any(|n| folder.join(n).is_file())
        {
            return Place::Folder(folder);
        }
    }
    let archive = root.join(ARCHIVE);
    match archive.is_file() {
        true => Place::Archive(archive),
        false => Place::Folder(root.join(FOLDER)),
    }
}

/// The files that are read, of the training part without labels only where it is asked for.
pub(crate) fn files(root: &Path, options: &toml::Table) -> Vec<PathBuf> {
    let split = options
        .get("split")
        .and_then(toml::Value::as_str)
        .unwrap_or("train");
    match place(root) {
        Place::Archive(path) => vec![path],
        Place::Folder(folder) => {
            let mut names = Vec::new();
            if split != "unlabeled" {
                names.extend(["train_X.bin", "train_y.bin"]);
            }
            if split != "train" {
                names.push("unlabeled_X.bin");
            }
            names.extend(["test_X.bin", "test_y.bin"]);
            let paths = names.into_iter().map(|name| folder.join(name));
            paths.filter(|path| path.is_file()).collect()
        }
    }
}

/// Samples of each part by the lengths of the files; those of an archive are not known.
pub(crate) fn counts(root: &Path) -> [Option<usize>; 2] {
    let Place::Folder(folder) = place(root) else {
        return [None, None];
    };
    ["train_X.bin", "test_X.bin"].map(|name| {
        let bytes = fs::metadata(folder.join(name)).ok()?.len() as usize;
        bytes.is_multiple_of(PIXELS).then_some(bytes / PIXELS)
    })
}

/// Names of the classes.
pub(crate) fn class_names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

fn load(source: &Source<'_>, split: Split) -> Result<Dataset> {
    let options = options(source)?;
    let at = place(source.folder);
    let parts: &[&str] = match (split, options.split) {
        (Split::Test, _) => &["test"],
        (Split::Train, Part::Train) => &["train"],
        (Split::Train, Part::Unlabeled) => &["unlabeled"],
        (Split::Train, Part::Both) => &["train", "unlabeled"],
    };
    let (head, mut bytes) = prepare(&at, parts)?;
    let mut labels = head.labels;
    let published: usize = parts
        .iter()
        .map(|part| match *part {
            "train" => 5_000,
            "test" => 8_000,
            _ => 100_000,
        })
        .sum();
    let mut note = (labels.len() != published).then(|| {
        format!(
            "`stl10` ({split}) has {} samples here, published are {published}",
            labels.len()
        )
    });
    if let (Some(fold), Split::Train) = (options.fold, split) {
        let chosen = fold_of(&at, fold, labels.len())?;
        let mut kept = Vec::with_capacity(chosen.len() * PIXELS);
        for &i in &chosen {
            kept.extend_from_slice(&bytes[i * PIXELS..(i + 1) * PIXELS]);
        }
        labels = chosen.iter().map(|i| labels[*i]).collect();
        bytes = Bytes::from(kept);
        note = note.or(Some(format!(
            "fold {fold} of the training part: {} samples",
            labels.len()
        )));
    }
    let targets = Targets::Labels {
        labels,
        classes: NAMES.len(),
        names: class_names(),
    };
    let path = match &at {
        Place::Folder(path) | Place::Archive(path) => path.clone(),
    };
    let set = Dataset::new(
        source.set.name,
        split,
        source.set.shape,
        Values::Bytes {
            data: bytes,
            white: 255,
        },
        targets,
        Provenance::File { path },
    )?;
    Ok(match note {
        Some(note) => set.noted(note),
        None => set,
    })
}

fn missing(name: &str, folder: &Path) -> Error {
    Error::data(format!(
        "data set `stl10` is incomplete: `{name}` is not in `{}`",
        folder.display()
    ))
    .hint("`biorule data fetch stl10` downloads what is missing")
}

/// Pixels in rows and labels of `parts`, one after another.
fn prepare(at: &Place, parts: &[&str]) -> Result<(Head, Bytes)> {
    let sources: Vec<PathBuf> = match at {
        Place::Archive(path) => vec![path.clone()],
        Place::Folder(folder) => {
            let mut all = Vec::new();
            for part in parts {
                for name in names(part) {
                    let path = folder.join(&name);
                    if !path.is_file() {
                        return Err(missing(&name, folder));
                    }
                    all.push(path);
                }
            }
            all
        }
    };
    let mut key = format!("stl10 {}\n", parts.join("+"));
    let mut bytes = 0;
    for path in &sources {
        let (length, time) =
            digest::stamp(path).map_err(|e| Error::io(ExitCode::Data, path, &e))?;
        let time = digest::nanoseconds(time);
        key.push_str(&format!("{} {length} {time}\n", digest::absolute(path)));
        bytes += length;
    }
    // Of one place and one choice of parts there is one file.
    let which = format!("{} {}", digest::absolute(&sources[0]), parts.join("+"));
    let name = format!("stl10-{}", &hex(&Sha256::digest(which.as_bytes()))[..16]);
    let key = hex(&Sha256::digest(key.as_bytes()));
    if let Some(found) = prepared::get(&name, &key) {
        return Ok(found);
    }
    prepared::put(&name, &key, bytes, &mut |to| {
        let mut head = Head {
            source_bytes: bytes,
            ..Head::default()
        };
        for part in parts {
            let count = each(at, &format!("{part}_X.bin"), &mut |path, from| {
                pixels(path, from, to)
            })?;
            match *part {
                "unlabeled" => head.labels.extend(std::iter::repeat_n(LEFT_OUT, count)),
                part => {
                    let name = format!("{part}_y.bin");
                    let mut labels = Vec::new();
                    let read = each(at, &name, &mut |path, from| {
                        labels = read_labels(path, from)?;
                        Ok(labels.len())
                    })?;
                    if read != count {
                        let path = match at {
                            Place::Folder(path) | Place::Archive(path) => path.join(name),
                        };
                        return Err(damaged(&path, format!("{count} labels"), format!("{read}")));
                    }
                    head.labels.extend(labels);
                }
            }
        }
        Ok(head)
    })
}

/// The files of a part.
fn names(part: &str) -> Vec<String> {
    match part {
        "unlabeled" => vec![format!("{part}_X.bin")],
        part => vec![format!("{part}_X.bin"), format!("{part}_y.bin")],
    }
}

/// Hands the file `name` to `read`, from the folder or out of the archive.
fn each(
    at: &Place,
    name: &str,
    read: &mut dyn FnMut(&Path, &mut dyn Read) -> Result<usize>,
) -> Result<usize> {
    match at {
        Place::Folder(folder) => {
            let path = folder.join(name);
            let file = File::open(&path).map_err(|e| Error::io(ExitCode::Data, &path, &e))?;
            read(&path, &mut BufReader::with_capacity(1 << 20, file))
        }
        Place::Archive(archive) => {
            let broken = |e: std::io::Error| {
                damaged(archive, "a whole .tar.gz", super::read::stream_error(&e))
            };
            let file = File::open(archive).map_err(|e| Error::io(ExitCode::Data, archive, &e))?;
            let unzipped = flate2::read::GzDecoder::new(BufReader::with_capacity(1 << 20, file));
            let mut tar = tar::Archive::new(unzipped);
            for entry in tar.entries().map_err(broken)? {
                let mut entry = entry.map_err(broken)?;
                let path = entry.path().map_err(broken)?.into_owned();
                if path.file_name().is_some_and(|own| own == name) {
                    return read(&archive.join(&path), &mut entry);
                }
            }
            Err(missing(name, archive))
        }
    }
}

/// Reads until `buffer` is full or the file ends; the bytes read.
fn fill(path: &Path, from: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match from.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io(ExitCode::Data, path, &e)),
        }
    }
    Ok(have)
}

/// Writes the pictures of a file to `to`, in rows; how many there are.
fn pixels(path: &Path, from: &mut dyn Read, to: &mut dyn Write) -> Result<usize> {
    let mut columns = vec![0; PART * PIXELS];
    let mut rows = vec![0; PART * PIXELS];
    let mut count = 0;
    loop {
        let have = fill(path, from, &mut columns)?;
        if !have.is_multiple_of(PIXELS) {
            let expected = format!("pictures of {PIXELS} bytes");
            let found = format!("{} bytes too many or too few", have % PIXELS);
            return Err(damaged(path, expected, found));
        }
        let planes = columns[..have].chunks_exact(SIDE * SIDE);
        for (to, from) in rows.chunks_exact_mut(SIDE * SIDE).zip(planes) {
            turn(from, to);
        }
        prepared::add(to, &rows[..have])?;
        count += have / PIXELS;
        if have < columns.len() {
            return Ok(count);
        }
    }
}

/// A plane stored column by column, row by row.
fn turn(columns: &[u8], rows: &mut [u8]) {
    for (r, row) in rows.chunks_exact_mut(SIDE).enumerate() {
        for (c, pixel) in row.iter_mut().enumerate() {
            *pixel = columns[c * SIDE + r];
        }
    }
}

/// Labels from 0.
fn read_labels(path: &Path, from: &mut dyn Read) -> Result<Vec<u32>> {
    let mut bytes = Vec::new();
    from.take(1 << 24)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(ExitCode::Data, path, &e))?;
    let label = |(at, byte): (usize, &u8)| match byte {
        1..=10 => Ok(u32::from(*byte) - 1),
        other => Err(damaged(
            path,
            "labels from 1 to 10",
            format!("{other} of sample {at}"),
        )),
    };
    bytes.iter().enumerate().map(label).collect()
}

/// Positions of the samples of a fold.
fn fold_of(at: &Place, fold: usize, count: usize) -> Result<Vec<usize>> {
    let mut text = String::new();
    let mut whole = PathBuf::new();
    each(at, "fold_indices.txt", &mut |path, from| {
        whole = path.to_owned();
        from.take(1 << 20)
            .read_to_string(&mut text)
            .map_err(|e| Error::io(ExitCode::Data, path, &e))
    })
    .map_err(|e| e.or_hint("the folds are in `fold_indices.txt` beside the pictures"))?;
    let line = text.lines().nth(fold).unwrap_or_default();
    let position = |word: &str| {
        let found = word.parse::<usize>().ok().filter(|i| *i < count);
        found.ok_or_else(|| {
            damaged(
                &whole,
                format!("positions below {count}"),
                format!("`{word}`"),
            )
        })
    };
    let chosen = line
        .split_whitespace()
        .map(position)
        .collect::<Result<Vec<usize>>>()?;
    match chosen.is_empty() {
        true => Err(damaged(
            &whole,
            "ten lines of positions",
            format!("{} lines", text.lines().count()),
        )),
        false => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataFolders;
    use crate::data::published;

    /// Picture `n`: pixel (row, column) of channel c is `n + 3·row + 5·column + 7·c`, modulo 256.
    fn picture(n: usize) -> Vec<u8> {
        let mut bytes = vec![0; PIXELS];
        for c in 0..3 {
            for row in 0..SIDE {
                for column in 0..SIDE {
                    let value = (n + 3 * row + 5 * column + 7 * c) as u8;
                    bytes[c * SIDE * SIDE + column * SIDE + row] = value;
                }
            }
        }
        bytes
    }

    fn write(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        let all = |from: usize, n: usize| (from..from + n).flat_map(picture).collect::<Vec<u8>>();
        fs::write(folder.join("train_X.bin"), all(0, 3)).unwrap();
        fs::write(folder.join("train_y.bin"), [1, 10, 4]).unwrap();
        fs::write(folder.join("test_X.bin"), all(50, 2)).unwrap();
        fs::write(folder.join("test_y.bin"), [2, 2]).unwrap();
        fs::write(folder.join("unlabeled_X.bin"), all(100, 4)).unwrap();
        fs::write(folder.join("fold_indices.txt"), "0 1\n2 0\n").unwrap();
    }

    fn read(root: &Path, split: Split, options: &str) -> Result<Dataset> {
        let options: toml::Table = options.parse().unwrap();
        published::load("stl10", split, &DataFolders::only([root]), &options)
    }

    fn pixel(set: &Dataset, sample: usize, c: usize, row: usize, column: usize) -> u8 {
        let bytes = set.values().bytes_of(sample, PIXELS).unwrap().unwrap();
        bytes[c * SIDE * SIDE + row * SIDE + column]
    }

    #[test]
    fn columns_become_rows_and_labels_count_from_zero() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join(FOLDER));
        let train = read(dir.path(), Split::Train, "").unwrap();
        assert_eq!(train.labels(), [0, 9, 3]);
        assert_eq!(pixel(&train, 1, 2, 10, 20), (1 + 30 + 100 + 14) as u8);
        assert!(train.notes()[0].contains("published are 5000"));
        let test = read(dir.path(), Split::Test, "").unwrap();
        assert_eq!((test.len(), pixel(&test, 0, 0, 0, 1)), (2, 55));
        assert_eq!(counts(dir.path()), [Some(3), Some(2)]);
    }

    #[test]
    fn splits_and_folds_choose_the_training_samples() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        let without = read(dir.path(), Split::Train, "split = \"unlabeled\"").unwrap();
        assert_eq!(without.labels(), [LEFT_OUT; 4]);
        assert_eq!(pixel(&without, 3, 0, 0, 0), 103);
        let both = read(dir.path(), Split::Train, "split = \"train+unlabeled\"").unwrap();
        assert_eq!(both.len(), 7);
        assert_eq!(both.labels()[..4], [0, 9, 3, LEFT_OUT]);
        let fold = read(dir.path(), Split::Train, "fold = 1").unwrap();
        assert_eq!(fold.labels(), [3, 0]);
        assert_eq!(pixel(&fold, 0, 0, 0, 0), 2);
        for wrong in [
            "split = \"test\"",
            "fold = 10",
            "fold = 1\nsplit = \"unlabeled\"",
            "x = 1",
        ] {
            let e = read(dir.path(), Split::Train, wrong).unwrap_err();
            assert_eq!(e.code, ExitCode::Usage, "{wrong}: {e}");
        }
    }

    #[test]
    fn damaged_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        let damage = |name: &str, bytes: &[u8], part: Split, told: &str| {
            let path = dir.path().join(name);
            let good = fs::read(&path).unwrap();
            fs::write(&path, bytes).unwrap();
            let e = read(dir.path(), part, "").unwrap_err();
            assert_eq!(e.code, ExitCode::Data);
            assert!(e.text.contains(name) && e.text.contains(told), "{e}");
            fs::write(&path, good).unwrap();
        };
        damage("train_y.bin", &[1, 2], Split::Train, "3 labels");
        damage("train_y.bin", &[1, 11, 2], Split::Train, "11 of sample 1");
        damage("test_X.bin", &[0; 100], Split::Test, "27648");
        fs::remove_file(dir.path().join("unlabeled_X.bin")).unwrap();
        let e = read(dir.path(), Split::Train, "split = \"unlabeled\"").unwrap_err();
        assert!(e.text.contains("unlabeled_X.bin"), "{e}");
    }

    #[test]
    fn the_archive_gives_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        write(&plain.join(FOLDER));
        let packed = dir.path().join("packed");
        fs::create_dir_all(&packed).unwrap();
        let out = File::create(packed.join(ARCHIVE)).unwrap();
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
            out,
            flate2::Compression::fast(),
        ));
        tar.append_dir_all(FOLDER, plain.join(FOLDER)).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        for split in ["train", "unlabeled"] {
            let options = format!("split = \"{split}\"");
            let [a, b] = [&plain, &packed].map(|root| read(root, Split::Train, &options).unwrap());
            assert_eq!(a.values(), b.values());
            assert_eq!(a.labels(), b.labels());
        }
    }
}
