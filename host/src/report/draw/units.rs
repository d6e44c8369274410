//! Units of a network: first-layer filters, and who wins.

use super::super::chart::Drawing;
use super::super::chart::bars;
use super::super::kind::Kind;
use super::super::picture::{Tiles, around_grey, guessed};
use super::super::runs::{Run, Weights};
use super::super::table::word;
use super::super::{chart, number};
use crate::Result;
use crate::run::fields::FieldsRecord;

/// Filters of one picture.
const MOST: usize = 400;
/// Weights of one picture: random ones cannot be compressed, and a page is to be mailed.
const WEIGHTS: usize = 40_000;
/// Pixels that a picture of filters is about as wide as.
const ABOUT: usize = 560;

/// The block whose weights see pixels: the first with a layer of its own.
#[must_use]
pub fn first_layer(run: &Run) -> Option<(String, Kind, &Weights)> {
    let blocks = run.blocks();
    let first = blocks.into_iter().find(|b| b.contains_key("layer"))?;
    let name = word(first, "name");
    let kind = run.rule_of(first).map_or(Kind::None, |(_, kind)| kind);
    Some((name.to_owned(), kind, run.weights_of(name)?))
}

/// The shape of the picture that a unit of the first layer sees, `[C, H, W]`; `None` where its weights
/// are no picture.
fn seen(run: &Run, block: &str, weights: &Weights) -> Option<[usize; 3]> {
    match weights.dims[..] {
        [_, c @ (1 | 3), h, w] if h * w > 1 => Some([c, h, w]),
        [_, d] => {
            let shape = run.record.shapes.iter().find(|s| s.block == block);
            match shape.map(|s| s.input.as_slice()) {
                Some(&[c @ (1 | 3), h, w]) if c * h * w == d && h * w > 1 => Some([c, h, w]),
                Some(_) => None,
                None => guessed(d),
            }
        }
        _ => None,
    }
}

/// The order in which units are shown: most wins first where they are known; else as they are.
fn order(run: &Run, block: &str, units: usize) -> (Vec<usize>, bool) {
    let mut order: Vec<usize> = (0..units).collect();
    let wins = run
        .winners
        .as_ref()
        .and_then(|w| w.blocks.get(block))
        .filter(|w| w.len() == units);
    if let Some(wins) = wins {
        order.sort_by_key(|unit| std::cmp::Reverse(wins[*unit]));
    }
    (order, wins.is_some())
}

/// The filters of the first layer.
///
/// # Errors
/// Internal error where the picture cannot be encoded.
pub fn filters(run: &Run) -> Result<Option<Drawing>> {
    let Some((block, _, weights)) = first_layer(run) else {
        return Ok(None);
    };
    let Some(dims) = seen(run, &block, weights) else {
        return Ok(None);
    };
    let (order, by_wins) = order(run, &block, weights.units());
    let shown = order
        .len()
        .min(MOST)
        .min((WEIGHTS / weights.each().max(1)).max(8));
    let each = weights.each();
    let tile = |unit: &usize| around_grey(&weights.values[unit * each..(unit + 1) * each]);
    let [channels, height, width] = dims;
    let columns = columns(shown, width);
    // No row is left half empty by what is left out.
    let shown = if shown < weights.units() {
        shown - shown % columns
    } else {
        shown
    };
    let zoom = zoom(columns, width);
    let tiles = Tiles {
        dims,
        tiles: order.iter().take(shown).map(tile).collect(),
        columns,
        zoom,
    };
    let colours = if channels == 3 {
        "three colours"
    } else {
        "grey"
    };
    let all = match shown == weights.units() {
        true => format!("{shown} filters of {block}"),
        false => format!("{shown} of {} filters of {block}", weights.units()),
    };
    let sorted = if by_wins {
        ", most frequent winner first"
    } else {
        ""
    };
    let radii = weights.radii();
    let settled = settled(&radii);
    let alt = format!(
        "{all}{sorted}, {height} by {width} pixels. Lengths of the weight vectors: {} to {}; {settled} within 0.2 of 1.",
        number::short(radii.iter().copied().fold(f64::MAX, f64::min)),
        number::short(radii.iter().copied().fold(f64::MIN, f64::max)),
    );
    let note = format!(
        "{height} × {width} pixels, {colours}; each scaled to its own largest weight, mid-grey is 0"
    );
    tiles
        .draw("filters", (&format!("{all}{sorted}"), &note, &alt))
        .map(Some)
}

/// How many of `radii` have settled: lie within 0.2 of 1.
#[must_use]
pub fn settled(radii: &[f64]) -> usize {
    radii.iter().filter(|r| (**r - 1.0).abs() < 0.2).count()
}

/// Who wins in `block`: shares by rank.
#[must_use]
pub fn winners(run: &Run, block: &str, kind: Kind) -> Option<Drawing> {
    let record = run.winners.as_ref()?;
    let wins = record.blocks.get(block)?;
    let all: u64 = wins.iter().sum();
    (all > 0).then_some(())?;
    let shares: Vec<f64> = wins
        .iter()
        .map(|w| 100.0 * *w as f64 / all as f64)
        .collect();
    let even = 100.0 / wins.len() as f64;
    let tenth = busiest_tenth(wins);
    bars::ranks(
        (
            &format!("winners-{}", super::learn::safe(block)),
            &format!("{block}: the busiest tenth wins {tenth:.0} % of places"),
            &format!(
                "First {} test samples, one winner a place; square-root scale",
                number::whole(record.samples as u64)
            ),
        ),
        "% of wins",
        kind,
        &shares,
        (even, "even split"),
    )
}

/// Share of the wins that the busiest tenth of the units has, in percent.
#[must_use]
pub fn busiest_tenth(wins: &[u64]) -> f64 {
    let mut sorted = wins.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let few: u64 = sorted.iter().take(wins.len().div_ceil(10)).sum();
    100.0 * few as f64 / wins.iter().sum::<u64>().max(1) as f64
}

/// A small histogram of the radii of a layer.
#[must_use]
pub fn spark(weights: &Weights, kind: Kind) -> (maud::Markup, f64, f64) {
    let radii = weights.radii();
    let (mean, deviation) = super::super::stats::spread(&radii);
    let high = radii.iter().copied().fold(0.0, f64::max);
    let values: Vec<f32> = radii.iter().map(|r| *r as f32).collect();
    let told = format!(
        "radii of {} units from 0 to {}",
        radii.len(),
        number::short(high)
    );
    let drawn = chart::bars::histogram(&values, (0.0, high), kind, &told);
    (drawn, mean, deviation.unwrap_or(0.0))
}

/// What excites units, of the layers that `biorule fields` has looked at, in the network's order.
///
/// # Errors
/// Internal error where a picture cannot be encoded.
pub fn fields(run: &Run) -> Result<Vec<Drawing>> {
    let blocks = run.blocks();
    let names = blocks.iter().map(|b| word(b, "name"));
    let drawn = names.filter_map(|name| {
        let units = run.weights_of(name).map(Weights::units);
        excites(name, run.fields.get(name)?, units).transpose()
    });
    drawn.collect()
}

fn excites(block: &str, record: &FieldsRecord, units: Option<usize>) -> Result<Option<Drawing>> {
    let dims = match record.dims[..] {
        [c @ (1 | 3), h, w] => [c, h, w],
        [d] => match guessed(d) {
            Some(dims) => dims,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let each: usize = dims.iter().product();
    let shown = record.units.len().min((WEIGHTS / each).max(8));
    let columns = columns(shown, dims[2]);
    let tiles = Tiles {
        dims,
        tiles: record
            .pictures
            .chunks_exact(each)
            .take(shown)
            .map(<[f32]>::to_vec)
            .collect(),
        columns,
        zoom: zoom(columns, dims[2]),
    };
    let of = units.map_or(String::new(), |n| format!(" of {n}"));
    let title = format!("{block}: what excites {shown}{of} units");
    let note = format!(
        "{} × {} pixels, found by gradient ascent; units drawn at random, those whose weights vary most first",
        dims[1], dims[2]
    );
    let few: Vec<String> = record.units.iter().take(8).map(u32::to_string).collect();
    let alt = format!(
        "{title}, {} by {} pixels each. The first are units {}.",
        dims[1],
        dims[2],
        few.join(", ")
    );
    let name = format!("field-{}", super::learn::safe(block));
    tiles.draw(&name, (&title, &note, &alt)).map(Some)
}

/// Pictures in a row: whole rows where that goes.
fn columns(shown: usize, width: usize) -> usize {
    let wide = (ABOUT / (width.max(1) + 4)).clamp(1, if width <= 8 { 16 } else { 12 });
    let whole = (4..=wide).rev().find(|c| shown.is_multiple_of(*c));
    whole.unwrap_or(wide).min(shown.max(1))
}

/// Pixels of a file for one of a picture.
fn zoom(columns: usize, width: usize) -> usize {
    match width {
        w if w > 16 => 1,
        w => ((ABOUT / columns).saturating_sub(4) / w.max(1)).clamp(1, 12),
    }
}
