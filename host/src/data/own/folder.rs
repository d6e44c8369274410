//! `set = "folder"`: pictures in a folder for each class, as torchvision's `ImageFolder` has them:
//! `train/CLASS/…` and `test/CLASS/…`, or one level of classes and a test part made from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::labels::Labels;
use super::options::Broken;
use super::picture::{self, Picture};
use super::raw::{Own, Raw, RawPart, RawTargets};
use super::store::{self, Stored};
use crate::data::dataset::{Shape, Values};
use crate::data::record::FileRecord;
use crate::data::{digest, resize};
use crate::text::hex;
use crate::{Error, ExitCode, Result};

/// Endings of names that are pictures.
const PICTURES: &[&str] = &["png", "jpg", "jpeg"];

/// Names of the folder of a test part; those of a validation part serve where there is none.
const TEST: &[&str] = &["test", "testing", "val", "valid", "validation"];

/// Folders below a class that are looked into.
const DEPTH: usize = 16;

/// One picture file.
#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    class: u32,
}

/// What the folders hold.
#[derive(Debug, Default)]
struct Listing {
    /// Class names in alphabetical order.
    classes: Vec<String>,
    /// Training and test files, by class, then path.
    parts: [Vec<File>; 2],
    /// Name of the test part's folder; none where it is to be made.
    test: Option<&'static str>,
    /// Other files by their ending.
    others: BTreeMap<String, usize>,
}

/// Reads the pictures of `own.root`.
///
/// # Errors
/// Data errors that name the file or folder; usage errors where pictures differ in size and no size
/// is set.
pub(super) fn read(own: &Own<'_>) -> Result<Raw> {
    let listing = list(&own.root)?;
    let key = key(own, &listing)?;
    let stored = match store::get(&name(own), &key) {
        Some(stored) => stored,
        None => {
            let stored = decode(own, &listing)?;
            store::put(&name(own), &key, &stored);
            stored
        }
    };
    let mut notes = stored.notes;
    if let Some(other @ ("val" | "valid" | "validation")) = listing.test {
        notes.push(format!(
            "there is no folder `test`: `{other}` is the test part"
        ));
    }
    if !listing.others.is_empty() {
        let count: usize = listing.others.values().sum();
        let kinds: Vec<String> = listing
            .others
            .iter()
            .map(|(ending, n)| format!("{n} {ending}"))
            .collect();
        let files = if count == 1 { "file" } else { "files" };
        notes.push(format!(
            "{count} {files} other than PNG and JPEG left out ({})",
            kinds.join(", ")
        ));
    }
    let [channels, height, width] = stored.shape;
    let part = |bytes: Vec<u8>, labels: Vec<u32>| RawPart {
        shape: Shape::new(channels, height, width),
        values: Values::Bytes {
            data: bytes.into(),
            white: 255,
        },
        targets: RawTargets::Labels(Labels::Named(labels, stored.classes.clone())),
    };
    let [train, test] = stored.labels;
    let [train_bytes, test_bytes] = stored.bytes;
    Ok(Raw {
        train: part(train_bytes, train),
        test: listing.test.map(|_| part(test_bytes, test)),
        notes,
        files: Vec::new(),
        records: Some(vec![FileRecord {
            path: own.root.display().to_string(),
            bytes: stored.file_bytes,
            sha256: stored.digest,
        }]),
    })
}

/// Finds the class folders and their files.
fn list(root: &Path) -> Result<Listing> {
    let empty = |folder: &Path, what: &str| {
        Error::data(format!("{what} in `{}`", folder.display())).hint(
            "pictures lie in `train/CLASS/` and `test/CLASS/`, or in `CLASS/` with `data.options.test = 0.2`",
        )
    };
    let top = subfolders(root)?;
    // The first of `names` that is there, in whatever case, and the folder.
    let find = |names: &[&'static str]| {
        names.iter().find_map(|name| {
            let folder = top.iter().find(|f| f.eq_ignore_ascii_case(name))?;
            Some((*name, root.join(folder)))
        })
    };
    let (folders, test) = match find(&["train", "training"]) {
        Some((_, train)) => match find(TEST) {
            Some((name, test)) => ([Some(train), Some(test)], Some(name)),
            None => ([Some(train), None], None),
        },
        None => ([Some(root.to_owned()), None], None),
    };
    let mut listing = Listing {
        test,
        ..Listing::default()
    };
    for folder in folders.iter().flatten() {
        listing.classes.extend(subfolders(folder)?);
    }
    listing.classes.sort();
    listing.classes.dedup();
    if listing.classes.is_empty() {
        return Err(empty(root, "there is no class folder"));
    }
    for (part, folder) in folders.iter().enumerate() {
        let Some(folder) = folder else { continue };
        for (class, name) in listing.classes.clone().iter().enumerate() {
            let path = folder.join(name);
            if path.is_dir() {
                let mut files = Vec::new();
                walk(&path, DEPTH, &mut files, &mut listing.others)?;
                files.sort();
                let class = class as u32;
                let files = files.into_iter().map(|path| File { path, class });
                listing.parts[part].extend(files);
            }
        }
        if listing.parts[part].is_empty() {
            return Err(empty(
                folder,
                "there is no picture (`.png`, `.jpg`, `.jpeg`)",
            ));
        }
    }
    Ok(listing)
}

fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let io = |e: std::io::Error| Error::io(ExitCode::Data, folder, &e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && name != "__MACOSX" {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn subfolders(folder: &Path) -> Result<Vec<String>> {
    let all = entries(folder)?.into_iter();
    Ok(all.filter(|(_, p)| p.is_dir()).map(|(n, _)| n).collect())
}

/// Picture files below `folder`; others are counted by their ending.
fn walk(
    folder: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
    others: &mut BTreeMap<String, usize>,
) -> Result<()> {
    for (name, path) in entries(folder)? {
        if path.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, files, others)?;
            }
            continue;
        }
        let ending = Path::new(&name)
            .extension()
            .map(|e| e.to_string_lossy().to_lowercase());
        match ending {
            Some(ending) if PICTURES.contains(&ending.as_str()) => files.push(path),
            Some(ending) => *others.entry(format!("`.{ending}`")).or_default() += 1,
            None => *others.entry("without ending".to_owned()).or_default() += 1,
        }
    }
    Ok(())
}

/// Name of the stored pictures: of one folder and one way to read it there is one file.
fn name(own: &Own<'_>) -> String {
    let way = format!(
        "{} {:?} {:?} {:?} {:?}",
        digest::absolute(&own.root),
        own.options.channels,
        own.options.broken,
        own.resize,
        own.method,
    );
    format!("pictures-{}", &hex(&Sha256::digest(way.as_bytes()))[..16])
}

/// What the listing is known by: names, sizes and times of all files.
fn key(own: &Own<'_>, listing: &Listing) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(name(own));
    for class in &listing.classes {
        hash.update(format!("{class}\n"));
    }
    for (part, files) in listing.parts.iter().enumerate() {
        for file in files {
            let io = |e: std::io::Error| Error::io(ExitCode::Data, &file.path, &e);
            let (bytes, time) = digest::stamp(&file.path).map_err(io)?;
            let line = format!(
                "{part} {} {} {bytes} {}\n",
                file.class,
                file.path.display(),
                digest::nanoseconds(time)
            );
            hash.update(line);
        }
    }
    Ok(hex(&hash.finalize()))
}

/// One file read: its digest, and the picture or what is wrong with it.
type One = (u64, [u8; 32], std::result::Result<Picture, String>);

/// Decodes every picture, on all threads.
fn decode(own: &Own<'_>, listing: &Listing) -> Result<Stored> {
    let count: usize = listing.parts.iter().map(Vec::len).sum();
    let bar = ProgressBar::new(count as u64).with_style(
        ProgressStyle::with_template("reading pictures {bar:30} {pos}/{len} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let read = |file: &File| -> Result<One> {
        let bytes = fs::read(&file.path).map_err(|e| Error::io(ExitCode::Data, &file.path, &e))?;
        let picture = picture::decode(&file.path, &bytes, own.options.channels, false);
        let picture = match (picture, own.resize) {
            (Ok(picture), Some(size)) => resized(picture, size, own)
                .map_err(|e| e.within(format!("`{}`", file.path.display())))
                .map(Ok)?,
            (picture, _) => picture,
        };
        bar.inc(1);
        let sha256 = Sha256::digest(&bytes).into();
        Ok((bytes.len() as u64, sha256, picture))
    };
    let mut parts = Vec::new();
    for files in &listing.parts {
        parts.push(files.par_iter().map(read).collect::<Result<Vec<One>>>()?);
    }
    bar.finish_and_clear();
    let digest = content(&own.root, listing, &parts);
    let file_bytes = parts.iter().flatten().map(|one| one.0).sum();
    let (kept, notes) = keep(own, listing, parts)?;
    let (shape, bytes) = joined(listing, &kept)?;
    let mut notes = notes;
    let alpha = kept.iter().flatten().filter(|k| k.1.had_alpha).count();
    if alpha > 0 {
        notes.push(format!("the alpha channel of {alpha} pictures is left out"));
    }
    Ok(Stored {
        shape,
        labels: [0, 1].map(|part: usize| kept[part].iter().map(|k| k.0.class).collect()),
        bytes,
        classes: listing.classes.clone(),
        notes,
        digest,
        file_bytes,
    })
}

/// SHA-256 over the names and contents of all files, wherever the folder lies.
fn content(root: &Path, listing: &Listing, parts: &[Vec<One>]) -> String {
    let mut hash = Sha256::new();
    for (files, read) in listing.parts.iter().zip(parts) {
        for (file, (_, sha256, _)) in files.iter().zip(read) {
            let name = file.path.strip_prefix(root).unwrap_or(&file.path);
            hash.update(format!("{}\n", name.display()));
            hash.update(sha256);
        }
    }
    hex(&hash.finalize())
}

type Kept<'a> = [Vec<(&'a File, Picture)>; 2];

/// The pictures that could be read; the others end the command or are counted.
fn keep<'a>(
    own: &Own<'_>,
    listing: &'a Listing,
    parts: Vec<Vec<One>>,
) -> Result<(Kept<'a>, Vec<String>)> {
    let mut kept: Kept<'a> = Default::default();
    let mut broken: Vec<String> = Vec::new();
    for (part, read) in parts.into_iter().enumerate() {
        for (file, (_, _, picture)) in listing.parts[part].iter().zip(read) {
            match picture {
                Ok(picture) => kept[part].push((file, picture)),
                Err(why) => broken.push(format!("`{}` {why}", file.path.display())),
            }
        }
    }
    let Some(first) = broken.first() else {
        return Ok((kept, Vec::new()));
    };
    let more = match broken.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more cannot be read"),
    };
    match own.options.broken {
        Broken::Stop => Err(Error::data(format!("{first}{more}")).hint(
            "remove or replace the file, or leave such files out with `data.options.broken = \"skip\"`",
        )),
        Broken::Skip => Ok((kept, vec![format!("left out: {first}{more}")])),
    }
}

/// All pictures of a part one after another, in one shape.
fn joined(listing: &Listing, kept: &Kept<'_>) -> Result<([usize; 3], [Vec<u8>; 2])> {
    let all = || kept.iter().flatten();
    let Some((first, like)) = all().next() else {
        return Err(Error::data("no picture could be read"));
    };
    let other = all().find(|(_, p)| (p.height, p.width) != (like.height, like.width));
    if let Some((other, it)) = other {
        return Err(Error::usage(format!(
            "pictures differ in size: `{}` is {}x{}, `{}` {}x{}",
            first.path.display(),
            like.height,
            like.width,
            other.path.display(),
            it.height,
            it.width
        ))
        .hint(format!(
            "bring them to one size (height, width): `data.resize = [{}, {}]`",
            like.height, like.width
        )));
    }
    for (part, name) in [(0, "training"), (1, "test")] {
        if kept[part].is_empty() && !listing.parts[part].is_empty() {
            return Err(Error::data(format!("no {name} picture could be read")));
        }
    }
    let channels = all().map(|(_, p)| p.channels).max().unwrap_or(1);
    let bytes = [0, 1].map(|part: usize| {
        let mut bytes = Vec::with_capacity(kept[part].len() * channels * like.height * like.width);
        for (_, picture) in &kept[part] {
            for _ in 0..channels / picture.channels {
                bytes.extend_from_slice(&picture.bytes);
            }
        }
        bytes
    });
    Ok(([channels, like.height, like.width], bytes))
}

/// One picture brought to `[height, width]`.
fn resized(picture: Picture, [height, width]: [usize; 2], own: &Own<'_>) -> Result<Picture> {
    let from = Shape::new(picture.channels, picture.height, picture.width);
    let bytes = resize::planes(&picture.bytes, from, (height, width), own.method)?;
    Ok(Picture {
        height,
        width,
        bytes,
        ..picture
    })
}
