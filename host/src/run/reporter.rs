//! Where the trainer reports to. One call goes to everything that listens:
//! progress on the terminal, JSON lines on standard output, `events.jsonl`,
//! `metrics.csv`, TensorBoard.
//!
//! Order of calls: `restore` (on resume), `start`, then for each phase
//! `phase`, `step`…, and after each epoch, its checkpoint saved, `checkpoint`
//! and `epoch`; at the end `done`. An epoch is reported only when its
//! checkpoint is on the disk; the checkpoint's state holds the history with the
//! epoch, so that one reported nowhere before a kill is not lost.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::folder::RunFolder;
use super::identity::Longer;
use super::measured::{EpochRecord, Outcome, Place, Saved, StepRecord};
use super::progress::Progress;
use super::steps::StepLog;
use super::tensorboard::Mark;
use super::{EventLog, MetricsCsv, TensorBoard, clock, events};
use crate::stop::StopCause;
use crate::train::init::Initial;
use crate::{Error, Result};

/// Version of the events, in each `start`.
pub const PROTOCOL: u32 = 1;

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

impl ReporterOptions {
    /// Tells listeners of an error that came before a run could report it; `experiment` is its name.
    pub fn send_error(self, error: &Error, experiment: &str) {
        if self.jsonl {
            let mut event = error_event(error);
            event["time"] = json!(clock::now());
            event["experiment"] = experiment.into();
            if let Ok(trial) = std::env::var("BIORULE_TRIAL_ID") {
                event["trial_id"] = trial.into();
            }
            print_line(&event);
        }
    }

    /// Hands on an event of a run in another process, as it is.
    pub fn forward(self, event: &Value) {
        if self.jsonl {
            print_line(event);
        }
    }
}

/// Writes one event to standard output. It may be a pipe that its reader closed; that is no error.
fn print_line(event: &Value) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{event}").and_then(|()| out.flush());
    // A reader that has seen enough closes the pipe; a disk that refuses loses events.
    if let Err(e) = written
        && e.kind() != std::io::ErrorKind::BrokenPipe
    {
        tell!("warning: events are lost: standard output: {e}");
    }
}

fn error_event(error: &Error) -> Value {
    json!({
        "event": "error",
        "code": error.code as u8,
        "text": error.text,
        "hint": error.hint,
    })
}

/// Fans reports out.
#[derive(Debug)]
pub struct Reporter {
    options: ReporterOptions,
    stamp: Map<String, Value>,
    log: Option<EventLog>,
    csv: Option<MetricsCsv>,
    board: Option<TensorBoard>,
    steps: Option<StepLog>,
    progress: Progress,
    /// Where tags of the phase begin.
    place: String,
    history: Vec<EpochRecord>,
    logged: Vec<Place>,
    warnings: Vec<String>,
    /// Phases with their epochs.
    planned: Vec<(String, u64)>,
}

impl Reporter {
    /// Reports into `folder` and to the terminal.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn open(folder: &RunFolder, options: ReporterOptions) -> Result<Self> {
        let plan = folder.plan();
        let record = folder.record();
        let board = (plan.output.tensorboard)
            .then(|| TensorBoard::new(&folder.path().join("tb"), &record.id));
        let trial = std::env::var("BIORULE_TRIAL_ID").unwrap_or_else(|_| record.id.clone());
        let mut stamp = Map::new();
        stamp.insert("run".into(), record.id.clone().into());
        stamp.insert("trial_id".into(), trial.into());
        stamp.insert("seed".into(), record.seed.into());
        stamp.insert("config_hash".into(), record.config_hash.clone().into());
        let mut logged = Vec::new();
        for e in events::read(&folder.events_path())? {
            // A longer run trains its baselines anew.
            if e["event"] == "extend" {
                logged.retain(|(segment, ..): &Place| segment == "network");
            }
            let word = |key: &str| e[key].as_str().map(str::to_owned);
            if e["event"] == "epoch"
                && let (Some(segment), Some(phase)) = (word("segment"), word("phase"))
                && let Some(epoch) = e["epoch"].as_u64()
            {
                logged.push((segment, phase, epoch));
            }
        }
        Ok(Self {
            options,
            stamp,
            log: Some(EventLog::open(&folder.events_path())?),
            csv: Some(MetricsCsv::new(&folder.path().join("metrics.csv"))),
            board,
            steps: Some(StepLog::new(&folder.path().join("steps.jsonl"))),
            progress: Progress::new(options.quiet, options.plain),
            place: String::new(),
            history: Vec::new(),
            logged,
            warnings: Vec::new(),
            planned: plan
                .phases
                .iter()
                .map(|p| (p.name.clone(), p.epochs))
                .collect(),
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
            steps: None,
            progress: Progress::new(true, true),
            place: String::new(),
            history: Vec::new(),
            logged: Vec::new(),
            warnings: Vec::new(),
            planned: Vec::new(),
        }
    }

    /// Whether an earlier start of the run reported an epoch, of which there was a checkpoint.
    #[must_use]
    pub fn has_reported(&self) -> bool {
        !self.logged.is_empty()
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

    /// What the reporter wants back from a checkpoint: the history with `next`, and how much of
    /// the event files stands behind it.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn state_with(&mut self, next: Option<&EpochRecord>) -> Result<Value> {
        let mark = match &mut self.board {
            Some(board) => Some(board.mark(self.history.len())?),
            None => None,
        };
        let steps = match &mut self.steps {
            Some(steps) => Some(steps.mark()?),
            None => None,
        };
        Ok(json!({"history": self.history_with(next), "board": mark, "steps": steps}))
    }

    /// There is no checkpoint to go on from: what a killed start left on the board is void.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn start_over(&mut self) -> Result<()> {
        if let Some(steps) = &mut self.steps {
            steps.go_back(0)?;
        }
        match &mut self.board {
            Some(board) => board.go_back(None),
            None => Ok(()),
        }
    }

    /// Takes up what a checkpoint's `state` holds of [`Self::state_with`]: what a kill kept out of
    /// the files is written now, and listeners hear all of it as replayed.
    ///
    /// # Errors
    /// Storage error where there is no history in it, or the disk refuses.
    pub fn restore(&mut self, state: &Value) -> Result<()> {
        let history: Vec<Saved> = serde_json::from_value(state["history"].clone())
            .map_err(|e| Error::storage(format!("history in the checkpoint: {e}")))?;
        let mut history: Vec<EpochRecord> = history.into_iter().map(EpochRecord::from).collect();
        for record in &mut history {
            // A run that was extended has more epochs than when this one was recorded.
            if let Some((_, epochs)) = self.planned.iter().find(|(name, _)| *name == record.phase) {
                record.epochs = *epochs;
            }
        }
        if let (Some(steps), Some(length)) = (&mut self.steps, state["steps"].as_u64()) {
            steps.go_back(length)?;
        }
        // Checkpoints of earlier versions do not know; there the event files stay as they are.
        let mark: Option<Mark> = serde_json::from_value(state["board"].clone()).unwrap_or(None);
        if let (Some(board), Some(mark)) = (&mut self.board, mark) {
            board.go_back(Some(&mark))?;
            for record in history.iter().skip(mark.epochs) {
                draw(board, record)?;
            }
            board.flush()?;
        }
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
    /// Storage error where the disk refuses; so with all reports below.
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

    /// The run was made longer before this start: phases `longer` have more epochs.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn extended(&mut self, longer: &[Longer]) -> Result<()> {
        if longer.is_empty() {
            return Ok(());
        }
        for Longer { phase, from, to } in longer {
            self.note(&format!(
                "phase `{phase}` goes on to {to} epochs instead of {from}"
            ));
        }
        self.logged.retain(|(segment, ..)| segment == "network");
        self.send(&json!({"event": "extend", "phases": longer}))
    }

    /// The network starts with weights from elsewhere.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn initialised(&mut self, initial: &Initial) -> Result<()> {
        for line in initial.lines() {
            self.note(&line);
        }
        let mut event = json!(initial);
        event["event"] = "init".into();
        self.send(&event)
    }

    /// A phase of `segment` starts: its name, its number of `count`, its epochs.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn phase(
        &mut self,
        segment: &str,
        phase: &str,
        (index, count): (usize, usize),
        epochs: u64,
    ) -> Result<()> {
        let name = match segment {
            "network" => phase.to_owned(),
            baseline => format!("{baseline}: {phase}"),
        };
        self.place = place(segment, phase);
        self.progress.phase(&name, index, count, epochs);
        let event = json!({"event": "phase", "phase": name, "index": index, "epochs": epochs});
        self.send(&event)
    }

    /// A step is finished.
    pub fn step(&mut self, step: &StepRecord) {
        self.progress.step(step);
    }

    /// What rules reported after `total_step` steps of the segment, for `steps.jsonl` and TensorBoard.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn rules(&mut self, total_step: u64, metrics: &[(String, f64)]) -> Result<()> {
        if let Some(steps) = &mut self.steps {
            steps.append(&self.place, total_step, metrics)?;
        }
        let Some(board) = &mut self.board else {
            return Ok(());
        };
        for (name, value) in metrics {
            let own = name.strip_prefix(&self.place);
            let name = own.and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
            board.scalar(&format!("{}/step/{name}", self.place), *value, total_step)?;
        }
        Ok(())
    }

    /// A checkpoint is on the disk.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
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
    /// Storage error where the disk refuses.
    pub fn epoch(&mut self, record: EpochRecord) -> Result<()> {
        self.progress.epoch(&record);
        let event = epoch_event(&record);
        self.logged.push(record.place());
        if let Some(board) = &mut self.board {
            draw(board, &record)?;
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
    /// Storage error where the disk refuses.
    pub fn histogram(&mut self, tag: &str, values: &[f32], total_step: u64) -> Result<()> {
        match &mut self.board {
            Some(board) => board.histogram(tag, values, total_step),
            None => Ok(()),
        }
    }

    /// A picture under `tag`, for TensorBoard: the bytes of a PNG file and its height and width.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn image(&mut self, tag: &str, size: [usize; 2], png: &[u8], step: u64) -> Result<()> {
        match &mut self.board {
            Some(board) => {
                board.image(tag, size, png, step)?;
                board.flush()
            }
            None => Ok(()),
        }
    }

    /// Something a person should look at, though the run goes on. `code` is a
    /// short fixed word for programs.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn warn(&mut self, code: &str, text: &str, hint: Option<&str>) -> Result<()> {
        self.progress.line(&format!("warning: {text}"));
        if let Some(hint) = hint {
            self.progress.line(&format!("hint: {hint}"));
        }
        self.note_warning(code, text, hint)
    }

    /// A warning that people have seen already, such as one about the plan, for the record.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn note_warning(&mut self, code: &str, text: &str, hint: Option<&str>) -> Result<()> {
        let text = text.to_owned();
        let event = json!({"event": "warn", "code": code, "text": &text, "hint": hint});
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
        self.send(&event)
    }

    /// What was warned about in this start, each text once.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The run failed.
    ///
    /// # Errors
    /// Storage error where the disk refuses.
    pub fn error(&mut self, error: &Error) -> Result<()> {
        self.progress.clear();
        self.send(&error_event(error))
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
    /// Storage error where the disk refuses.
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
    /// Storage error where the folder cannot be read.
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

    fn print(&self, event: &Value) {
        if self.options.jsonl {
            print_line(&self.stamped(event));
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

/// The numbers of an epoch as scalars.
fn draw(board: &mut TensorBoard, record: &EpochRecord) -> Result<()> {
    let place = place(&record.segment, &record.phase);
    for (name, value) in &record.metrics {
        board.scalar(&tag(&place, name), *value, record.total_epoch)?;
    }
    Ok(())
}

/// Where tags of a phase begin.
fn place(segment: &str, phase: &str) -> String {
    match segment {
        "network" => phase.to_owned(),
        baseline => format!("{baseline}/{phase}"),
    }
}

/// A quantity under the place where it was measured. A phase named `train` says its name once.
fn tag(place: &str, name: &str) -> String {
    match name.strip_prefix(place) {
        Some(rest) if rest.starts_with('/') => name.to_owned(),
        _ => format!("{place}/{name}"),
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
