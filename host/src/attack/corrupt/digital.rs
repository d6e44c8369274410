//! What storing and processing do to a picture.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use rand_chacha::ChaCha8Rng;

use super::grid::{Edge, bell, between, filter_both};
use crate::data::random::uniform;
use crate::{Error, Result};

/// Channels, height, width.
type Shape = (usize, usize, usize);

/// Smaller and back again, by means over boxes.
pub(super) fn pixelate(x: &mut [f32], (_, h, w): Shape, factor: f64) {
    let less = |n: usize| ((n as f64 * factor) as usize).max(1);
    for plane in x.chunks_exact_mut(h * w) {
        let small = boxed(plane, (h, w), (less(h), less(w)));
        let large = boxed(&small, (less(h), less(w)), (h, w));
        plane.copy_from_slice(&large);
    }
}

/// `x` at another size: each pixel is the mean of those whose centres its box covers, stored as a
/// byte after each direction, as Pillow does.
fn boxed(x: &[f32], (h, w): (usize, usize), (to_h, to_w): (usize, usize)) -> Vec<f32> {
    let covered = |at: usize, n: usize, to: usize| {
        let scale = n as f64 / to as f64;
        let (centre, half) = ((at as f64 + 0.5) * scale, 0.5 * scale.max(1.0));
        let from = (centre - half + 0.5).max(0.0) as usize;
        let until = ((centre + half + 0.5) as usize).min(n).max(from + 1);
        from..until
    };
    let round = |v: f32| (v * 255.0).round() / 255.0;
    let mut narrow = Vec::with_capacity(h * to_w);
    for row in x.chunks_exact(w) {
        for column in 0..to_w {
            let range = covered(column, w, to_w);
            let count = range.len() as f32;
            narrow.push(round(row[range].iter().sum::<f32>() / count));
        }
    }
    let mut out = Vec::with_capacity(to_h * to_w);
    for row in 0..to_h {
        let range = covered(row, h, to_h);
        for column in 0..to_w {
            let sum: f32 = range.clone().map(|r| narrow[r * to_w + column]).sum();
            out.push(round(sum / range.len() as f32));
        }
    }
    out
}

/// Through a JPEG file of this quality.
pub(super) fn jpeg(x: &mut [f32], (c, h, w): Shape, quality: u8) -> Result<()> {
    let n = h * w;
    let bytes: Vec<u8> = (0..n * c)
        .map(|i| (x[i % c * n + i / c] * 255.0).round() as u8)
        .collect();
    let colour = match c {
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::L8,
    };
    let failed = |e: image::ImageError| Error::internal(format!("JPEG: {e}"));
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(&bytes, w as u32, h as u32, colour)
        .map_err(failed)?;
    let format = image::ImageFormat::Jpeg;
    let read = image::load_from_memory_with_format(&file, format).map_err(failed)?;
    let bytes = match c {
        3 => read.into_rgb8().into_raw(),
        _ => read.into_luma8().into_raw(),
    };
    for (i, byte) in bytes.into_iter().enumerate() {
        x[i % c * n + i / c] = f32::from(byte) / 255.0;
    }
    Ok(())
}

/// Three points are moved at random and the picture with them; then every pixel moves along a
/// smooth random field.
pub(super) fn elastic(x: &mut [f32], (_, h, w): Shape, at: usize, rng: &mut ChaCha8Rng) {
    // Height of the field, its deviation, and reach of the three points, in units of the size.
    let (height, sigma, reach) = [
        (0.0, 0.0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05),
        (0.1, 0.03, 0.03),
    ][at];
    let unit = h.min(w) as f32;
    let (centre, away) = ((w as f32 / 2.0, h as f32 / 2.0), (unit / 3.0).floor());
    let from = [
        (centre.0 + away, centre.1 + away),
        (centre.0 + away, centre.1 - away),
        (centre.0 - away, centre.1 - away),
    ];
    let reach = reach * unit;
    let to = from.map(|(x, y)| {
        let right = uniform(rng, -reach, reach);
        (x + right, y + uniform(rng, -reach, reach))
    });
    // Where each pixel of the result comes from.
    let back = affine(to, from);
    let mut field = || {
        let raw: Vec<f32> = (0..h * w).map(|_| uniform(rng, -1.0, 1.0)).collect();
        let weights = bell(sigma * f64::from(unit), 3.0);
        filter_both(&raw, (h, w), &weights, Edge::Mirror)
    };
    let (right, down) = (field(), field());
    let height = height * unit;
    for plane in x.chunks_exact_mut(h * w) {
        let moved: Vec<f32> = (0..h * w)
            .map(|at| {
                let (x, y) = ((at % w) as f32, (at / w) as f32);
                let place = |[a, b, c]: [f32; 3]| a * x + b * y + c;
                between(
                    plane,
                    (h, w),
                    (place(back[1]), place(back[0])),
                    Edge::Reflect,
                )
            })
            .collect();
        for (at, v) in plane.iter_mut().enumerate() {
            let row = (at / w) as f32 + height * down[at];
            let column = (at % w) as f32 + height * right[at];
            *v = between(&moved, (h, w), (row, column), Edge::Mirror).clamp(0.0, 1.0);
        }
    }
}

/// `[a, b, c]` for each coordinate with `a·x + b·y + c` taking the points `from` to `to`.
fn affine(from: [(f32, f32); 3], to: [(f32, f32); 3]) -> [[f32; 3]; 2] {
    let [p, q, r] = from;
    let (u, v) = ((q.0 - p.0, q.1 - p.1), (r.0 - p.0, r.1 - p.1));
    let determinant = u.0 * v.1 - u.1 * v.0;
    let row = |[p1, q1, r1]: [f32; 3]| {
        let (du, dv) = (q1 - p1, r1 - p1);
        let a = (du * v.1 - dv * u.1) / determinant;
        let b = (dv * u.0 - du * v.0) / determinant;
        [a, b, p1 - a * p.0 - b * p.1]
    };
    [row(to.map(|t| t.0)), row(to.map(|t| t.1))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_points_decide_a_map() {
        let from = [(1.0, 2.0), (5.0, 1.0), (3.0, 7.0)];
        let to = [(0.0, 1.0), (4.0, 2.0), (1.0, 8.0)];
        let map = affine(from, to);
        for (f, t) in from.iter().zip(to) {
            let at = |[a, b, c]: [f32; 3]| a * f.0 + b * f.1 + c;
            assert!((at(map[0]) - t.0).abs() < 1e-5 && (at(map[1]) - t.1).abs() < 1e-5);
        }
    }

    #[test]
    fn boxes_take_means_and_enlarging_repeats() {
        let x: Vec<f32> = [0, 51, 102, 153].map(|v| v as f32 / 255.0).to_vec();
        let half = boxed(&x, (1, 4), (1, 2));
        let bytes =
            |x: &[f32]| -> Vec<i32> { x.iter().map(|v| (v * 255.0).round() as i32).collect() };
        assert_eq!(bytes(&half), [26, 128]);
        assert_eq!(bytes(&boxed(&half, (1, 2), (1, 4))), [26, 26, 128, 128]);
    }
}
