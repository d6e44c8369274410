//! Pictures of pixels: filters and samples beside each other in one PNG file.

use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, Rgba, RgbaImage};

use super::chart::{Body, Drawing};
use crate::{Error, Result};

/// Pictures of one size, to be laid out in rows.
#[derive(Clone, Debug, Default)]
pub struct Tiles {
    /// `[C, H, W]`; C is 1 or 3.
    pub dims: [usize; 3],
    /// Values from 0 to 1 of each, `[C, H, W]`.
    pub tiles: Vec<Vec<f32>>,
    /// Pictures in a row.
    pub columns: usize,
    /// Pixels of the file for one of a picture.
    pub zoom: usize,
}

/// Pixels between two pictures; the page shows through them.
const BETWEEN: usize = 4;

impl Tiles {
    /// The PNG file with its width and height.
    ///
    /// # Errors
    /// Internal error where it cannot be encoded.
    pub fn png(&self) -> Result<(Vec<u8>, (u32, u32))> {
        let [channels, height, width] = self.dims;
        let (columns, zoom) = (self.columns.max(1), self.zoom.max(1));
        let rows = self.tiles.len().div_ceil(columns);
        let step = |size: usize| size * zoom + BETWEEN;
        let size = (
            step(width) * columns - BETWEEN,
            (step(height) * rows).saturating_sub(BETWEEN),
        );
        let mut picture = RgbaImage::from_pixel(size.0 as u32, size.1.max(1) as u32, Rgba([0; 4]));
        for (i, tile) in self.tiles.iter().enumerate() {
            let (left, top) = (step(width) * (i % columns), step(height) * (i / columns));
            for y in 0..height * zoom {
                for x in 0..width * zoom {
                    let at = |c: usize| {
                        let c = if channels == 3 { c } else { 0 };
                        let v = tile.get((c * height + y / zoom) * width + x / zoom);
                        (255.0 * v.copied().unwrap_or(0.5).clamp(0.0, 1.0)).round() as u8
                    };
                    picture.put_pixel(
                        (left + x) as u32,
                        (top + y) as u32,
                        Rgba([at(0), at(1), at(2), 255]),
                    );
                }
            }
        }
        let mut bytes = Vec::new();
        let picture = match channels {
            3 => DynamicImage::ImageRgba8(picture),
            // Half the bytes.
            _ => DynamicImage::ImageLumaA8(DynamicImage::ImageRgba8(picture).to_luma_alpha8()),
        };
        let encoder = PngEncoder::new_with_quality(
            Cursor::new(&mut bytes),
            CompressionType::Best,
            FilterType::Adaptive,
        );
        picture
            .write_with_encoder(encoder)
            .map_err(|e| Error::internal(format!("a picture: {e}")))?;
        Ok((bytes, (size.0 as u32, size.1 as u32)))
    }

    /// As a drawing.
    ///
    /// # Errors
    /// As [`Self::png`].
    pub fn draw(&self, name: &str, (title, note, text): (&str, &str, &str)) -> Result<Drawing> {
        let (bytes, (width, height)) = self.png()?;
        Ok(Drawing {
            name: name.to_owned(),
            title: title.to_owned(),
            note: note.to_owned(),
            text: text.to_owned(),
            size: (f64::from(width), f64::from(height)),
            body: Body::Pixels(bytes),
            table: None,
        })
    }
}

/// `values` from −largest to largest as 0 to 1, so that grey is 0.
#[must_use]
pub fn around_grey(values: &[f32]) -> Vec<f32> {
    let most = values
        .iter()
        .fold(0f32, |m, v| m.max(v.abs()))
        .max(f32::MIN_POSITIVE);
    values.iter().map(|v| 0.5 + 0.5 * v / most).collect()
}

/// The shape of a picture that a unit with `inputs` weights sees, where they can be one: a square of
/// one channel or of three.
#[must_use]
pub fn guessed(inputs: usize) -> Option<[usize; 3]> {
    let square = |n: usize| {
        let side = (n as f64).sqrt().round() as usize;
        (side * side == n && side > 1).then_some(side)
    };
    if let Some(side) = square(inputs) {
        return Some([1, side, side]);
    }
    let third = inputs.is_multiple_of(3).then_some(inputs / 3)?;
    square(third).map(|side| [3, side, side])
}
