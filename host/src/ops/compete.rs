//! The competitive step: pre-activations, a competition tile by tile while the tile
//! is in cache, and the sums that learning needs, in one pass of the kernels.

use biorule_kernels::{Conv, compete};
use candle_core::{DType, Tensor, WithDType};

use super::LayerMap;
use super::cpu::real::{read, tensor, unwritten};
use crate::Result;

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
        } => (*geometry, *input),
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
    let mut u = unwritten::<T>(dims.iter().product());
    let mut correlation = unwritten::<T>(geometry.weight_len());
    let (mut yu, mut y_sum) = (vec![T::default(); units], vec![T::default(); units]);
    let tile = |tile: &mut compete::Tile<'_, T>| {
        competition(Tile {
            k: tile.u.len(),
            // Lanes behind the last position hold zeros, and what they get is ignored: a full tile
            // has loops of a known length.
            lanes: compete::LANES,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cpu::real::Real;
    use crate::ops::dropout::mix;
    use crate::ops::{Conv, PadMode};
    use candle_core::Device;

    /// The largest unit of each lane wins.
    struct Winner;

    fn winner<T: Real>(tile: Tile<'_, T>) {
        for lane in 0..tile.lanes {
            let at = |k: usize| k * tile.stride + lane;
            let mut best = 0;
            for k in 0..tile.k {
                tile.y[at(k)] = T::ZERO;
                if tile.u[at(k)] > tile.u[at(best)] {
                    best = k;
                }
            }
            tile.y[at(best)] = T::ONE;
        }
    }

    impl Competition for Winner {
        fn f32(&self, tile: Tile<'_, f32>) {
            winner(tile);
        }
        fn f64(&self, tile: Tile<'_, f64>) {
            winner(tile);
        }
    }

    fn noise(seed: u64, dims: &[usize]) -> Tensor {
        let n: usize = dims.iter().product();
        let unit = |i| (mix(&[seed, i]) >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        let values: Vec<f64> = (0..n as u64).map(unit).collect();
        Tensor::from_vec(values, dims, &Device::Cpu).expect("a tensor")
    }

    fn distance(a: &Tensor, b: &Tensor) -> f64 {
        assert_eq!(a.dims(), b.dims());
        let d = (a - b).and_then(|d| d.abs()).and_then(|d| d.flatten_all());
        d.and_then(|d| d.max(0))
            .and_then(|d| d.to_scalar())
            .expect("a distance")
    }

    /// The definition, from the separate maps: a one at the largest unit of each group.
    fn separate(map: &LayerMap, x: &Tensor, w: &Tensor, bias: &Tensor) -> Result<Competed> {
        let u = crate::ops::dense::add_bias(&map.forward(x, w)?, bias)?;
        let u = u.broadcast_sub(&u.mean_keepdim(1)?)?.relu()?;
        let kg = map.units() / map.groups();
        let parts = (0..map.groups())
            .map(|g| {
                let part = u.narrow(1, g * kg, kg)?;
                let top = part.argmax_keepdim(1)?;
                let ones = top.ones_like()?.to_dtype(DType::F64)?;
                Ok(part.zeros_like()?.scatter_add(&top, &ones, 1)?)
            })
            .collect::<Result<Vec<_>>>()?;
        let y = Tensor::cat(&parts, 1)?;
        let axes: &[usize] = if u.rank() == 2 { &[0] } else { &[0, 2, 3] };
        Ok(Competed {
            correlation: map.correlate(x, &y)?,
            yu: (&y * &u)?.sum(axes)?,
            y_sum: y.sum(axes)?,
            u,
        })
    }

    #[test]
    fn the_fused_step_is_the_separate_maps() {
        let conv = |groups| {
            let geometry = Conv {
                channels: 4,
                out: 6,
                kernel: [3, 2],
                stride: [2, 1],
                padding: [1, 1, 2, 0],
                dilation: [1, 2],
                groups,
                pad_mode: PadMode::Reflect,
            };
            let output = geometry.out_size(7, 9).expect("fits").into();
            let input = [7, 9];
            LayerMap::Conv {
                geometry,
                input,
                output,
            }
        };
        let dense = LayerMap::Dense {
            inputs: 11,
            outputs: 5,
        };
        for (map, dims) in [
            (conv(1), vec![3, 4, 7, 9]),
            (conv(2), vec![3, 4, 7, 9]),
            (dense, vec![37, 11]),
        ] {
            let (x, w) = (noise(1, &dims), noise(2, &map.weight_dims()));
            let bias = noise(3, &[map.units()]);
            let fused = step(&map, &x, &w, Some(&bias), true, &Winner).expect("fused");
            let slow = separate(&map, &x, &w, &bias).expect("separate");
            for (a, b) in [
                (&fused.u, &slow.u),
                (&fused.correlation, &slow.correlation),
                (&fused.yu, &slow.yu),
                (&fused.y_sum, &slow.y_sum),
            ] {
                assert!(distance(a, b) < 1e-12);
            }
        }
    }
}
