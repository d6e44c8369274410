//! The competitive step: pre-activations, a competition tile by tile while the tile
//! is in cache, and the sums that learning needs, in one pass of the kernels.

use biorule_kernels::{Conv, compete};
use candle_core::{DType, Tensor, WithDType};

use super::cpu::conv::kernel_geometry;
use super::cpu::real::{read, tensor};
use crate::Result;
use crate::nn::LayerMap;

/// Element types that both Candle and the kernels know.
trait Element: WithDType + biorule_kernels::Real + Default {}
impl<T: WithDType + biorule_kernels::Real + Default> Element for T {}

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

/// Runs the step on CPU tensors; each group of channels competes by itself.
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
    match x.dtype() {
        DType::F64 => run(map, x, w, bias, pre_triangle, &|tile| competition.f64(tile)),
        _ => run(map, x, w, bias, pre_triangle, &|tile| competition.f32(tile)),
    }
}

fn run<T: Element>(
    map: &LayerMap,
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    pre_triangle: bool,
    competition: &(dyn Fn(Tile<'_, T>) + Sync),
) -> Result<Competed> {
    let (geometry, [h, wd]) = match map {
        LayerMap::Dense { inputs, outputs } => (Conv::dense(*inputs, *outputs), [1, 1]),
        LayerMap::Conv {
            geometry, input, ..
        } => (kernel_geometry(geometry), *input),
    };
    let b = x.dim(0)?;
    if x.elem_count() != b * geometry.channels * h * wd || w.elem_count() != geometry.weight_len() {
        let text = format!(
            "input {:?} and weight {:?} do not fit the layer",
            x.dims(),
            w.dims()
        );
        return Err(crate::Error::internal(text));
    }
    let mut dims = vec![b];
    dims.extend(map.output_dims());
    let units = geometry.out;
    let mut u = vec![T::default(); dims.iter().product()];
    let mut correlation = vec![T::default(); geometry.weight_len()];
    let (mut yu, mut y_sum) = (vec![T::default(); units], vec![T::default(); units]);
    let tile = |tile: &mut compete::Tile<'_, T>| {
        competition(Tile {
            k: tile.u.len(),
            lanes: tile.lanes,
            stride: compete::LANES,
            u: tile.u.as_flattened(),
            y: tile.y.as_flattened_mut(),
        });
    };
    let outputs = compete::Outputs {
        u: &mut u,
        correlation: &mut correlation,
        decay: &mut yu,
        activity: &mut y_sum,
        y: None,
    };
    let bias = bias.map(|b| read::<T, _>(b, <[T]>::to_vec)).transpose()?;
    read::<T, _>(x, |x| {
        read::<T, _>(w, |w| {
            compete::step(
                &geometry,
                b,
                h,
                wd,
                x,
                w,
                bias.as_deref(),
                pre_triangle,
                &tile,
                outputs,
            );
        })
    })??;
    Ok(Competed {
        u: tensor(u, &dims)?,
        correlation: tensor(correlation, &map.weight_dims())?,
        yu: tensor(yu, &[units])?,
        y_sum: tensor(y_sum, &[units])?,
    })
}
