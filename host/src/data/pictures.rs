//! Pictures of different sizes that become samples of one size when a batch asks for them: decoded in the
//! cache folder or in their files, brought to size whole or by a random piece.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::bytes::Bytes;
use super::dataset::{Made, Shape};
use super::own::picture;
use super::prepared::Size;
use super::random::{below, unit};
use super::resize;
use crate::plan::ResizeMethod;
use crate::{Error, ExitCode, Result};

/// Where the pixels are.
pub(super) enum Store {
    /// Decoded, one picture after another, each in planes.
    Decoded {
        bytes: Bytes,
        sizes: Vec<Size>,
        /// First byte of each picture.
        starts: Vec<usize>,
    },
    /// In files, which are decoded each time.
    Files(Vec<PathBuf>),
}

/// Pictures, and the size that samples of them have.
#[derive(Clone)]
pub(super) struct Pictures {
    /// Of a sample, `[C, H, W]`.
    shape: Shape,
    method: ResizeMethod,
    store: Arc<Store>,
}

/// A rectangle of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

impl Piece {
    /// A piece whose share of the area is drawn evenly from `area` and whose width by its height, on the
    /// scale of the logarithm, from 3/4 to 4/3; after ten draws that do not fit, the largest piece in the
    /// middle within these proportions (torchvision's `RandomResizedCrop`).
    pub fn draw(height: usize, width: usize, area: [f32; 2], rng: &mut ChaCha8Rng) -> Self {
        let (h, w) = (height as f64, width as f64);
        let (narrow, wide) = (3.0f64 / 4.0, 4.0f64 / 3.0);
        for _ in 0..10 {
            let [low, high] = area.map(f64::from);
            let target = h * w * (low + (high - low) * f64::from(unit(rng)));
            let ratio = narrow.ln() + (wide.ln() - narrow.ln()) * f64::from(unit(rng));
            let ratio = ratio.exp();
            let piece_width = (target * ratio).sqrt().round_ties_even() as usize;
            let piece_height = (target / ratio).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&piece_width) && (1..=height).contains(&piece_height) {
                return Self {
                    top: below(rng, height - piece_height + 1),
                    left: below(rng, width - piece_width + 1),
                    height: piece_height,
                    width: piece_width,
                };
            }
        }
        let (piece_height, piece_width) = match w / h {
            ratio if ratio < narrow => ((w / narrow).round() as usize, width),
            ratio if ratio > wide => (height, (h * wide).round() as usize),
            _ => (height, width),
        };
        let (piece_height, piece_width) =
            (piece_height.clamp(1, height), piece_width.clamp(1, width));
        Self {
            top: (height - piece_height) / 2,
            left: (width - piece_width) / 2,
            height: piece_height,
            width: piece_width,
        }
    }
}

/// `piece` of a picture of `from`, `[C, H, W]`, brought to the size of `to`.
pub(super) fn cut(bytes: &[u8], from: Shape, piece: Piece, to: Shape) -> Result<Vec<u8>> {
    let mut part = Vec::with_capacity(from.channels * piece.height * piece.width);
    for plane in bytes.chunks_exact(from.plane()) {
        for row in plane
            .chunks_exact(from.width)
            .skip(piece.top)
            .take(piece.height)
        {
            part.extend_from_slice(&row[piece.left..piece.left + piece.width]);
        }
    }
    let shape = Shape::new(from.channels, piece.height, piece.width);
    if (piece.height, piece.width) == (to.height, to.width) {
        return Ok(part);
    }
    resize::planes(&part, shape, (to.height, to.width), ResizeMethod::Bilinear)
}

impl Pictures {
    /// Samples of `shape` from decoded pictures of `sizes`.
    pub(super) fn decoded(
        shape: Shape,
        method: ResizeMethod,
        bytes: Bytes,
        sizes: Vec<Size>,
    ) -> Self {
        let mut starts = Vec::with_capacity(sizes.len());
        let mut at = 0;
        for size in &sizes {
            starts.push(at);
            at += shape.channels * size.height as usize * size.width as usize;
        }
        let store = Store::Decoded {
            bytes,
            sizes,
            starts,
        };
        Self {
            shape,
            method,
            store: Arc::new(store),
        }
    }

    /// Samples of `shape` from picture files.
    pub(super) fn files(shape: Shape, method: ResizeMethod, files: Vec<PathBuf>) -> Self {
        Self {
            shape,
            method,
            store: Arc::new(Store::Files(files)),
        }
    }
}

impl Made for Pictures {
    fn count(&self) -> usize {
        match &*self.store {
            Store::Decoded { sizes, .. } => sizes.len(),
            Store::Files(files) => files.len(),
        }
    }

    fn in_memory(&self) -> usize {
        match &*self.store {
            Store::Decoded { bytes, sizes, .. } => bytes.in_memory() + 16 * sizes.len(),
            Store::Files(files) => 200 * files.len(),
        }
    }

    fn sample(&self, index: usize, draw: Option<([f32; 2], &mut ChaCha8Rng)>) -> Result<Vec<u8>> {
        let decoded;
        let (bytes, height, width): (&[u8], usize, usize) = match &*self.store {
            Store::Decoded {
                bytes,
                sizes,
                starts,
            } => {
                let (height, width) = (sizes[index].height as usize, sizes[index].width as usize);
                let length = self.shape.channels * height * width;
                (&bytes[starts[index]..starts[index] + length], height, width)
            }
            Store::Files(files) => {
                let path = &files[index];
                let file = std::fs::read(path).map_err(|e| Error::io(ExitCode::Data, path, &e))?;
                decoded = picture::decode(path, &file, Some(self.shape.channels), true)
                    .map_err(|why| Error::data(format!("`{}` {why}", path.display())))?;
                (&decoded.bytes, decoded.height, decoded.width)
            }
        };
        let from = Shape::new(self.shape.channels, height, width);
        match draw {
            Some((area, rng)) => {
                let piece = Piece::draw(height, width, area, rng);
                cut(bytes, from, piece, self.shape)
            }
            None if from == self.shape => Ok(bytes.to_vec()),
            None => resize::planes(
                bytes,
                from,
                (self.shape.height, self.shape.width),
                self.method,
            ),
        }
    }
}

impl fmt::Debug for Pictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pictures for samples of {}", self.count(), self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::random::{Purpose, stream};

    #[test]
    fn pieces_lie_inside_and_have_the_areas_and_proportions_asked_for() {
        let mut mean = 0.0;
        let count = 2000;
        for i in 0..count {
            let mut rng = stream(Purpose::Augment, 1, 2, i);
            let (h, w) = (100 + (i as usize % 50), 140);
            let piece = Piece::draw(h, w, [0.08, 1.0], &mut rng);
            assert!(piece.top + piece.height <= h && piece.left + piece.width <= w);
            let ratio = piece.width as f64 / piece.height as f64;
            assert!((0.7..1.45).contains(&ratio), "{piece:?}");
            let share = (piece.width * piece.height) as f64 / (h * w) as f64;
            assert!((0.07..=1.0).contains(&share), "{piece:?}");
            mean += share / count as f64;
        }
        // Of even shares those near 1 often do not fit.
        assert!((0.42..0.55).contains(&mean), "{mean}");
    }

    #[test]
    fn where_nothing_fits_the_middle_is_taken() {
        let mut rng = stream(Purpose::Augment, 1, 2, 3);
        let piece = Piece::draw(10, 100, [1.0, 1.0], &mut rng);
        let middle = Piece {
            top: 0,
            left: 43,
            height: 10,
            width: 13,
        };
        assert_eq!(piece, middle);
    }

    #[test]
    fn a_piece_is_cut_out_of_every_channel() {
        let from = Shape::new(2, 3, 4);
        let bytes: Vec<u8> = (0..24).collect();
        let piece = Piece {
            top: 1,
            left: 2,
            height: 2,
            width: 2,
        };
        let out = cut(&bytes, from, piece, Shape::new(2, 2, 2)).unwrap();
        assert_eq!(out, [6, 7, 10, 11, 18, 19, 22, 23]);
        let small = Piece {
            top: 2,
            left: 3,
            height: 1,
            width: 1,
        };
        let out = cut(&bytes, from, small, Shape::new(2, 2, 2)).unwrap();
        assert_eq!(out, [11, 11, 11, 11, 23, 23, 23, 23]);
    }

    #[test]
    fn decoded_pictures_of_any_size_become_samples_of_one() {
        let shape = Shape::new(1, 2, 2);
        let sizes = vec![
            Size {
                height: 1,
                width: 2,
            },
            Size {
                height: 2,
                width: 2,
            },
        ];
        let bytes = vec![10, 20, 1, 2, 3, 4];
        let all = Pictures::decoded(shape, ResizeMethod::Nearest, bytes.into(), sizes);
        assert_eq!(all.sample(0, None).unwrap(), [10, 20, 10, 20]);
        assert_eq!(all.sample(1, None).unwrap(), [1, 2, 3, 4]);
        assert_eq!(all.count(), 2);
    }
}
