//! A study as one HTML page, as a report is: no script, nothing loaded, light and dark.

mod draw;
mod shown;
mod space;

use maud::{Markup, html};

use super::folder::StudyFolder;
use super::ledger::{Entry, Ledger, State};
use super::report::{self, short};
use crate::report::chart::Drawing;
use crate::report::number;
use crate::report::page::{Section, shell};
use crate::search::draw::{Draw, Purpose};
use crate::sweep::Assignment;
use crate::sweep::importance::{by_chance, importance};
use crate::sweep::plan::Study;
use crate::sweep::rank::Outcome;
use shown::{Point, Shown};

/// Trials that importance is found from at most; of more, that many are drawn.
const SAMPLE: usize = 300;
/// Rows of the table of trials at most.
const ROWS: usize = 300;

/// What explains the differences of trials.
struct Explained {
    /// Places of parameters, most important first, with shares and those of chance.
    order: Vec<(usize, f64, f64)>,
    /// What was looked at, in words.
    note: String,
}

/// The page of the study in `folder`; `at` is when it is made. With `links` it lies in the study's folder, and
/// trials lead to theirs.
#[must_use]
pub fn page(study: &Study, folder: &StudyFolder, ledger: &Ledger, at: &str, links: bool) -> String {
    let best = ledger.best(study);
    let points = ledger.entries().filter_map(|entry| {
        let (value, finished) = match &entry.told.outcome {
            Outcome::Finished { values, .. } if entry.state == State::Finished => {
                (*values.first()?, true)
            }
            Outcome::Pruned { value, .. } => (*value, false),
            _ => return None,
        };
        value.is_finite().then_some(Point {
            entry,
            value,
            finished,
        })
    });
    let shown = Shown {
        study,
        points: points.collect(),
        best: best.first().map(|e| e.record.number),
    };
    let explained = explain(study, &shown);
    let title = format!("Study: {}", study.name);
    let figure = |id: &str, drawing: Option<Drawing>| drawing.map(|d| d.figure(id));
    let slices: Vec<Markup> = match &explained {
        Some(explained) => explained
            .order
            .iter()
            .filter_map(|(i, share, _)| {
                let note = format!("explains {}", number::percent(*share, 0));
                figure(&format!("slice-{i}"), space::slice(&shown, *i, &note))
            })
            .collect(),
        None => (0..study.space.parameters().len())
            .filter_map(|i| figure(&format!("slice-{i}"), space::slice(&shown, i, "")))
            .collect(),
    };
    // The first two that trials have together: conditions may part the very first.
    let contour = explained.as_ref().and_then(|e| {
        let mut pairs = e.order.iter().enumerate().flat_map(|(n, a)| {
            let rest = e.order.iter().skip(n + 1);
            rest.map(move |b| (a.0, b.0))
        });
        pairs.find_map(|(a, b)| space::contour(&shown, a, b))
    });
    let sections = [
        Section::new(
            "answer",
            "Answer",
            "Answer",
            html! {
                div class="two" {
                    (answer(&shown, folder, ledger, &best, explained.as_ref()))
                    @if let Some(f) = figure("history", draw::history(&shown)) { (f) }
                }
            },
        ),
        Section::new(
            "matters",
            "What matters",
            "What matters",
            html! {
                @match &explained {
                    None => p { "Too few trials have a value, or all have the same, to say what it is due to." },
                    Some(explained) => div class="two" {
                        @if let Some(f) = figure("importance", bars(&shown, explained)) { (f) }
                        @if let Some(f) = figure("contour", contour) { (f) }
                    },
                }
                h3 { "Each parameter, most important first" }
                div class="grid small-ones" { @for slice in &slices { (slice) } }
                h3 { "Combinations" }
                div class="scroll" tabindex="0" role="region" aria-label="Parallel coordinates, scrolls sideways" {
                    @if let Some(f) = figure("parallel", space::parallel(&shown)) { (f) }
                }
            },
        ),
        Section::new(
            "epochs",
            "Epochs",
            "Epoch by epoch",
            html! {
                @match figure("curves", draw::curves(&shown)) {
                    Some(f) => (f),
                    None => p { "The first objective is not measured in epochs." },
                }
            },
        ),
        Section::new(
            "trials",
            "Trials",
            "Trials",
            trials(study, folder, ledger, links),
        ),
        Section::new("asked", "What was asked", "What was asked", asked(study)),
    ];
    let line = html! { (report::counts(ledger)) " · by " code { (study.sampler.kind()) } };
    shell(
        &title,
        (&line, at, &html! {}),
        &sections,
        "biorule sweep page",
    )
}

/// The best trial beside those that are as good.
fn answer(
    shown: &Shown<'_>,
    folder: &StudyFolder,
    ledger: &Ledger,
    best: &[&Entry],
    explained: Option<&Explained>,
) -> Markup {
    let study = shown.study;
    let Some(one) = best.first() else {
        return html! {
            div {
                p class="big" { "–" small { "no trial has finished within all bounds" } }
                p { code { "biorule sweep table" } " shows what became of them." }
            }
        };
    };
    let number = one.record.number;
    let value = one
        .values()
        .and_then(|v| v.first())
        .copied()
        .unwrap_or(f64::NAN);
    let finished = shown.points.iter().filter(|p| p.finished).count();
    let matter = explained.map(|e| {
        let names: Vec<&str> = e
            .order
            .iter()
            .filter(|(_, share, chance)| share > chance)
            .map(|(i, ..)| study.space.parameters()[*i].name.as_str())
            .collect();
        names.join(", ")
    });
    let failed = ledger
        .entries()
        .find_map(|e| Some((e.record.number, &e.state.error()?.text)));
    html! {
        div {
            p class="big" {
                (shown.value(value))
                small { (shown.metric()) " of trial " (number) ", the best of " (finished) " that finished"
                    @if one.record.seeds.len() > 1 { ", over " (one.record.seeds.len()) " seeds" } }
            }
            @if best.len() > 1 {
                p { (best.len()) " trials are not dominated; this is the first of them." }
            }
            @match matter.as_deref() {
                Some("") => p { "No parameter explains more of the differences than chance would." },
                Some(names) => p {
                    b { (names) }
                    @if names.contains(", ") { " explain" } @else { " explains" }
                    " more of the differences than chance would."
                },
                None => {},
            }
            @if let Some((trial, text)) = failed { p { "▼ trial " (trial) ": " (text) } }
            pre { "biorule sweep apply " (name_of(folder)) " best.toml --trial " (number) "\nbiorule train best.toml" }
            dl {
                @for (name, value) in &one.record.params { dt { (name) } dd { (short(value)) } }
            }
        }
    }
}

/// The last part of the study's path: pages name no absolute ones.
fn name_of(folder: &StudyFolder) -> String {
    let name = folder.path().file_name();
    name.map_or_else(|| "DIR".to_owned(), |n| n.to_string_lossy().into_owned())
}

/// Shares of parameters in the differences, at the last epoch that every trial with a value has reached.
fn explain(study: &Study, shown: &Shown<'_>) -> Option<Explained> {
    let pruned = shown.points.iter().any(|p| !p.finished);
    let common = || {
        let last = |p: &Point<'_>| p.entry.told.curve.last().map_or(0, |(e, _)| *e);
        shown.points.iter().map(last).min().filter(|e| *e > 0)
    };
    let epoch = if pruned { common() } else { None };
    let mut rows: Vec<(&Assignment, f64)> = shown
        .points
        .iter()
        .filter_map(|p| {
            let at = |epoch: u64| {
                let curve = p.entry.told.curve.iter();
                curve.rev().find(|(e, _)| *e <= epoch).map(|(_, v)| *v)
            };
            let value = match epoch {
                Some(epoch) => at(epoch)?,
                None => p.value,
            };
            Some((&p.entry.told.values, value))
        })
        .collect();
    let all = rows.len();
    if all > SAMPLE {
        let mut draw = Draw::new(Purpose::Forest, study.seed, u64::MAX, u64::MAX);
        rows = draw
            .choose(all, SAMPLE)
            .into_iter()
            .map(|i| rows[i])
            .collect();
    }
    let parameters = study.space.parameters();
    let shares = importance(parameters, &rows, study.seed)?;
    let chance = by_chance(parameters, &rows, study.seed);
    let mut order: Vec<(usize, f64, f64)> = shares
        .iter()
        .zip(&chance)
        .enumerate()
        .map(|(i, (s, c))| (i, *s, *c))
        .collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let of = match all > SAMPLE {
        true => format!("{SAMPLE} of {all} trials"),
        false => format!("{all} trials"),
    };
    let when = epoch.map_or_else(String::new, |e| format!(" at epoch {e}, which all reached"));
    Some(Explained {
        order,
        note: format!(
            "functional analysis of variance over {of}{when}; grey: no more than chance would"
        ),
    })
}

fn bars(shown: &Shown<'_>, explained: &Explained) -> Option<Drawing> {
    use crate::report::chart::bars::{Bar, bars};
    use crate::report::kind::Kind;
    let all: Vec<Bar> = explained
        .order
        .iter()
        .map(|(i, share, chance)| Bar {
            name: shown.study.space.parameters()[*i].name.clone(),
            kind: if share > chance {
                Kind::Random
            } else {
                Kind::None
            },
            value: share.max(0.0),
            shown: number::percent(*share, 0),
        })
        .collect();
    let title = "Share of the differences that each parameter explains";
    bars(("importance", title, &explained.note), "share", &all)
}

/// All trials, the best first.
fn trials(study: &Study, folder: &StudyFolder, ledger: &Ledger, links: bool) -> Markup {
    let entries = ledger.ranked(study);
    let more = entries.len().saturating_sub(ROWS);
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Trials, the best first" {
            table {
                caption { "The best first" @if more > 0 { "; " (more) " more in trials.csv" } }
                thead { tr {
                    th scope="col" { "trial" }
                    th scope="col" class="t" { "state" }
                    @for o in &study.objectives { th scope="col" { (o.metric) } }
                    @for c in &study.constraints { th scope="col" { (c.metric) } }
                    @for p in study.space.parameters() { th scope="col" { (p.name) } }
                    th scope="col" { "time" }
                } }
                tbody {
                    @for entry in entries.iter().take(ROWS) {
                        tr {
                            th scope="row" {
                                @if links {
                                    a href=(format!("trials/{:06}/", entry.record.number)) { (entry.record.number) }
                                } @else { (entry.record.number) }
                            }
                            td class="t" { (mark_of(entry)) (report::state(entry)) }
                            @for v in report::values(study, entry) { td { (v.map_or_else(|| "–".to_owned(), number::short)) } }
                            @for i in 0..study.constraints.len() {
                                td { (entry.bounds.get(i).map_or_else(|| "–".to_owned(), |v| number::short(*v))) }
                            }
                            @for p in study.space.parameters() {
                                td { (entry.record.params.get(&p.name).map_or_else(|| "–".to_owned(), short)) }
                            }
                            td { (number::seconds(entry.seconds)) }
                        }
                    }
                }
            }
        }
        @if links { p class="small muted" { "Each trial's folder holds its configuration and its runs: " code { (name_of(folder)) "/trials/" } "." } }
    }
}

fn mark_of(entry: &Entry) -> &'static str {
    match entry.state {
        State::Pruned(_) => "× ",
        State::Failed(_) | State::Diverged(_) => "▼ ",
        _ => "",
    }
}

/// The study in words.
fn asked(study: &Study) -> Markup {
    let line = |value: serde_json::Value| {
        let entries = value.as_object().cloned().unwrap_or_default();
        let words: Vec<String> = entries
            .iter()
            .map(|(k, v)| format!("{k} {}", short(v)))
            .collect();
        words.join(", ")
    };
    html! {
        dl {
            dt { "Wanted" }
            dd { @for o in &study.objectives { (o.direction.word()) " " (o.metric) " (" (o.at.word()) " epoch) " } }
            @if !study.constraints.is_empty() {
                dt { "Bounds" }
                dd { @for c in &study.constraints {
                    (c.metric)
                    @if let Some(low) = c.at_least { " ≥ " (number::short(low)) }
                    @if let Some(high) = c.at_most { " ≤ " (number::short(high)) }
                    " "
                } }
            }
            dt { "Chosen by" } dd { (line(serde_json::to_value(&study.sampler).unwrap_or_default())) ", seed " (study.seed) ", " (study.parallel) " side by side" }
            dt { "Given up by" } dd { (line(serde_json::to_value(&study.pruner).unwrap_or_default())) }
            @if !study.seeds.is_empty() { dt { "Seeds" } dd { (format!("{:?}", study.seeds)) ", scored by " (study.score.word()) } }
            @for p in study.space.parameters() {
                dt { (p.name) }
                dd { (space::range(&p.domain)) @if p.paths != [p.name.clone()] { " in " code { (p.paths.join(", ")) } } }
            }
        }
    }
}
