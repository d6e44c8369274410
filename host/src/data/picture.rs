//! A sample as text for a terminal, or as a PGM/PPM file (netpbm), which needs
//! no library and opens everywhere.

use std::fs;
use std::path::Path;

use super::dataset::Dataset;
use crate::{Error, Result};

/// Shades from dark to bright.
const SHADES: &[u8] = b" .:-=+*#%@";

/// Sample `index` as bytes 0 to 255, `[C, H, W]`.
///
/// # Errors
/// Usage errors for an index out of range, and for sets of vectors.
fn bytes(set: &Dataset, index: usize) -> Result<Vec<u8>> {
    if index >= set.len() {
        return Err(Error::usage(format!(
            "there is no sample {index}; `{}` ({}) has {}, counted from 0",
            set.name(),
            set.split(),
            set.len()
        )));
    }
    let each = set.shape().len();
    let Some(bytes) = set.values().bytes_of(index, each)? else {
        return Err(Error::usage(format!(
            "samples of `{}` are not images",
            set.name()
        )));
    };
    let white = set.values().white() as u32;
    Ok(bytes
        .iter()
        .map(|&b| (u32::from(b) * 255 / white).min(255) as u8)
        .collect())
}

/// Sample `index` in letters, two a pixel so that squares look square; colours
/// as brightness.
///
/// # Errors
/// Usage errors for an index out of range, and for sets of vectors.
pub fn ascii(set: &Dataset, index: usize) -> Result<String> {
    let (bytes, shape) = (bytes(set, index)?, set.shape());
    let mut text = String::with_capacity((2 * shape.width + 1) * shape.height);
    for y in 0..shape.height {
        let mut line = String::new();
        for x in 0..shape.width {
            let at = |c: usize| usize::from(bytes[c * shape.plane() + y * shape.width + x]);
            // Rec. 601 luma in thousandths.
            let bright = match shape.channels {
                3 => (299 * at(0) + 587 * at(1) + 114 * at(2)) / 1000,
                _ => at(0),
            };
            let shade = char::from(SHADES[bright * SHADES.len() / 256]);
            line.extend([shade, shade]);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text)
}

/// Writes sample `index` to `path`: binary PGM for one channel, PPM for three.
///
/// # Errors
/// Usage errors as [`ascii`], and for other channel counts; a data error when
/// the file cannot be written.
pub fn write_netpbm(set: &Dataset, index: usize, path: &Path) -> Result<()> {
    let (bytes, shape) = (bytes(set, index)?, set.shape());
    let magic = match shape.channels {
        1 => "P5",
        3 => "P6",
        n => return Err(Error::usage(format!("no picture format for {n} channels"))),
    };
    let mut out = format!("{magic}\n{} {}\n255\n", shape.width, shape.height).into_bytes();
    for at in 0..shape.plane() {
        out.extend((0..shape.channels).map(|c| bytes[c * shape.plane() + at]));
    }
    fs::write(path, out).map_err(|e| Error::storage_io(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Provenance, Shape, Split, Targets, Values};

    fn picture(channels: usize, data: &[u8]) -> Dataset {
        let targets = Targets::Labels {
            labels: vec![0],
            classes: 1,
            names: Vec::new(),
        };
        let values = Values::Bytes {
            data: data.to_vec().into(),
            white: 255,
        };
        let shape = Shape::new(channels, 1, 2);
        Dataset::new(
            "x",
            Split::Test,
            shape,
            values,
            targets,
            Provenance::Embedded,
        )
        .unwrap()
    }

    #[test]
    fn pictures_show_the_pixels() {
        assert_eq!(ascii(&picture(1, &[255, 0]), 0).unwrap(), "@@\n");
        assert_eq!(ascii(&picture(1, &[0, 128]), 0).unwrap(), "  ++\n");
        assert!(
            ascii(&picture(1, &[0, 1]), 1)
                .unwrap_err()
                .text
                .contains("no sample 1")
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ppm");
        write_netpbm(&picture(3, &[1, 2, 3, 4, 5, 6]), 0, &path).unwrap();
        assert_eq!(
            fs::read(&path).unwrap(),
            b"P6\n2 1\n255\n\x01\x03\x05\x02\x04\x06"
        );
    }
}
