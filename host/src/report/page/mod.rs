//! A report as one HTML page: no script, nothing loaded, light and dark, to be printed, to be read by
//! keyboard and screen reader.

mod answer;
mod cells;
mod compare;
mod details;
mod pairs;
mod parts;
mod plan;
mod provenance;
mod score;
mod shell;

use maud::{Markup, html};

use super::chart::Drawing;
use super::number;
use super::runs::{Gathered, State};
use crate::Result;
use parts::{Figures, marked, notes, state_badge};
pub use shell::{Section, now, shell};

/// Experiments up to which each has all of its pictures.
const FEW: usize = 6;

/// The page, made `at` that time, and the drawings on it.
///
/// # Errors
/// Internal error where a picture cannot be encoded.
pub fn page(found: &Gathered, at: &str) -> Result<(String, Vec<Drawing>)> {
    let figures = Figures::default();
    let alone = found.experiments.len() == 1;
    let mut sections = vec![answer(found, &figures)];
    if alone {
        let experiment = &found.experiments[0];
        sections.push(plan::section(experiment));
        sections.extend(details::sections(experiment, &figures)?);
    } else {
        sections.extend(compare::sections(found, &figures));
        for (i, experiment) in found.experiments.iter().enumerate() {
            let whole = found.experiments.len() <= FEW;
            sections.push(details::chapter(experiment, i, whole, &figures)?);
        }
    }
    sections.push(provenance::section(found));
    let title = title(found);
    let runs = found.runs().count();
    let line = html! {
        (number::count(found.experiments.len(), "experiment", "experiments")) ", "
        (number::count(runs, "run", "runs"))
    };
    let end = html! { " · " (badge(found)) };
    let page = shell(&title, (&line, at, &end), &sections, "biorule report");
    Ok((page, figures.into_shown()))
}

/// The first section.
fn answer(found: &Gathered, figures: &Figures) -> Section {
    let unread = found.problems.iter().map(|p| marked(p)).collect();
    let body = html! {
        @match found.experiments.as_slice() {
            [one] => (answer::alone(one, figures)),
            _ => (compare::answer(found, figures)),
        }
        (notes("Could not be read", unread))
    };
    Section::new("answer", "Answer", "Answer", body)
}

/// What the page is about.
fn title(found: &Gathered) -> String {
    let names: Vec<&str> = found.experiments.iter().map(|e| e.name.as_str()).collect();
    match names.as_slice() {
        [one] => (*one).to_owned(),
        [a, b] => format!("{a} and {b}"),
        [a, b, c] => format!("{a}, {b} and {c}"),
        [a, b, rest @ ..] => format!("{a}, {b} and {} more experiments", rest.len()),
        [] => String::new(),
    }
}

/// What the runs are doing, counted where they differ.
fn badge(found: &Gathered) -> Markup {
    let mut counts: Vec<(State, usize)> = Vec::new();
    for run in found.runs() {
        match counts.iter_mut().find(|(state, _)| *state == run.state) {
            Some((_, n)) => *n += 1,
            None => counts.push((run.state, 1)),
        }
    }
    html! {
        @for (i, (state, n)) in counts.iter().enumerate() {
            @if i > 0 { " " }
            (state_badge(*state, if counts.len() > 1 { Some(*n) } else { None }))
        }
    }
}
