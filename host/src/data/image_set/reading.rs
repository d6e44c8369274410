//! Reads a set: lists its folders, decodes its pictures to the wanted size, keeps them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::places::{IMAGENETTE_NAMES, inner, is_test_alone};
use crate::data::dataset::{Dataset, Provenance, Shape, Split, Targets, Values};
use crate::data::digest;
use crate::data::own::picture;
use crate::data::pictures::Pictures;
use crate::data::prepared::{self, Head, Size};
use crate::data::record::FileRecord;
use crate::data::resize;
use crate::data::set::{SetInfo, Source};
use crate::plan::{DataPlan, ResizeMethod};
use crate::text::hex;
use crate::{Error, ExitCode, Result};

/// Endings of pictures' names.
const PICTURES: [&str; 3] = ["jpeg", "jpg", "png"];
/// Pictures decoded at a time.
const PART: usize = 256;
/// GiB of decoded pictures by default.
const DECODED: f64 = 64.0;
/// Bytes of a decoded picture of ImageNet, nearly always more than this.
const LEAST: u64 = 60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    decoded: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { decoded: DECODED }
    }
}

impl Options {
    fn read(set: &SetInfo, table: &toml::Table) -> Result<Self> {
        let wrong = |what: String| {
            Error::usage(format!("`data.options` of `{}`: {what}", set.name))
                .hint("known options: `decoded` (GiB)")
        };
        let mut table = table.clone();
        if let Some(toml::Value::Integer(n)) = table.get("decoded") {
            table.insert("decoded".to_owned(), toml::Value::Float(*n as f64));
        }
        let options: Self = table
            .try_into()
            .map_err(|e: toml::de::Error| wrong(e.message().to_owned()))?;
        match options.decoded >= 0.0 && options.decoded.is_finite() {
            true => Ok(options),
            false => Err(wrong(format!(
                "`decoded` is {}, expected 0 or more",
                options.decoded
            ))),
        }
    }
    fn bytes(&self) -> u64 {
        (self.decoded * f64::from(1 << 30)) as u64
    }
}

/// Checks `[data.options]` without reading anything.
///
/// # Errors
/// Usage errors that name the option.
pub(crate) fn check(set: &SetInfo, table: &toml::Table) -> Result<()> {
    Options::read(set, table).map(|_| ())
}

/// The picture files of a part.
#[derive(Debug)]
struct Listing {
    folder: PathBuf,
    /// Names of the class folders, in the order of the labels.
    classes: Vec<String>,
    files: Vec<(PathBuf, u32)>,
    /// Digest over names, lengths and times.
    key: String,
    /// Digest over names below the folder and lengths.
    names: String,
    bytes: u64,
}

/// A listing by its folder.
type Known = Option<(PathBuf, Arc<Listing>)>;

/// Lists the files below `folder`. The last two listings are remembered: shapes are asked for before
/// training reads the set.
fn list(set: &SetInfo, folder: &Path) -> Result<Arc<Listing>> {
    static LAST: Mutex<[Known; 2]> = Mutex::new([None, None]);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let known = last.iter().flatten().find(|(of, _)| of == folder);
    if let Some((_, listing)) = known {
        return Ok(Arc::clone(listing));
    }
    let listing = Arc::new(listed(set, folder)?);
    last.rotate_right(1);
    last[0] = Some((folder.to_owned(), Arc::clone(&listing)));
    Ok(listing)
}

fn listed(set: &SetInfo, folder: &Path) -> Result<Listing> {
    let io = |e: std::io::Error| Error::io(ExitCode::Data, folder, &e);
    let mut classes = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().is_dir() {
            classes.push(name);
        }
    }
    // ImageNetV2's folders are the numbers of the classes, which stand in this order.
    match classes
        .iter()
        .map(|c| c.parse::<u64>().ok())
        .collect::<Option<Vec<u64>>>()
    {
        Some(_) => classes.sort_by_key(|class| class.parse::<u64>().unwrap_or(u64::MAX)),
        None => classes.sort(),
    }
    let of_class = |(label, class): (usize, &String)| -> Result<Vec<(PathBuf, u32, u64, u128)>> {
        let path = folder.join(class);
        let io = |e: std::io::Error| Error::io(ExitCode::Data, &path, &e);
        let mut files = Vec::new();
        for entry in fs::read_dir(&path).map_err(io)? {
            let file = entry.map_err(io)?.path();
            let ending = file.extension().map(|e| e.to_string_lossy().to_lowercase());
            if ending.is_some_and(|e| PICTURES.contains(&e.as_str())) {
                let (bytes, time) = digest::stamp(&file).map_err(io)?;
                files.push((file, label as u32, bytes, digest::nanoseconds(time)));
            }
        }
        files.sort();
        Ok(files)
    };
    let all: Vec<_> = classes
        .par_iter()
        .enumerate()
        .map(of_class)
        .collect::<Result<_>>()?;
    let (mut key, mut names, mut bytes) = (Sha256::new(), Sha256::new(), 0);
    let mut files = Vec::new();
    for (file, label, length, time) in all.into_iter().flatten() {
        let name = file
            .strip_prefix(folder)
            .unwrap_or(&file)
            .display()
            .to_string();
        names.update(format!("{name} {length}\n"));
        key.update(format!("{name} {length} {time}\n"));
        bytes += length;
        files.push((file, label));
    }
    if files.is_empty() {
        let flat = set.name == "imagenet" && classes.is_empty();
        return Err(Error::data(format!(
            "there is no class folder with pictures in `{}`",
            folder.display()
        ))
        .hint(match flat {
            true => "the test pictures of ImageNet have to be sorted into folders of their classes, as PyTorch's example of ImageNet says",
            false => "`biorule data fetch` downloads sets with a public mirror",
        }));
    }
    Ok(Listing {
        folder: folder.to_owned(),
        classes,
        files,
        key: hex(&key.finalize()),
        names: hex(&names.finalize()),
        bytes,
    })
}

/// The folder of a part of `set`, whose files lie below `root`.
fn folder(set: &SetInfo, root: &Path, split: Split) -> Result<PathBuf> {
    let places = inner(set).iter().map(|inner| root.join(inner));
    if is_test_alone(set) {
        let mut places = places.filter(|place| place.is_dir());
        return places.next().ok_or_else(|| packed(set, root));
    }
    let names: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["val", "test"],
    };
    let mut places = places.flat_map(|place| names.iter().map(move |name| place.join(name)));
    places
        .find(|place| place.is_dir())
        .ok_or_else(|| packed(set, root))
}

fn packed(set: &SetInfo, root: &Path) -> Error {
    let archive = set
        .files
        .iter()
        .map(|file| root.join(file.name))
        .find(|path| path.is_file());
    match archive {
        Some(path) => Error::data(format!("`{}` is not unpacked", path.display()))
            .hint(format!("`biorule data fetch {}` unpacks it", set.name)),
        None => Error::data(format!(
            "data set `{}` is incomplete in `{}`",
            set.name,
            root.display()
        ))
        .hint("the folders `train` and `val` hold a folder for each class"),
    }
}

/// Names of the classes that are there.
pub(crate) fn class_names(set: &SetInfo, root: &Path) -> Result<Vec<String>> {
    let listing = list(set, &folder(set, root, Split::Test)?)?;
    Ok(named(set, &listing.classes))
}

fn named(set: &SetInfo, folders: &[String]) -> Vec<String> {
    let name = |folder: &String| {
        let known = IMAGENETTE_NAMES.iter().find(|(own, _)| own == folder);
        match known {
            Some((_, name)) if set.name == "imagenette" => (*name).to_owned(),
            _ => folder.clone(),
        }
    };
    folders.iter().map(name).collect()
}

/// Samples of each part, by their files.
pub(crate) fn counts(set: &SetInfo, root: &Path) -> [Option<usize>; 2] {
    [Split::Train, Split::Test].map(|split| {
        let folder = folder(set, root, split).ok()?;
        Some(list(set, &folder).ok()?.files.len())
    })
}

/// What `run.json` says of the files: an entry for each part. The digest is over names and contents where
/// all were read to be decoded, else over names and lengths.
pub(crate) fn records(plan: &DataPlan, set: &SetInfo, root: &Path) -> Result<Vec<FileRecord>> {
    let mut all = Vec::new();
    for split in [Split::Train, Split::Test] {
        let listing = list(set, &folder(set, root, split)?)?;
        let wish = Wish::of(plan, set, split)?;
        let sha256 = match prepared::get(&wish.name(&listing), &wish.key(&listing)) {
            Some((head, _)) => head.digest,
            None => listing.names.clone(),
        };
        all.push(FileRecord {
            path: listing.folder.display().to_string(),
            bytes: listing.bytes,
            sha256,
        });
    }
    Ok(all)
}

/// How pictures become samples.
struct Wish {
    shape: Shape,
    method: ResizeMethod,
    /// Pieces are cut out, so that pictures are wanted as they are stored.
    as_stored: bool,
    decoded: u64,
}

impl Wish {
    fn of(plan: &DataPlan, set: &SetInfo, split: Split) -> Result<Self> {
        let [height, width] = plan.resize.unwrap_or([set.shape.height, set.shape.width]);
        Ok(Self {
            shape: Shape::new(3, height, width),
            method: plan.resize_method,
            as_stored: split == Split::Train && plan.augment.resized_crop.is_some(),
            decoded: Options::read(set, &plan.options)?.bytes(),
        })
    }

    fn words(&self) -> String {
        match self.as_stored {
            true => "as stored".to_owned(),
            false => format!("{} {:?}", self.shape, self.method),
        }
    }

    /// Name of the prepared pixels: of one folder and one way to prepare it there is one file.
    fn name(&self, listing: &Listing) -> String {
        let which = format!("{} {}", digest::absolute(&listing.folder), self.words());
        format!("pictures-{}", &hex(&Sha256::digest(which.as_bytes()))[..16])
    }

    fn key(&self, listing: &Listing) -> String {
        format!("{} {}", listing.key, self.words())
    }
}

/// Loads with the sizes of the registry's entry.
pub(super) fn load(source: &Source<'_>, split: Split) -> Result<Dataset> {
    let plan = DataPlan {
        set: source.set.name.to_owned(),
        options: source.options.clone(),
        ..DataPlan::default()
    };
    part(&plan, source.set, source.folder, split)
}

/// Loads one part as `plan` says.
///
/// # Errors
/// Data errors for files that are missing or cannot be decoded; usage errors for options.
pub(crate) fn part(plan: &DataPlan, set: &SetInfo, root: &Path, split: Split) -> Result<Dataset> {
    let listing = list(set, &folder(set, root, split)?)?;
    let wish = Wish::of(plan, set, split)?;
    let mut notes = Vec::new();
    let published = [set.train, set.test][usize::from(split == Split::Test)];
    if listing.files.len() != published {
        notes.push(format!(
            "`{}` ({split}) has {} pictures here, published are {published}",
            set.name,
            listing.files.len()
        ));
    }
    if is_test_alone(set) && split == Split::Train {
        notes.push(format!(
            "`{}` is a test set alone: its pictures are the training part too",
            set.name
        ));
    }
    let prepared = match fits(&listing, &wish) {
        true => Some(decoded(&listing, &wish)?),
        false => None,
    };
    let values = match prepared {
        Some((head, bytes)) if wish.as_stored => {
            let pictures = Pictures::decoded(wish.shape, wish.method, bytes, head.sizes);
            made(pictures, wish.shape)
        }
        Some((_, bytes)) => Values::Bytes {
            data: bytes,
            white: 255,
        },
        None => {
            notes.push(format!(
                "`{}` ({split}): pictures are decoded from their files when a batch asks for them; `data.threads` share it",
                set.name
            ));
            let files = listing.files.iter().map(|(path, _)| path.clone()).collect();
            made(Pictures::files(wish.shape, wish.method, files), wish.shape)
        }
    };
    let targets = Targets::Labels {
        labels: listing.files.iter().map(|(_, label)| *label).collect(),
        classes: listing.classes.len(),
        names: named(set, &listing.classes),
    };
    let path = listing.folder.clone();
    let mut data = Dataset::new(
        set.name,
        split,
        wish.shape,
        values,
        targets,
        Provenance::File { path },
    )?;
    for note in notes {
        data = data.noted(note);
    }
    Ok(data)
}

fn made(pictures: Pictures, shape: Shape) -> Values {
    Values::Made {
        samples: Arc::new(pictures),
        each: shape.len(),
    }
}

/// Whether the decoded pictures may be kept.
fn fits(listing: &Listing, wish: &Wish) -> bool {
    let count = listing.files.len() as u64;
    if !wish.as_stored {
        return count.saturating_mul(wish.shape.len() as u64) <= wish.decoded;
    }
    if count.saturating_mul(LEAST) > wish.decoded {
        return false;
    }
    let size = |(path, _): &(PathBuf, u32)| match picture::size(path) {
        Some((height, width)) => 3 * u64::from(height) * u64::from(width),
        None => 0,
    };
    listing.files.par_iter().map(size).sum::<u64>() <= wish.decoded
}

/// One picture decoded, and the digest of its file.
type One = (Vec<u8>, Size, [u8; 32]);

/// The pixels of all pictures, from the cache folder or into it.
fn decoded(listing: &Listing, wish: &Wish) -> Result<(Head, crate::data::bytes::Bytes)> {
    let (name, key) = (wish.name(listing), wish.key(listing));
    if let Some(found) = prepared::get(&name, &key) {
        return Ok(found);
    }
    let count = listing.files.len();
    let bar = ProgressBar::new(count as u64).with_style(
        ProgressStyle::with_template("decoding pictures {bar:30} {pos}/{len} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let read = |(path, _): &(PathBuf, u32)| -> Result<One> {
        let file = fs::read(path).map_err(|e| Error::io(ExitCode::Data, path, &e))?;
        let it = picture::decode(path, &file, Some(3), true).map_err(|why| {
            Error::data(format!("`{}` {why}", path.display()))
                .hint("replace the file, or remove it")
        })?;
        let from = Shape::new(3, it.height, it.width);
        let size = Size {
            height: it.height as u32,
            width: it.width as u32,
        };
        let bytes = match wish.as_stored || from == wish.shape {
            true => it.bytes,
            false => resize::planes(
                &it.bytes,
                from,
                (wish.shape.height, wish.shape.width),
                wish.method,
            )
            .map_err(|e| e.within(format!("`{}`", path.display())))?,
        };
        bar.inc(1);
        Ok((bytes, size, Sha256::digest(&file).into()))
    };
    let pixels = count as u64 * wish.shape.len() as u64;
    let done = prepared::put(&name, &key, pixels, &mut |to: &mut dyn Write| {
        let mut head = Head {
            source_bytes: listing.bytes,
            ..Head::default()
        };
        let mut content = Sha256::new();
        for part in listing.files.chunks(PART) {
            let all: Vec<One> = part.par_iter().map(read).collect::<Result<_>>()?;
            for ((path, _), (bytes, size, sha256)) in part.iter().zip(all) {
                prepared::add(to, &bytes)?;
                if wish.as_stored {
                    head.sizes.push(size);
                }
                let name = path.strip_prefix(&listing.folder).unwrap_or(path);
                content.update(format!("{}\n", name.display()));
                content.update(sha256);
            }
        }
        head.digest = hex(&content.finalize());
        Ok(head)
    });
    bar.finish_and_clear();
    done
}

/// Unpacks the archive that `fetch` has brought, into its folder; whether there was anything to do.
///
/// # Errors
/// Data error for a damaged archive, storage error where the disk refuses.
pub(crate) fn unpack(set: &SetInfo, root: &Path) -> Result<bool> {
    let mut done = false;
    for file in set.files {
        let archive = root.join(file.name);
        if !archive.is_file() || folder(set, root, Split::Test).is_ok() {
            continue;
        }
        let broken = |e: std::io::Error| {
            let text = format!("`{}` cannot be unpacked: {e}", archive.display());
            Error::data(text).hint(format!(
                "`biorule data fetch {} --force` fetches it again",
                set.name
            ))
        };
        let opened =
            fs::File::open(&archive).map_err(|e| Error::io(ExitCode::Data, &archive, &e))?;
        let opened = std::io::BufReader::with_capacity(1 << 20, opened);
        // Beside its place, so that a half-unpacked one is none.
        let beside = root.join(format!("{}.unpacking", file.name));
        let _ = fs::remove_dir_all(&beside);
        fs::create_dir_all(&beside).map_err(|e| Error::storage_io(&beside, &e))?;
        let mut start = [0; 2];
        let mut opened = opened;
        std::io::Read::read_exact(&mut opened, &mut start).map_err(broken)?;
        let whole = std::io::Read::chain(&start[..], opened);
        // ImageNetV2's files are called `.gz` and are none.
        match start {
            [0x1f, 0x8b] => tar::Archive::new(flate2::read::GzDecoder::new(whole)).unpack(&beside),
            _ => tar::Archive::new(whole).unpack(&beside),
        }
        .map_err(broken)?;
        for entry in fs::read_dir(&beside).map_err(broken)? {
            let from = entry.map_err(broken)?.path();
            let to = root.join(from.file_name().unwrap_or_default());
            fs::rename(&from, &to).map_err(|e| Error::storage_io(&to, &e))?;
        }
        fs::remove_dir_all(&beside).map_err(|e| Error::storage_io(&beside, &e))?;
        done = true;
    }
    Ok(done)
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
