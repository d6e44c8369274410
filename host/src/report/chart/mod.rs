//! Drawings in SVG. Colours, line widths and dashes are classes of `chart.css`, so that one drawing
//! serves light pages, dark pages and paper; nothing is told by colour alone. A drawing has a title,
//! and a description with what it shows in numbers for those who do not see it.

pub mod bars;
pub mod dots;
pub mod figure;
pub mod lines;
pub mod matrix;
pub mod scale;

use maud::{Markup, html};

/// A drawing, or a picture of pixels.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Its file name without ending: letters, digits, hyphens.
    pub name: String,
    /// What it shows, in some words.
    pub title: String,
    /// How it is to be read.
    pub note: String,
    /// What it shows, in numbers.
    pub text: String,
    /// Width and height in its own units.
    pub size: (f64, f64),
    /// What is drawn.
    pub body: Body,
    /// The same numbers as a table.
    pub table: Option<Table>,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub enum Body {
    /// Elements of an SVG.
    Lines(Markup),
    /// A PNG file, each of its pixels seen.
    Pixels(Vec<u8>),
}

/// Numbers of a drawing.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Heads of the columns.
    pub head: Vec<String>,
    /// Rows; the first cell names its row.
    pub rows: Vec<Vec<String>>,
}

/// Drawings are so wide, in their own units, unless they have to be wider.
pub const WIDTH: f64 = 340.0;

/// A coordinate, to a tenth.
#[must_use]
pub fn at(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A path through `points`.
#[must_use]
pub fn path(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut text = String::new();
    for (i, (x, y)) in points.into_iter().enumerate() {
        text.push(if i == 0 { 'M' } else { 'L' });
        text.push_str(&at(x));
        text.push(' ');
        text.push_str(&at(y));
    }
    text
}

/// A line.
#[must_use]
pub fn line(class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> Markup {
    html! { line class=(class) x1=(at(x1)) y1=(at(y1)) x2=(at(x2)) y2=(at(y2)) {} }
}

/// Words: `anchor` is `start`, `middle` or `end`.
#[must_use]
pub fn words(class: &str, (x, y): (f64, f64), anchor: &str, text: &str) -> Markup {
    html! { text class=(class) x=(at(x)) y=(at(y)) text-anchor=(anchor) { (text) } }
}

/// The mark of a kind of rule: its shape tells it from others where its colour does not.
#[must_use]
pub fn mark(kind: super::kind::Kind, (x, y): (f64, f64), r: f64) -> Markup {
    use super::kind::Kind;
    let class = format!("p {}", kind.class());
    match kind {
        Kind::True | Kind::None => {
            html! { circle class=(format!("p open {}", kind.class())) cx=(at(x)) cy=(at(y)) r=(at(r)) {} }
        }
        Kind::Random => html! { circle class=(class) cx=(at(x)) cy=(at(y)) r=(at(r)) {} },
        Kind::Direct => {
            html! { rect class=(class) x=(at(x - r)) y=(at(y - r)) width=(at(2.0 * r)) height=(at(2.0 * r)) {} }
        }
        Kind::Local => {
            let (h, w) = (1.25 * r, 1.15 * r);
            let corners = [(x, y - h), (x + w, y + 0.75 * h), (x - w, y + 0.75 * h)];
            html! { path class=(class) d=(path(corners) + "Z") {} }
        }
        Kind::Learnt => {
            let d = 1.35 * r;
            let corners = [(x, y - d), (x + d, y), (x, y + d), (x - d, y)];
            html! { path class=(class) d=(path(corners) + "Z") {} }
        }
    }
}

/// Heights for labels that would be at `wanted`, at least `gap` apart and between `low` and `high`
/// where they have room, in the order of `wanted`.
#[must_use]
pub fn apart(wanted: &[f64], gap: f64, (low, high): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut placed: Vec<f64> = Vec::new();
    for &i in &order {
        let least = placed.last().map_or(low, |last| last + gap);
        placed.push(wanted[i].max(least));
    }
    // What was pushed beyond the end pushes back.
    let mut most = high;
    for y in placed.iter_mut().rev() {
        *y = y.min(most);
        most = *y - gap;
    }
    let mut out = vec![0.0; wanted.len()];
    for (&i, y) in order.iter().zip(placed) {
        out[i] = y;
    }
    out
}

/// Width of `text` in the drawings' letters, about.
#[must_use]
pub fn width(text: &str) -> f64 {
    let one = |c: char| match c {
        'i' | 'l' | 'j' | '.' | ',' | ' ' | '\u{a0}' | '\'' | '|' | ':' | 'I' => 3.6,
        'm' | 'w' | 'M' | 'W' | '%' => 10.5,
        c if c.is_uppercase() => 8.4,
        _ => 7.0,
    };
    text.chars().map(one).sum()
}

/// Width of `text` in bold letters, about.
#[must_use]
pub fn bold(text: &str) -> f64 {
    1.12 * width(text)
}

/// `text` cut to about `most` units.
#[must_use]
pub fn cut(text: &str, most: f64) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if width(&out) + 14.0 > most {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_meet() {
        let placed = apart(&[50.0, 10.0, 11.0, 12.0], 13.0, (5.0, 60.0));
        assert_eq!(
            placed,
            [60.0, 10.0, 23.0, 36.0].map(|y: f64| if y == 60.0 { 50.0 } else { y })
        );
        let pushed = apart(&[58.0, 59.0], 13.0, (0.0, 60.0));
        assert_eq!(pushed, [47.0, 60.0]);
    }
}
