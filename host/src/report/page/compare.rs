//! Several experiments beside each other: results, what differs, pairs of networks on the same images.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::super::chart::dots::Dots;
use super::super::draw::learn;
use super::super::kind::rule_name;
use super::super::number;
use super::super::runs::{Experiment, Gathered, Run, State};
use super::super::stats::Over;
use super::super::table::rules_of;
use super::cells::{Cells, text};
use super::pairs::{paired, short_difference};
use super::parts::{Figures, angles, attacks, grid, state_badge};
use super::score::{Score, headline_of, published, published_shown};
use super::shell::Section;

/// Settings that differ and are shown without being asked for.
const FEW: usize = 12;
/// Settings that are listed where experiments differ.
const SETTINGS: usize = 60;

/// Whether all are tested on the same samples, so that they may be ranked.
fn alike(found: &Gathered) -> bool {
    let mut labels: Option<&Vec<u32>> = None;
    let mut sets = BTreeSet::new();
    for run in found.runs().filter(|r| r.state == State::Finished) {
        let set = run.config.get("data").map(|d| {
            let of = |key: &str| d.get(key).map(ToString::to_string);
            (of("set"), of("limit_test"), of("split_seed"))
        });
        sets.insert(set);
        if let Some(answers) = &run.answers {
            match labels {
                Some(known) if *known != answers.labels => return false,
                _ => labels = Some(&answers.labels),
            }
        }
    }
    sets.len() <= 1
}

/// Experiments best first where they may be ranked, else as they were named.
fn order<'a>(found: &'a Gathered, name: &str) -> Vec<(&'a Experiment, Option<Score>)> {
    let mut all: Vec<_> = found
        .experiments
        .iter()
        .map(|e| (e, Score::of(e, name)))
        .collect();
    if alike(found) {
        let sign = if name.ends_with("accuracy") {
            -1.0
        } else {
            1.0
        };
        let key = |s: &Option<Score>| s.as_ref().map_or(f64::INFINITY, |s| sign * s.mean);
        all.sort_by(|a, b| key(&a.1).total_cmp(&key(&b.1)));
    }
    all
}

/// The answer of a page of several experiments.
pub(super) fn answer(found: &Gathered, figures: &Figures) -> Markup {
    let name = headline_of(|| found.runs());
    let all = order(found, name);
    let same = alike(found);
    let is_share = name.ends_with("accuracy");
    let dots = Dots {
        name: "answer".into(),
        title: if is_share { "Accuracy on the test set".into() } else { "Loss on the test set".into() },
        note: "Dot and bar: result and its 95 % interval, over test images for one seed, over seeds for several, whose results are ticks. Dashed: published.".into(),
        unit: if is_share { "test accuracy, %".into() } else { "test loss".into() },
        dots: all.iter().filter_map(|(e, score)| {
            Some(score.as_ref()?.dot(&e.short, e.first().kind(), published(e, name)))
        }).collect(),
        level: None,
    };
    let drawing = dots.draw();
    let known: Vec<&(&Experiment, Option<Score>)> =
        all.iter().filter(|(_, s)| s.is_some()).collect();
    html! {
        @if same && is_share { @if let [(first, Some(best)), rest @ ..] = known.as_slice() {
            p class="lead" { b { (first.short) " is best with " (best.shown()) } (near(first, rest)) "." }
        } }
        @if !same { p class="lead" { "These experiments are not tested on the same samples, so they are listed as named, and not ranked." } }
        @if known.is_empty() { p class="lead" { "None of these runs has a result yet." } }
        div class="two" {
            @if let Some(d) = &drawing { (figures.show(d)) }
            // Beside the results where one drawing holds them all; else in a section of their own.
            @if let [curves] = learn::learning_of_all(&found.experiments).as_slice() { (figures.show(curves)) }
        }
        (table(&all, name, same))
    }
}

/// Which experiments are not clearly behind the best.
fn near(best: &Experiment, rest: &[&(&Experiment, Option<Score>)]) -> Markup {
    let level: Vec<&str> = (rest.iter())
        .filter(|(e, _)| paired(best, e).is_some_and(|p| !p.is_clear()))
        .map(|(e, _)| e.short.as_str())
        .collect();
    let shown = level.len().min(4);
    html! {
        @if !level.is_empty() {
            ", but not clearly better than " (level[..shown].join(", "))
            @if level.len() > shown { " and " (level.len() - shown) " more" }
        }
    }
}

fn table(all: &[(&Experiment, Option<Score>)], name: &str, same: bool) -> Markup {
    let is_share = name.ends_with("accuracy");
    let reference = all.iter().find(|(_, s)| s.is_some()).map(|(e, _)| *e);
    let rows = all.iter().map(|(e, score)| {
        let run = e.first();
        let rules = rules_of(run.blocks());
        let rules: Vec<String> = rules.iter().map(|r| rule_name(r)).collect();
        let to_first = match (reference, score) {
            (Some(first), Some(_)) if same && is_share && !std::ptr::eq(first, *e) => {
                paired(e, first).map_or_else(|| text("–"), |p| text(short_difference(&p, number::decimals(run.samples()))))
            }
            _ => text("–"),
        };
        let time: f64 = e.runs.iter().map(Run::seconds).sum::<f64>() / e.runs.len() as f64;
        vec![
            html! { (e.short) @if run.state != State::Finished { " " (state_badge(run.state, None)) } },
            text(rules.join(", ")),
            text(e.runs.len().to_string()),
            text(score.as_ref().map_or_else(|| "–".to_owned(), Score::shown)),
            text(published(e, name).map_or_else(|| "–".to_owned(), |p| published_shown(p, is_share))),
            to_first,
            text(if time > 0.0 { number::seconds(time) } else { "–".to_owned() }),
        ]
    });
    let first = reference.map_or_else(|| "the first".to_owned(), |e| e.short.clone());
    let heads = [
        "experiment",
        "learned by",
        "seeds",
        if is_share {
            "test accuracy"
        } else {
            "test loss"
        },
        "published",
    ];
    let head = heads.iter().map(|h| (*h).to_owned());
    let head = head.chain([format!("less {first}, points"), "time of a seed".to_owned()]);
    Cells {
        caption: "All experiments of this report; ± of differences: 95 %, on the same images or seeds",
        head: head.collect(),
        rows: rows.collect(),
        words: &[1],
    }
    .show()
}

/// What follows the answer where there are several experiments.
pub(super) fn sections(found: &Gathered, figures: &Figures) -> Vec<Section> {
    let mut out = Vec::new();
    let all = &found.experiments;
    if let Some(body) = differs(all) {
        out.push(Section::new(
            "differs",
            "What differs",
            "What differs",
            body,
        ));
    }
    let curves = learn::learning_of_all(all);
    if curves.len() > 1 {
        out.push(Section::new("learning", "Learning", "Learning, by what the first layer learns from", html! {
            p class="small muted" { "The same axes everywhere. Dashes tell rules of one kind apart." }
            (grid(&curves, figures))
        }));
    }
    out.extend(angles(all, figures));
    out.extend(attacks(all, figures));
    if let Some(body) = pairs(found) {
        out.push(Section::new(
            "pairs",
            "Pairs",
            "Pairs on the same images",
            body,
        ));
    }
    out
}

/// Settings in which experiments differ.
fn differs(all: &[Experiment]) -> Option<Markup> {
    let tables: Vec<&BTreeMap<String, String>> = all.iter().map(|e| &e.first().settings).collect();
    let keys: BTreeSet<&String> = tables.iter().flat_map(|t| t.keys()).collect();
    let differing: Vec<&String> = (keys.into_iter())
        .filter(|key| {
            tables
                .iter()
                .map(|t| t.get(*key))
                .collect::<BTreeSet<_>>()
                .len()
                > 1
        })
        .collect();
    if differing.is_empty() {
        return Some(html! { p { "Nothing that decides results but the seeds." } });
    }
    let more = differing.len().saturating_sub(SETTINGS);
    let rows = differing.iter().take(SETTINGS).map(|key| {
        let first = html! { code { (key) } };
        let cell = |t: &&BTreeMap<String, String>| {
            t.get(*key)
                .map_or_else(|| text("–"), |v| html! { (v.trim_matches('"')) })
        };
        std::iter::once(first)
            .chain(tables.iter().map(cell))
            .collect()
    });
    let table = Cells {
        caption: "Settings that decide results and differ",
        head: std::iter::once("setting".to_owned())
            .chain(all.iter().map(|e| e.short.clone()))
            .collect(),
        rows: rows.collect(),
        words: &[],
    };
    let told = number::count(differing.len(), "setting differs", "settings differ");
    Some(html! {
        @if differing.len() <= FEW {
            (table.show())
        } @else {
            p { (told) "." }
            details class="data" {
                summary { "The settings" }
                (table.show())
                @if more > 0 { p { "And " (more) " more." } }
            }
        }
    })
}

/// Every pair of a few experiments with answers to the same images.
fn pairs(found: &Gathered) -> Option<Markup> {
    const BEST: usize = 6;
    let ranked = order(found, "test/accuracy");
    let few: Vec<&Experiment> = ranked
        .iter()
        .filter(|(_, s)| s.is_some())
        .map(|(e, _)| *e)
        .take(BEST)
        .collect();
    let mut rows = Vec::new();
    for (i, a) in few.iter().enumerate() {
        for b in &few[i + 1..] {
            let Some(p) = paired(a, b) else {
                continue;
            };
            let decimals = number::decimals(a.first().samples());
            let only = match p.over {
                Over::Images => (number::whole(p.only.0), number::whole(p.only.1)),
                Over::Seeds => ("–".to_owned(), "–".to_owned()),
            };
            rows.push(vec![
                html! { (a.short) " less " (b.short) },
                text(number::points(p.difference, decimals)),
                html! { (number::points(p.interval.0, decimals)) " to " (number::points(p.interval.1, decimals)) },
                text(only.0),
                text(only.1),
                text(p.p.map_or_else(|| "–".to_owned(), |p| if p < 0.001 { "< 0.001".into() } else { number::fixed(p, 3) })),
                html! { (number::whole(p.pairs)) "\u{a0}" (if p.over == Over::Images { "images" } else { "seeds" }) },
            ]);
        }
    }
    if rows.is_empty() {
        return None;
    }
    let heads = [
        "pair",
        "points",
        "95 % interval",
        "only the first right",
        "only the second right",
        "p (McNemar)",
        "over",
    ];
    let table = Cells {
        caption: "Differences, each network on the same images or with the same seeds",
        head: heads.map(str::to_owned).into(),
        rows,
        words: &[],
    };
    Some(html! {
        (table.show())
        p class="small muted" { "Over images: McNemar's exact test, and the interval of Agresti and Min (2005). Over seeds: Student's t of the differences. With many pairs some are clear by chance alone." }
    })
}
