//! Values by trial and by epoch.

use maud::{Markup, html};

use super::shown::{Point, Shown};
use crate::plan::Direction;
use crate::report::chart::scale::{Scale, range, rounded};
use crate::report::chart::{Body, Drawing, WIDTH, at, line, mark, path, words};
use crate::report::kind::Kind;

/// Marks of a drawing at most.
const MARKS: usize = 800;
/// Curves of a drawing at most.
const CURVES: usize = 60;

/// Every so many of `n` are drawn, so that there are `most` at most.
pub(super) fn every(n: usize, most: usize) -> usize {
    n.div_ceil(most).max(1)
}

/// The vertical axis of values, its lines and numbers.
pub(super) fn values(
    shown: &Shown<'_>,
    (left, end): (f64, f64),
    (top, bottom): (f64, f64),
) -> Option<(Scale, Markup)> {
    let seen = range(shown.points.iter().map(|p| p.value))?;
    // A few bad trials would press all others into a line.
    let mut sorted: Vec<f64> = shown.points.iter().map(|p| p.value).collect();
    sorted.sort_by(f64::total_cmp);
    let q = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    let seen = match shown.direction() {
        Direction::Max => (q(0.05).max(seen.0), seen.1),
        Direction::Min => (seen.0, q(0.95).min(seen.1)),
    };
    let ends = rounded(seen, 5);
    let y = Scale::new(ends, (bottom, top));
    let (ticks, _) = y.ticks(5);
    let percent = shown.metric().ends_with("accuracy");
    let name = |v: f64| match percent {
        true => crate::report::number::percent(v, usize::from(ends.1 - ends.0 < 0.05)),
        false => crate::report::number::short(v),
    };
    let markup = html! {
        (words("m", (0.0, 11.0), "start", shown.metric()))
        @for tick in &ticks {
            (line("g", (left, y.at(*tick)), (end, y.at(*tick))))
            (words("m", (left - 5.0, y.at(*tick) + 4.0), "end", &name(*tick)))
        }
    };
    Some((y, markup))
}

/// A trial's mark: a circle where it finished, a cross where it was given up, a square for the best.
pub(super) fn point(shown: &Shown<'_>, p: &Point<'_>, (x, y): (f64, f64), r: f64) -> Markup {
    if shown.is_best(p) {
        return mark(Kind::Direct, (x, y), r + 1.5);
    }
    match p.finished {
        true => mark(Kind::Random, (x, y), r),
        false => {
            let d = r + 0.5;
            html! { path class="l plain solid" style="stroke-width:1.2" d=(format!("M{} {}l{2} {2}m0 -{2}l-{2} {2}", at(x - d / 1.4), at(y - d / 1.4), at(1.4 * d))) {} }
        }
    }
}

/// Values by trial, with the best so far.
pub(super) fn history(shown: &Shown<'_>) -> Option<Drawing> {
    let (left, end, top, bottom) = (44.0, WIDTH - 8.0, 24.0, 190.0);
    let (y, axis) = values(shown, (left, end), (top, bottom))?;
    let last = shown.points.iter().map(|p| p.entry.record.number).max()? as f64;
    let x = Scale::new((0.0, last.max(1.0)), (left + 6.0, end - 6.0));
    let direction = shown.direction();
    let clamp = |v: f64| y.at(v).clamp(top - 4.0, bottom);
    let mut best: Option<(f64, u64)> = None;
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for p in shown
        .points
        .iter()
        .filter(|p| p.finished && p.entry.missed() == 0.0)
    {
        if best.is_none_or(|(b, _)| direction.upward(p.value) > direction.upward(b)) {
            let number = p.entry.record.number;
            if let Some((b, _)) = best {
                steps.push((x.at(number as f64), clamp(b)));
            }
            steps.push((x.at(number as f64), clamp(p.value)));
            best = Some((p.value, number));
        }
    }
    if let Some((b, _)) = best {
        steps.push((x.at(last), clamp(b)));
    }
    let step = every(shown.points.len(), MARKS);
    let drawn = shown
        .points
        .iter()
        .enumerate()
        .filter(|(i, p)| i % step == 0 || shown.is_best(p));
    let (ticks, decimals) = x.ticks_from(6, 1.0);
    let body = html! {
        (axis)
        path class="l random solid" d=(path(steps)) {}
        @for (_, p) in drawn { (point(shown, p, (x.at(p.entry.record.number as f64), clamp(p.value)), 2.6)) }
        @for tick in &ticks { (words("m", (x.at(*tick), bottom + 17.0), "middle", &x.name(*tick, decimals))) }
        (words("m", (0.5 * (left + end), bottom + 33.0), "middle", "trial"))
    };
    let text = match best {
        Some((value, number)) => format!(
            "The best so far rises to {} at trial {number}.",
            shown.value(value)
        ),
        None => "No trial has finished.".to_owned(),
    };
    Some(Drawing {
        name: "history".into(),
        title: match best {
            Some((_, number)) => format!("The best came at trial {number}"),
            None => "No trial has finished".into(),
        },
        note: "circle: finished; cross: given up; square: the best; line: the best so far".into(),
        text,
        size: (WIDTH, bottom + 38.0),
        body: Body::Lines(body),
        table: None,
    })
}

/// Values by epoch.
pub(super) fn curves(shown: &Shown<'_>) -> Option<Drawing> {
    let width = 2.0 * WIDTH;
    let (left, end, top, bottom) = (44.0, width - 8.0, 24.0, 240.0);
    let with: Vec<&Point<'_>> = shown
        .points
        .iter()
        .filter(|p| p.entry.told.curve.len() > 1)
        .collect();
    let last = with
        .iter()
        .filter_map(|p| p.entry.told.curve.last())
        .map(|(e, _)| *e)
        .max()? as f64;
    let (y, axis) = values(shown, (left, end), (top, bottom))?;
    let x = Scale::new((1.0, last), (left + 6.0, end - 6.0));
    let place =
        |(epoch, value): &(u64, f64)| (x.at(*epoch as f64), y.at(*value).clamp(top - 4.0, bottom));
    let step = every(with.len(), CURVES);
    let drawn: Vec<&&Point<'_>> = with.iter().step_by(step).collect();
    let best = with.iter().find(|p| shown.is_best(p));
    let curve = |p: &Point<'_>, class: &str, style: &str| {
        let finite = p.entry.told.curve.iter().filter(|(_, v)| v.is_finite());
        let places: Vec<(f64, f64)> = finite.map(place).collect();
        let tip = places.last().copied();
        html! {
            path class=(class) style=(style) d=(path(places)) {}
            @if let (Some(tip), false) = (tip, p.finished) { (point(shown, p, tip, 2.4)) }
        }
    };
    let (ticks, decimals) = x.ticks_from(8, 1.0);
    let body = html! {
        (axis)
        @for p in &drawn { (curve(p, "l random solid", "stroke-width:1;opacity:.45")) }
        @if let Some(p) = best { (curve(p, "l direct solid", "")) }
        @for tick in &ticks { (words("m", (x.at(*tick), bottom + 17.0), "middle", &x.name(*tick, decimals))) }
        (words("m", (0.5 * (left + end), bottom + 33.0), "middle", "epoch"))
    };
    let given_up = shown.points.iter().filter(|p| !p.finished).count();
    Some(Drawing {
        name: "epochs".into(),
        title: match given_up {
            0 => "No trial was given up".into(),
            n => format!("{n} of {} trials were given up", shown.points.len()),
        },
        note: format!(
            "{} of {} curves; orange: the best trial; a cross ends one that was given up",
            drawn.len(),
            with.len()
        ),
        text: format!(
            "Curves of {} trials over {last:.0} epochs; {given_up} were given up.",
            with.len()
        ),
        size: (width, bottom + 38.0),
        body: Body::Lines(body),
        table: None,
    })
}
