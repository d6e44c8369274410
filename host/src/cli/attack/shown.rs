//! What `biorule attack` shows: rows, and progress on the way to them.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::attack::method::Strength;
use crate::attack::{Attack, Event, Gradient, Protocol, Row};
use crate::run::attacks::AttackRecord;

/// The record as a table.
pub(super) fn text(record: &AttackRecord) -> String {
    let mut head = vec![
        "attack",
        "strength",
        "gradient",
        "clean",
        "robust",
        "of those right",
        "mean linf",
        "mean l2",
    ];
    if record.protocol.is_some() {
        head.push("printed");
    }
    let mut table = crate::text::table(&head);
    let percent = |x: f64| format!("{:.2} %", 100.0 * x);
    for row in &record.rows {
        let norm = match row.attack.method.strength() {
            Strength::Epsilon(norm) => format!(" ({})", norm.name()),
            _ => String::new(),
        };
        let mut cells = vec![
            row.attack.method.name().to_owned(),
            format!("{}{norm}", row.attack.label()),
            row.attack.gradient.map_or("-", Gradient::name).to_owned(),
            percent(row.clean_accuracy()),
            percent(row.robust_accuracy()),
            percent(row.accuracy_of_right()),
            format!("{:.4}", row.mean_linf),
            format!("{:.4}", row.mean_l2),
        ];
        cells.extend(record.printed(row).map(percent));
        table.add_row(cells);
    }
    let samples = record.rows.first().map_or(0, |row| row.samples);
    let mut text = format!("{table}\n{samples} samples of {}\n", record.split);
    let protocol = record.protocol.as_deref();
    if let Some(protocol) = protocol.and_then(|name| Protocol::named(name).ok()) {
        text.push_str(&format!(
            "protocol `{}`, for comparison with published figures; its faults:\n",
            protocol.name()
        ));
        for fault in protocol.faults() {
            text.push_str(&format!("- {fault}\n"));
        }
    }
    text
}

/// One line for `runs show`.
pub(crate) fn summary(row: &Row) -> String {
    let gradient = match row.attack.gradient {
        Some(Gradient::Rule) => ", the rules' gradient",
        _ => "",
    };
    format!(
        "{} {}{gradient}: {:.2} % right, {:.2} % clean, {} samples",
        row.attack.method.name(),
        row.attack.label(),
        100.0 * row.robust_accuracy(),
        100.0 * row.clean_accuracy(),
        row.samples
    )
}

/// Time between plain lines.
const EVERY: Duration = Duration::from_secs(5);

/// Progress on standard error: a bar on a terminal, a line now and then otherwise.
pub(super) struct Display {
    quiet: bool,
    bar: Option<ProgressBar>,
    names: Vec<String>,
    said: Instant,
}

impl Display {
    /// For these attacks.
    pub(super) fn new(quiet: bool, attacks: &[Attack]) -> Self {
        let name = |attack: &Attack| format!("{} {}", attack.method.name(), attack.label());
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style =
                ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {eta:>4} {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            quiet,
            bar,
            names: attacks.iter().map(name).collect(),
            said: Instant::now(),
        }
    }

    /// Shows what happened.
    pub(super) fn show(&mut self, event: &Event<'_>) {
        if self.quiet {
            return;
        }
        match event {
            Event::Clean { right, samples } => {
                let share = 100.0 * *right as f64 / (*samples).max(1) as f64;
                self.line(&format!("clean: {share:.2} % of {samples} right"));
            }
            Event::Samples { index, done, of } => {
                let place = format!(
                    "{} ({}/{})",
                    self.names[*index],
                    index + 1,
                    self.names.len()
                );
                if let Some(bar) = &self.bar {
                    bar.set_length(*of as u64);
                    bar.set_prefix(place);
                    bar.set_position(*done as u64);
                } else if self.said.elapsed() >= EVERY {
                    self.said = Instant::now();
                    tell!("{place}: {done}/{of} samples");
                }
            }
            Event::Row(row) => self.line(&summary(row)),
        }
    }

    fn line(&mut self, text: &str) {
        self.said = Instant::now();
        match &self.bar {
            Some(bar) => bar.suspend(|| tell!("{text}")),
            None => tell!("{text}"),
        }
    }

    /// Takes the bar off the terminal.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
