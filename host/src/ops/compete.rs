//! The competitive step: pre-activations, a competition tile by tile, and the sums
//! that learning needs. Here from the separate maps; `biorule-kernels` has the
//! fused form for the shapes it covers, and a test holds the two together.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use crate::Result;
use crate::nn::LayerMap;

/// `kg` units of one group at `lanes` positions; unit `k`, position `l` is at `k·stride + l`.
pub struct Tile<'a, T> {
    /// Units of the group.
    pub k: usize,
    /// Positions.
    pub lanes: usize,
    /// Elements from one unit to the next.
    pub stride: usize,
    /// Pre-activations.
    pub u: &'a [T],
    /// Factors, to be written.
    pub y: &'a mut [T],
}

/// A competition for either element type.
pub trait Competition: Sync {
    /// Writes `y` of an f32 tile.
    fn f32(&self, tile: Tile<'_, f32>);
    /// Writes `y` of an f64 tile.
    fn f64(&self, tile: Tile<'_, f64>);
}

/// What a competitive step yields.
pub struct Competed {
    /// `[B, K, P, Q]` or `[B, K]`, after bias and `pre_triangle`.
    pub u: Tensor,
    /// `correlate(x, y)`.
    pub correlation: Tensor,
    /// `Σ y·u`, `[K]`.
    pub yu: Tensor,
    /// `Σ y`, `[K]`.
    pub y_sum: Tensor,
}

/// Runs the step on CPU tensors; `groups` cuts the units into separate competitions.
///
/// # Errors
/// Shapes that do not fit.
pub fn step(
    map: &LayerMap,
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    pre_triangle: bool,
    competition: &dyn Competition,
) -> Result<Competed> {
    let mut u = map.forward(x, w)?;
    if let Some(bias) = bias {
        u = crate::ops::dense::add_bias(&u, bias)?;
    }
    if pre_triangle {
        u = u.broadcast_sub(&u.mean_keepdim(1)?)?.relu()?;
    }
    let y = factors(&u, map.groups(), competition)?;
    let axes: &[usize] = if u.rank() == 2 { &[0] } else { &[0, 2, 3] };
    Ok(Competed {
        correlation: map.correlate(x, &y)?,
        yu: (&y * &u)?.sum(axes)?,
        y_sum: y.sum(axes)?,
        u,
    })
}

/// The factors `y` of pre-activations `u: [B, K, P, Q]` or `[B, K]`.
fn factors(u: &Tensor, groups: usize, competition: &dyn Competition) -> Result<Tensor> {
    // Positions last: a dense layer's positions are its samples.
    let dense = u.rank() == 2;
    let laid = if dense {
        u.t()?.unsqueeze(0)?
    } else {
        u.flatten_from(2)?
    };
    let (images, units, positions) = laid.dims3()?;
    let laid = laid.flatten_all()?;
    let kg = units / groups;
    let y = match u.dtype() {
        DType::F64 => {
            let y = tiles(&laid.to_vec1::<f64>()?, kg, positions, |tile| {
                competition.f64(tile)
            });
            Tensor::from_vec(y, (images, units, positions), u.device())?
        }
        _ => {
            let y = tiles(&laid.to_vec1::<f32>()?, kg, positions, |tile| {
                competition.f32(tile)
            });
            Tensor::from_vec(y, (images, units, positions), u.device())?
        }
    };
    Ok(if dense {
        y.squeeze(0)?.t()?.contiguous()?
    } else {
        y.reshape(u.shape())?
    })
}

/// One tile for each group of each image, on all threads.
fn tiles<T: Copy + Default + Send + Sync>(
    u: &[T],
    kg: usize,
    positions: usize,
    run: impl Fn(Tile<'_, T>) + Sync,
) -> Vec<T> {
    let mut y = vec![T::default(); u.len()];
    let size = kg * positions;
    y.par_chunks_mut(size)
        .zip(u.par_chunks(size))
        .for_each(|(y, u)| {
            run(Tile {
                k: kg,
                lanes: positions,
                stride: positions,
                u,
                y,
            });
        });
    y
}
