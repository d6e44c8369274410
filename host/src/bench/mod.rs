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
mod options;
pub mod peak;
pub mod report;
mod rows;
pub mod timing;
pub mod torch;

use case::Bench;
use exchange::Scratch;
use machine::Machine;
pub use options::{Kind, Options};
use report::{Report, Row, Versions};
use rows::Torch;

use crate::app::App;
use crate::run::clock;
use crate::{Error, Result};

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
