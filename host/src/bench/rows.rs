//! One row: both sides made ready from the same numbers, compared, then timed in
//! turns; memory in processes that do nothing else.

use std::cell::RefCell;
use std::path::Path;
use std::process::{Command, Stdio};

use candle_core::Device;
use serde_json::Value;

use super::case::{Bench, Case, Named, Work};
use super::options::{Kind, Options};
use super::peak::{self, Product};
use super::report::Row;
use super::timing::{Measured, Side, measure as time};
use super::torch::{About, Memory, Setting, Worker, unpack};
use super::{exchange, machine};
use crate::device::Placement;
use crate::threads::in_pool;
use crate::{Error, ExitCode, Result};

/// Calls that a process makes while its memory is watched.
const WATCHED_CALLS: usize = 3;

/// The other side's processes, and why they are not there.
pub(super) struct Torch {
    /// With the allocator set as ours is.
    pub(super) tuned: Option<RefCell<Worker>>,
    /// With the allocator as it comes.
    default: Option<RefCell<Worker>>,
    /// With subnormal numbers computed.
    denormals: Option<RefCell<Worker>>,
    /// Starts copies of itself that are watched.
    memory: Option<RefCell<Worker>>,
    absent: Option<String>,
    about: Option<About>,
}

impl Torch {
    /// Starts what `options` ask for.
    ///
    /// # Errors
    /// Internal error where the scripts cannot be written.
    pub(super) fn start(options: &Options, place: &Placement, scratch: &Path) -> Result<Self> {
        let mut torch = Self {
            tuned: None,
            default: None,
            denormals: None,
            memory: None,
            absent: None,
            about: None,
        };
        if !options.pytorch {
            torch.absent = Some("not asked for".into());
            return Ok(torch);
        }
        unpack(scratch)?;
        let setting = Setting {
            python: options.python.clone(),
            scripts: scratch.to_owned(),
            threads: rayon::current_num_threads(),
            device: place.name.split(' ').next().unwrap_or("cpu").to_owned(),
            tf32: place.tf32,
            tuned: true,
            flush_denormal: true,
        };
        match setting.start() {
            Ok(worker) => {
                torch.about = Some(worker.about.clone());
                torch.tuned = Some(RefCell::new(worker));
            }
            Err(why) => {
                torch.absent = Some(why);
                return Ok(torch);
            }
        }
        if options.default_allocator {
            let default = Setting {
                tuned: false,
                ..setting.clone()
            };
            torch.default = default.start().ok().map(RefCell::new);
        }
        if options.keep_denormals {
            let kept = Setting {
                flush_denormal: false,
                ..setting.clone()
            };
            torch.denormals = kept.start().ok().map(RefCell::new);
        }
        if options.memory && place.device.is_cpu() {
            torch.memory = setting.start_for_memory().ok().map(RefCell::new);
        }
        Ok(torch)
    }

    pub(super) fn about(&self) -> Option<About> {
        self.about.clone()
    }

    pub(super) fn absent(&self) -> Option<String> {
        self.absent.clone()
    }

    /// Lets workers go that will answer no more.
    pub(super) fn bury(&mut self) {
        let lost = |w: &Option<RefCell<Worker>>| {
            let worker = w.as_ref()?.borrow();
            worker.lost().map(str::to_owned)
        };
        if let Some(why) = lost(&self.tuned) {
            self.tuned = None;
            self.absent = Some(why);
        }
        if lost(&self.default).is_some() {
            self.default = None;
        }
        if lost(&self.denormals).is_some() {
            self.denormals = None;
        }
        if lost(&self.memory).is_some() {
            self.memory = None;
        }
    }

    /// Matrix products of both sides.
    pub(super) fn sgemm(&mut self, device: &Device, seconds: f64) -> Result<Vec<Product>> {
        let mut worker = self.tuned.as_ref().map(RefCell::borrow_mut);
        let products = peak::sgemm(device, seconds, worker.as_deref_mut());
        drop(worker);
        self.bury();
        products
    }
}

/// What the other side is told of a case.
struct Request<'a> {
    case: &'a Case,
    inputs: Value,
    folder: &'a Path,
}

impl Request<'_> {
    /// Variants whose results are ours within the tolerance, the plain one
    /// first; the largest error of those, and what is wrong with others.
    fn prepare(&self, worker: &RefCell<Worker>, ours: &Named) -> Prepared {
        let mut out = Prepared::default();
        let case = self.case;
        let variants =
            worker
                .borrow_mut()
                .prepare(case.torch, &case.params, &self.inputs, self.folder);
        let variants = match variants {
            Ok(variants) => variants,
            Err(why) => {
                out.complaints.push(format!("PyTorch: {why}"));
                return out;
            }
        };
        for (name, theirs) in variants {
            match exchange::error(ours, &theirs) {
                Ok(error) if error <= case.tolerance => {
                    out.error = Some(out.error.map_or(error, |e: f64| e.max(error)));
                    out.variants.push(name);
                }
                Ok(error) => {
                    out.error = Some(out.error.map_or(error, |e: f64| e.max(error)));
                    out.complaints
                        .push(format!("results of `{name}` differ by {error:.1e}"));
                }
                Err(why) => out.complaints.push(format!("`{name}`: {why}")),
            }
        }
        out
    }
}

/// What the other side can do of a case.
#[derive(Default)]
struct Prepared {
    variants: Vec<String>,
    error: Option<f64>,
    complaints: Vec<String>,
}

impl Prepared {
    /// The variant that a short look finds fastest.
    fn fastest(&self, worker: &RefCell<Worker>, seconds: f64) -> Option<String> {
        let mut best: Option<(f64, &String)> = None;
        for _ in 0..2 {
            for name in &self.variants {
                let taken = worker.borrow_mut().burst(name, seconds / 2.0).ok()?;
                if best.is_none_or(|(least, _)| taken < least) {
                    best = Some((taken, name));
                }
            }
        }
        best.map(|(_, name)| name.clone())
    }
}

/// Measures a row.
///
/// # Errors
/// Failures of our side.
pub(super) fn measure(
    options: &Options,
    bench: &Bench<'_>,
    case: &Case,
    torch: &mut Torch,
) -> Result<Row> {
    let mut work = (case.make)(bench)?;
    let request = Request {
        case,
        inputs: exchange::write(bench.scratch, &work.inputs()?)?,
        folder: bench.scratch,
    };
    let ours = in_pool(|| work.results())?;
    let mut row = Row {
        name: case.name.clone(),
        cost: work.cost(),
        ..Row::default()
    };
    let mut notes = Vec::new();
    let mut best = None;
    let mut plain = false;
    if let Some(worker) = &torch.tuned {
        let prepared = request.prepare(worker, &ours);
        plain = prepared.variants.first().is_some_and(|v| v == PLAIN);
        if plain {
            best = prepared.fastest(worker, options.effort.seconds);
        }
        row.max_error = prepared.error;
        row.tolerance = Some(case.tolerance);
        notes.extend(prepared.complaints);
    }
    let is_ready = |worker: &&RefCell<Worker>| {
        plain
            && request
                .prepare(worker, &ours)
                .variants
                .first()
                .is_some_and(|v| v == PLAIN)
    };
    let default = torch.default.as_ref().filter(is_ready);
    let denormals = torch.denormals.as_ref().filter(is_ready);
    let others: Vec<(Ratio, &RefCell<Worker>, String)> = [
        torch
            .tuned
            .as_ref()
            .filter(|_| plain)
            .map(|w| (Ratio::Plain, w, PLAIN.to_owned())),
        torch
            .tuned
            .as_ref()
            .zip(best.clone().filter(|b| b != PLAIN))
            .map(|(w, best)| (Ratio::Best, w, best)),
        default.map(|w| (Ratio::DefaultAllocator, w, PLAIN.to_owned())),
        denormals.map(|w| (Ratio::WithDenormals, w, PLAIN.to_owned())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let work = RefCell::new(work);
    match timed(options, bench, &work, &others) {
        Ok(measured) => enter(&mut row, &measured, &others, best),
        // Ours is measured all the same, and fails again where it is to blame.
        Err(why) if !others.is_empty() => {
            notes.push(why.text);
            let measured = timed(options, bench, &work, &[])?;
            enter(&mut row, &measured, &[], None);
        }
        Err(why) => return Err(why),
    }
    drop(work);
    if options.memory && bench.device.is_cpu() {
        memories(options, case, &request, torch, &mut row, &mut notes);
    }
    torch.bury();
    row.note = (!notes.is_empty()).then(|| notes.join("; "));
    Ok(row)
}

/// Name of the formulation that a researcher writes.
const PLAIN: &str = "plain";

/// Which ratio a side's time gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ratio {
    Plain,
    Best,
    DefaultAllocator,
    WithDenormals,
}

/// Ours, the others, and where it is asked for ours once more with subnormal numbers computed.
fn timed(
    options: &Options,
    bench: &Bench<'_>,
    work: &RefCell<Box<dyn Work>>,
    others: &[(Ratio, &RefCell<Worker>, String)],
) -> Result<Vec<Measured>> {
    let ours = |flush_denormal: bool| Side::Ours {
        work,
        device: &bench.device,
        flush_denormal,
    };
    let mut sides = vec![ours(true)];
    sides.extend(others.iter().map(|(_, worker, variant)| Side::Torch {
        worker,
        variant: variant.clone(),
    }));
    if options.keep_denormals {
        sides.push(ours(false));
    }
    time(&mut sides, options.effort)
}

fn enter(
    row: &mut Row,
    measured: &[Measured],
    others: &[(Ratio, &RefCell<Worker>, String)],
    best: Option<String>,
) {
    let Some((ours, theirs)) = measured.split_first() else {
        return;
    };
    row.seconds = ours.seconds();
    row.spread = ours.spread();
    row.contended = measured.iter().any(Measured::contended);
    let with_denormals = theirs.get(others.len()).map(Measured::seconds);
    row.seconds_with_denormals = with_denormals;
    for ((ratio, ..), theirs) in others.iter().zip(theirs) {
        let value = Some(theirs.seconds() / row.seconds);
        match ratio {
            Ratio::Plain => row.vs_pytorch_plain = value,
            Ratio::Best => row.vs_pytorch_best = value,
            Ratio::DefaultAllocator => row.vs_pytorch_plain_default_allocator = value,
            Ratio::WithDenormals => {
                row.vs_pytorch_plain_with_denormals =
                    with_denormals.map(|ours| theirs.seconds() / ours);
            }
        }
    }
    if best.as_deref() == Some(PLAIN) {
        row.vs_pytorch_best = row.vs_pytorch_plain;
    }
    // The short look that chose may have been disturbed.
    if let (Some(plain), Some(other)) = (row.vs_pytorch_plain, row.vs_pytorch_best)
        && plain < other
    {
        row.vs_pytorch_best = Some(plain);
        row.pytorch_best = Some(PLAIN.to_owned());
        return;
    }
    row.pytorch_best = best;
}

fn memories(
    options: &Options,
    case: &Case,
    request: &Request<'_>,
    torch: &Torch,
    row: &mut Row,
    notes: &mut Vec<String>,
) {
    let taken = |m: &Memory| Some(m.peak? - m.prepared?);
    match ours(options, &case.name) {
        Ok(memory) => {
            row.peak_memory_mib = memory.peak;
            row.working_memory_mib = taken(&memory);
        }
        Err(e) => notes.push(format!("memory: {}", e.text)),
    }
    let Some(worker) = &torch.memory else { return };
    let mut variants = vec![PLAIN.to_owned()];
    variants.extend(row.pytorch_best.clone().filter(|b| b != PLAIN));
    for variant in variants.iter().filter(|_| row.vs_pytorch_plain.is_some()) {
        let memory = worker
            .borrow_mut()
            .memory(case.torch, &case.params, &request.inputs, variant);
        let memory = match memory {
            Ok(memory) => memory,
            Err(why) => return notes.push(format!("memory of PyTorch: {why}")),
        };
        let less = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        row.pytorch_peak_memory_mib = less(row.pytorch_peak_memory_mib, memory.peak);
        row.pytorch_working_memory_mib = less(row.pytorch_working_memory_mib, taken(&memory));
    }
}

/// Memory of our side, from a process of its own.
fn ours(options: &Options, name: &str) -> Result<Memory> {
    let exe = std::env::current_exe().map_err(|e| Error::internal(format!("own program: {e}")))?;
    let mut command = Command::new(&exe);
    let kind = if options.kind == Kind::Kernels {
        "kernels"
    } else {
        "step"
    };
    command.args(["bench", kind, "--memory-of", name]);
    for set in &options.sets {
        command.args(["--set", set]);
    }
    for folder in &options.plugins {
        command.arg("--plugins").arg(folder);
    }
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Error::io(ExitCode::Internal, &exe, &e))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|e| Error::internal(format!("the process that was watched: {e}")))
}

/// Memory of a case in this process.
///
/// # Errors
/// Failures of our side.
pub(super) fn memory(bench: &Bench<'_>, case: &Case) -> Result<Memory> {
    let mut work = (case.make)(bench)?;
    let prepared = machine::memory();
    let told = machine::forget_peak();
    in_pool(|| (0..WATCHED_CALLS).try_for_each(|_| work.call()))?;
    Ok(Memory {
        peak: machine::peak_memory().filter(|_| told),
        prepared,
    })
}
