//! `biorule data`: what sets there are and where, fetching, checking, looking.

mod fetch;
mod place;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::data::fetch::FetchOptions;
use crate::data::published;
use crate::data::registry::{self, SetInfo};
use crate::data::verify::{self, FileState};
use crate::data::{DataFolders, DataPlan, Dataset, Provenance, Shape, Split, Targets, picture};
use crate::text::{print, print_json, table};
use crate::{Error, Result};
use place::place;

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
  biorule data show folder --root pictures --set test=0.2 --resize 32 32
  biorule data verify csv --root iris.csv --set label=species --set test=0.2

Searched: --root (or `data.root` of a configuration) alone where it is given, else
the folders of BIORULE_DATA, else ./data and $XDG_DATA_HOME/biorule.")]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,

    /// Data folder, searched in place of the usual ones
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
    /// Check the files of a set against the published checksums where there are some, and read them
    Verify {
        /// Name of the set
        name: String,
        /// Option of the set, as in `[data.options]`
        #[arg(long = "set", value_name = "KEY=VALUE")]
        options: Vec<String>,
        /// Bring images to this size
        #[arg(long, num_args = 2, value_names = ["HEIGHT", "WIDTH"])]
        resize: Option<Vec<usize>>,
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
    /// Option of the set, as in `[data.options]`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Bring images to this size
    #[arg(long, num_args = 2, value_names = ["HEIGHT", "WIDTH"])]
    resize: Option<Vec<usize>>,
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
        DataCommand::Verify {
            name,
            options,
            resize,
            json,
        } => {
            let plan = plan(name, options, resize.as_deref())?;
            verify_set(&plan, &folders, *json)
        }
        DataCommand::Show(args) => show(args, &folders),
    }
}

/// A plan for the set `name` and nothing else.
fn plan(name: &str, options: &[String], resize: Option<&[usize]>) -> Result<DataPlan> {
    let plan = DataPlan {
        set: name.to_owned(),
        options: parse_options(options)?,
        resize: resize.map(|size| [size[0], size[1]]),
        ..DataPlan::default()
    };
    plan.check()?;
    Ok(plan)
}

/// What is known of a set: of files that are there, by their headers and lengths; of others, as
/// published. `None` is what cannot be told without reading the files whole, or is damaged.
struct Known {
    shape: Option<Shape>,
    classes: Option<usize>,
    counts: [Option<usize>; 2],
}

impl Known {
    fn of(set: &SetInfo, folders: &DataFolders) -> Self {
        let published = Self {
            shape: Some(set.shape),
            classes: Some(set.classes),
            counts: [Some(set.train), Some(set.test)],
        };
        if set.is_own() {
            return Self {
                shape: None,
                classes: None,
                counts: [None, None],
            };
        }
        match folders.locate(set) {
            Some(folder) => {
                let plan = DataPlan {
                    set: set.name.to_owned(),
                    ..DataPlan::default()
                };
                let survey = plan.survey_in(folders).ok();
                Self {
                    shape: survey.as_ref().map(|s| s.shape),
                    classes: survey.map(|s| s.outputs),
                    counts: published::counts(set, &folder),
                }
            }
            None => published,
        }
    }
}

fn list(folders: &DataFolders, json: bool) -> Result<()> {
    if json {
        let sets: Vec<_> = registry::all()
            .map(|set| {
                let known = Known::of(set, folders);
                json!({
                    "name": set.name,
                    "summary": set.summary,
                    "licence": set.licence,
                    "shape": known.shape.map(|s| s.dims()),
                    "classes": known.classes,
                    "train": known.counts[0],
                    "test": known.counts[1],
                    "published": {"train": set.train, "test": set.test},
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
        return print_json(&json!({"sets": sets, "folders": searched}));
    }
    let mut table = table(&["set", "sample", "classes", "train", "test", "where"]);
    for set in registry::all() {
        let missing = || {
            let bytes: u64 = set.files.iter().map(|f| f.bytes).sum();
            if bytes == 0 {
                return "not here, and without a public mirror".to_owned();
            }
            format!(
                "not here: `biorule data fetch {}` ({} MB)",
                set.name,
                bytes.div_ceil(1_000_000)
            )
        };
        let known = Known::of(set, folders);
        let unknown = if set.is_own() { "-" } else { "?" };
        let number = |n: Option<usize>| n.map_or(unknown.to_owned(), |n| n.to_string());
        let known = [
            match set.is_own() {
                true => "yours".to_owned(),
                false => known.shape.map_or(unknown.to_owned(), |s| s.to_string()),
            },
            match known.classes {
                Some(0) => "-".to_owned(),
                classes => number(classes),
            },
            number(known.counts[0]),
            number(known.counts[1]),
        ];
        let place = place(set, folders).unwrap_or_else(missing);
        table.add_row([vec![set.name.to_owned()], known.to_vec(), vec![place]].concat());
    }
    print(&format!("{}\n", table.trim_fmt()))
}

fn verify_set(plan: &DataPlan, folders: &DataFolders, json: bool) -> Result<()> {
    let set = plan.info()?;
    let found = verify::verify(plan, folders)?;
    let samples = |at: usize| found.samples[at].as_ref().map_or(0, |n| *n);
    if json {
        let files: Vec<_> = found
            .files
            .iter()
            .map(|(file, state)| json!({"file": file.name, "check": state}))
            .collect();
        print_json(&json!({
            "set": set.name,
            "folder": found.folder,
            "good": found.is_good(),
            "files": files,
            "own": found.own,
            "notes": found.notes,
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
        for record in &found.own {
            let short = record.sha256.get(..12).unwrap_or_default();
            text.push_str(&format!(
                "{}: {} bytes, sha256 {short}\n",
                record.path, record.bytes
            ));
        }
        for note in &found.notes {
            text.push_str(&format!("{note}\n"));
        }
        print(&text)?;
    }
    found.require_good(set)
}

fn show(args: &ShowArgs, folders: &DataFolders) -> Result<()> {
    let plan = plan(&args.name, &args.options, args.resize.as_deref())?;
    let info = plan.info()?;
    let split = match args.split {
        Part::Train => Split::Train,
        Part::Test => Split::Test,
    };
    let set = plan.part(split, folders)?;
    if let Some(path) = &args.out {
        picture::write_netpbm(&set, args.index, path)?;
        tell!("sample {} written to {}", args.index, path.display());
    }
    let moments = set.channel_moments();
    if args.json {
        let (mean, std): (Vec<f32>, Vec<f32>) = moments.into_iter().unzip();
        return print_json(&json!({
            "set": info.name,
            "split": split,
            "samples": set.len(),
            "shape": set.shape().dims(),
            "classes": set.classes(),
            "class_counts": set.class_counts(),
            "class_names": (0..set.classes()).map(|c| set.class_name(c as u32)).collect::<Vec<_>>(),
            "notes": set.notes(),
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
    for note in set.notes() {
        text.push_str(&format!("{note}\n"));
    }
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
            "option {}{}: {}\n",
            setting.key,
            match setting.default {
                "" => String::new(),
                default => format!(" = {default}"),
            },
            setting.summary
        ));
    }
    text.push_str(&sample(&set, args.index)?);
    print(&text)
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
        crate::data::Values::Bytes { .. } | crate::data::Values::Made { .. } => {
            picture::ascii(set, index)?
        }
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
