//! `biorule quickstart`: one small network on embedded digits, learned by each kind of rule, and a
//! table that compares them. Each is an ordinary run, in an ordinary run folder, of a
//! configuration in `configs/quickstart/`.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::Args;

use super::experiments::{self, Options, Planned, Ready};
use super::options::ConfigArgs;
use super::{Host, Open};
use crate::config;
use crate::run::folder::{self, Resume};
use crate::run::{Metrics, ReporterOptions, StopFlag};
use crate::text::{print, table};
use crate::{Error, ExitCode, Result};

/// Trains one small network by each kind of rule.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule quickstart
  biorule quickstart --seed 1
  biorule quickstart --run-dir here      started again, it goes on there

The configurations are the files in configs/quickstart. Ctrl-C stops after the current step with a
checkpoint (exit code 75); the same command with --run-dir goes on.")]
pub struct QuickstartArgs {
    /// Seed of weights and order
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// The folder with a run folder for each experiment; absent: a new one under `output.runs`
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,

    /// `auto`, `cpu`, `cuda` or `cuda:N`
    #[arg(long)]
    device: Option<String>,

    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    plugins: Vec<PathBuf>,

    /// Only warnings and errors on standard error
    #[arg(long, short)]
    quiet: bool,
}

/// An experiment: its name, how the network learns, and its configuration.
struct Experiment {
    name: &'static str,
    learned_by: &'static str,
    text: &'static str,
}

macro_rules! experiments {
    ($($name:literal: $learned_by:literal),* $(,)?) => {
        &[$(Experiment {
            name: $name,
            learned_by: $learned_by,
            text: include_str!(concat!("../../../configs/quickstart/", $name, ".toml")),
        }),*]
    };
}

/// In the order of the table.
const EXPERIMENTS: &[Experiment] = experiments! {
    "backprop": "backpropagation",
    "fa": "feedback alignment",
    "usf": "sign feedback, sizes all one",
    "brsf": "sign feedback, sizes drawn at each step",
    "frsf": "sign feedback, sizes drawn once",
    "kolen-pollack": "Kolen-Pollack",
    "dfa": "direct feedback alignment",
    "softhebb": "SoftHebb, read-out by backpropagation",
    "krotov": "Krotov-Hopfield, read-out by backpropagation",
    "mixture": "SoftHebb, feedback alignment, backpropagation",
    "random": "random weights, read-out by backpropagation",
};

/// The metric behind the column `angle`.
const COSINE: &str = "hidden1/gradient_cosine";

/// The name of the folder under `output.runs`.
const FOLDER: &str = "quickstart-rules";

/// What an experiment came to.
struct Row {
    experiment: &'static Experiment,
    /// Test accuracy from 0 to 1; absent where training diverged.
    accuracy: Option<f64>,
    history: History,
}

/// What the table takes from a run's `metrics.csv`.
#[derive(Debug, Default, PartialEq)]
struct History {
    /// Wall time of all epochs, evaluation included.
    seconds: f64,
    /// Mean over the epochs of the angle between the first hidden layer's update and the true
    /// gradient, in degrees; absent where no error reaches that layer.
    angle: Option<f64>,
}

/// Runs the command.
pub(super) fn run(args: &QuickstartArgs, open: Open) -> Result<ExitCode> {
    let configs: Vec<ConfigArgs> = EXPERIMENTS.iter().map(|e| args.config(e)).collect();
    let (first, host) = configs[0].resolve(open)?;
    let host: Rc<dyn Host> = host.into();
    let mut plans = vec![first];
    for config in &configs[1..] {
        plans.push(config::resolve(&config.sources(), &*host)?);
    }
    let root = match &args.run_dir {
        Some(dir) => dir.clone(),
        None => folder::fresh_path(&plans[0].plan.output.runs, FOLDER),
    };
    let stop = StopFlag::new();
    stop.on_signals()?;
    args.note(&format!(
        "training one network in {} ways, in {}",
        EXPERIMENTS.len(),
        root.display()
    ));
    let options = Options {
        reporter: ReporterOptions {
            quiet: true,
            plain: true,
            jsonl: false,
        },
        resume: Resume::Auto,
        no_tables: true,
        accept_plugins: false,
    };
    let mut rows = Vec::new();
    let mut diverged = None;
    for ((experiment, config), resolved) in EXPERIMENTS.iter().zip(&configs).zip(plans) {
        let folder = root.join(experiment.name);
        let ready = Ready {
            resolved,
            host: Rc::clone(&host),
            overrides: config.overrides(),
            root: folder.clone(),
            again: root.clone(),
            fresh: false,
            steps: None,
        };
        let planned = Planned {
            name: experiment.name.to_owned(),
            ready: Ok(ready),
        };
        let ended = experiments::run(vec![planned], &options, &stop)?;
        let done = ended.experiments.first();
        let results = done.and_then(|e| e.runs.first()).map(|(_, r)| r.clone());
        let accuracy = match ended.conclude() {
            Ok(ExitCode::Done) => results.as_ref().and_then(accuracy),
            Ok(other) => return Ok(other),
            Err(e) if e.code == ExitCode::Diverged => {
                tell!("{}: {e}", experiment.name);
                diverged = Some(e);
                None
            }
            Err(e) => return Err(e.within(format_args!("experiment `{}`", experiment.name))),
        };
        if args.run_dir.is_none() {
            folder::link_latest(&root)?;
        }
        let row = Row {
            experiment,
            accuracy,
            history: History::read(&folder.join("metrics.csv"))?,
        };
        args.note(&row.line(rows.len() + 1));
        rows.push(row);
    }
    print(&screen(&rows, &root))?;
    diverged.map_or(Ok(ExitCode::Done), Err)
}

impl QuickstartArgs {
    fn config(&self, experiment: &Experiment) -> ConfigArgs {
        ConfigArgs {
            embedded: vec![(experiment.name, experiment.text)],
            seed: Some(self.seed),
            device: self.device.clone(),
            plugins: self.plugins.clone(),
            ..ConfigArgs::default()
        }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

fn accuracy(results: &Metrics) -> Option<f64> {
    results.get("test/accuracy").copied()
}

impl Row {
    /// The line that says that the experiment is done.
    fn line(&self, number: usize) -> String {
        let (name, all) = (self.experiment.name, EXPERIMENTS.len());
        let (accuracy, seconds) = (self.accuracy(), self.history.seconds);
        format!("[{number:2}/{all}] {name:<14} {accuracy:>10}  {seconds:5.2} s")
    }

    fn accuracy(&self) -> String {
        self.accuracy
            .map_or("diverged".to_owned(), |a| format!("{:.2} %", 100.0 * a))
    }
}

impl History {
    fn read(path: &Path) -> Result<Self> {
        let damaged = |e: &dyn std::fmt::Display| Error::data(format!("`{}`: {e}", path.display()));
        let mut table = csv::Reader::from_path(path).map_err(|e| damaged(&e))?;
        let head = table.headers().map_err(|e| damaged(&e))?.clone();
        let column = |name: &str| head.iter().position(|h| h == name);
        let (seconds, cosine) = (column("seconds"), column(COSINE));
        let (mut total, mut angles) = (0.0, Vec::new());
        for line in table.records() {
            let line = line.map_err(|e| damaged(&e))?;
            let number = |at: Option<usize>| line.get(at?)?.parse::<f64>().ok();
            total += number(seconds).unwrap_or(0.0);
            let cosine = number(cosine).filter(|c| c.is_finite());
            angles.extend(cosine.map(|c| c.clamp(-1.0, 1.0).acos().to_degrees()));
        }
        let mean = angles.iter().sum::<f64>() / angles.len() as f64;
        Ok(Self {
            seconds: total,
            angle: (!angles.is_empty()).then_some(mean),
        })
    }
}

/// The last screen: the table and where everything is.
fn screen(rows: &[Row], root: &Path) -> String {
    let mut table = table(&[
        "experiment",
        "learned by",
        "test accuracy",
        "angle",
        "seconds",
    ]);
    for row in rows {
        let angle = row.history.angle;
        table.add_row(vec![
            row.experiment.name.to_owned(),
            row.experiment.learned_by.to_owned(),
            row.accuracy(),
            angle.map_or("–".to_owned(), |a| format!("{a:.0}°")),
            format!("{:.2}", row.history.seconds),
        ]);
    }
    for column in 2..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    let root = root.display();
    format!(
        "{table}\n\n\
         angle: between the first hidden layer's update and its true gradient, mean over the epochs\n\
         \x20      (90° is chance; – where that layer learns from no error)\n\
         seconds: of training and evaluation, without writing checkpoints\n\
         run folders: {root}/EXPERIMENT\n\
         once more as a table: biorule runs compare {root}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_added_and_angles_averaged_over_the_epochs_that_have_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let text = format!("segment,seconds,{COSINE}\nnetwork,1.5,\nnetwork,0.5,1\nnetwork,1,0\n");
        std::fs::write(&path, text).unwrap();
        let history = History::read(&path).unwrap();
        assert_eq!(history.seconds, 3.0);
        assert!((history.angle.unwrap() - 45.0).abs() < 1e-9);
        std::fs::write(&path, "segment,seconds\nnetwork,2\n").unwrap();
        assert_eq!(History::read(&path).unwrap().angle, None);
    }

    #[test]
    fn each_file_is_named_as_its_experiment() {
        for experiment in EXPERIMENTS {
            let table: toml::Table = experiment.text.parse().unwrap();
            assert_eq!(table["name"].as_str(), Some(experiment.name));
        }
    }
}
