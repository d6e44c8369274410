//! Batches from a dataset that is kept on the device as bytes.

use candle_core::{DType, Tensor};

use super::machine::{Machine, int};
use super::source::Source;
use crate::{Error, Result};

/// Output size, border and the map from bytes to values.
#[derive(Clone, Copy, Debug)]
pub struct ImageMap<'a> {
    /// `[P, Q]`.
    pub size: [usize; 2],
    /// Byte that stands outside the image.
    pub border: u8,
    /// value = byte·scale + offset; both `[C]`, of the type of the result.
    pub scale: &'a Tensor,
    /// See `scale`.
    pub offset: &'a Tensor,
}

/// Images `picks` of `data`, shifted, mirrored and standardised: `[B, C, P, Q]`.
/// `data: [count, C, H, W]` (`u8`); `picks: [B, 4]` (`i32`): image, row shift,
/// column shift, whether mirrored. Pixel (p, q) reads (p + row, q + column);
/// shifts may be negative. Indices are not checked on the device.
pub fn gather(data: &Tensor, picks: &Tensor, map: &ImageMap<'_>) -> Result<Tensor> {
    let ((_, c, h, w), (b, fields)) = (data.dims4()?, picks.dims2()?);
    if data.dtype() != DType::U8 || picks.dtype() != DType::I32 || fields != 4 {
        return Err(Error::internal(
            "images are gathered from bytes by rows of four i32",
        ));
    }
    let [p, q] = map.size;
    let m = Machine::of(map.scale)?;
    let (data, picks) = (m.any_input(data)?, m.any_input(picks)?);
    let (scale, offset) = (m.input(map.scale)?, m.input(map.offset)?);
    let y = m.output(b * c * p * q)?;
    let sizes = [b, c, h, w, p, q, usize::from(map.border)].map(int);
    let tensors = [data.arg(), picks.arg(), scale.arg(), offset.arg(), y.arg()];
    let args: Vec<_> = sizes.into_iter().chain(tensors).collect();
    m.over(Source::Images, "gather_images", [p * q, b * c], &args)?;
    Ok(y.tensor(&[b, c, p, q]))
}
