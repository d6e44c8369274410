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

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::Drawing;
use super::chart::figure::STYLE;
use super::number;
use super::runs::{Gathered, State};
use crate::Result;
use parts::{Figures, Section, marked, notes, state_badge};

/// What stands at the end of the headline of a page.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// When, universal time.
    pub at: &'a str,
    /// The program's version.
    pub version: &'a str,
}

/// Experiments up to which each has all of its pictures.
const FEW: usize = 6;

/// The page, and the drawings on it.
///
/// # Errors
/// Internal error where a picture cannot be encoded.
pub fn page(found: &Gathered, made: &Made<'_>) -> Result<(String, Vec<Drawing>)> {
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
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(format!("biorule {}", made.version));
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(include_str!("page.css"))) }
            }
            body {
                a class="skip" href="#main" { "Skip to the answer" }
                header class="top" {
                    h1 { (title) }
                    p class="muted" {
                        (number::count(found.experiments.len(), "experiment", "experiments")) ", "
                        (number::count(runs, "run", "runs")) " · " (made.at) " · BioRule " (made.version) " · " (badge(found))
                    }
                    nav aria-label="Sections" { ul { @for s in &sections { li { a href=(format!("#{}", s.id)) { (s.short) } } } } }
                }
                main id="main" tabindex="-1" {
                    @for s in &sections {
                        section id=(s.id) aria-labelledby=(format!("h-{}", s.id)) {
                            h2 id=(format!("h-{}", s.id)) { (s.title) }
                            (s.body)
                        }
                    }
                }
                footer { "Written by " code { "biorule report" } ". This page is one file and loads nothing." }
            }
        }
    };
    Ok((page.into_string(), figures.into_shown()))
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
    Section {
        id: "answer".into(),
        short: "Answer".into(),
        title: "Answer".into(),
        body,
    }
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
