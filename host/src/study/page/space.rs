//! Values beside parameters: one at a time, the two most important, all together.

use maud::{Markup, html};

use super::draw::{every, point, values};
use super::shown::{Point, Shown};
use crate::report::chart::scale::range as ends_of;
use crate::report::chart::{Body, Drawing, WIDTH, at, cut, line, mark, path, words};
use crate::report::kind::Kind;
use crate::report::number;
use crate::sweep::{Domain, Parameter, Value};

/// Marks of a small drawing at most.
const MARKS: usize = 250;
/// Lines of the drawing of all parameters at most.
const LINES: usize = 150;
/// Squares of a contour along each axis.
const SQUARES: usize = 14;

/// The values of a domain in words.
pub(super) fn range(domain: &Domain) -> String {
    match domain {
        Domain::Real { low, high, log, .. } => {
            let log = if *log { ", logarithmic" } else { "" };
            format!("{} to {}{log}", number::short(*low), number::short(*high))
        }
        Domain::Stepped { low, step, count } => {
            let high = low + (*count as f64 - 1.0) * step;
            format!(
                "{} to {} in steps of {}",
                number::short(*low),
                number::short(high),
                number::short(*step)
            )
        }
        Domain::Whole {
            low,
            high,
            step,
            log,
        } => {
            let log = if *log { ", logarithmic" } else { "" };
            match step {
                1 => format!("whole numbers {low} to {high}{log}"),
                step => format!("whole numbers {low} to {high} in steps of {step}{log}"),
            }
        }
        Domain::Choices(all) => {
            let labels: Vec<&str> = all.iter().map(|c| c.label.as_str()).collect();
            labels.join(", ")
        }
    }
}

/// Where `value` lies along the axis of its domain, 0 to 1.
fn share(domain: &Domain, value: Value) -> f64 {
    match domain {
        Domain::Choices(all) => (domain.on_line(value) + 0.5) / all.len() as f64,
        _ => domain.share(value).unwrap_or(0.5),
    }
}

/// Names along the axis of a domain, with their places: its ends and its middle, or its choices.
fn names(domain: &Domain) -> Vec<(f64, String)> {
    if let Domain::Choices(all) = domain {
        let n = all.len() as f64;
        let named = all.iter().enumerate();
        return named
            .map(|(i, c)| ((i as f64 + 0.5) / n, last_part(&c.label)))
            .collect();
    }
    let name = |value: Value| match value {
        Value::Number(x) => number::short(x),
        Value::Whole(n) => n.to_string(),
        Value::Choice(i) => i.to_string(),
    };
    [0.0, 0.5, 1.0]
        .map(|u| {
            let value = domain.at(u);
            (share(domain, value), name(value))
        })
        .into()
}

/// `usf` of `feedback-alignment/usf`: what tells choices apart where there is little room.
fn last_part(label: &str) -> String {
    label.rsplit('/').next().unwrap_or(label).to_owned()
}

fn own(p: &Point<'_>, parameter: &Parameter) -> Option<f64> {
    let value = p.entry.told.values.get(&parameter.name)?;
    Some(share(&parameter.domain, *value))
}

/// Values beside one parameter.
pub(super) fn slice(shown: &Shown<'_>, i: usize, note: &str) -> Option<Drawing> {
    let parameter = shown.study.space.parameters().get(i)?;
    let (width, left, top, bottom) = (250.0, 44.0, 24.0, 140.0);
    let (y, axis) = values(shown, (left, width - 4.0), (top, bottom))?;
    let with: Vec<(&Point<'_>, f64)> = shown
        .points
        .iter()
        .filter_map(|p| Some((p, own(p, parameter)?)))
        .collect();
    if with.is_empty() {
        return None;
    }
    let x = |u: f64| left + 8.0 + u * (width - left - 16.0);
    let step = every(with.len(), MARKS);
    let drawn = with
        .iter()
        .enumerate()
        .filter(|(i, (p, _))| i % step == 0 || shown.is_best(p));
    let names = names(&parameter.domain);
    let room = (width - left) / names.len() as f64;
    let best = with.iter().find(|(p, _)| shown.is_best(p));
    let body = html! {
        (axis)
        @for (_, (p, u)) in drawn { (point(shown, p, (x(*u), y.at(p.value).clamp(top - 4.0, bottom)), 2.2)) }
        @for (u, name) in &names { (words("m tiny", (x(*u), bottom + 16.0), "middle", &cut(name, room.max(30.0)))) }
    };
    Some(Drawing {
        name: format!("slice-{i}"),
        title: parameter.name.clone(),
        note: note.into(),
        text: match best {
            Some((p, _)) => {
                let value = p.entry.record.params.get(&parameter.name);
                format!(
                    "The best trial has {}.",
                    value.map_or_else(String::new, crate::study::report::short)
                )
            }
            None => format!("{} trials have it.", with.len()),
        },
        size: (width, bottom + 22.0),
        body: Body::Lines(body),
        table: None,
    })
}

/// Values over two parameters: squares by the trials around them, nearer ones counting more.
pub(super) fn contour(shown: &Shown<'_>, i: usize, j: usize) -> Option<Drawing> {
    let parameters = shown.study.space.parameters();
    let (a, b) = (parameters.get(i)?, parameters.get(j)?);
    let (left, end, top, bottom) = (70.0, WIDTH - 8.0, 24.0, 230.0);
    let with: Vec<(&Point<'_>, f64, f64)> = shown
        .points
        .iter()
        .filter_map(|p| Some((p, own(p, a)?, own(p, b)?)))
        .collect();
    if with.len() < 4 {
        return None;
    }
    let squares = |domain: &Domain| match domain {
        Domain::Choices(all) => all.len().max(1),
        _ => SQUARES,
    };
    let (columns, rows) = (squares(&a.domain), squares(&b.domain));
    let direction = shown.direction();
    let at_square = |u: f64, v: f64| {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (p, x, y) in &with {
            let weight = 1.0 / ((x - u).powi(2) + (y - v).powi(2) + 2e-3).powi(2);
            sum += weight * direction.upward(p.value);
            weights += weight;
        }
        sum / weights
    };
    let mut cells = Vec::new();
    for column in 0..columns {
        for row in 0..rows {
            let (u, v) = (
                (column as f64 + 0.5) / columns as f64,
                (row as f64 + 0.5) / rows as f64,
            );
            cells.push((column, row, at_square(u, v)));
        }
    }
    let (low, high) = ends_of(cells.iter().map(|c| c.2))?;
    let (w, h) = ((end - left) / columns as f64, (bottom - top) / rows as f64);
    let place = |u: f64, v: f64| (left + u * (end - left), bottom - v * (bottom - top));
    let step = every(with.len(), MARKS);
    let drawn = with
        .iter()
        .enumerate()
        .filter(|(i, (p, ..))| i % step == 0 || shown.is_best(p));
    let body = html! {
        (words("m", (0.0, 11.0), "start", &b.name))
        @for (column, row, value) in &cells {
            @let q = 100.0 * (value - low) / (high - low).max(1e-300);
            rect class="square" style=(format!("--q:{q:.0}%")) x=(at(left + *column as f64 * w)) y=(at(bottom - (*row as f64 + 1.0) * h)) width=(at(w + 0.3)) height=(at(h + 0.3)) {}
        }
        @for (_, (p, u, v)) in drawn {
            @match shown.is_best(p) {
                true => (mark(Kind::Direct, place(*u, *v), 4.5)),
                false => { circle class="p open plain" cx=(at(place(*u, *v).0)) cy=(at(place(*u, *v).1)) r="2" {} },
            }
        }
        @for (u, name) in names(&a.domain) { (words("m tiny", (place(u, 0.0).0, bottom + 15.0), "middle", &cut(&name, 70.0))) }
        @for (v, name) in names(&b.domain) { (words("m tiny", (left - 5.0, place(0.0, v).1 + 4.0), "end", &cut(&name, 62.0))) }
        (words("m", (0.5 * (left + end), bottom + 31.0), "middle", &a.name))
    };
    Some(Drawing {
        name: "contour".into(),
        title: format!("{} and {}, the most important that go together", a.name, b.name),
        note: "darker is better: mean of the trials around, nearer ones counting more; ring: a trial; square: the best".into(),
        text: format!(
            "Smoothed values between {} and {} over {} and {}.",
            shown.value(direction.upward(low)),
            shown.value(direction.upward(high)),
            a.name,
            b.name
        ),
        size: (WIDTH, bottom + 36.0),
        body: Body::Lines(body),
        table: None,
    })
}

/// All parameters of each trial beside its value.
pub(super) fn parallel(shown: &Shown<'_>) -> Option<Drawing> {
    let parameters = shown.study.space.parameters();
    let direction = shown.direction();
    let (top, bottom) = (44.0, 230.0);
    let gap = 110.0f64;
    let width = (gap * parameters.len() as f64 + 130.0).max(WIDTH);
    let x = |axis: usize| 60.0 + gap * axis as f64;
    let seen = ends_of(shown.points.iter().map(|p| p.value))?;
    let worst = |p: &&Point<'_>| direction.upward(p.value);
    let mut order: Vec<&Point<'_>> = shown.points.iter().collect();
    order.sort_by(|a, b| worst(a).total_cmp(&worst(b)));
    let count = order.len();
    let step = every(count, LINES);
    let y = |u: f64| bottom - u * (bottom - top);
    let value_at = |v: f64| match seen.1 > seen.0 {
        true => (v - seen.0) / (seen.1 - seen.0),
        false => 0.5,
    };
    let line_of = |p: &Point<'_>| -> String {
        let known = parameters.iter().enumerate();
        let mut places: Vec<(f64, f64)> = known
            .filter_map(|(i, q)| Some((x(i), y(own(p, q)?))))
            .collect();
        places.push((x(parameters.len()), y(value_at(p.value))));
        path(places)
    };
    let style = |rank: usize| match count - rank {
        1 => ("l direct solid", ""),
        2..=5 => ("l random solid", "stroke-width:1.5"),
        _ => ("l plain solid", "stroke-width:1;opacity:.25"),
    };
    let drawn = order
        .iter()
        .enumerate()
        .filter(|(i, _)| i % step == 0 || count - i <= 5);
    let axis = |i: usize, name: &str, labels: &[(f64, String)]| -> Markup {
        html! {
            (line("a", (x(i), top), (x(i), bottom)))
            (words("name", (x(i), top - 24.0), "middle", &cut(name, gap - 8.0)))
            @for (u, label) in labels { (words("m tiny halo", (x(i), y(*u) + 4.0), "middle", &cut(label, gap - 16.0))) }
        }
    };
    let of_value = [0.0, 1.0].map(|u| (u, shown.value(seen.0 + u * (seen.1 - seen.0))));
    let body = html! {
        @for (rank, p) in drawn {
            @let (class, style) = style(rank);
            path class=(class) style=(style) d=(line_of(p)) {}
        }
        @for (i, q) in parameters.iter().enumerate() { (axis(i, &q.name, &names(&q.domain))) }
        (axis(parameters.len(), shown.metric(), &of_value))
    };
    Some(Drawing {
        name: "parallel".into(),
        title: "The best trial (orange) and the four after it (blue)".into(),
        note: format!(
            "faint: {} others; a parameter that a trial has not is passed by",
            count.div_ceil(step).saturating_sub(5)
        ),
        text: format!("{count} trials over {} parameters.", parameters.len()),
        size: (width, bottom + 16.0),
        body: Body::Lines(body),
        table: None,
    })
}
