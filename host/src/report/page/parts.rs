//! What sections are made of: figures with ids of their own, badges, remarks; and sections that stand on
//! pages of one experiment and of several.

use std::cell::RefCell;

use maud::{Markup, html};

use super::super::chart::Drawing;
use super::super::draw::{held, learn};
use super::super::runs::{Experiment, State};
use super::shell::Section;

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

    /// The drawings that have been shown.
    pub(super) fn into_shown(self) -> Vec<Drawing> {
        self.shown.into_inner()
    }
}

/// Drawings side by side.
pub(super) fn grid(drawings: &[Drawing], figures: &Figures) -> Markup {
    html! { div class="grid" { @for d in drawings { (figures.show(d)) } } }
}

/// Angles between updates and the true gradient, where any were measured.
pub(super) fn angles(experiments: &[Experiment], figures: &Figures) -> Option<Section> {
    let drawings = learn::angles(experiments);
    (!drawings.is_empty()).then(|| {
        Section::new("angles", "Angles", "Do the updates point along the gradient?", html! {
            p class="small muted" { "Measured on one held-out batch. 0° is the true gradient, 90° is what a random direction has." }
            (grid(&drawings, figures))
        })
    })
}

/// Accuracy on changed pictures, where any were tried.
pub(super) fn attacks(experiments: &[Experiment], figures: &Figures) -> Option<Section> {
    let drawings = held::robustness(experiments);
    (!drawings.is_empty()).then(|| {
        Section::new(
            "attacks",
            "Attacks",
            "Changed pictures",
            grid(&drawings, figures),
        )
    })
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
    let text = private(text);
    html! {
        @for (i, part) in text.split('`').enumerate() {
            @if i % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// `text` with absolute paths cut to their last part: a page may be published, and where things lie on
/// a machine is nobody's business.
pub(super) fn private(text: &str) -> String {
    let begins =
        |before: Option<char>| before.is_none_or(|c| c.is_whitespace() || "`\"'=([".contains(c));
    let ends = |c: char| c.is_whitespace() || "`\"',;:)]".contains(c);
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('/') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(ends).unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        match path.rsplit_once('/') {
            Some((folder, name))
                if begins(out.chars().next_back()) && !(folder.is_empty() && name.is_empty()) =>
            {
                out.push_str(if folder.is_empty() { path } else { name });
            }
            _ => out.push_str(path),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_machine_stay_there() {
        for (text, shown) in [
            ("`/home/me/data/all.csv`: a line", "`all.csv`: a line"),
            ("data.root=/home/me/data", "data.root=data"),
            (
                "epsilon 8/255 and runs/a/b, and / alone",
                "epsilon 8/255 and runs/a/b, and / alone",
            ),
            ("root = \"/data\"", "root = \"/data\""),
        ] {
            assert_eq!(private(text), shown);
        }
    }
}
