//! Bars: lengths side by side, and values in the order of their size.

use maud::html;

use super::super::kind::Kind;
use super::super::number;
use super::scale::{Scale, rounded};
use super::{Body, Drawing, Table, at, bold, cut, line, width, words};

/// A bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its length.
    pub value: f64,
    /// The value in words.
    pub shown: String,
}

/// Bars from left to right, one below the other.
#[must_use]
pub fn bars((name, title, note): (&str, &str, &str), unit: &str, bars: &[Bar]) -> Option<Drawing> {
    let most = bars.iter().map(|b| b.value).fold(0.0, f64::max);
    if bars.is_empty() || !most.is_finite() || most <= 0.0 {
        return None;
    }
    let names = bars
        .iter()
        .map(|b| width(&cut(&b.name, 110.0)))
        .fold(0.0, f64::max);
    let shown = bars.iter().map(|b| bold(&b.shown)).fold(0.0, f64::max);
    let (left, end) = (
        names + 10.0,
        (super::WIDTH - shown - 10.0).max(names + 100.0),
    );
    let x = Scale::new((0.0, most), (left, end));
    let row = 22.0;
    let bottom = 6.0 + row * bars.len() as f64;
    let body = html! {
        @for (i, bar) in bars.iter().enumerate() {
            @let y = 6.0 + row * i as f64;
            (words("name", (left - 6.0, y + 13.0), "end", &cut(&bar.name, 110.0)))
            rect class=(format!("fill {}", bar.kind.class())) x=(at(left)) y=(at(y + 2.0)) width=(at((x.at(bar.value) - left).max(1.0))) height="14" {}
            (words("value", (x.at(bar.value) + 5.0, y + 13.0), "start", &bar.shown))
        }
        (line("a", (left, 4.0), (left, bottom)))
    };
    let told: Vec<String> = bars
        .iter()
        .map(|b| format!("{}: {}", b.name, b.shown))
        .collect();
    Some(Drawing {
        name: name.into(),
        title: title.into(),
        note: note.into(),
        text: format!("{unit}. {}.", told.join("; ")),
        size: (super::WIDTH, bottom + 4.0),
        body: Body::Lines(body),
        table: None,
    })
}

/// Values in falling order, as a silhouette; `level` is a value to hold them against.
#[must_use]
pub fn ranks(
    (name, title, note): (&str, &str, &str),
    unit: &str,
    kind: Kind,
    values: &[f64],
    level: (f64, &str),
) -> Option<Drawing> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let most = sorted.first().copied().filter(|m| *m > 0.0)?;
    let n = sorted.len();
    let (left, top, bottom, end) = (40.0, 24.0, 124.0, super::WIDTH - 6.0);
    // Equal areas would hide the small ones: heights grow with the square root.
    let y = Scale::new((0.0, most.sqrt()), (bottom, top));
    let step = (end - left) / n as f64;
    let (ticks, decimals) = Scale::new(rounded((0.0, most), 4), (0.0, 1.0)).ticks(4);
    let outline: Vec<(f64, f64)> = sorted
        .iter()
        .enumerate()
        .flat_map(|(i, v)| {
            let height = y.at(v.max(0.0).sqrt());
            [
                (left + step * i as f64, height),
                (left + step * (i + 1) as f64, height),
            ]
        })
        .collect();
    let shape = [vec![(left, bottom)], outline, vec![(end, bottom)]].concat();
    let body = html! {
        (words("m", (0.0, 11.0), "start", unit))
        @for value in ticks.iter().filter(|t| **t <= most) {
            (line("g", (left, y.at(value.sqrt())), (end, y.at(value.sqrt()))))
            (words("m", (left - 5.0, y.at(value.sqrt()) + 4.0), "end", &number::fixed(*value, decimals)))
        }
        path class=(format!("fill {}", kind.class())) d=(super::path(shape) + "Z") {}
        (line("a", (left, bottom), (end, bottom)))
        (line("level", (left, y.at(level.0.sqrt())), (end, y.at(level.0.sqrt()))))
        (words("m tiny halo", (end, y.at(level.0.sqrt()) - 3.0), "end", level.1))
        (words("m", (left, bottom + 16.0), "start", "first"))
        (words("m", (end, bottom + 16.0), "end", &format!("last of {n} units")))
    };
    let tenth = n.div_ceil(10);
    let share = 100.0 * sorted.iter().take(tenth).sum::<f64>() / sorted.iter().sum::<f64>();
    Some(Drawing {
        name: name.into(),
        title: title.into(),
        note: note.into(),
        text: format!(
            "{n} units by their share of wins. The busiest has {} %, the busiest tenth together {share:.0} %, {} at {} %.",
            number::fixed(most, 2),
            level.1,
            number::fixed(level.0, 2)
        ),
        size: (super::WIDTH, bottom + 22.0),
        body: Body::Lines(body),
        table: Some(Table {
            head: vec!["rank".into(), unit.into()],
            rows: sorted
                .iter()
                .enumerate()
                .take(20)
                .map(|(i, v)| vec![(i + 1).to_string(), number::fixed(*v, 2)])
                .collect(),
        }),
    })
}

/// How often values fall into equal pieces of their range, small, for a table's cell.
#[must_use]
pub fn histogram(values: &[f32], (low, high): (f64, f64), kind: Kind, told: &str) -> maud::Markup {
    const PIECES: usize = 24;
    let mut counts = [0u64; PIECES];
    for v in values.iter().filter(|v| v.is_finite()) {
        let share = (f64::from(*v) - low) / (high - low).max(f64::MIN_POSITIVE);
        counts[((share * PIECES as f64) as usize).min(PIECES - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    html! {
        svg class="spark" viewBox="0 0 72 20" width="72" height="20" role="img" aria-label=(told) {
            @for (i, count) in counts.iter().enumerate() {
                @let height = 18.0 * *count as f64 / most;
                @if *count > 0 {
                    rect class=(format!("fill {}", kind.class())) x=(at(3.0 * i as f64)) width="2.6" y=(at(19.0 - height.max(0.6))) height=(at(height.max(0.6))) {}
                }
            }
            (line("a", (0.0, 19.5), (72.0, 19.5)))
        }
    }
}
