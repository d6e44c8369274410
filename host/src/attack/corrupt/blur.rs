//! Blurs.

use rand_chacha::ChaCha8Rng;

use super::grid::{Edge, Tap, as_byte, bell, bell_of, filter, filter_both, smeared, zoomed};
use crate::data::random::{below, unit};

/// Channels, height, width.
type Shape = (usize, usize, usize);

/// Deviations after which a normal density is cut off.
const TRUNCATE: f64 = 4.0;

fn each_channel(x: &mut [f32], (_, h, w): Shape, change: impl Fn(&[f32]) -> Vec<f32>) {
    for plane in x.chunks_exact_mut(h * w) {
        let changed = change(plane);
        plane.copy_from_slice(&changed);
    }
}

/// A normal density of deviation `sigma`.
pub(super) fn gaussian(x: &mut [f32], shape: Shape, sigma: f64) {
    let weights = bell(sigma, TRUNCATE);
    let size = (shape.1, shape.2);
    each_channel(x, shape, |plane| {
        filter_both(plane, size, &weights, Edge::Nearest)
    });
}

/// A disk, its rim softened.
pub(super) fn defocus(x: &mut [f32], shape: Shape, at: usize) {
    let (radius, soft) = [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)][at];
    const HALF: isize = 3;
    const SIDE: usize = 2 * HALF as usize + 1;
    let inside = |at: usize| {
        let (row, column) = ((at / SIDE) as isize - HALF, (at % SIDE) as isize - HALF);
        (row * row + column * column) as f64 <= radius * radius
    };
    let disk: Vec<f32> = (0..SIDE * SIDE)
        .map(|at| f32::from(u8::from(inside(at))))
        .collect();
    let all: f32 = disk.iter().sum();
    let disk: Vec<f32> = disk.iter().map(|v| v / all).collect();
    let disk = filter_both(&disk, (SIDE, SIDE), &bell_of(soft, 1), Edge::Reflect);
    let taps: Vec<Tap> = disk
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight != 0.0)
        .map(|(at, weight)| {
            let away = |i: usize| i as isize - HALF;
            (*weight, away(at / SIDE), away(at % SIDE))
        })
        .collect();
    let size = (shape.1, shape.2);
    each_channel(x, shape, |plane| filter(plane, size, &taps, Edge::Reflect));
}

/// Blurred, then pixels take the colour of a neighbour up and to the left, then blurred again.
/// Copies and not exchanges, since the published set was made so: its script exchanges two views of
/// one array, of which the second reads what the first has written.
pub(super) fn glass(x: &mut [f32], shape: Shape, at: usize, rng: &mut ChaCha8Rng) {
    let (sigma, reach, rounds) = [
        (0.05, 1, 1),
        (0.25, 1, 1),
        (0.4, 1, 1),
        (0.25, 1, 2),
        (0.4, 1, 2),
    ][at];
    let (c, h, w) = shape;
    gaussian(x, shape, sigma);
    x.iter_mut().for_each(|v| *v = as_byte(*v));
    let away = |rng: &mut ChaCha8Rng| reach - below(rng, 2 * reach);
    for _ in 0..rounds {
        for row in (reach + 1..=h - reach).rev() {
            for column in (reach + 1..=w - reach).rev() {
                // One of -reach to reach - 1, so that no neighbour below or to the right counts.
                let (left, up) = (away(rng), away(rng));
                let (from_row, from_column) = (row - up, column - left);
                for channel in 0..c {
                    let at = |row: usize, column: usize| (channel * h + row) * w + column;
                    x[at(row, column)] = x[at(from_row, from_column)];
                }
            }
        }
    }
    gaussian(x, shape, sigma);
}

/// Along a line at up to 45 degrees from the horizontal.
pub(super) fn motion(x: &mut [f32], shape: Shape, at: usize, rng: &mut ChaCha8Rng) {
    let line = [(6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)][at];
    let angle = 90.0 * f64::from(unit(rng)) - 45.0;
    let size = (shape.1, shape.2);
    each_channel(x, shape, |plane| smeared(plane, size, line, angle));
}

/// The mean of enlargements in steps of 1 %, and once more of the picture itself.
pub(super) fn zoom(x: &mut [f32], shape: Shape, at: usize) {
    // The published ranges are made in floating point, and the first two reach one step further.
    let count = [7, 12, 16, 21, 26][at];
    let size = (shape.1, shape.2);
    each_channel(x, shape, |plane| {
        let mut sum = plane.to_vec();
        for i in 0..count {
            let large = zoomed(plane, size, 1.0 + 0.01 * f64::from(i));
            sum.iter_mut().zip(large).for_each(|(s, v)| *s += v);
        }
        sum.iter().map(|v| v / (count + 1) as f32).collect()
    });
}
