//! What one experiment learned, which mistakes it makes, and what it cost.

use maud::{Markup, html};

use super::super::chart::Drawing;
use super::super::chart::bars::{Bar, bars};
use super::super::chart::matrix;
use super::super::draw::{held, learn, units};
use super::super::kind::{Kind, rule_name};
use super::super::number;
use super::super::runs::{Experiment, Run};
use super::super::table::word;
use super::answer::{caveats, headline, verdicts};
use super::cells::{Cells, text};
use super::parts::{Figures, angles, attacks, grid, marked};
use super::plan;
use super::score::{Score, headline_name};
use super::shell::Section;
use crate::Result;

/// Layers whose winners are drawn.
const WINNERS: usize = 4;

/// The sections of a page of one experiment, after what was asked.
pub(super) fn sections(experiment: &Experiment, figures: &Figures) -> Result<Vec<Section>> {
    let one = std::slice::from_ref(experiment);
    let run = experiment.first();
    let mut out = Vec::new();
    let curves = learn::learning(experiment);
    let radii = learn::radii(run);
    if curves.is_some() || !radii.is_empty() {
        out.push(Section::new(
            "learning",
            "Learning",
            "Learning",
            learning(curves.as_ref(), &radii, figures),
        ));
    }
    out.extend(angles(one, figures));
    if let Some((title, body)) = filters(run, figures)? {
        out.push(Section::new("units", "Units", title, body));
    }
    if let Some(body) = layers(run) {
        out.push(Section::new("layers", "Layers", "Layers", body));
    }
    if let Some((title, body)) = mistakes(run, figures) {
        out.push(Section::new("mistakes", "Mistakes", title, body));
    }
    out.extend(attacks(one, figures));
    let (title, body) = cost(experiment, figures);
    out.push(Section::new("cost", "Cost", title, body));
    Ok(out)
}

fn learning(curves: Option<&Drawing>, radii: &[Drawing], figures: &Figures) -> Markup {
    html! {
        div class="two" {
            @if let Some(curves) = curves { (figures.show(curves)) }
            @if !radii.is_empty() {
                div {
                    h3 class="flush" { "Did each layer settle? Lengths of the weight vectors" }
                    div class="grid small-ones" { @for d in radii { (figures.show(d)) } }
                }
            }
        }
    }
}

/// A chapter on one of several experiments; with all of its pictures, or without.
pub(super) fn chapter(
    experiment: &Experiment,
    index: usize,
    whole: bool,
    figures: &Figures,
) -> Result<Section> {
    let body = html! {
        (headline(experiment, headline_name(experiment)))
        @for verdict in verdicts(experiment, headline_name(experiment)) { p { (verdict) } }
        (plan::asked(experiment))
        (caveats(experiment))
        @if whole {
            @for s in sections(experiment, figures)? {
                @if s.id != "angles" && s.id != "attacks" { h3 { (s.title) } (s.body) }
            }
        } @else {
            p { (cost_line(experiment)) }
        }
    };
    let name = experiment.name.as_str();
    Ok(Section::new(format!("e{}", index + 1), name, name, body))
}

fn filters(run: &Run, figures: &Figures) -> Result<Option<(String, Markup)>> {
    let picture = units::filters(run)?;
    let ranks: Vec<_> = (run.blocks().into_iter())
        .filter_map(|block| {
            let (_, kind) = run.rule_of(block)?;
            units::winners(run, word(block, "name"), kind)
        })
        .take(WINNERS)
        .collect();
    let excited = units::fields(run)?;
    if picture.is_none() && ranks.is_empty() && excited.is_empty() {
        return Ok(None);
    }
    let first = units::first_layer(run);
    let title = match &first {
        Some((name, _, weights)) if run.learns_alone(name) => {
            let few = units::settled(&weights.radii());
            let all = weights.units();
            format!("First-layer filters: {few} of {all} have settled at length 1")
        }
        _ if picture.is_some() => "First-layer filters".to_owned(),
        _ => "Who wins".to_owned(),
    };
    let body = html! {
        div class="two" {
            @if let Some(picture) = &picture { (figures.show(picture)) }
            @if !ranks.is_empty() { (grid(&ranks, figures)) }
        }
        @if !excited.is_empty() { div class="two" { @for d in &excited { (figures.show(d)) } } }
    };
    Ok(Some((title, body)))
}

fn layers(run: &Run) -> Option<Markup> {
    let mut rows = Vec::new();
    for block in run.blocks() {
        let name = word(block, "name");
        let Some(weights) = run.weights_of(name) else {
            continue;
        };
        let (rule, kind) = run.rule_of(block).unwrap_or((String::new(), Kind::None));
        let (drawn, mean, deviation) = units::spark(weights, kind);
        let dims: Vec<String> = weights.dims[1..]
            .iter()
            .map(|d| number::whole(*d as u64))
            .collect();
        let wins = run.winners.as_ref().and_then(|w| w.blocks.get(name));
        let busiest = wins.map_or("–".into(), |w| format!("{:.0}", units::busiest_tenth(w)));
        let never = wins.map_or("–".into(), |w| {
            format!("{} of {}", w.iter().filter(|n| **n == 0).count(), w.len())
        });
        rows.push(vec![
            text(name),
            text(rule_name(&rule)),
            text(weights.units().to_string()),
            text(dims.join("×")),
            text(number::whole(weights.values.len() as u64)),
            html! { (number::fixed(mean, 2)) "\u{a0}±\u{a0}" (number::fixed(deviation, 2)) " " (drawn) },
            text(busiest),
            text(never),
        ]);
    }
    if rows.is_empty() {
        return None;
    }
    let heads = [
        "layer",
        "rule",
        "units",
        "weights of a unit",
        "weights",
        "length of a unit's weights",
        "wins of the busiest tenth, %",
        "units that never win",
    ];
    let table = Cells {
        caption: "Layers of the last checkpoint",
        head: heads.map(str::to_owned).into(),
        rows,
        words: &[1],
    };
    Some(html! {
        (table.show())
        p class="small muted" { "Lengths are mean ± standard deviation over units; the small picture is their histogram from 0 to the longest. Layers inside blocks are left out." }
    })
}

fn mistakes(run: &Run, figures: &Figures) -> Option<(String, Markup)> {
    let (classes, rows) = held::counts(run)?;
    let pairs = matrix::pairs(&rows);
    let all: u64 = pairs.iter().map(|p| p.2).sum();
    let title = match pairs.first() {
        Some((i, j, _)) => format!("Mistakes: {} and {} first", classes[*i], classes[*j]),
        None => "Mistakes: none".to_owned(),
    };
    let table = Cells {
        caption: "The most confused pairs",
        head: [
            "pair",
            "together",
            "of all mistakes, %",
            "first taken for second",
            "second taken for first",
        ]
        .map(str::to_owned)
        .into(),
        rows: pairs
            .iter()
            .take(6)
            .map(|(i, j, n)| {
                vec![
                    html! { (classes[*i]) " and " (classes[*j]) },
                    text(number::whole(*n)),
                    text(number::fixed(100.0 * *n as f64 / all.max(1) as f64, 0)),
                    text(number::whole(rows[*i][*j])),
                    text(number::whole(rows[*j][*i])),
                ]
            })
            .collect(),
        words: &[],
    };
    let drawing = held::confusion(run);
    Some((
        title,
        html! {
            div class="two" {
                @if let Some(drawing) = &drawing { (figures.show(drawing)) }
                @if pairs.is_empty() { p { "Every test sample was classified correctly." } } @else { div { (table.show()) } }
            }
        },
    ))
}

/// Seconds of each phase of the first run, baselines behind the network.
fn phases(run: &Run) -> Vec<(String, Kind, f64)> {
    let mut all: Vec<(String, Kind, f64)> = Vec::new();
    for e in &run.epochs {
        let name = match e.segment.as_str() {
            "network" => e.phase.clone(),
            baseline => baseline.to_owned(),
        };
        match all.iter_mut().find(|(n, ..)| *n == name) {
            Some((.., s)) => *s += e.seconds,
            None => {
                let listed = run
                    .phase(&e.phase)
                    .map(|p| super::super::table::words(p, "blocks"));
                let block = run.blocks().into_iter().find(|b| {
                    listed
                        .as_ref()
                        .is_some_and(|l| l.contains(&word(b, "name")))
                });
                let kind = match e.segment.as_str() {
                    "network" => block
                        .and_then(|b| run.rule_of(b))
                        .map_or(Kind::None, |r| r.1),
                    _ => Kind::None,
                };
                all.push((name, kind, e.seconds));
            }
        }
    }
    all
}

fn cost_line(experiment: &Experiment) -> String {
    let all: f64 = experiment.runs.iter().map(Run::seconds).sum();
    format!("Training took {}.", number::seconds(all))
}

fn cost(experiment: &Experiment, figures: &Figures) -> (String, Markup) {
    let run = experiment.first();
    let record = &run.record;
    let parts = phases(run);
    let all = run.seconds();
    let most = parts.iter().max_by(|a, b| a.2.total_cmp(&b.2));
    let title = match most {
        Some((name, _, s)) if parts.len() > 1 && all > 0.0 => {
            format!(
                "Cost: {}, of which {name} took {:.0}\u{a0}%",
                number::seconds(all),
                100.0 * s / all
            )
        }
        Some(_) => format!("Cost: {}", number::seconds(all)),
        None => "Cost".to_owned(),
    };
    let list: Vec<Bar> = (parts.into_iter())
        .map(|(name, kind, s)| Bar {
            shown: format!(
                "{}, {:.0}\u{a0}%",
                number::seconds(s),
                100.0 * s / all.max(f64::MIN_POSITIVE)
            ),
            name,
            kind,
            value: s,
        })
        .collect();
    let drawing = bars(
        (
            "cost",
            "Time of each phase",
            "Wall clock of its epochs, evaluations included",
        ),
        "seconds",
        &list,
    );
    let missing = || "not recorded by this run".to_owned();
    let expected = record
        .experiment
        .as_ref()
        .and_then(|e| Some((e.expected_hours?, e.expected_on.clone())));
    let mut facts: Vec<(&str, String)> = vec![
        (
            "Processor",
            match (&record.host.processor, record.threads) {
                (Some(p), Some(n)) => format!(
                    "{p}, {} of {}",
                    number::count(n, "thread", "threads"),
                    record.host.threads
                ),
                (Some(p), None) => p.clone(),
                _ => record.host.system.clone(),
            },
        ),
        (
            "Device",
            match &record.no_gpu {
                Some(why) => format!("{} ({why})", record.device),
                None => record.device.clone(),
            },
        ),
        ("Arithmetic", word(&run.config, "dtype").to_owned()),
        (
            "Peak memory",
            record.peak_memory_mib.map_or_else(missing, |m| {
                format!("{}\u{a0}MiB", number::whole(m.round() as u64))
            }),
        ),
        (
            "Checkpoint",
            run.bytes
                .map_or_else(|| "none".to_owned(), |b| crate::text::human(b.into())),
        ),
        (
            "Starts",
            match record.starts {
                1 => "1, never interrupted".to_owned(),
                n => format!(
                    "{n}, interrupted {}",
                    number::count(n as usize - 1, "time", "times")
                ),
            },
        ),
    ];
    if let Some((hours, on)) = expected {
        let on = on.map_or(String::new(), |on| format!(" on {on}"));
        facts.push((
            "Expected",
            format!("{} a seed{on}", number::seconds(3600.0 * hours)),
        ));
    }
    if experiment.runs.len() > 1 {
        let each: Vec<String> = experiment
            .runs
            .iter()
            .map(|r| number::seconds(r.seconds()))
            .collect();
        facts.push(("Each seed", each.join(", ")));
    }
    if let Some(score) = Score::of(experiment, "validation/accuracy") {
        facts.push(("Validation", score.shown()));
    }
    (
        title,
        html! {
            div class="two" {
                @if let Some(d) = &drawing { (figures.show(d)) } @else { p { "No epoch has ended yet." } }
                dl { @for (name, value) in &facts { dt { (name) } dd { (marked(if value.is_empty() { "–" } else { value })) } } }
            }
        },
    )
}
