//! Bringing a set's images to another size, once, when it is read. Bilinear is
//! Pillow's: a triangle as wide as a source or target pixel, whichever is
//! larger, columns first, rounded to bytes after each direction.

use super::dataset::{Dataset, Shape, Values};
use crate::plan::ResizeMethod;
use crate::{Error, Result};

/// The set with images of `height` x `width`.
///
/// # Errors
/// A usage error for samples that are not images of bytes, or padding to a
/// smaller size.
pub(crate) fn resize(
    set: Dataset,
    height: usize,
    width: usize,
    method: ResizeMethod,
) -> Result<Dataset> {
    let from = set.shape();
    let to = Shape::new(from.channels, height, width);
    let Values::Bytes { data, white } = set.values() else {
        return Err(Error::usage(format!(
            "`data.resize` needs images; `{}` has vectors",
            set.name()
        )));
    };
    if from == to {
        return Ok(set);
    }
    let values = Values::Bytes {
        data: planes(data, from, (height, width), method)?.into(),
        white: *white,
    };
    set.with_values(to, values)
}

/// Images of shape `from`, one after another, brought to `height` x `width`.
///
/// # Errors
/// A usage error for padding to a smaller size.
pub(crate) fn planes(
    data: &[u8],
    from: Shape,
    (height, width): (usize, usize),
    method: ResizeMethod,
) -> Result<Vec<u8>> {
    let to = Shape::new(from.channels, height, width);
    if method == ResizeMethod::Crop {
        return middle(data, from, (height, width));
    }
    let planes = data.chunks_exact(from.plane());
    let mut out = Vec::with_capacity(planes.len() * to.plane());
    match method {
        ResizeMethod::Pad => {
            if height < from.height || width < from.width {
                return Err(Error::usage(format!(
                    "`data.resize` is {height}x{width}, smaller than images of {from}; \
                     `data.resize_method = \"pad\"` only enlarges"
                )));
            }
            let (top, left) = ((height - from.height) / 2, (width - from.width) / 2);
            for plane in planes {
                let start = out.len();
                out.resize(start + to.plane(), 0);
                for (y, row) in plane.chunks_exact(from.width).enumerate() {
                    let at = start + (top + y) * width + left;
                    out[at..at + from.width].copy_from_slice(row);
                }
            }
        }
        // Done above.
        ResizeMethod::Crop => {}
        ResizeMethod::Nearest => {
            let pick = |to: usize, from: usize| -> Vec<usize> {
                (0..to).map(|i| (2 * i + 1) * from / (2 * to)).collect()
            };
            let (rows, cols) = (pick(height, from.height), pick(width, from.width));
            for plane in planes {
                for &y in &rows {
                    out.extend(cols.iter().map(|&x| plane[y * from.width + x]));
                }
            }
        }
        ResizeMethod::Bilinear => {
            let (rows, cols) = (windows(from.height, height), windows(from.width, width));
            let mut wide = vec![0; from.height * width];
            for plane in planes {
                for (line, row) in wide
                    .chunks_exact_mut(width)
                    .zip(plane.chunks_exact(from.width))
                {
                    for (value, window) in line.iter_mut().zip(&cols) {
                        *value = window.mix(|i| row[i]);
                    }
                }
                for window in &rows {
                    out.extend((0..width).map(|x| window.mix(|y| wide[y * width + x])));
                }
            }
        }
    }
    Ok(out)
}

/// The middle of images whose shorter side was brought to 8/7 of the size: 256 for 224.
fn middle(data: &[u8], from: Shape, (height, width): (usize, usize)) -> Result<Vec<u8>> {
    let larger = |side: usize| (8 * side).div_ceil(7);
    // The sides of the smallest image of these proportions that holds what is cut out.
    let (need_height, need_width) = (larger(height), larger(width));
    let by_height = need_height * from.width >= need_width * from.height;
    let (tall, wide) = match by_height {
        true => (need_height, need_height * from.width / from.height),
        false => (need_width * from.height / from.width, need_width),
    };
    let (tall, wide) = (tall.max(height), wide.max(width));
    let large = planes(data, from, (tall, wide), ResizeMethod::Bilinear)?;
    let start =
        |outer: usize, inner: usize| ((outer - inner) as f64 / 2.0).round_ties_even() as usize;
    let (top, left) = (start(tall, height), start(wide, width));
    let mut out = Vec::with_capacity(data.len() / from.plane() * height * width);
    for plane in large.chunks_exact(tall * wide) {
        for row in plane.chunks_exact(wide).skip(top).take(height) {
            out.extend_from_slice(&row[left..left + width]);
        }
    }
    Ok(out)
}

/// The source pixels that make one target pixel.
struct Window {
    start: usize,
    weights: Vec<f32>,
}

impl Window {
    fn mix(&self, pixel: impl Fn(usize) -> u8) -> u8 {
        let sum = self.weights.iter().enumerate();
        let sum: f32 = sum.map(|(i, w)| w * f32::from(pixel(self.start + i))).sum();
        // `f32::round` of what is never below 0, without its call.
        let whole = sum as u8;
        whole.saturating_add(u8::from(sum - f32::from(whole) >= 0.5))
    }
}

/// Windows for `to` pixels out of `from`.
fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let start = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(from);
            let weight = |x: usize| (1.0 - ((x as f64 + 0.5 - centre) / reach).abs()).max(0.0);
            let sum: f64 = (start..end).map(weight).sum();
            Window {
                start,
                weights: (start..end).map(|x| (weight(x) / sum) as f32).collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::{Provenance, Split, Targets};

    fn image(shape: Shape, data: &[u8]) -> Dataset {
        let count = data.len() / shape.len();
        let targets = Targets::Labels {
            labels: vec![0; count],
            classes: 1,
            names: Vec::new(),
        };
        let values = Values::Bytes {
            data: data.to_vec().into(),
            white: 255,
        };
        Dataset::new(
            "x",
            Split::Train,
            shape,
            values,
            targets,
            Provenance::Embedded,
        )
        .unwrap()
    }
    fn bytes(set: &Dataset) -> &[u8] {
        let Values::Bytes { data, .. } = set.values() else {
            panic!("bytes")
        };
        data
    }

    #[test]
    fn bilinear_agrees_with_pillow() {
        // PIL.Image.resize(…, BILINEAR) of Pillow 13 on a 3x4 image.
        let source = [10, 200, 30, 90, 250, 0, 60, 120, 5, 77, 180, 33];
        let set = image(Shape::new(1, 3, 4), &source);
        for (height, width, expected) in PILLOW {
            let out = resize(set.clone(), *height, *width, ResizeMethod::Bilinear).unwrap();
            let far = bytes(&out)
                .iter()
                .zip(*expected)
                .map(|(a, b)| a.abs_diff(*b))
                .max();
            // Pillow weighs in fixed point: one step of rounding apart at most.
            assert!(far <= Some(1), "{height}x{width}: {:?}", bytes(&out));
        }
    }
    const PILLOW: &[(usize, usize, &[u8])] = &[
        (
            5,
            7,
            &[
                10, 78, 186, 115, 34, 69, 90, 106, 111, 119, 81, 46, 81, 102, 250, 161, 18, 30, 64,
                99, 120, 103, 83, 50, 89, 128, 91, 68, 5, 31, 72, 129, 170, 86, 33,
            ],
        ),
        (2, 2, &[102, 79, 82, 93]),
        (
            3,
            8,
            &[
                10, 58, 153, 158, 73, 45, 75, 90, 250, 188, 63, 15, 45, 75, 105, 120, 5, 23, 59,
                103, 154, 143, 70, 33,
            ],
        ),
        (1, 3, &[102, 83, 86]),
    ];

    #[test]
    fn the_middle_is_cut_out_of_the_image_at_eight_sevenths() {
        // 7x14 becomes 8x16 for a size of 7; of 16 columns 4 (9/2, to even) are left out on the left.
        let from = Shape::new(1, 7, 14);
        let data: Vec<u8> = (0..98).map(|i| (i % 14) as u8 * 10).collect();
        let large = planes(&data, from, (8, 16), ResizeMethod::Bilinear).unwrap();
        let out = planes(&data, from, (7, 7), ResizeMethod::Crop).unwrap();
        let rows = large.chunks_exact(16).take(7);
        let expected: Vec<u8> = rows.flat_map(|row| row[4..11].to_vec()).collect();
        assert_eq!(out, expected);
        let square = planes(&[7; 9], Shape::new(1, 3, 3), (2, 2), ResizeMethod::Crop).unwrap();
        assert_eq!(square, [7; 4]);
    }

    #[test]
    fn padding_centres_and_nearest_repeats() {
        let set = image(Shape::new(2, 1, 2), &[1, 2, 3, 4]);
        let padded = resize(set.clone(), 3, 4, ResizeMethod::Pad).unwrap();
        let expected = [
            [0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0],
        ];
        assert_eq!(bytes(&padded), expected.concat());
        let nearest = resize(set.clone(), 2, 4, ResizeMethod::Nearest).unwrap();
        assert_eq!(
            bytes(&nearest),
            [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]
        );
        assert!(resize(set, 1, 1, ResizeMethod::Pad).is_err());
    }
}
