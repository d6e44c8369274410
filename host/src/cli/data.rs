//! `biorule data`: what sets there are and where, fetching, checking, looking.

mod fetch;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::data::fetch::FetchOptions;
use crate::data::registry::{self, SETS, SetInfo};
use crate::data::verify::{self, FileState};
use crate::data::{DataFolders, Dataset, Provenance, Split, Targets, picture};
use crate::{Error, Result};

/// Data sets: list, fetch, verify, show.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule data list
  biorule data fetch mnist
  biorule data fetch cifar10 --from https://mirror.example/cifar/
  biorule data verify mnist
  biorule data show cifar10 --index 7
  biorule data show bars --set single=true --split test

Searched in order: --root (or `data.root` of a configuration), the folders of
BIORULE_DATA, ./data, $XDG_DATA_HOME/biorule.")]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,

    /// Data folder, searched before the usual ones
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// All sets, and where each lies
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Download a set; an interrupted download goes on where it stopped
    Fetch {
        /// Name of the set
        name: String,
        /// Take the files from this address instead of the known ones
        #[arg(long, value_name = "URL")]
        from: Option<String>,
        /// Replace files that are there but differ from the published ones
        #[arg(long)]
        force: bool,
        /// No progress
        #[arg(long, short)]
        quiet: bool,
    },
    /// Check the files of a set against the published checksums, and read them
    Verify {
        /// Name of the set
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Counts, statistics and one sample of a set
    Show(ShowArgs),
}

#[derive(Args, Debug)]
struct ShowArgs {
    /// Name of the set
    name: String,
    /// Part of the set
    #[arg(long, value_enum, default_value_t = Part::Train)]
    split: Part,
    /// Which sample, from 0
    #[arg(long, default_value_t = 0)]
    index: usize,
    /// Write the sample to this PGM (grey) or PPM (colour) file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Option of a generated set
    #[arg(long = "set", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    Train,
    Test,
}

/// Runs the command.
///
/// # Errors
/// Usage errors (exit code 2) for unknown sets and options, data errors (3)
/// for what is missing, damaged or could not be fetched.
pub fn run(args: &DataArgs) -> Result<()> {
    let folders = DataFolders::search(args.root.as_deref());
    match &args.command {
        DataCommand::List { json } => list(&folders, *json),
        DataCommand::Fetch {
            name,
            from,
            force,
            quiet,
        } => {
            let options = FetchOptions {
                force: *force,
                ..FetchOptions::default()
            };
            fetch::fetch_set(
                registry::find(name)?,
                args.root.as_ref(),
                &folders,
                from.as_deref(),
                &options,
                *quiet,
            )
        }
        DataCommand::Verify { name, json } => verify_set(registry::find(name)?, &folders, *json),
        DataCommand::Show(args) => show(args, &folders),
    }
}

/// Where a set comes from here, in words.
fn place(set: &SetInfo, folders: &DataFolders) -> Option<String> {
    if set.is_on_disk() {
        return folders
            .locate(set)
            .map(|folder| folder.display().to_string());
    }
    Some(
        if set.settings.is_empty() {
            "embedded"
        } else {
            "generated"
        }
        .to_owned(),
    )
}

fn list(folders: &DataFolders, json: bool) -> Result<()> {
    if json {
        let sets: Vec<_> = SETS
            .iter()
            .map(|set| {
                json!({
                    "name": set.name,
                    "summary": set.summary,
                    "licence": set.licence,
                    "shape": set.shape.dims(),
                    "classes": set.classes,
                    "train": set.train,
                    "test": set.test,
                    "download_bytes": set.files.iter().map(|f| f.bytes).sum::<u64>(),
                    "present": place(set, folders).is_some(),
                    "place": place(set, folders),
                })
            })
            .collect();
        let searched: Vec<_> = folders
            .paths()
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        return super::print_json(&json!({"sets": sets, "folders": searched}));
    }
    let mut table = super::table(&["set", "sample", "classes", "train", "test", "where"]);
    for set in SETS {
        let classes = if set.classes == 0 {
            "-".to_owned()
        } else {
            set.classes.to_string()
        };
        let missing = || {
            let bytes: u64 = set.files.iter().map(|f| f.bytes).sum();
            format!(
                "not here: `biorule data fetch {}` ({} MB)",
                set.name,
                bytes.div_ceil(1_000_000)
            )
        };
        table.add_row([
            set.name.to_owned(),
            set.shape.to_string(),
            classes,
            set.train.to_string(),
            set.test.to_string(),
            place(set, folders).unwrap_or_else(missing),
        ]);
    }
    super::print(&format!("{}\n", table.trim_fmt()))
}

fn verify_set(set: &'static SetInfo, folders: &DataFolders, json: bool) -> Result<()> {
    let found = verify::verify(set, folders)?;
    let samples = |at: usize| found.samples[at].as_ref().map_or(0, |n| *n);
    if json {
        let files: Vec<_> = found
            .files
            .iter()
            .map(|(file, state)| json!({"file": file.name, "check": state}))
            .collect();
        super::print_json(&json!({
            "set": set.name,
            "folder": found.folder,
            "good": found.is_good(),
            "files": files,
            "train": samples(0),
            "test": samples(1),
        }))?;
    } else {
        let mut text = String::new();
        for (file, state) in &found.files {
            let word = match state {
                FileState::Good => "good",
                FileState::Different { .. } => "differs from the published file",
                FileState::Missing => "missing",
                FileState::Unpacked => "not here; its unpacked content has no published checksum",
            };
            text.push_str(&format!("{}: {word}\n", file.name));
        }
        for (split, count) in [Split::Train, Split::Test].iter().zip(&found.samples) {
            match count {
                Ok(count) => text.push_str(&format!("{split}: {count} samples read\n")),
                Err(e) => text.push_str(&format!("{split}: {}\n", e.text)),
            }
        }
        super::print(&text)?;
    }
    found.require_good(set)
}

fn show(args: &ShowArgs, folders: &DataFolders) -> Result<()> {
    let info = registry::find(&args.name)?;
    let options = parse_options(&args.options)?;
    let split = match args.split {
        Part::Train => Split::Train,
        Part::Test => Split::Test,
    };
    let set = registry::load(&args.name, split, folders, &options)?;
    if let Some(path) = &args.out {
        picture::write_netpbm(&set, args.index, path)?;
        tell!("sample {} written to {}", args.index, path.display());
    }
    let moments = set.channel_moments();
    if args.json {
        let (mean, std): (Vec<f32>, Vec<f32>) = moments.into_iter().unzip();
        return super::print_json(&json!({
            "set": info.name,
            "split": split,
            "samples": set.len(),
            "shape": set.shape().dims(),
            "classes": set.classes(),
            "class_counts": set.class_counts(),
            "mean": mean,
            "std": std,
            "from": set.provenance(),
        }));
    }
    let mut text = format!("{}: {}\n", info.name, info.summary);
    text.push_str(&format!("licence: {}\n", info.licence));
    text.push_str(&format!(
        "{split}: {} samples of {}, {}\n",
        set.len(),
        set.shape(),
        origin(&set)
    ));
    for (channel, (mean, std)) in moments.iter().enumerate() {
        text.push_str(&format!(
            "channel {channel}: mean {mean:.4}, deviation {std:.4}\n"
        ));
    }
    for (class, count) in set.class_counts().iter().enumerate() {
        text.push_str(&format!(
            "class {class} ({}): {count}\n",
            set.class_name(class as u32)
        ));
    }
    for setting in info.settings {
        text.push_str(&format!(
            "option {} = {}: {}\n",
            setting.key, setting.default, setting.summary
        ));
    }
    text.push_str(&sample(&set, args.index)?);
    super::print(&text)
}

fn origin(set: &Dataset) -> String {
    match set.provenance() {
        Provenance::Embedded => "embedded in the program".to_owned(),
        Provenance::File { path } => format!("from {}", path.display()),
        Provenance::Generated { seed } => format!("generated with seed {seed}"),
    }
}

/// One sample: its target, and the picture or the values.
fn sample(set: &Dataset, index: usize) -> Result<String> {
    if index >= set.len() {
        return Err(Error::usage(format!(
            "there is no sample {index}; the last is {}",
            set.len() - 1
        )));
    }
    let target = match set.targets() {
        Targets::Labels { labels, .. } => {
            format!(
                "class {} ({})",
                labels[index],
                set.class_name(labels[index])
            )
        }
        Targets::Values { data, width } => {
            format!("target {:?}", &data[index * width..(index + 1) * width])
        }
    };
    let picture = match set.values() {
        crate::data::Values::Bytes { .. } => picture::ascii(set, index)?,
        crate::data::Values::Floats(data) => {
            let each = set.shape().len();
            format!("{:?}\n", &data[index * each..(index + 1) * each])
        }
    };
    Ok(format!("\nsample {index}: {target}\n{picture}"))
}

/// `key=value` pairs as a table; a value is TOML, or text where it is not.
fn parse_options(pairs: &[String]) -> Result<toml::Table> {
    let mut table = toml::Table::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Error::usage(format!("`--set {pair}` is not KEY=VALUE")));
        };
        let parsed = format!("v = {value}")
            .parse::<toml::Table>()
            .ok()
            .and_then(|mut t| t.remove("v"));
        table.insert(
            key.trim().to_owned(),
            parsed.unwrap_or_else(|| toml::Value::String(value.to_owned())),
        );
    }
    Ok(table)
}
