//! The windows of images under a kernel, one element at a time: the slow, obvious
//! form that tests compare convolutional rules with.

use biorule::config::MapPlan;
use biorule::plan::PadMode;
use candle_core::{DType, Tensor};

use crate::Result;

/// All windows of `x` `[B, C, H, W]`: for each group, rows `[B·P·Q]` of `C/groups·R·S` values,
/// in the order of the weight's elements.
///
/// # Errors
/// Not a convolution, or `x` is no batch of images.
pub fn windows(map: &MapPlan, x: &Tensor) -> Result<Vec<Vec<Vec<f64>>>> {
    let MapPlan::Conv {
        kernel: [r, s],
        stride,
        padding: [top, bottom, left, right],
        dilation,
        groups,
        padding_mode,
    } = map
    else {
        return Err("a dense layer has no windows".into());
    };
    let (b, c, h, w) = x.dims4()?;
    let x: Vec<f64> = x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    let places = |size: usize, pad: usize, k: usize, axis: usize| {
        (size + pad - dilation[axis] * (k - 1) - 1) / stride[axis] + 1
    };
    let (p, q) = (
        places(h, top + bottom, *r, 0),
        places(w, left + right, *s, 1),
    );
    let mut all = vec![Vec::new(); *groups];
    for image in 0..b {
        for (place, group) in (0..p * q).flat_map(|place| (0..*groups).map(move |g| (place, g))) {
            let mut row = Vec::new();
            for channel in group * c / groups..(group + 1) * c / groups {
                for (i, j) in (0..*r).flat_map(|i| (0..*s).map(move |j| (i, j))) {
                    let at = |place: usize, k: usize, pad: usize, axis: usize| {
                        (place * stride[axis] + k * dilation[axis]) as isize - pad as isize
                    };
                    let y = source(*padding_mode, at(place / q, i, *top, 0), h);
                    let z = source(*padding_mode, at(place % q, j, *left, 1), w);
                    row.push(match (y, z) {
                        (Some(y), Some(z)) => x[((image * c + channel) * h + y) * w + z],
                        _ => 0.0,
                    });
                }
            }
            all[group].push(row);
        }
    }
    Ok(all)
}

/// Which of `n` elements stands at `i`; none is a zero.
fn source(mode: PadMode, i: isize, n: usize) -> Option<usize> {
    let n = n as isize;
    let at = match mode {
        _ if (0..n).contains(&i) => i,
        PadMode::Reflect if i < 0 => -i,
        PadMode::Reflect => 2 * (n - 1) - i,
        PadMode::Replicate => i.clamp(0, n - 1),
        PadMode::Circular => i.rem_euclid(n),
        PadMode::Zeros => return None,
    };
    Some(at as usize)
}
