//! `biorule bench`: speed and memory beside this machine's peaks and PyTorch.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::bench::report::Report;
use crate::bench::timing::Effort;
use crate::bench::{self, Kind, Options};
use crate::text::{print, print_json};
use crate::{Error, ExitCode, Result, threads};

/// Interpreter where none is named.
const PYTHON: &str = "python3";
/// Batches of an experiment where no number is given.
const BATCHES: usize = 20;

/// `biorule bench`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule bench kernels                                 every operation, beside PyTorch if it is there
  biorule bench step --filter softhebb-step-l2 --json   one row, for programs
  biorule bench kernels --filter conv-forward,pool-max --repeats 15
  biorule bench step --python ~/venv/bin/python --out benches/results/step.json
  biorule bench step --device cuda:0 --set tf32=true
  biorule bench experiment --batches 50                 CIFAR-10 end to end; minutes to an hour

Each row's time stands beside the run's own peak: `of peak` is the share of the
best matrix product, or of a copy's bandwidth for work that memory decides.
`× plain` is the time of PyTorch as a researcher writes it by ours, `× best` that
of the fastest formulation in benches/pytorch: above 1 we are faster. Both sides
start from the same numbers, must agree on the result (`max_error`), have the
same threads and the same allocator setting, take subnormal numbers as 0, and
take turns in short bursts.
Rows marked * were disturbed by other programs: measure on a quiet machine.")]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum)]
    what: What,

    /// Only rows whose name contains one of these texts, separated by commas
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    filter: Vec<String>,

    /// The result as JSON on standard output instead of a table
    #[arg(long)]
    json: bool,

    /// Also write the JSON to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Interpreter with PyTorch
    #[arg(
        long,
        env = "BIORULE_PYTHON",
        value_name = "PATH",
        default_value = PYTHON
    )]
    python: PathBuf,

    /// Leave PyTorch out
    #[arg(long)]
    no_pytorch: bool,

    /// Threads of both sides; absent: `--set threads=N`, `RAYON_NUM_THREADS` or the cores there are
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Seconds of a burst
    #[arg(long, default_value_t = Effort::default().seconds, value_name = "S")]
    seconds: f64,

    /// Bursts of each side
    #[arg(long, default_value_t = Effort::default().repeats, value_name = "N")]
    repeats: usize,

    /// Seconds that a row may wait for other programs to be quiet
    #[arg(long, default_value_t = Effort::default().patience, value_name = "S")]
    patience: f64,

    /// `cpu` or `cuda:N`
    #[arg(long, default_value = "cpu")]
    device: String,

    /// Set one value of the rows' configurations, as `tf32=true` or `training.gradient.epochs=5`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,

    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    plugins: Vec<PathBuf>,

    /// Also measure PyTorch with the allocator as it comes
    #[arg(long)]
    default_allocator: bool,

    /// Also measure both sides with subnormal numbers computed instead of taken as 0
    #[arg(long)]
    keep_denormals: bool,

    /// Leave memory out, which takes a process for each row and side
    #[arg(long)]
    no_memory: bool,

    /// Batches of each phase that PyTorch runs of an experiment
    #[arg(long, default_value_t = BATCHES, value_name = "N")]
    batches: usize,

    /// Print the memory of this row's process and end
    #[arg(long, hide = true, value_name = "ROW")]
    memory_of: Option<String>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The host's operations, one by one
    Kernels,
    /// Whole training steps of networks with plugins
    Step,
    /// The three-layer SoftHebb experiment on CIFAR-10, end to end
    Experiment,
}

/// Runs the command.
pub(super) fn run(args: &BenchArgs) -> Result<ExitCode> {
    if !(args.seconds.is_finite() && args.seconds > 0.0) || args.repeats == 0 {
        return Err(Error::usage("`--seconds` and `--repeats` must be above 0"));
    }
    if args.threads == Some(0) {
        return Err(Error::usage("`--threads` must be above 0"));
    }
    super::plugin_folders::check(&args.plugins, &Default::default())?;
    let options = args.options();
    let warnings = threads::start(options.threads()?)?;
    if args.memory_of.is_none() {
        super::warn::warn(warnings);
        super::warn::warn(args.ignored());
    }
    if let Some(name) = &args.memory_of {
        let memory = bench::memory_of(&options, name)?;
        let text = json!({"peak": memory.peak, "prepared": memory.prepared});
        return print(&format!("{text}\n")).map(|()| ExitCode::Done);
    }
    let report = bench::run(&options, &mut |report, row| {
        tell!("{}", row.line());
        args.keep(report).map(drop)
    })?;
    if let Some(why) = &report.pytorch_absent {
        tell!("no figures of PyTorch: {why}");
    }
    let json = args.keep(&report)?;
    if args.json {
        print_json(&json)?;
    } else {
        print(&report.table())?;
    }
    Ok(ExitCode::Done)
}

impl BenchArgs {
    /// Flags that this measurement does not read.
    fn ignored(&self) -> Vec<String> {
        let usual = Effort::default();
        let (experiment, kernels) = (
            matches!(self.what, What::Experiment),
            matches!(self.what, What::Kernels),
        );
        let whole = "an experiment is one row, trained once from end to end";
        let alone = "PyTorch is left out by `--no-pytorch`";
        let operations = "operations are measured without a network";
        let elsewhere = "only `bench experiment` reads it";
        let of_all = |set: &String| {
            let key = set.split('=').next().unwrap_or_default().trim();
            matches!(key, "tf32" | "threads")
        };
        let python =
            std::env::var_os("BIORULE_PYTHON").is_none() && self.python != Path::new(PYTHON);
        let flags = [
            ("--filter", experiment && !self.filter.is_empty(), whole),
            (
                "--repeats",
                experiment && self.repeats != usual.repeats,
                whole,
            ),
            (
                "--patience",
                experiment && self.patience != usual.patience,
                whole,
            ),
            ("--no-memory", experiment && self.no_memory, whole),
            ("--keep-denormals", experiment && self.keep_denormals, whole),
            (
                "--default-allocator",
                experiment && self.default_allocator,
                whole,
            ),
            (
                "--default-allocator",
                self.no_pytorch && self.default_allocator,
                alone,
            ),
            ("--python", self.no_pytorch && python, alone),
            (
                "--batches",
                experiment && self.no_pytorch && self.batches != BATCHES,
                alone,
            ),
            (
                "--batches",
                !experiment && self.batches != BATCHES,
                elsewhere,
            ),
            ("--plugins", kernels && !self.plugins.is_empty(), operations),
            (
                "--set",
                kernels && !self.sets.iter().all(of_all),
                "rows of `kernels` read `tf32` and `threads` alone",
            ),
        ];
        let given = flags.into_iter().filter(|(_, ignored, _)| *ignored);
        given
            .map(|(flag, _, why)| format!("`{flag}` has no effect: {why}"))
            .collect()
    }

    /// Writes what there is to `--out`; the same as JSON.
    fn keep(&self, report: &Report) -> Result<serde_json::Value> {
        let json =
            serde_json::to_value(report).map_err(|e| Error::internal(format!("JSON: {e}")))?;
        if let Some(path) = &self.out {
            let text = serde_json::to_string_pretty(&json).unwrap_or_default() + "\n";
            std::fs::write(path, text).map_err(|e| Error::storage_io(path, &e))?;
        }
        Ok(json)
    }

    fn options(&self) -> Options {
        Options {
            kind: match self.what {
                What::Kernels => Kind::Kernels,
                What::Step => Kind::Step,
                What::Experiment => Kind::Experiment,
            },
            filter: self.filter.clone(),
            python: self.python.clone(),
            pytorch: !self.no_pytorch,
            effort: Effort {
                seconds: self.seconds,
                repeats: self.repeats,
                patience: self.patience,
            },
            device: self.device.clone(),
            sets: self.sets.clone(),
            plugins: self.plugins.clone(),
            threads: self.threads,
            default_allocator: self.default_allocator,
            keep_denormals: self.keep_denormals,
            memory: !self.no_memory,
            batches: self.batches.max(1),
        }
    }
}
