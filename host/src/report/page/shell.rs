//! What every page has around its sections: head, headline, list of sections, foot.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::super::chart::figure::STYLE;
use crate::run::clock;

/// The program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// This minute, for the headline of a page: `2026-11-21 08:30 UTC`.
#[must_use]
pub fn now() -> String {
    let stamp = clock::stamp(clock::now());
    format!("{} {} UTC", &stamp[..10], &stamp[11..16])
}

/// A part of a page.
pub struct Section {
    pub(super) id: String,
    /// In the list of sections.
    short: String,
    /// What it finds.
    pub(super) title: String,
    pub(super) body: Markup,
}

impl Section {
    /// The part `id`, named `short` in the list of sections; `title` says what it finds.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        short: impl Into<String>,
        title: impl Into<String>,
        body: Markup,
    ) -> Self {
        Self {
            id: id.into(),
            short: short.into(),
            title: title.into(),
            body,
        }
    }
}

/// The page of `sections`, the first of which is the answer; `command` wrote it. Below the title stand
/// `line`, the time `at` and the program's version, then `end`.
#[must_use]
pub fn shell(
    title: &str,
    (line, at, end): (&Markup, &str, &Markup),
    sections: &[Section],
    command: &str,
) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(format!("biorule {}", VERSION));
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(include_str!("page.css"))) }
            }
            body {
                a class="skip" href="#main" { "Skip to the answer" }
                header class="top" {
                    h1 { (title) }
                    p class="muted" { (line) " · " (at) " · BioRule " (VERSION) (end) }
                    nav aria-label="Sections" { ul { @for s in sections { li { a href=(format!("#{}", s.id)) { (s.short) } } } } }
                }
                main id="main" tabindex="-1" {
                    @for s in sections {
                        section id=(s.id) aria-labelledby=(format!("h-{}", s.id)) {
                            h2 id=(format!("h-{}", s.id)) { (s.title) }
                            (s.body)
                        }
                    }
                }
                footer { "Written by " code { (command) } ". This page is one file and loads nothing." }
            }
        }
    };
    page.into_string()
}
