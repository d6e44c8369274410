//! `biorule predict`: what a trained network takes pictures or arrays for.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::eval::locate;
use super::options::RunConfigArgs;
use super::{Open, Predicted, Prediction, Said};
use crate::run::StopFlag;
use crate::text::{csv, print, table};
use crate::train::predict::Speaks;
use crate::{Error, ExitCode, Result};

/// What a trained network takes pictures or arrays for.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule predict runs/cats/latest photo.jpg
  biorule predict runs/cats/latest photos/ --top 3 --format csv > answers.csv
  biorule predict runs/quickstart/latest x_test.npy --format json
  find . -name '*.png' | biorule predict runs/cats/latest - --on-error skip

Files are PNG and JPEG pictures, numpy arrays (.npy, .npz), files in MNIST's layout, and folders with pictures and
arrays. They are prepared as the run's own test samples are: size, scaling, whitening. Arrays hold bytes, or floats
from 0 to 1 where the network was trained on bytes. The run's data set has to be there: scaling, whitening and the
names of classes come from it.")]
pub struct PredictArgs {
    /// A run's folder, or a checkpoint in one
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    path: PathBuf,

    /// Pictures, arrays, folders; `-` reads names from standard input, one a line
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The best checkpoint instead of the last
    #[arg(long)]
    best: bool,

    /// How answers are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Classes of each sample, the likeliest first
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,

    /// A file that cannot be read, or is nothing that the network takes: end there, or leave it out
    #[arg(long, value_enum, default_value_t)]
    on_error: OnError,

    /// With `--format json`, the outputs of the network as they are, before the softmax, too
    #[arg(long)]
    outputs: bool,

    /// Bring pictures of other size (bilinear) or channels to those of the network
    #[arg(long)]
    convert: bool,

    #[command(flatten)]
    run: RunConfigArgs,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Table,
    /// A row for each class that is asked for
    Csv,
    /// A list of objects
    Json,
}

/// What happens at a file that is of no use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum OnError {
    /// The command ends with its name
    #[default]
    Stop,
    /// It is told and left out
    Skip,
}

/// Runs the command.
pub(super) fn run(args: &PredictArgs, open: Open) -> Result<()> {
    let (config, checkpoint) = locate(&args.path, args.best)?;
    if args.best && checkpoint == args.path {
        super::warn::warn_once("`--best` has no effect: a file is named, and that answers");
    }
    if args.outputs && args.format != Format::Json {
        return Err(Error::usage("`--outputs` goes with `--format json` alone")
            .hint("rows have one number each; add `--format json`"));
    }
    let paths = paths(&args.files)?;
    let (resolved, host) = args.run.open(config, open)?;
    let stop = StopFlag::new();
    stop.on_signals_saying("stopping after the samples at hand")?;
    let what = Prediction {
        checkpoint,
        paths,
        skip: args.on_error == OnError::Skip,
        convert: args.convert,
        top: args.top as usize,
        stop,
    };
    let mut writer = Writer::new(args.format, args.top > 1, args.outputs);
    let result = host.predict(&resolved.plan, &what, &mut |told| writer.take(told));
    let (samples, left_out) = (writer.samples, writer.left_out);
    writer.end()?;
    result?;
    match (samples, left_out) {
        (0, n) if n > 0 => Err(Error::new(
            ExitCode::Data,
            format!("none of {n} files could be used"),
        )
        .hint("each is told above, with what is wrong")),
        (_, 0) => Ok(()),
        (_, n) => {
            tell!("{n} files left out");
            Ok(())
        }
    }
}

/// The files that are named, those on standard input among them.
fn paths(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in given {
        if path != Path::new("-") {
            all.push(path.clone());
            continue;
        }
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|e| Error::storage_io("standard input", &e))?;
            if !line.is_empty() {
                all.push(line.into());
            }
        }
    }
    match all.is_empty() {
        true => Err(Error::usage("standard input names no file")),
        false => Ok(all),
    }
}

/// Writes answers.
struct Writer {
    format: Format,
    ranks: bool,
    outputs: bool,
    speaks: Speaks,
    rows: Vec<Vec<String>>,
    head: Vec<&'static str>,
    samples: usize,
    left_out: usize,
    begun: bool,
}

impl Writer {
    fn new(format: Format, ranks: bool, outputs: bool) -> Self {
        Self {
            format,
            ranks,
            outputs,
            speaks: Speaks::Nothing,
            rows: Vec::new(),
            head: Vec::new(),
            samples: 0,
            left_out: 0,
            begun: false,
        }
    }

    fn take(&mut self, told: Predicted<'_>) -> Result<()> {
        match told {
            Predicted::Opened(speaks) => {
                self.speaks = speaks;
                self.head = vec!["file", "sample"];
                if speaks == Speaks::Nothing {
                    self.head.push("values");
                } else {
                    self.head.extend(self.ranks.then_some("rank"));
                    self.head.extend(["class", number(speaks)]);
                }
                match self.format {
                    Format::Csv => print(&csv([&self.head])?),
                    Format::Json => print("["),
                    Format::Table => Ok(()),
                }
            }
            Predicted::LeftOut { file, why } => {
                self.left_out += 1;
                tell!("warning: {}; it is left out", why.text);
                if let Some(hint) = &why.hint {
                    tell!("hint: {hint}");
                }
                let file = file.display().to_string();
                match self.format {
                    Format::Json => self.object(&json!({"file": file, "error": why.text})),
                    _ => Ok(()),
                }
            }
            Predicted::Sample {
                file,
                index,
                said,
                outputs,
            } => {
                self.samples += 1;
                self.sample(file, index, &said, &outputs)
            }
        }
    }

    fn sample(
        &mut self,
        file: &Path,
        index: Option<usize>,
        said: &Said,
        outputs: &[f64],
    ) -> Result<()> {
        let file = file.display().to_string();
        if self.format == Format::Json {
            let mut object = json!({"file": file, "sample": index});
            match said {
                Said::Values(values) => object["values"] = json!(values),
                Said::Classes(all) => {
                    let one = |(name, class, x): &(String, u32, f64)| {
                        // A class without a neuron has no activity.
                        let x = x.is_finite().then_some(*x);
                        json!({"class": name, "number": class, number(self.speaks): x})
                    };
                    object["classes"] = all.iter().map(one).collect();
                }
            }
            if self.outputs {
                object["outputs"] = json!(outputs);
            }
            return self.object(&object);
        }
        let index = index.map_or_else(String::new, |index| index.to_string());
        let exact = self.format == Format::Csv;
        let mut rows = Vec::new();
        match said {
            Said::Values(values) => {
                let values: Vec<String> = values.iter().map(|x| shown(*x, exact)).collect();
                rows.push(vec![file, index, values.join(" ")]);
            }
            Said::Classes(all) => {
                for (rank, (name, _, x)) in all.iter().enumerate() {
                    let mut row = vec![file.clone(), index.clone()];
                    row.extend(self.ranks.then(|| (rank + 1).to_string()));
                    let percent = !exact && self.speaks == Speaks::Probability;
                    let x = match (x.is_finite(), percent) {
                        (false, _) => String::new(),
                        (true, true) => format!("{:.2} %", 100.0 * x),
                        (true, false) => shown(*x, exact),
                    };
                    row.extend([name.clone(), x]);
                    rows.push(row);
                }
            }
        }
        match self.format {
            Format::Csv => print(&csv(rows)?),
            _ => {
                self.rows.extend(rows);
                Ok(())
            }
        }
    }

    fn object(&mut self, object: &Value) -> Result<()> {
        let before = if self.begun { ",\n" } else { "\n" };
        self.begun = true;
        print(&format!("{before}{object}"))
    }

    /// What is left to write, also where an error ended it.
    fn end(self) -> Result<()> {
        match self.format {
            Format::Csv => Ok(()),
            Format::Json if self.head.is_empty() => Ok(()),
            Format::Json => print("\n]\n"),
            Format::Table if self.rows.is_empty() => Ok(()),
            Format::Table => {
                let mut table = table(&self.head);
                // A column that says nothing of any row.
                let told = self.rows.iter().any(|row| !row[1].is_empty());
                if !told {
                    table.set_header(self.head.iter().filter(|head| **head != "sample"));
                }
                for mut row in self.rows {
                    if !told {
                        row.remove(1);
                    }
                    table.add_row(row);
                }
                print(&format!("{table}\n"))
            }
        }
    }
}

/// Name of the number beside a class.
fn number(speaks: Speaks) -> &'static str {
    match speaks {
        Speaks::Probability => "probability",
        Speaks::Output => "output",
        Speaks::Activity => "activity",
        Speaks::Nothing => "values",
    }
}

/// A number for people, or as it is.
fn shown(x: f64, exact: bool) -> String {
    match exact {
        true => format!("{x:?}"),
        false => crate::text::number::readable(x),
    }
}
