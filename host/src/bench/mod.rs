//! `biorule bench`: how fast and how large, beside this machine's own peaks and
//! beside PyTorch, measured in the same run.
//!
//! A row is one [`case::Case`]: our side, what it costs, and the name of the same
//! work in `benches/pytorch`. Both sides start from the same numbers, their
//! results are compared, and then they take turns in short bursts.
//! docs/performance.md tells how to read the figures.

pub mod case;
mod cases;
pub mod exchange;
mod experiment;
pub mod machine;
pub mod peak;
pub mod report;
mod rows;
pub mod timing;
pub mod torch;

use std::path::PathBuf;

use case::{Bench, Case};
use exchange::Scratch;
use machine::Machine;
use report::{Report, Row, Versions};
use rows::Torch;
use timing::Effort;

use crate::app::App;
use crate::config::{self, Sources};
use crate::device::Placement;
use crate::run::clock;
use crate::{Error, Result};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The host's operations, one by one.
    Kernels,
    /// Whole training steps of networks with plugins.
    Step,
    /// A published experiment from end to end.
    Experiment,
}

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// What.
    pub kind: Kind,
    /// Parts of names, one of which a row has to contain; empty takes all.
    pub filter: Vec<String>,
    /// The interpreter with PyTorch.
    pub python: PathBuf,
    /// Whether PyTorch is measured at all.
    pub pytorch: bool,
    /// Bursts.
    pub effort: Effort,
    /// Where.
    pub device: String,
    /// `--set` texts for networks and the experiment.
    pub sets: Vec<String>,
    /// Folders with plugins.
    pub plugins: Vec<PathBuf>,
    /// Threads of both sides; absent: as `sets` say.
    pub threads: Option<usize>,
    /// Also measure PyTorch with the allocator as it comes.
    pub default_allocator: bool,
    /// Also measure both sides with subnormal numbers computed instead of taken as 0.
    pub keep_denormals: bool,
    /// Whether memory is measured, in processes of their own.
    pub memory: bool,
    /// Batches of each phase of an experiment that PyTorch runs.
    pub batches: usize,
}

impl Options {
    /// Threads of both sides; 0 leaves it to the environment.
    ///
    /// # Errors
    /// Usage error for a `--set threads=…` that is not a number.
    pub fn threads(&self) -> Result<usize> {
        let sources = Sources {
            sets: self.sets.clone(),
            ..Sources::default()
        };
        match self.threads {
            Some(n) => Ok(n),
            None => config::threads(&config::merge(&sources)?),
        }
    }

    /// TF32 as `--set tf32=…` says.
    fn tf32(&self) -> Result<bool> {
        let sources = Sources {
            sets: self.sets.clone(),
            ..Sources::default()
        };
        let value = config::merge(&sources)?.remove("tf32");
        let read = value.map(|v| v.into_bool()).transpose();
        Ok(read
            .map_err(|e| Error::usage(format!("`tf32`: {e}")))?
            .unwrap_or(false))
    }

    fn placement(&self) -> Result<Placement> {
        Placement::open(self.device.parse()?, self.tf32()?)
    }

    /// The rows asked for.
    ///
    /// # Errors
    /// Usage error where no name fits.
    fn cases(&self) -> Result<Vec<Case>> {
        let mut cases = match self.kind {
            Kind::Kernels => cases::kernels(),
            Kind::Step => cases::steps(),
            Kind::Experiment => return Ok(Vec::new()),
        };
        let names: Vec<String> = cases.iter().map(|c| c.name.clone()).collect();
        let wanted = |name: &str| self.filter.iter().any(|f| name.contains(f.as_str()));
        cases.retain(|c| self.filter.is_empty() || wanted(&c.name));
        if cases.is_empty() {
            let filter = self.filter.join(",");
            let hint = match config::nearest(&filter, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("rows are {}", names.join(", ")),
            };
            return Err(Error::usage(format!("no row is named like `{filter}`")).hint(hint));
        }
        Ok(cases)
    }
}

/// Measures; `say` gets what there is after each row, so that a run that is cut short leaves its rows.
///
/// # Errors
/// Usage and plugin errors, and failures of our own side. Whatever is wrong with
/// PyTorch is told in the report.
pub fn run(options: &Options, say: &mut dyn FnMut(&Report, &Row) -> Result<()>) -> Result<Report> {
    let cases = options.cases()?;
    let placement = options.placement()?;
    let device = placement.device.clone();
    let app = App::discover(&options.plugins);
    let scratch = Scratch::new()?;
    let date = clock::stamp(clock::now());
    let mut torch = Torch::start(options, &placement, scratch.path())?;
    let bench = Bench {
        device: device.clone(),
        app: &app,
        sets: &options.sets,
        scratch: scratch.path(),
    };
    let mut report = Report {
        machine: Machine::here(&placement.name),
        versions: Versions {
            biorule: env!("CARGO_PKG_VERSION"),
            pytorch: torch.about(),
        },
        date,
        command: std::env::args().collect(),
        sgemm_gflops: 0.0,
        sgemm: Vec::new(),
        copy_gbytes_per_s: 0.0,
        pytorch_absent: torch.absent(),
        rows: Vec::new(),
    };
    let seconds = options.effort.seconds;
    report.meet_peaks(
        torch.sgemm(&device, seconds)?,
        peak::copy(&device, seconds)?,
    );
    for case in &cases {
        let row = rows::measure(options, &bench, case, &mut torch)
            .map_err(|e| e.within(format_args!("row `{}`", case.name)))?;
        report.add(row, say)?;
    }
    if options.kind == Kind::Experiment {
        let row = experiment::measure(options, &bench, &placement, &mut torch)?;
        report.add(row, say)?;
    }
    // Virtual machines change pace: a peak is the best of before and after.
    report.meet_peaks(
        torch.sgemm(&device, seconds)?,
        peak::copy(&device, seconds)?,
    );
    report.pytorch_absent = torch.absent();
    Ok(report)
}

/// Memory of one row, in this process, which should do nothing else.
///
/// # Errors
/// As for [`run`].
pub fn memory_of(options: &Options, name: &str) -> Result<torch::Memory> {
    let case = options.cases()?.into_iter().find(|c| c.name == name);
    let case = case.ok_or_else(|| Error::usage(format!("no row `{name}`")))?;
    let placement = options.placement()?;
    let scratch = Scratch::new()?;
    let app = App::discover(&options.plugins);
    let bench = Bench {
        device: placement.device,
        app: &app,
        sets: &options.sets,
        scratch: scratch.path(),
    };
    rows::memory(&bench, &case)
}
