//! Where the trainer reports to. One call goes to everything that listens:
//! progress on the terminal, JSON lines on standard output, `events.jsonl`,
//! `metrics.csv`, TensorBoard.
//!
//! Order of calls: `restore` (on resume), `start`, then for each phase
//! `phase`, `step`…, and after each epoch, its checkpoint saved, `checkpoint`
//! and `epoch`; at the end `done`. An epoch is reported only when its
//! checkpoint is on the disk; the checkpoint's state holds `history_with` the
//! epoch, so that one reported nowhere before a kill is not lost.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::detail::{BestRecord, ClassRecord};
use super::folder::RunFolder;
use super::progress::Progress;
use super::stop::StopCause;
use super::{EventLog, MetricsCsv, TensorBoard, clock, events};
use crate::{Error, Result};

/// Numbers by name, such as `train/loss`, `test/accuracy`, `conv1/radius`.
/// Accuracies are shares from 0 to 1.
pub type Metrics = BTreeMap<String, f64>;

/// Version of the events, in each `start`.
pub const PROTOCOL: u32 = 1;

/// One finished epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// `network`, or the baseline's name.
    pub segment: String,
    /// Name of the phase.
    pub phase: String,
    /// Finished epochs of the phase.
    pub epoch: u64,
    /// Epochs planned for the phase; 0 where a stop rule decides.
    pub epochs: u64,
    /// Finished epochs of the run, all phases and baselines together.
    pub total_epoch: u64,
    /// Finished steps of the segment.
    pub step: u64,
    /// Wall time of the epoch, seconds.
    pub seconds: f64,
    /// What was measured.
    pub metrics: Metrics,
}

/// Segment, phase and epoch, which an epoch has for its own.
type Place = (String, String, u64);

impl EpochRecord {
    fn place(&self) -> Place {
        (self.segment.clone(), self.phase.clone(), self.epoch)
    }
}

/// One finished step.
#[derive(Clone, Copy, Debug)]
pub struct StepRecord<'a> {
    /// Finished steps of the epoch.
    pub step: u64,
    /// Steps of an epoch.
    pub steps: u64,
    /// Finished steps of the run.
    pub total_step: u64,
    /// Loss and other numbers for the progress line; logged when due.
    pub metrics: &'a [(String, f64)],
}

/// How a run ended, other than by an error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Why it stopped before its end; `None` where it finished.
    pub stopped: Option<StopCause>,
    /// Final numbers: `test/accuracy`, `random-weights/test/accuracy` ….
    pub results: Metrics,
    /// The scores of each class behind them, by `test`, `random-weights/test` ….
    pub classes: BTreeMap<String, Vec<ClassRecord>>,
    /// The best checkpoint, where there is one.
    pub best: Option<BestRecord>,
}

/// Who is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReporterOptions {
    /// Nothing on standard error but warnings and errors.
    pub quiet: bool,
    /// Events as JSON lines on standard output.
    pub jsonl: bool,
    /// Never a progress bar, also on a terminal.
    pub plain: bool,
}

/// Fans reports out.
#[derive(Debug)]
pub struct Reporter {
    options: ReporterOptions,
    stamp: Map<String, Value>,
    log: Option<EventLog>,
    csv: Option<MetricsCsv>,
    board: Option<TensorBoard>,
    progress: Progress,
    log_every: u64,
    phase: String,
    history: Vec<EpochRecord>,
    logged: Vec<Place>,
}

impl Reporter {
    /// Reports into `folder` and to the terminal.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn open(folder: &RunFolder, options: ReporterOptions) -> Result<Self> {
        let plan = folder.plan();
        let board = if plan.output.tensorboard {
            Some(TensorBoard::create(&folder.path().join("tb"))?)
        } else {
            None
        };
        let record = folder.record();
        let trial = std::env::var("BIORULE_TRIAL_ID").unwrap_or_else(|_| record.id.clone());
        let mut stamp = Map::new();
        stamp.insert("run".into(), record.id.clone().into());
        stamp.insert("trial_id".into(), trial.into());
        stamp.insert("seed".into(), record.seed.into());
        stamp.insert("config_hash".into(), record.config_hash.clone().into());
        let logged = events::read(&folder.events_path())?
            .iter()
            .filter(|e| e["event"] == "epoch")
            .filter_map(|e| {
                let word = |key: &str| e[key].as_str().map(str::to_owned);
                Some((word("segment")?, word("phase")?, e["epoch"].as_u64()?))
            })
            .collect();
        Ok(Self {
            options,
            stamp,
            log: Some(EventLog::open(&folder.events_path())?),
            csv: Some(MetricsCsv::new(&folder.path().join("metrics.csv"))),
            board,
            progress: Progress::new(options.quiet, options.plain),
            log_every: plan.output.log_every,
            phase: String::new(),
            history: Vec::new(),
            logged,
        })
    }

    /// Reports to nobody, for tests and for evaluation.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            options: ReporterOptions {
                quiet: true,
                ..ReporterOptions::default()
            },
            stamp: Map::new(),
            log: None,
            csv: None,
            board: None,
            progress: Progress::new(true, true),
            log_every: 0,
            phase: String::new(),
            history: Vec::new(),
            logged: Vec::new(),
        }
    }

    /// Epochs reported so far, those before a resume included.
    #[must_use]
    pub fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// The history with `next`, for the state of the checkpoint that has to be
    /// on the disk before `next` is reported.
    #[must_use]
    pub fn history_with(&self, next: Option<&EpochRecord>) -> Value {
        let all: Vec<Saved> = self.history.iter().chain(next).map(Saved::from).collect();
        json!(all)
    }

    /// Takes up the history of a checkpoint's state: what a kill kept out of
    /// the files is written now, and listeners hear all of it as replayed.
    ///
    /// # Errors
    /// Data error where `history` is none; internal error where the disk refuses.
    pub fn restore(&mut self, history: &Value) -> Result<()> {
        let history: Vec<Saved> = serde_json::from_value(history.clone())
            .map_err(|e| Error::data(format!("history in the checkpoint: {e}")))?;
        let history: Vec<EpochRecord> = history.into_iter().map(EpochRecord::from).collect();
        for record in &history {
            let place = record.place();
            let mut event = epoch_event(record);
            if !self.logged.contains(&place) {
                self.write(&event)?;
                self.logged.push(place);
            }
            event["replayed"] = true.into();
            self.print(&event);
        }
        self.history = history;
        self.write_csv()
    }

    /// The run starts, after `resumed_from` finished epochs where it goes on.
    ///
    /// # Errors
    /// Internal error where the disk refuses; so with all reports below.
    pub fn start(&mut self, resumed_from: Option<u64>) -> Result<()> {
        let event = json!({
            "event": "start",
            "protocol": PROTOCOL,
            "resumed_from": resumed_from,
        });
        if let Some(epochs) = resumed_from {
            self.note(&format!("going on after {epochs} finished epochs"));
        }
        self.send(&event)
    }

    /// A phase starts: its name, its number of `count`, its epochs.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn phase(&mut self, name: &str, index: usize, count: usize, epochs: u64) -> Result<()> {
        name.clone_into(&mut self.phase);
        self.progress.phase(name, index, count, epochs);
        let event = json!({"event": "phase", "phase": name, "index": index, "epochs": epochs});
        self.send(&event)
    }

    /// Whether the numbers of step `total_step` will be logged, so that
    /// costly ones need computing only then.
    #[must_use]
    pub fn wants_metrics(&self, total_step: u64) -> bool {
        self.board.is_some() && self.log_every > 0 && total_step.is_multiple_of(self.log_every)
    }

    /// A step is finished.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn step(&mut self, step: &StepRecord) -> Result<()> {
        self.progress.step(step);
        if self.wants_metrics(step.total_step)
            && let Some(board) = &mut self.board
        {
            for (name, value) in step.metrics {
                let tag = format!("{}/step/{name}", self.phase);
                board.scalar(&tag, *value, step.total_step)?;
            }
        }
        Ok(())
    }

    /// A checkpoint is on the disk.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn checkpoint(&mut self, path: &Path, total_epoch: u64) -> Result<()> {
        let event = json!({
            "event": "checkpoint",
            "path": path.display().to_string(),
            "total_epoch": total_epoch,
        });
        self.send(&event)
    }

    /// An epoch is finished and its checkpoint on the disk.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn epoch(&mut self, record: EpochRecord) -> Result<()> {
        self.progress.epoch(&record);
        let event = epoch_event(&record);
        self.logged.push(record.place());
        if let Some(board) = &mut self.board {
            for (name, value) in &record.metrics {
                let tag = match record.segment.as_str() {
                    "network" => format!("{}/{name}", record.phase),
                    baseline => format!("{baseline}/{}/{name}", record.phase),
                };
                board.scalar(&tag, *value, record.total_epoch)?;
            }
            board.flush()?;
        }
        self.history.push(record);
        self.write_csv()?;
        self.write(&event)?;
        self.print(&event);
        Ok(())
    }

    /// The distribution of `values` under `tag`, for TensorBoard.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn histogram(&mut self, tag: &str, values: &[f32], total_step: u64) -> Result<()> {
        match &mut self.board {
            Some(board) => board.histogram(tag, values, total_step),
            None => Ok(()),
        }
    }

    /// Something a person should look at, though the run goes on. `code` is a
    /// short fixed word for programs.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn warn(&mut self, code: &str, text: &str, hint: Option<&str>) -> Result<()> {
        self.progress.line(&format!("warning: {text}"));
        if let Some(hint) = hint {
            self.progress.line(&format!("hint: {hint}"));
        }
        self.send(&json!({"event": "warn", "code": code, "text": text, "hint": hint}))
    }

    /// The run failed.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn error(&mut self, error: &Error) -> Result<()> {
        self.progress.clear();
        let event = json!({
            "event": "error",
            "code": error.code as u8,
            "text": error.text,
            "hint": error.hint,
        });
        self.send(&event)
    }

    /// A line for people, not said under `--quiet`.
    pub fn note(&mut self, text: &str) {
        if !self.options.quiet {
            self.progress.line(text);
        }
    }

    /// The run ended as `outcome` says, because of `reason`.
    ///
    /// # Errors
    /// Internal error where the disk refuses.
    pub fn done(&mut self, outcome: &Outcome, reason: &str, folder: &RunFolder) -> Result<()> {
        self.progress.clear();
        let last = self.history.last().map(|e| &e.metrics);
        let event = json!({
            "event": "done",
            "reason": reason,
            "pruned": outcome.stopped == Some(StopCause::Pruned),
            "results": outcome.results,
            "last": last,
            "folder": folder.path().display().to_string(),
            "checkpoint": folder.checkpoints().last_path().display().to_string(),
        });
        if let Some(board) = &mut self.board {
            board.flush()?;
        }
        self.send(&event)
    }

    /// Tells listeners the events of a run that ended earlier.
    ///
    /// # Errors
    /// Internal error where the folder cannot be read.
    pub fn replay(&mut self, folder: &RunFolder) -> Result<()> {
        for mut event in events::read(&folder.events_path())? {
            event["replayed"] = true.into();
            self.print(&event);
        }
        Ok(())
    }

    fn send(&mut self, event: &Value) -> Result<()> {
        self.write(event)?;
        self.print(event);
        Ok(())
    }

    fn write(&mut self, event: &Value) -> Result<()> {
        let event = self.stamped(event);
        match &mut self.log {
            Some(log) => log.append(&event, event["event"] != "phase"),
            None => Ok(()),
        }
    }

    /// Standard output may be a pipe that its reader closed; that is no error.
    fn print(&self, event: &Value) {
        if self.options.jsonl {
            use std::io::Write as _;
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{}", self.stamped(event));
            let _ = out.flush();
        }
    }

    /// The event with time, run, trial, seed and configuration.
    fn stamped(&self, event: &Value) -> Value {
        let mut event = event.clone();
        if let Value::Object(map) = &mut event {
            if !map.contains_key("time") {
                map.insert("time".into(), json!(clock::now()));
            }
            for (key, value) in &self.stamp {
                map.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        event
    }

    fn write_csv(&self) -> Result<()> {
        match &self.csv {
            Some(csv) => csv.write(&self.history),
            None => Ok(()),
        }
    }
}

/// An epoch in a checkpoint. Numbers are kept as bits: JSON has no NaN, and its
/// reader may be off by a last digit, which a resumed run must not be.
#[derive(Serialize, Deserialize)]
struct Saved {
    segment: String,
    phase: String,
    epoch: u64,
    epochs: u64,
    total_epoch: u64,
    step: u64,
    seconds: u64,
    metrics: BTreeMap<String, u64>,
}

impl From<&EpochRecord> for Saved {
    fn from(e: &EpochRecord) -> Self {
        let bits = |(name, x): (&String, &f64)| (name.clone(), x.to_bits());
        Self {
            segment: e.segment.clone(),
            phase: e.phase.clone(),
            epoch: e.epoch,
            epochs: e.epochs,
            total_epoch: e.total_epoch,
            step: e.step,
            seconds: e.seconds.to_bits(),
            metrics: e.metrics.iter().map(bits).collect(),
        }
    }
}

impl From<Saved> for EpochRecord {
    fn from(s: Saved) -> Self {
        let number = |(name, bits): (String, u64)| (name, f64::from_bits(bits));
        Self {
            segment: s.segment,
            phase: s.phase,
            epoch: s.epoch,
            epochs: s.epochs,
            total_epoch: s.total_epoch,
            step: s.step,
            seconds: f64::from_bits(s.seconds),
            metrics: s.metrics.into_iter().map(number).collect(),
        }
    }
}

fn epoch_event(record: &EpochRecord) -> Value {
    let mut event = json!(record);
    event["event"] = "epoch".into();
    event["replayed"] = false.into();
    event
}

#[cfg(test)]
#[path = "reporter_tests.rs"]
mod tests;
