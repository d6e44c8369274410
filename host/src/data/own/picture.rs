//! One picture file as bytes: 8 bits, grey or colour.

use std::path::Path;

use image::{ColorType, DynamicImage, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// Largest picture that is decoded, in pixels along an axis.
const LARGEST: u32 = 1 << 15;

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Picture {
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// `[C, H, W]`.
    pub bytes: Vec<u8>,
    /// Whether an alpha channel was left out.
    pub had_alpha: bool,
}

/// Decodes `file`, the content of `path`, to `channels` (as it is where that is `None`). With `cmyk` a
/// JPEG in these colours is converted, however the decoder does it; ImageNet has 22 of them.
///
/// # Errors
/// What is wrong with the file, in words.
pub(in crate::data) fn decode(
    path: &Path,
    file: &[u8],
    channels: Option<usize>,
    cmyk: bool,
) -> std::result::Result<Picture, String> {
    let format = image::guess_format(file).map_err(|_| instead(path))?;
    match format {
        ImageFormat::Jpeg => whole_jpeg(file, cmyk)?,
        // The last chunk, with its checksum.
        ImageFormat::Png if !file.windows(8).rev().any(|w| w == b"IEND\xae\x42\x60\x82") => {
            return Err("is cut: its end is missing".to_owned());
        }
        ImageFormat::Png => {}
        other => return Err(format!("is {other:?}, not PNG or JPEG")),
    }
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST), Some(LARGEST));
    reader.limits(limits);
    let image = reader.decode().map_err(|e| e.to_string())?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    if width * height == 0 {
        return Err("has no pixel".to_owned());
    }
    let color: ColorType = image.color();
    let channels = channels.unwrap_or(if color.has_color() { 3 } else { 1 });
    Ok(Picture {
        channels,
        height,
        width,
        bytes: planes(image, color.has_color(), channels),
        had_alpha: color.has_alpha(),
    })
}

/// Bytes `[C, H, W]`; 16 bits are rounded to 8, alpha is left out.
fn planes(image: DynamicImage, has_color: bool, channels: usize) -> Vec<u8> {
    if !has_color {
        let grey = image.into_luma8().into_raw();
        return grey.repeat(channels);
    }
    let pixels = image.into_rgb8().into_raw();
    if channels == 1 {
        // Rec. 601 luma in thousandths, as Pillow converts.
        let luma = |p: &[u8]| {
            let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
            ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
        };
        return pixels.chunks_exact(3).map(luma).collect();
    }
    (0..3)
        .flat_map(|c| pixels.iter().skip(c).step_by(3).copied())
        .collect()
}

/// What a file that is no picture is.
fn instead(path: &Path) -> String {
    match crate::data::sniff::file(path) {
        Some(it) => format!("is {}, not a picture", it.what),
        None => "is not a PNG or JPEG picture".to_owned(),
    }
}

/// Refuses a JPEG file that was cut, which the decoder would fill with grey, and one in CMYK, whose
/// colours no two programs convert alike.
fn whole_jpeg(file: &[u8], cmyk: bool) -> std::result::Result<(), String> {
    let last = |marker: u8| file.windows(2).rposition(|w| w == [0xff, marker]);
    // Start of scan and end of image; neither occurs inside of coded pixels.
    let (Some(scan), end) = (last(0xda), last(0xd9)) else {
        return Err("is cut: no pixels in it".to_owned());
    };
    if end.is_none_or(|end| end < scan) {
        return Err("is cut: its end is missing".to_owned());
    }
    if !cmyk && components(file) == Some(4) {
        return Err("is a CMYK JPEG; convert it to RGB".to_owned());
    }
    Ok(())
}

/// Height and width by the header of a PNG or JPEG file.
pub(in crate::data) fn size(path: &Path) -> Option<(u32, u32)> {
    let (width, height) = ImageReader::open(path)
        .ok()?
        .with_guessed_format()
        .ok()?
        .into_dimensions()
        .ok()?;
    Some((height, width))
}

/// Number of components by the frame header.
fn components(file: &[u8]) -> Option<u8> {
    let mut at = 2;
    loop {
        let marker = *file.get(at + 1)?;
        if *file.get(at)? != 0xff {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([*file.get(at + 2)?, *file.get(at + 3)?]));
        // SOF0 to SOF15 without DHT, JPG and DAC.
        if (0xc0..=0xcf).contains(&marker) && ![0xc4, 0xc8, 0xcc].contains(&marker) {
            return file.get(at + 9).copied();
        }
        if marker == 0xff {
            at += 1;
        } else {
            at += 2 + length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage};

    fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut to = Cursor::new(Vec::new());
        image.into().write_to(&mut to, format).unwrap();
        to.into_inner()
    }
    fn read(file: &[u8], channels: Option<usize>) -> std::result::Result<Picture, String> {
        decode(Path::new("no such file"), file, channels, false)
    }

    #[test]
    fn every_kind_of_png_becomes_eight_bits_in_planes() {
        let rgb = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8 * 50, y as u8 * 90, 200]));
        let it = read(&file(rgb, ImageFormat::Png), None).unwrap();
        assert_eq!((it.channels, it.height, it.width), (3, 2, 3));
        assert_eq!(it.bytes[..6], [0, 50, 100, 0, 50, 100]);
        assert_eq!(it.bytes[12..], [200; 6]);
        let grey = GrayImage::from_fn(3, 2, |x, y| Luma([(x + 10 * y) as u8]));
        let it = read(&file(grey.clone(), ImageFormat::Png), None).unwrap();
        assert_eq!((it.channels, it.bytes), (1, grey.to_vec()));
        let it = read(&file(grey.clone(), ImageFormat::Png), Some(3)).unwrap();
        assert_eq!(it.bytes, grey.to_vec().repeat(3));
        let alpha = GrayAlphaImage::from_fn(1, 1, |_, _| LumaA([7, 9]));
        let it = read(&file(alpha, ImageFormat::Png), None).unwrap();
        assert_eq!((it.channels, it.bytes, it.had_alpha), (1, vec![7], true));
        let deep: ImageBuffer<Luma<u16>, Vec<u16>> =
            ImageBuffer::from_fn(2, 1, |x, _| Luma([x as u16 * 65_535]));
        let it = read(&file(deep, ImageFormat::Png), None).unwrap();
        assert_eq!(it.bytes, [0, 255]);
        let one = RgbImage::from_pixel(1, 1, Rgb([255, 128, 0]));
        let it = read(&file(one, ImageFormat::Png), Some(1)).unwrap();
        assert_eq!(it.bytes, [151]); // Pillow: convert("L")
    }

    #[test]
    fn cut_and_foreign_files_are_refused() {
        let picture = RgbImage::from_fn(40, 40, |x, y| Rgb([(x * y) as u8, x as u8, y as u8]));
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let whole = file(picture.clone(), format);
            assert!(read(&whole, None).is_ok(), "{format:?}");
            for keep in [0, 1, 10, whole.len() / 2, whole.len() - 3] {
                assert!(read(&whole[..keep], None).is_err(), "{format:?} {keep}");
            }
        }
        // Four components in the frame header.
        let mut cmyk = file(picture, ImageFormat::Jpeg);
        let frame = cmyk.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        cmyk[frame + 9] = 4;
        assert!(read(&cmyk, None).unwrap_err().contains("CMYK"));
        assert!(read(b"GIF89a....", None).unwrap_err().contains("Gif"));
    }
}
