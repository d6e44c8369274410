//! What a person sees of a running training, on standard error: a bar on a
//! terminal, a plain line every few seconds otherwise, nothing when quiet.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::measured::{EpochRecord, StepRecord};
use crate::text::headline;

/// Numbers that a line has.
const MOST: usize = 6;
/// Time between plain lines.
const EVERY: Duration = Duration::from_secs(5);

/// The display of a run.
#[derive(Debug)]
pub struct Progress {
    quiet: bool,
    bar: Option<ProgressBar>,
    name: String,
    phase: String,
    epochs: u64,
    epoch: u64,
    started: Instant,
    said: Instant,
}

impl Progress {
    /// A display: none when `quiet`, no bar when `plain`.
    #[must_use]
    pub fn new(quiet: bool, plain: bool) -> Self {
        let bar = (!quiet && !plain && std::io::stderr().is_terminal()).then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let style = "{prefix} {bar:30} {pos}/{len} {per_sec:>10} {eta:>4} {msg}";
            bar.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        let now = Instant::now();
        Self {
            quiet,
            bar,
            name: String::new(),
            phase: String::new(),
            epochs: 0,
            epoch: 0,
            started: now,
            said: now,
        }
    }

    /// A phase starts.
    pub fn phase(&mut self, name: &str, index: usize, count: usize, epochs: u64) {
        name.clone_into(&mut self.name);
        self.phase = format!("{name} ({}/{count})", index + 1);
        self.epochs = epochs;
        self.epoch = 0;
        self.started = Instant::now();
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_prefix(self.place());
        }
    }

    /// Phase and epoch, as `conv1 (1/4) epoch 2/50`.
    fn place(&self) -> String {
        match self.epochs {
            0 => format!("{} epoch {}", self.phase, self.epoch + 1),
            n => format!("{} epoch {}/{n}", self.phase, self.epoch + 1),
        }
    }

    /// A step is finished.
    pub fn step(&mut self, step: &StepRecord) {
        if self.quiet {
            return;
        }
        if step.step == 1 {
            self.started = Instant::now();
        }
        if let Some(bar) = &self.bar {
            bar.set_length(step.steps);
            bar.set_prefix(self.place());
            bar.set_position(step.step);
            if self.said.elapsed() > Duration::from_millis(200) {
                self.said = Instant::now();
                bar.set_message(headline(&numbers(step), &self.name, MOST));
            }
        } else if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            let rate = step.step as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
            let numbers = headline(&numbers(step), &self.name, MOST);
            self.line(&format!(
                "{} step {}/{} {rate:.1}/s {numbers}",
                self.place(),
                step.step,
                step.steps
            ));
        }
    }

    /// An epoch is finished.
    pub fn epoch(&mut self, record: &EpochRecord) {
        self.epoch = record.epoch;
        if self.quiet {
            return;
        }
        self.said = Instant::now();
        let total = match record.epochs {
            0 => String::new(),
            n => format!("/{n}"),
        };
        let baseline = match record.segment.as_str() {
            "network" => String::new(),
            name => format!("{name}: "),
        };
        let metrics: Vec<_> = record
            .metrics
            .iter()
            .map(|(k, v)| (k.as_str(), *v))
            .collect();
        let numbers = headline(&metrics, &record.phase, MOST);
        let line = format!(
            "{}{} epoch {}{total} {:.1} s {numbers}",
            baseline, record.phase, record.epoch, record.seconds
        );
        self.line(line.trim_end());
    }

    /// A line of text, above the bar where there is one. Warnings come through
    /// here when quiet too.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell!("{text}")),
            None => tell!("{text}"),
        }
    }

    /// Takes the bar off the terminal.
    pub fn clear(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The numbers of a step, by name.
fn numbers<'a>(step: &StepRecord<'a>) -> Vec<(&'a str, f64)> {
    step.metrics.iter().map(|(k, v)| (k.as_str(), *v)).collect()
}
