//! Curves: lines with bands, named at their ends.

use maud::{Markup, html};

use super::super::kind::Kind;
use super::scale::{Scale, range, rounded};
use super::{Body, Drawing, Table, apart, at, cut, line, mark, path, width, words};

/// A curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name, beside its end.
    pub name: String,
    /// Its colour and mark.
    pub kind: Kind,
    /// Its number among curves of its kind, from 0: each has dashes of its own. [`SOLID`] has none.
    pub nth: usize,
    /// Points from left to right; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// Lowest and highest at each place, where there are several seeds.
    pub band: Vec<(f64, f64, f64)>,
    /// How its end is marked.
    pub end: End,
}

/// A curve without dashes, whatever its kind.
pub const SOLID: usize = usize::MAX;

/// How a curve ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is done.
    Done,
    /// It goes on.
    Open,
    /// It was stopped, or failed.
    Stopped,
}

/// A picture of curves.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// File name.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// How it is to be read.
    pub note: String,
    /// What stands above the vertical axis.
    pub unit: String,
    /// What stands below the horizontal one.
    pub below: String,
    /// The curves.
    pub curves: Vec<Curve>,
    /// Ends of the vertical axis, where they are not those of the values.
    pub range: Option<(f64, f64)>,
    /// Ends of the horizontal axis, where they are not those of the values.
    pub across: Option<(f64, f64)>,
    /// Values that are named on the vertical axis; none takes round ones.
    pub rows: Vec<f64>,
    /// Horizontal lines with their names.
    pub levels: Vec<(f64, String)>,
    /// Vertical lines with their names, such as the begin of a phase.
    pub parts: Vec<(f64, String)>,
    /// Decimals of values in the table.
    pub decimals: usize,
    /// Height of the area of the curves; 0 takes the usual one.
    pub height: f64,
    /// Width of the drawing; 0 takes the usual one.
    pub width: f64,
}

/// Points of a curve at most.
const POINTS: usize = 200;
/// Curves that get marks.
const MARKED: usize = 24;

impl Lines {
    /// The drawing; `None` without a curve of any point.
    #[must_use]
    pub fn draw(mut self) -> Option<Drawing> {
        for curve in &mut self.curves {
            curve.points.retain(|(x, y)| x.is_finite() && y.is_finite());
            curve
                .band
                .retain(|(x, a, b)| x.is_finite() && a.is_finite() && b.is_finite());
        }
        self.curves.retain(|curve| !curve.points.is_empty());
        let all = || self.curves.iter().flat_map(|c| c.points.iter().copied());
        let (x0, x1) = match self.across {
            Some(ends) => ends,
            None => range(all().map(|p| p.0))?,
        };
        let bands = self
            .curves
            .iter()
            .flat_map(|c| c.band.iter().flat_map(|b| [b.1, b.2]));
        let levels = self.levels.iter().map(|l| l.0);
        let seen = range(all().map(|p| p.1).chain(bands).chain(levels))?;
        let range = self.range.unwrap_or_else(|| rounded(seen, 5));
        let name_width = |c: &Curve| width(&cut(&c.name, 96.0));
        let right = self.curves.iter().map(name_width).fold(0.0, f64::max) + 16.0;
        let height = match self.height {
            h if h > 0.0 => h,
            _ => (13.0 * self.curves.len() as f64).max(150.0),
        };
        let (left, top) = (40.0, 24.0);
        let whole = if self.width > 0.0 {
            self.width
        } else {
            super::WIDTH
        };
        let (end, bottom) = (whole - right, top + height);
        let x0 = if x0 == x1 { x0 - 1.0 } else { x0 };
        let x = Scale::new((x0, x1), (left + 6.0, end));
        let y = Scale::new(range, (bottom, top));
        let body = self.body(&x, &y, (left, end, top, bottom));
        Some(Drawing {
            text: self.told(),
            table: Some(self.table()),
            name: self.name,
            title: self.title,
            note: self.note,
            size: (whole, bottom + 38.0),
            body: Body::Lines(body),
        })
    }

    fn body(&self, x: &Scale, y: &Scale, (left, end, top, bottom): (f64, f64, f64, f64)) -> Markup {
        let (rows, decimals) = match self.rows.is_empty() {
            true => y.ticks(5),
            false => (self.rows.clone(), 0),
        };
        // Between two epochs there is none.
        let whole = self
            .curves
            .iter()
            .flat_map(|c| &c.points)
            .all(|p| p.0.fract() == 0.0);
        let (columns, x_decimals) = x.ticks_from(4, f64::from(u8::from(whole)));
        let ends: Vec<f64> = self
            .curves
            .iter()
            .map(|c| y.at(c.points[c.points.len() - 1].1))
            .collect();
        let places = apart(&ends, 13.0, (top - 4.0, bottom + 2.0));
        html! {
            (words("m", (0.0, 11.0), "start", &self.unit))
            @for value in rows {
                (line("g", (left, y.at(value)), (end, y.at(value))))
                (words("m", (left - 5.0, y.at(value) + 4.0), "end", &y.name(value, decimals)))
            }
            @for (place, name) in &self.parts {
                (line("g", (x.at(*place), top), (x.at(*place), bottom)))
                (words("m tiny", (x.at(*place) + 3.0, top - 3.0), "start", name))
            }
            (line("a", (left, bottom), (end, bottom)))
            @for value in columns {
                (line("a", (x.at(value), bottom), (x.at(value), bottom + 4.0)))
                (words("m", (x.at(value), bottom + 17.0), "middle", &x.name(value, x_decimals)))
            }
            (words("m", (0.5 * (left + end), bottom + 33.0), "middle", &self.below))
            @for (value, name) in &self.levels {
                (line("level", (left, y.at(*value)), (end, y.at(*value))))
                (words("m tiny halo", (left + 4.0, y.at(*value) - 3.0), "start", name))
            }
            @for curve in &self.curves {
                @if curve.band.len() > 1 { path class=(format!("band {}", curve.kind.class())) d=(area(curve, x, y)) {} }
            }
            @for (i, curve) in self.curves.iter().enumerate() {
                (one(curve, x, y, self.curves.len() <= MARKED))
                @let (at_end, label) = (curve.points[curve.points.len() - 1], places[i]);
                @if (ends[i] - label).abs() > 2.0 {
                    (line("leader", (x.at(at_end.0) + 5.0, ends[i]), (end + 7.0, label)))
                }
                (words("name", (end + 9.0, label + 4.0), "start", &cut(&curve.name, 96.0)))
            }
        }
    }

    /// What the curves show, in numbers.
    fn told(&self) -> String {
        let one = |c: &Curve| {
            let (first, last) = (c.points[0], c.points[c.points.len() - 1]);
            let value = |v: f64| super::super::number::fixed(v, self.decimals);
            match c.points.len() {
                1 => format!("{}: {} at {}", c.name, value(last.1), last.0),
                _ => format!(
                    "{}: from {} at {} to {} at {}",
                    c.name,
                    value(first.1),
                    first.0,
                    value(last.1),
                    last.0
                ),
            }
        };
        let curves: Vec<String> = self.curves.iter().map(one).collect();
        let levels: Vec<String> = self
            .levels
            .iter()
            .map(|(v, name)| format!("{name} at {v}"))
            .collect();
        let mut text = format!("{}, by {}. {}.", self.unit, self.below, curves.join("; "));
        if !levels.is_empty() {
            text.push_str(&format!(" Marked: {}.", levels.join(", ")));
        }
        text
    }

    /// Values by place, a column a curve.
    fn table(&self) -> Table {
        let mut places: Vec<f64> = self
            .curves
            .iter()
            .flat_map(|c| c.points.iter().map(|p| p.0))
            .collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let every = places.len().div_ceil(60).max(1);
        let last = places.len().saturating_sub(1);
        let chosen = places
            .iter()
            .enumerate()
            .filter(|(i, _)| i % every == 0 || *i == last);
        let value = |c: &Curve, x: f64| match c.points.iter().find(|p| p.0 == x) {
            Some((_, y)) => super::super::number::fixed(*y, self.decimals),
            None => String::new(),
        };
        let row = |x: f64| {
            let first = super::super::number::short(x);
            std::iter::once(first)
                .chain(self.curves.iter().map(|c| value(c, x)))
                .collect()
        };
        Table {
            head: std::iter::once(self.below.clone())
                .chain(self.curves.iter().map(|c| c.name.clone()))
                .collect(),
            rows: chosen.map(|(_, x)| row(*x)).collect(),
        }
    }
}

fn one(curve: &Curve, x: &Scale, y: &Scale, marks: bool) -> Markup {
    let every = curve.points.len().div_ceil(POINTS).max(1);
    let last = curve.points.len() - 1;
    let thin = curve
        .points
        .iter()
        .enumerate()
        .filter(|(i, _)| i % every == 0 || *i == last);
    let places: Vec<(f64, f64)> = thin.map(|(_, p)| (x.at(p.0), y.at(p.1))).collect();
    let step = places.len().div_ceil(6).max(1);
    let end = places[places.len() - 1];
    let dash = match curve.nth % 4 {
        _ if curve.nth == SOLID => " solid".to_owned(),
        0 => String::new(),
        nth => format!(" n{nth}"),
    };
    let class = format!("l {}{dash}", curve.kind.class());
    html! {
        path class=(class) d=(path(places.iter().copied())) {}
        @if marks {
            @for (i, place) in places.iter().enumerate() {
                @if i % step == 0 || i + 1 == places.len() && curve.end == End::Done { (mark(curve.kind, *place, 3.0)) }
            }
        }
        @if curve.end == End::Stopped {
            path class="cross" d=(format!("M{0} {1}l8 8m0 -8l-8 8", at(end.0 - 4.0), at(end.1 - 4.0))) {}
        }
        @if curve.end == End::Open {
            path class=(format!("l {} more", curve.kind.class())) d=(format!("M{} {}h7", at(end.0), at(end.1))) {}
        }
    }
}

fn area(curve: &Curve, x: &Scale, y: &Scale) -> String {
    let upper = curve
        .band
        .iter()
        .map(|(at, _, high)| (x.at(*at), y.at(*high)));
    let lower = curve
        .band
        .iter()
        .rev()
        .map(|(at, low, _)| (x.at(*at), y.at(*low)));
    path(upper.chain(lower)) + "Z"
}
