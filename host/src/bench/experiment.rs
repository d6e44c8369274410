//! `bench experiment`: the three-layer SoftHebb network on CIFAR-10 (Journé et
//! al. 2023) from the first batch to the last test, as `train` does it, beside
//! the reference's protocol in PyTorch, of which each phase runs some batches.
//!
//! The reference computes all convolutions in every batch of every phase, also
//! of the 50 classifier epochs. Its tests between epochs, its data loading and
//! its files are left out, which favours it; ours are in.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use candle_core::Tensor;
use serde_json::{Value, json};

use super::case::Bench;
use super::machine;
use super::options::Options;
use super::report::Row;
use super::rows::Torch;
use crate::config::{self, Resolved, Sources};
use crate::data::Answers;
use crate::data::feed::Batches;
use crate::device::Placement;
use crate::nn::network::BlockMetrics;
use crate::plan::{Drive, PhasePlan, RunPlan};
use crate::run::folder::Resume;
use crate::run::{Bridge, Reporter, ReporterOptions, RunFolder, StopFlag};
use crate::train::{
    self, Batch, EpochEvent, EpochSpec, Job, PhaseEvent, Place, Progress, Samples, StepEvent,
    TrainData,
};
use crate::{Error, Result};

/// The experiment, as its users run it.
const CONFIG: &str = include_str!("../../../configs/reproduce/softhebb/cifar10-3.toml");

/// Runs it.
///
/// # Errors
/// Data error where CIFAR-10 is not there; whatever stops a training.
pub(super) fn measure(
    options: &Options,
    bench: &Bench<'_>,
    place: &Placement,
    torch: &mut Torch,
) -> Result<Row> {
    let file = bench.scratch.join("softhebb-cifar10-3.toml");
    std::fs::write(&file, CONFIG).map_err(|e| Error::storage_io(&file, &e))?;
    let sources = Sources {
        files: vec![file],
        environment: std::env::vars().collect(),
        sets: options.sets.clone(),
        ..Sources::default()
    };
    let resolved = config::resolve(&sources, bench.app)?;
    let seed = resolved.plan.seeds.first().copied().unwrap_or(0);
    let resolved = resolved.with_seed(seed);
    let data = TrainData::open(&resolved.plan)?;
    let samples = data.train.len();
    let mut row = Row {
        name: "experiment-softhebb-cifar10-3".into(),
        ..Row::default()
    };
    let watch = machine::Pressure::watch();
    let ours = train(bench, place, &resolved, data)?;
    row.contended = watch.share().is_some_and(|share| share > 0.5);
    row.seconds = ours.phases.iter().map(|p| p.seconds).sum();
    row.peak_memory_mib = ours.peak_memory;
    let theirs = torch_phases(options, bench, &resolved.plan, samples, torch, &mut row);
    let mut phases = Vec::new();
    for (i, phase) in ours.phases.iter().enumerate() {
        phases.push(json!({
            "name": phase.name,
            "seconds": phase.seconds,
            "data_wait_share": phase.waited / phase.seconds.max(1e-9),
            "pytorch_seconds": theirs.as_ref().and_then(|t| t.get(i)),
        }));
    }
    let waited: f64 = ours.phases.iter().map(|p| p.waited).sum();
    if let Some(theirs) = &theirs {
        let all: f64 = theirs.iter().sum();
        row.extrapolated = true;
        row.vs_pytorch_plain = Some(all / row.seconds);
    }
    row.experiment = Some(json!({
        "seed": seed,
        "accuracy": ours.accuracy,
        "data_wait_share": waited / row.seconds.max(1e-9),
        "phases": phases,
        "pytorch_seconds": theirs.map(|t| t.iter().sum::<f64>()),
        "pytorch_batches_measured": options.batches,
    }));
    Ok(row)
}

/// What our side gave.
struct Ours {
    phases: Vec<Phase>,
    accuracy: Option<f64>,
    peak_memory: Option<f64>,
}

struct Phase {
    name: String,
    seconds: f64,
    /// Seconds in which training waited for data.
    waited: f64,
}

fn train(
    bench: &Bench<'_>,
    place: &Placement,
    resolved: &Resolved,
    data: TrainData,
) -> Result<Ours> {
    let waited = Arc::new(AtomicU64::new(0));
    let data = watched(data, &waited);
    let told = machine::forget_peak();
    let folder = RunFolder::enter(&bench.scratch.join("run"), resolved, &[], Resume::default())?;
    let quiet = ReporterOptions {
        quiet: true,
        jsonl: false,
        plain: true,
    };
    let mut reporter = Reporter::open(&folder, quiet)?;
    let stop = StopFlag::new();
    let (bridge, resume) = Bridge::open(&folder, &mut reporter, &stop)?;
    let mut clocked = Clocked {
        inner: bridge,
        phases: Vec::new(),
        mark: Instant::now(),
        waited: Arc::clone(&waited),
        seen: 0,
    };
    let job = Job {
        plan: &resolved.plan,
        seed: resolved.plan.seeds.first().copied().unwrap_or(0),
        rules: bench.app.registry(),
        data: &data,
        device: place.device.clone(),
        steps: None,
    };
    let outcome = train::run(&job, &mut clocked, resume)?;
    clocked.enter_time();
    let Clocked { inner, phases, .. } = clocked;
    inner.finish(&outcome, |class| class.to_string())?;
    let network = outcome.results.first();
    Ok(Ours {
        phases,
        accuracy: network.and_then(|r| r.scores().accuracy),
        peak_memory: machine::peak_memory().filter(|_| told),
    })
}

/// Passes everything on and keeps the time of each phase. A phase is told of
/// when it is open, so what lies between two checkpoints belongs to the phase
/// told of last: also the features that it computes when it opens.
struct Clocked<'a> {
    inner: Bridge<'a>,
    phases: Vec<Phase>,
    mark: Instant,
    waited: Arc<AtomicU64>,
    seen: u64,
}

impl Clocked<'_> {
    fn enter_time(&mut self) {
        let waited = self.waited.load(Ordering::Relaxed);
        if let Some(phase) = self.phases.last_mut() {
            phase.seconds += self.mark.elapsed().as_secs_f64();
            phase.waited += Duration::from_nanos(waited - self.seen).as_secs_f64();
        }
        self.mark = Instant::now();
        self.seen = waited;
    }
}

impl Progress for Clocked<'_> {
    fn phase(&mut self, event: &PhaseEvent<'_>) {
        self.phases.push(Phase {
            name: event.phase.to_owned(),
            seconds: 0.0,
            waited: 0.0,
        });
        tell!("phase {}", event.phase);
        self.inner.phase(event);
    }
    fn step(&mut self, event: &StepEvent) {
        self.inner.step(event);
    }
    fn rules(&mut self, step: u64, metrics: &[BlockMetrics]) {
        self.inner.rules(step, metrics);
    }
    fn epoch(&mut self, event: &EpochEvent<'_>) -> Result<()> {
        self.inner.epoch(event)
    }
    fn checkpoint_due(&mut self) -> bool {
        self.inner.checkpoint_due()
    }
    fn checkpoint(
        &mut self,
        tensors: &[(String, Tensor)],
        state: &Value,
        best: bool,
    ) -> Result<()> {
        self.inner.checkpoint(tensors, state, best)?;
        self.enter_time();
        Ok(())
    }
    fn should_stop(&self) -> bool {
        self.inner.should_stop()
    }
    fn scratch(&self) -> Option<&Path> {
        self.inner.scratch()
    }
}

/// Samples whose readers are clocked.
struct Watched {
    inner: Box<dyn Samples>,
    waited: Arc<AtomicU64>,
}

impl Watched {
    fn over(inner: Box<dyn Samples>, waited: &Arc<AtomicU64>) -> Box<dyn Samples> {
        Box::new(Self {
            inner,
            waited: Arc::clone(waited),
        })
    }
}

fn watched(data: TrainData, waited: &Arc<AtomicU64>) -> TrainData {
    let watch = |inner| Watched::over(inner, waited);
    TrainData {
        train: watch(data.train),
        validation: data.validation.map(watch),
        test: watch(data.test),
        parts: data.parts.into_iter().map(|(k, v)| (k, watch(v))).collect(),
        extra: data.extra.into_iter().map(|(k, v)| (k, watch(v))).collect(),
    }
}

fn clocked<R>(waited: &AtomicU64, f: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let out = f();
    let taken = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    waited.fetch_add(taken, Ordering::Relaxed);
    out
}

impl Samples for Watched {
    fn len(&self) -> usize {
        self.inner.len()
    }
    fn dims(&self) -> Vec<usize> {
        self.inner.dims()
    }
    fn outputs(&self) -> usize {
        self.inner.outputs()
    }
    fn classes(&self) -> bool {
        self.inner.classes()
    }
    fn augments(&self) -> bool {
        self.inner.augments()
    }
    fn order(&self, seed: u64, epoch: u64, shuffle: bool) -> Vec<u32> {
        self.inner.order(seed, epoch, shuffle)
    }
    fn read(&self, indices: &[u32]) -> Result<Batch> {
        clocked(&self.waited, || self.inner.read(indices))
    }
    fn answers(&self, indices: &[u32]) -> Result<Answers> {
        clocked(&self.waited, || self.inner.answers(indices))
    }
    fn resident(&self, place: &Place) -> Result<Option<Box<dyn Samples>>> {
        let kept = self.inner.resident(place)?;
        Ok(kept.map(|inner| Self::over(inner, &self.waited)))
    }
    fn epoch(&self, spec: &EpochSpec) -> Result<Batches<'_>> {
        let mut batches = clocked(&self.waited, || self.inner.epoch(spec))?;
        let waited = &self.waited;
        Ok(Box::new(std::iter::from_fn(move || {
            clocked(waited, || batches.next())
        })))
    }
}

/// Seconds of each phase of the reference's protocol, from some batches of each.
fn torch_phases(
    options: &Options,
    bench: &Bench<'_>,
    plan: &RunPlan,
    samples: usize,
    torch: &mut Torch,
    row: &mut Row,
) -> Option<Vec<f64>> {
    let worker = torch.tuned.as_ref()?;
    let measured = (|| {
        let mut worker = worker.borrow_mut();
        let mut out = Vec::new();
        for (i, phase) in plan.phases.iter().enumerate() {
            let params =
                json!({"phase": i, "local": phase.drive == Drive::Local, "batch": phase.batch});
            let folder = bench.scratch;
            worker.prepare("softhebb-experiment", &params, &json!({}), folder)?;
            let each = worker.batches("plain", options.batches)?;
            out.push(each * batches(phase, samples) as f64);
        }
        Ok::<_, String>(out)
    })();
    match measured {
        Ok(seconds) => Some(seconds),
        Err(why) => {
            row.note = Some(format!("PyTorch: {why}"));
            torch.bury();
            None
        }
    }
}

/// Batches of a phase.
fn batches(phase: &PhasePlan, samples: usize) -> u64 {
    let spec = EpochSpec {
        seed: 0,
        epoch: 0,
        batch: phase.batch,
        shuffle: phase.shuffle,
        drop_last: phase.drop_last,
        augment: phase.augment,
        start: 0,
    };
    phase.epochs * spec.steps(samples)
}
