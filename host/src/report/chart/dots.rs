//! Results as dots with intervals on one axis, a row each, beside what they are held against.

use maud::{Markup, html};

use super::super::kind::Kind;
use super::scale::{Scale, range, rounded};
use super::{Body, Drawing, Table, bold, cut, line, mark, width, words};

/// A result.
#[derive(Clone, Debug)]
pub struct Dot {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Where it stands.
    pub value: f64,
    /// Its interval.
    pub interval: Option<(f64, f64)>,
    /// Values of single seeds.
    pub each: Vec<f64>,
    /// What was published, and its deviation.
    pub published: Option<(f64, Option<f64>)>,
    /// The value in words.
    pub shown: String,
}

/// A picture of results.
#[derive(Clone, Debug, Default)]
pub struct Dots {
    /// File name.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// How it is to be read.
    pub note: String,
    /// What the axis measures.
    pub unit: String,
    /// The results, best first.
    pub dots: Vec<Dot>,
    /// A value to be marked, such as chance.
    pub level: Option<(f64, String)>,
}

const ROW: f64 = 24.0;

impl Dots {
    /// The drawing; `None` without a result.
    #[must_use]
    pub fn draw(mut self) -> Option<Drawing> {
        self.dots.retain(|d| d.value.is_finite());
        let interval = |d: &Dot| d.interval.map_or([d.value; 2], |(a, b)| [a, b]);
        let published = |d: &Dot| {
            d.published
                .map(|(v, s)| [v - s.unwrap_or(0.0), v + s.unwrap_or(0.0)])
        };
        let of = |d: &Dot| {
            interval(d)
                .into_iter()
                .chain(published(d).into_iter().flatten())
                .chain(d.each.iter().copied())
                .collect::<Vec<_>>()
        };
        let seen = range(self.dots.iter().flat_map(of))?;
        // Chance, where it is far away, would leave no room for what is compared.
        self.level = self
            .level
            .filter(|(v, _)| seen.0 - v < 1.5 * (seen.1 - seen.0).max(1e-9));
        let seen = range(
            [seen.0, seen.1]
                .into_iter()
                .chain(self.level.iter().map(|l| l.0)),
        )?;
        let (from, to) = rounded(seen, 5);
        let names = self
            .dots
            .iter()
            .map(|d| width(&cut(&d.name, 120.0)))
            .fold(0.0, f64::max);
        let shown = self.dots.iter().map(|d| bold(&d.shown)).fold(0.0, f64::max);
        let (left, end) = (names + 12.0, super::WIDTH - shown - 12.0);
        let (left, end) = if end - left < 110.0 {
            (left, left + 110.0)
        } else {
            (left, end)
        };
        let x = Scale::new((from, to), (left, end));
        let top = 8.0;
        let bottom = top + ROW * self.dots.len() as f64 + 4.0;
        let body = self.body(&x, (left, end, top, bottom));
        let rows = self.dots.iter().map(|d| {
            let published = d
                .published
                .map_or("–".to_owned(), |(v, _)| super::super::number::fixed(v, 2));
            vec![d.name.clone(), d.shown.clone(), published]
        });
        let table = Table {
            head: vec!["experiment".into(), self.unit.clone(), "published".into()],
            rows: rows.collect(),
        };
        let told: Vec<String> = (self.dots.iter())
            .map(|d| match d.published {
                Some((v, _)) => format!(
                    "{}: {}, published {}",
                    d.name,
                    d.shown,
                    super::super::number::fixed(v, 2)
                ),
                None => format!("{}: {}", d.name, d.shown),
            })
            .collect();
        Some(Drawing {
            text: format!("{}. {}.", self.unit, told.join("; ")),
            table: (self.dots.len() > 1).then_some(table),
            size: (end + shown + 12.0, bottom + 38.0),
            name: self.name,
            title: self.title,
            note: self.note,
            body: Body::Lines(body),
        })
    }

    fn body(&self, x: &Scale, (left, end, top, bottom): (f64, f64, f64, f64)) -> Markup {
        let (ticks, decimals) = x.ticks(4);
        html! {
            @for value in ticks {
                (line("g", (x.at(value), top), (x.at(value), bottom)))
                (words("m", (x.at(value), bottom + 17.0), "middle", &x.name(value, decimals)))
            }
            (line("a", (left, bottom), (end, bottom)))
            (words("m", (0.5 * (left + end), bottom + 33.0), "middle", &self.unit))
            @if let Some((value, name)) = &self.level {
                (line("level", (x.at(*value), top), (x.at(*value), bottom)))
                (words("m tiny halo", (x.at(*value) + 3.0, bottom - 3.0), "start", name))
            }
            @for (i, dot) in self.dots.iter().enumerate() {
                @let y = top + ROW * (i as f64 + 0.5);
                (words("name", (left - 8.0, y + 4.0), "end", &cut(&dot.name, 120.0)))
                @if let Some((value, spread)) = dot.published {
                    @if let Some(spread) = spread {
                        rect class="grey" x=(super::at(x.at(value - spread))) y=(super::at(y - 8.0)) width=(super::at(x.at(value + spread) - x.at(value - spread))) height="16" {}
                    }
                    (line("published", (x.at(value), y - 9.0), (x.at(value), y + 9.0)))
                }
                @if let Some((low, high)) = dot.interval {
                    (line(&format!("reach {}", dot.kind.class()), (x.at(low), y), (x.at(high), y)))
                }
                @for value in &dot.each { (line(&format!("seed {}", dot.kind.class()), (x.at(*value), y - 4.0), (x.at(*value), y + 4.0))) }
                (mark(dot.kind, (x.at(dot.value), y), 4.0))
                (words("value", (end + 10.0, y + 4.0), "start", &dot.shown))
            }
        }
    }
}
