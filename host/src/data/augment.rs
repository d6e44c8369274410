//! Writing one sample as floats: scaled, and for training moved, mirrored and
//! noised and cut out by its own random stream.

use rand_chacha::ChaCha8Rng;

use super::dataset::{Dataset, Shape, Values};
use super::normalize::Normalizer;
use super::pictures::{self, Piece};
use super::random::{Purpose, below, normal, stream, unit};
use crate::Result;
use crate::plan::{Augment, Padding};

/// Source column or row of a pixel that lies in zero padding.
const OUTSIDE: usize = usize::MAX;

/// Writes sample `index` of `set` into `out`, `[C, H, W]`, under the stream of
/// (`seed`, `epoch`, `index`).
///
/// # Errors
/// Data error for a sample that is made from a file that cannot be read any more.
pub(crate) fn write(
    set: &Dataset,
    index: usize,
    normalizer: &Normalizer,
    augment: &Augment,
    (seed, epoch): (u64, u64),
    out: &mut [f32],
) -> Result<()> {
    let shape = set.shape();
    let range = index * shape.len()..(index + 1) * shape.len();
    let mut rng = stream(Purpose::Augment, seed, epoch, index as u64);
    let made;
    let values = match set.values() {
        Values::Floats(data) => View::Floats(&data[range]),
        Values::Bytes { data, .. } => match augment.resized_crop {
            None => View::Bytes(&data[range]),
            Some(area) => {
                let piece = Piece::draw(shape.height, shape.width, area, &mut rng);
                made = pictures::cut(&data[range], shape, piece, shape)?;
                View::Bytes(&made)
            }
        },
        Values::Made { samples, .. } => {
            made = match augment.resized_crop {
                None => samples.sample(index, None)?,
                Some(area) => samples.sample(index, Some((area, &mut rng)))?,
            };
            View::Bytes(&made)
        }
    };
    if augment.is_none() {
        plain(&values, normalizer, out);
        return Ok(());
    }
    let shift = Shift::draw(augment, shape, &mut rng);
    if augment.moves() {
        let (rows, cols) = geometry(augment, shape, shift);
        moved(&values, shape, normalizer, (&rows, &cols), out);
    } else {
        plain(&values, normalizer, out);
    }
    if augment.noise > 0.0 {
        for (channel, values) in out.chunks_exact_mut(normalizer.run()).enumerate() {
            let scale = augment.noise * normalizer.gain(channel);
            values
                .iter_mut()
                .for_each(|v| *v += scale * normal(&mut rng));
        }
    }
    if augment.cutout > 0 {
        let [rows, cols] = augment.hole(shift.cut, [shape.height, shape.width]);
        for plane in out.chunks_exact_mut(shape.plane()) {
            let lines = plane.chunks_exact_mut(shape.width);
            lines
                .skip(rows.start)
                .take(rows.len())
                .for_each(|line| line[cols.clone()].fill(0.0));
        }
    }
    Ok(())
}

/// The values of one sample as they are stored.
enum View<'a> {
    Bytes(&'a [u8]),
    Floats(&'a [f32]),
}

/// Scaling only.
fn plain(values: &View<'_>, normalizer: &Normalizer, out: &mut [f32]) {
    let runs = out.chunks_exact_mut(normalizer.run());
    match values {
        View::Bytes(data) => {
            let data = data.chunks_exact(normalizer.run());
            for (channel, (out, data)) in runs.zip(data).enumerate() {
                let table = normalizer.table(channel);
                for (out, &byte) in out.iter_mut().zip(data) {
                    *out = table[usize::from(byte)];
                }
            }
        }
        View::Floats(data) => {
            let data = data.chunks_exact(normalizer.run());
            for (channel, (out, data)) in runs.zip(data).enumerate() {
                for (out, &value) in out.iter_mut().zip(data) {
                    *out = normalizer.float(channel, value);
                }
            }
        }
    }
}

/// How an image is moved: its pixel (y, x) shows (y + row, x + column) of the
/// original, a mirrored one counts x from the right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    pub row: isize,
    pub column: isize,
    pub mirror: bool,
    /// Row and column (which may be outside) of the first pixel of the square that is cut out.
    pub cut: [isize; 2],
}

impl Shift {
    /// Draws, in this order: vertical and horizontal offset of the crop, the flip, row and column
    /// around which a square is cut out.
    fn draw(augment: &Augment, shape: Shape, rng: &mut ChaCha8Rng) -> Self {
        let pad = augment.crop;
        let mut offset = || match pad {
            0 => 0,
            _ => below(rng, 2 * pad + 1) as isize - pad as isize,
        };
        let (row, column) = (offset(), offset());
        let mirror = augment.flip > 0.0 && unit(rng) < augment.flip;
        let mut corner = |size| match augment.cutout {
            0 => 0,
            _ => augment.corner(below(rng, size)),
        };
        let cut = [corner(shape.height), corner(shape.width)];
        Self {
            row,
            column,
            mirror,
            cut,
        }
    }

    /// The shift that [`write`] gives sample `index` under the same key.
    #[cfg(any(test, feature = "cuda"))]
    pub fn of(augment: &Augment, shape: Shape, (seed, epoch): (u64, u64), index: u32) -> Self {
        let mut rng = stream(Purpose::Augment, seed, epoch, u64::from(index));
        Self::draw(augment, shape, &mut rng)
    }
}

/// Source row of each row and source column of each column.
fn geometry(augment: &Augment, shape: Shape, shift: Shift) -> (Vec<usize>, Vec<usize>) {
    let source = |position: usize, offset: isize, size: usize| -> usize {
        let at = position as isize + offset;
        let last = size as isize - 1;
        match augment.padding {
            _ if (0..=last).contains(&at) => at as usize,
            Padding::Zero => OUTSIDE,
            Padding::Reflect if at < 0 => (-at) as usize,
            Padding::Reflect => (2 * last - at) as usize,
        }
    };
    let rows = (0..shape.height)
        .map(|y| source(y, shift.row, shape.height))
        .collect();
    let mut cols: Vec<usize> = (0..shape.width)
        .map(|x| source(x, shift.column, shape.width))
        .collect();
    if shift.mirror {
        cols.reverse();
    }
    (rows, cols)
}

/// Scaling with each pixel taken from `(rows, cols)`.
fn moved(
    values: &View<'_>,
    shape: Shape,
    normalizer: &Normalizer,
    (rows, cols): (&[usize], &[usize]),
    out: &mut [f32],
) {
    for (channel, plane) in out.chunks_exact_mut(shape.plane()).enumerate() {
        let base = channel * shape.plane();
        let black = match values {
            View::Bytes(_) => normalizer.table(channel)[0],
            View::Floats(_) => normalizer.float(channel, 0.0),
        };
        for (line, &row) in plane.chunks_exact_mut(shape.width).zip(rows) {
            if row == OUTSIDE {
                line.fill(black);
                continue;
            }
            let start = base + row * shape.width;
            match values {
                View::Bytes(data) => {
                    let (data, table) =
                        (&data[start..start + shape.width], normalizer.table(channel));
                    for (out, &col) in line.iter_mut().zip(cols) {
                        *out = data
                            .get(col)
                            .map_or(black, |&byte| table[usize::from(byte)]);
                    }
                }
                View::Floats(data) => {
                    let data = &data[start..start + shape.width];
                    for (out, &col) in line.iter_mut().zip(cols) {
                        *out = data
                            .get(col)
                            .map_or(black, |&value| normalizer.float(channel, value));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::{Provenance, Split, Targets};

    const SHAPE: Shape = Shape::new(2, 5, 6);

    fn picture() -> Dataset {
        let data: Vec<u8> = (0..SHAPE.len()).map(|i| 1 + (i * 3) as u8).collect();
        let targets = Targets::Labels {
            labels: vec![0],
            classes: 1,
            names: Vec::new(),
        };
        let values = Values::Bytes {
            data: data.into(),
            white: 255,
        };
        Dataset::new(
            "x",
            Split::Train,
            SHAPE,
            values,
            targets,
            Provenance::Embedded,
        )
        .unwrap()
    }
    fn drawn(augment: &Augment, epoch: u64) -> Vec<f32> {
        let set = picture();
        let mut out = vec![0.0; SHAPE.len()];
        write(
            &set,
            0,
            &Normalizer::plain(&set, false),
            augment,
            (1, epoch),
            &mut out,
        )
        .unwrap();
        out
    }

    #[test]
    fn pieces_are_drawn_by_epoch_and_the_whole_is_the_image() {
        let of = |area| Augment {
            resized_crop: Some(area),
            ..Augment::default()
        };
        let plain = drawn(&Augment::default(), 0);
        let small = [0, 1].map(|epoch| drawn(&of([0.1, 0.3]), epoch));
        assert_ne!(small[0], small[1]);
        assert_eq!(small[0], drawn(&of([0.1, 0.3]), 0));
        for out in &small {
            assert_ne!(*out, plain);
            let (low, high) = (plain[0], plain[plain.len() - 1]);
            assert!(out.iter().all(|v| (low..=high).contains(v)));
        }
    }
    /// The slow way: pad a copy, cut a window out of it, mirror it.
    fn window(pad: usize, padding: Padding, dy: usize, dx: usize, flip: bool) -> Vec<f32> {
        let plain = drawn(&Augment::default(), 0);
        let mut out = Vec::new();
        for c in 0..2isize {
            for y in 0..5 {
                for x in 0..6 {
                    let x = if flip { 5 - x } else { x };
                    let (mut y, mut x) = (
                        (y + dy) as isize - pad as isize,
                        (x + dx) as isize - pad as isize,
                    );
                    if padding == Padding::Reflect {
                        y = if y < 0 {
                            -y
                        } else if y > 4 {
                            8 - y
                        } else {
                            y
                        };
                        x = if x < 0 {
                            -x
                        } else if x > 5 {
                            10 - x
                        } else {
                            x
                        };
                    }
                    let inside = (0..5).contains(&y) && (0..6).contains(&x);
                    out.push(if inside {
                        plain[(c * 30 + y * 6 + x) as usize]
                    } else {
                        0.0
                    });
                }
            }
        }
        out
    }

    #[test]
    fn each_crop_is_a_window_of_the_padded_image_and_all_occur() {
        for padding in [Padding::Zero, Padding::Reflect] {
            let augment = Augment {
                flip: 0.5,
                crop: 2,
                padding,
                ..Augment::default()
            };
            let mut all = Vec::new();
            for at in 0..50 {
                all.push(window(2, padding, at / 2 / 5, at / 2 % 5, at % 2 == 1));
            }
            let mut seen = [0; 50];
            for epoch in 0..1000 {
                let out = drawn(&augment, epoch);
                let at = all
                    .iter()
                    .position(|w| *w == out)
                    .expect("a window of the padded image");
                seen[at] += 1;
            }
            // Expected 20 each; a chance of 1/50 missed in 1000 draws is e^-20.
            assert!(seen.iter().all(|&n| n > 2), "{seen:?}");
        }
    }

    #[test]
    fn noise_has_the_asked_deviation_and_repeats_for_the_same_key() {
        let augment = Augment {
            noise: 0.1,
            ..Augment::default()
        };
        let plain = drawn(&Augment::default(), 0);
        let mut sum = 0.0;
        for epoch in 0..200 {
            let out = drawn(&augment, epoch);
            assert_eq!(out, drawn(&augment, epoch));
            sum += out
                .iter()
                .zip(&plain)
                .map(|(a, b)| f64::from((a - b) / 255.0).powi(2))
                .sum::<f64>();
        }
        let deviation = (sum / 200.0 / SHAPE.len() as f64).sqrt();
        assert!((deviation - 0.1).abs() < 0.005, "{deviation}");
    }

    /// The square is where PyTorch implementations of the paper have it: `clip(y ± side/2)`.
    #[test]
    fn cutout_zeroes_the_square_around_each_pixel_alike() {
        for side in [1, 2, 4, 5] {
            let plain = drawn(&Augment::default(), 0);
            let around = |y: usize, x: usize| -> Vec<f32> {
                let from = |at: usize| at.saturating_sub(side / 2);
                let end = |at: usize, size: usize| (at + side - side / 2).min(size);
                let inside = |i: usize| {
                    let (row, column) = (i % 30 / 6, i % 6);
                    (from(y)..end(y, 5)).contains(&row) && (from(x)..end(x, 6)).contains(&column)
                };
                let pixel = |(i, v): (usize, &f32)| if inside(i) { 0.0 } else { *v };
                plain.iter().enumerate().map(pixel).collect()
            };
            let all: Vec<Vec<f32>> = (0..30).map(|at| around(at / 6, at % 6)).collect();
            let augment = Augment {
                cutout: side,
                ..Augment::default()
            };
            let mut seen = [0; 30];
            for epoch in 0..600 {
                let out = drawn(&augment, epoch);
                let same: Vec<usize> = (0..30).filter(|at| all[*at] == out).collect();
                assert!(!same.is_empty(), "side {side}: no square around a pixel");
                same.iter().for_each(|at| seen[*at] += 1);
            }
            // Expected 20 each; a chance of 1/30 missed in 600 draws is e^-20.
            assert!(seen.iter().all(|&n| n > 2), "side {side}: {seen:?}");
        }
    }

    /// What is cut out is drawn after what moves, and before noise, so that neither changes.
    #[test]
    fn cutout_leaves_crop_and_flip_as_they_are() {
        let moving = Augment {
            flip: 0.5,
            crop: 2,
            ..Augment::default()
        };
        let cut = Augment {
            cutout: 2,
            ..moving
        };
        for epoch in 0..50 {
            let (whole, cut) = (drawn(&moving, epoch), drawn(&cut, epoch));
            let zeros = |v: &[f32]| v.iter().filter(|v| **v == 0.0).count();
            assert!(whole.iter().zip(&cut).all(|(w, c)| w == c || *c == 0.0));
            assert!(zeros(&cut) >= zeros(&whole));
        }
    }

    #[test]
    fn standard_scaling_is_the_definition_for_bytes_and_floats() {
        let set = picture();
        let (mean, std) = ([0.2, 0.4], [0.5, 0.25]);
        let normalizer = Normalizer::standard(&set, &mean, &std).unwrap();
        let mut out = vec![0.0; SHAPE.len()];
        write(&set, 0, &normalizer, &Augment::default(), (0, 0), &mut out).unwrap();
        for (at, value) in out.iter().enumerate() {
            let (byte, c) = ((1 + at * 3) as f32, at / 30);
            assert_eq!(*value, (byte / 255.0 - mean[c]) / std[c]);
        }
        assert!(Normalizer::standard(&set, &[0.0], &[1.0]).is_err());
        assert!(Normalizer::standard(&set, &mean, &[1.0, 0.0]).is_err());
    }
}
