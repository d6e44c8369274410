//! What a person sees of a fleet, on standard error: a bar and a line for each child on a terminal,
//! plain lines otherwise, warnings and failures alone when quiet.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::trial::{Ended, Outcome, Told};
use crate::text::headline;
use crate::text::number::duration;

/// Time between plain lines.
const EVERY: Duration = Duration::from_secs(10);

/// Share of all work from which time left is estimated before any trial is done.
const ENOUGH: f64 = 0.05;

/// The display of a fleet.
#[derive(Debug)]
pub struct Display {
    quiet: bool,
    /// Whoever shows it tells itself what became of each run.
    brief: bool,
    bar: Option<ProgressBar>,
    /// Trials there are to be.
    total: usize,
    jobs: usize,
    over: usize,
    failed: usize,
    running: BTreeMap<usize, Row>,
    /// Seconds and share of the work of each trial that is done.
    taken: Vec<(f64, f64)>,
    said: Instant,
}

/// A trial at work.
#[derive(Debug)]
struct Row {
    label: String,
    epochs: u64,
    /// Epochs that are done, and of these the ones from before this start.
    done: u64,
    replayed: u64,
    since: Instant,
    place: String,
    numbers: String,
}

impl Row {
    /// Share of the work that is done; `all` counts what an earlier start did.
    fn share(&self, all: bool) -> f64 {
        let done = self.done - if all { 0 } else { self.replayed };
        match self.epochs {
            0 => 0.0,
            n => (done as f64 / n as f64).min(1.0),
        }
    }

    fn line(&self) -> String {
        let of = match self.epochs {
            0 => String::new(),
            _ => format!(" {:.0} %", 100.0 * self.share(true)),
        };
        let place = [self.place.as_str(), self.numbers.as_str()];
        let place: Vec<&str> = place.into_iter().filter(|word| !word.is_empty()).collect();
        format!("{}{of} {}", self.label, place.join(", "))
            .trim_end()
            .to_owned()
    }
}

impl Display {
    /// A display of `total` trials, `jobs` at a time: nothing but failures when `quiet`, no bar
    /// when `plain`.
    #[must_use]
    pub fn new(total: usize, jobs: usize, quiet: bool, plain: bool) -> Self {
        let is_drawn = !quiet && !plain && std::io::stderr().is_terminal();
        let bar = is_drawn.then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(5);
            let bar = ProgressBar::with_draw_target(Some(total as u64), target);
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs{msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self {
            quiet,
            brief: false,
            bar,
            total,
            jobs: jobs.max(1),
            over: 0,
            failed: 0,
            running: BTreeMap::new(),
            taken: Vec::new(),
            said: Instant::now(),
        }
    }

    /// The same without a line for each run that is done.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.brief = true;
        self
    }

    /// More trials than were known at the start.
    pub fn expect(&mut self, total: usize) {
        self.total = total;
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
        }
    }

    /// Takes in what is told.
    pub fn hear(&mut self, told: &Told<'_>) {
        match told {
            Told::Started { number, trial, .. } => {
                let row = Row {
                    label: trial.label.clone(),
                    epochs: trial.epochs,
                    done: 0,
                    replayed: 0,
                    since: Instant::now(),
                    place: String::new(),
                    numbers: String::new(),
                };
                self.running.insert(*number, row);
            }
            Told::Event { number, event } => self.event(*number, event),
            Told::Again { number, why } => {
                let label = self.label(*number);
                self.line(&format!(
                    "warning: {label}: {}; it is started once more",
                    why.text
                ));
            }
            Told::Line { .. } | Told::Tick => {}
        }
        self.refresh();
    }

    /// A trial is over.
    pub fn ended(&mut self, ended: &Ended) {
        let row = self.running.remove(&ended.number);
        let label = &ended.trial.label;
        self.over += 1;
        match &ended.outcome {
            Outcome::Done { results, .. } => {
                let share = row.map_or(1.0, |row| match row.epochs {
                    0 => 1.0,
                    _ => row.share(false),
                });
                // One that was done before says nothing of how long others take.
                if share > 0.0 {
                    self.taken.push((ended.seconds, share));
                }
                let said = match share == 0.0 {
                    true => format!("{label}: nothing left to do"),
                    false => {
                        let numbers = numbers(results.iter().map(|(name, x)| (name.as_str(), *x)));
                        let after = duration(ended.seconds);
                        format!("{label}: done after {after}, {numbers}")
                    }
                };
                if !self.quiet && !self.brief {
                    self.line(said.trim_end_matches(", "));
                }
            }
            Outcome::Stopped => self.over -= 1,
            Outcome::Failed(_) => self.failed += 1,
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.over as u64);
        }
    }

    /// A line of text, above the bar where there is one.
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

    fn label(&self, number: usize) -> String {
        let row = self.running.get(&number);
        row.map_or_else(String::new, |row| row.label.clone())
    }

    fn event(&mut self, number: usize, event: &Value) {
        let Some(row) = self.running.get_mut(&number) else {
            return;
        };
        match event["event"].as_str() {
            Some("phase") => {
                row.place = event["phase"].as_str().unwrap_or_default().to_owned();
            }
            Some("epoch") => {
                row.done += 1;
                row.replayed += u64::from(event["replayed"] == true);
                let phase = event["phase"].as_str().unwrap_or_default();
                let (epoch, epochs) = (&event["epoch"], &event["epochs"]);
                row.place = match epochs.as_u64() {
                    None | Some(0) => format!("{phase} epoch {epoch}"),
                    Some(_) => format!("{phase} epoch {epoch}/{epochs}"),
                };
                let metrics = event["metrics"].as_object().into_iter().flatten();
                row.numbers = numbers(metrics.filter_map(|(k, v)| Some((k.as_str(), v.as_f64()?))));
            }
            _ => {}
        }
    }

    /// Seconds until all are done, as far as can be said.
    fn left(&self) -> Option<f64> {
        let (seconds, shares) = self
            .taken
            .iter()
            .fold((0.0, 0.0), |(s, w), (seconds, share)| {
                (s + seconds, w + share)
            });
        let rows = || self.running.values();
        let whole = match shares > 0.0 {
            true => seconds / shares,
            false => {
                let share: f64 = rows().map(|row| row.share(false)).sum();
                let spent: f64 = rows().map(|row| row.since.elapsed().as_secs_f64()).sum();
                (share >= ENOUGH).then(|| spent / share)?
            }
        };
        let rest = |row: &Row| (1.0 - row.share(true)) * whole;
        let waiting = self.total.saturating_sub(self.over + self.running.len());
        let work: f64 = rows().map(rest).sum::<f64>() + waiting as f64 * whole;
        let longest = rows().map(rest).fold(0.0, f64::max);
        Some((work / self.jobs as f64).max(longest))
    }

    fn refresh(&mut self) {
        let every = match &self.bar {
            Some(_) => Duration::from_millis(500),
            None => EVERY,
        };
        if self.quiet || self.said.elapsed() < every || self.running.is_empty() {
            return;
        }
        self.said = Instant::now();
        let left = match self.left() {
            Some(seconds) => format!(", about {} left", duration(seconds)),
            None => String::new(),
        };
        let failed = match self.failed {
            0 => String::new(),
            n => format!(", {n} failed"),
        };
        let rows: Vec<String> = self.running.values().map(Row::line).collect();
        match &self.bar {
            Some(bar) => {
                let rows: String = rows.iter().map(|row| format!("\n  {row}")).collect();
                bar.set_message(format!("{failed}{left}{rows}"));
            }
            None => {
                let (over, total) = (self.over, self.total);
                let rows = rows.join("; ");
                self.line(&format!(
                    "{over} of {total} runs over{failed}{left}; {rows}"
                ));
            }
        }
    }
}

fn numbers<'a>(all: impl Iterator<Item = (&'a str, f64)>) -> String {
    headline(&all.collect::<Vec<_>>(), "", 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::trial::Trial;
    use serde_json::json;

    fn display() -> Display {
        Display::new(4, 2, true, true)
    }

    fn start(display: &mut Display, number: usize) {
        let trial = Trial {
            epochs: 10,
            ..Trial::new(format!("run {number}"), "r".into(), Vec::new())
        };
        let told = Told::Started {
            number,
            trial: &trial,
            starts: 1,
        };
        display.hear(&told);
    }

    #[test]
    fn time_left_follows_from_what_is_done() {
        let mut display = display();
        start(&mut display, 0);
        assert_eq!(display.left(), None);
        display.taken.push((60.0, 1.0));
        display.over = 1;
        // One runs, two wait, two at a time.
        assert_eq!(display.left(), Some(90.0));
        let epoch = json!({"event": "epoch", "phase": "conv", "epoch": 1, "epochs": 2,
            "metrics": {"test/accuracy": 0.5}, "replayed": true});
        for _ in 0..5 {
            display.event(0, &epoch);
        }
        assert_eq!(display.left(), Some(75.0));
        let row = &display.running[&0];
        assert_eq!(
            row.line(),
            "run 0 50 % conv epoch 1/2, test/accuracy 0.5000"
        );
        assert_eq!(row.share(false), 0.0);
    }
}
