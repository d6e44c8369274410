//! What sections are made of: figures with ids of their own, badges, remarks.

use std::cell::RefCell;

use maud::{Markup, html};

use super::super::chart::Drawing;
use super::super::runs::State;

/// A part of the page.
pub(super) struct Section {
    pub(super) id: String,
    /// In the list of sections.
    pub(super) short: String,
    /// What it finds.
    pub(super) title: String,
    pub(super) body: Markup,
}

/// Gives figures ids of their own.
#[derive(Default)]
pub(super) struct Figures {
    shown: RefCell<Vec<Drawing>>,
}

impl Figures {
    pub(super) fn show(&self, drawing: &Drawing) -> Markup {
        let mut shown = self.shown.borrow_mut();
        shown.push(drawing.clone());
        drawing.figure(&format!("f{}", shown.len()))
    }
}

impl Figures {
    /// The drawings that have been shown.
    pub(super) fn into_shown(self) -> Vec<Drawing> {
        self.shown.into_inner()
    }
}

/// A state as a badge, counted where there are several.
pub(super) fn state_badge(state: State, count: Option<usize>) -> Markup {
    let class = match state {
        State::Finished => "badge ok",
        State::Running => "badge on",
        _ => "badge bad",
    };
    html! { span class=(class) { (state.word()) @if let Some(n) = count { ": " (n) } } }
}

/// A box of remarks; nothing where there are none.
pub(super) fn notes(title: &str, all: Vec<Markup>) -> Markup {
    html! {
        @if !all.is_empty() {
            div class="notes" {
                b { (title) }
                ul { @for one in all { li { (one) } } }
            }
        }
    }
}

/// A message of the program: what it has between backticks is code.
pub(super) fn marked(text: &str) -> Markup {
    html! {
        @for (i, part) in text.split('`').enumerate() {
            @if i % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
