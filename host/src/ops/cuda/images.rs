//! Batches from a data set, and from cached features, that stay on the device.

use candle_core::{DType, Tensor};

use super::machine::{Machine, int};
use super::source::Source;
use crate::{Error, Result};

/// Numbers that say what is done with an image, see [`gather`].
pub const PICK: usize = 7;

/// Images `picks` of `data`, shifted, mirrored, scaled and cut out: `[B, C, H, W]`.
/// `data: [count, C, H, W]` (`u8`); `picks: [B, 7]` (`i32`): image, row shift,
/// column shift, whether mirrored, then top, left and side of a square of the result that
/// is 0 (side 0: none); `table: [C, 256]`: the value of each byte, of
/// the type of the result. Pixel (h, w) reads (h + row, w + column), a mirrored
/// one counts w from the right; outside stands byte 0, or with `reflect` what a
/// mirror at the edge pixel shows. Indices are not checked on the device.
///
/// # Errors
/// Internal errors for tensors of other shapes or types.
pub fn gather(data: &Tensor, picks: &Tensor, table: &Tensor, reflect: bool) -> Result<Tensor> {
    let ((_, c, h, w), (b, fields)) = (data.dims4()?, picks.dims2()?);
    if data.dtype() != DType::U8 || picks.dtype() != DType::I32 || fields != PICK {
        return Err(Error::internal(
            "images are gathered from bytes by rows of seven i32",
        ));
    }
    if table.dims() != [c, 256] {
        return Err(Error::internal(format!(
            "{c} channels of bytes and a table {:?}",
            table.dims()
        )));
    }
    let m = Machine::of(table)?;
    let (data, picks, table) = (m.any_input(data)?, m.any_input(picks)?, m.input(table)?);
    let y = m.output(b * c * h * w)?;
    // ZEROS and REFLECT of `prelude.cuh`.
    let mode = usize::from(reflect);
    let sizes = [b, c, h, w, mode].map(int);
    let tensors = [data.arg(), picks.arg(), table.arg(), y.arg()];
    let args: Vec<_> = sizes.into_iter().chain(tensors).collect();
    m.over(Source::Images, "gather_images", [h * w, b * c], &args)?;
    Ok(y.tensor(&[b, c, h, w]))
}

/// Rows `index` (`[n]`, `u32`) of `table: [count, ..]`, `[n, ..]`. Indices are
/// not checked on the device. (Candle's own index-select copies its dims and
/// strides to the device at every call.)
///
/// # Errors
/// Internal errors for tensors of other types.
pub fn rows(table: &Tensor, index: &Tensor) -> Result<Tensor> {
    let n = index.dims1()?;
    if index.dtype() != DType::U32 {
        return Err(Error::internal("rows are gathered by u32"));
    }
    let width: usize = table.dims()[1..].iter().product();
    let m = Machine::of(table)?;
    let (index, table_at) = (m.any_input(index)?, m.input(table)?);
    let y = m.output(n * width)?;
    let sizes = [int(n), int(width)];
    let tensors = [index.arg(), table_at.arg(), y.arg()];
    let args: Vec<_> = sizes.into_iter().chain(tensors).collect();
    m.over(Source::Images, "gather_rows", [width, n], &args)?;
    let mut dims = table.dims().to_vec();
    dims[0] = n;
    Ok(y.tensor(&dims))
}
