//! The competitive step: pre-activations, a competition tile by tile, and the sums
//! that learning needs, in one fused pass of the kernels crate. A test holds it
//! against the separate maps.

use biorule_kernels::Conv;
use biorule_kernels::compete::{self as kernels, LANES, Outputs};
use candle_core::Tensor;

use super::cpu::conv::geometry;
use super::cpu::real::{Real, dims4, read, tensor, zeros};
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

/// Runs the step on CPU tensors, one competition for each group of units.
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
    let layer = (map, pre_triangle);
    match x.dtype() {
        candle_core::DType::F64 => {
            step_typed::<f64>(layer, x, w, bias, &|tile| competition.f64(tile))
        }
        _ => step_typed::<f32>(layer, x, w, bias, &|tile| competition.f32(tile)),
    }
}

fn step_typed<T: Real>(
    (map, pre_triangle): (&LayerMap, bool),
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    run: &(dyn Fn(Tile<'_, T>) + Sync),
) -> Result<Competed> {
    let [b, _, h, wd] = dims4(x)?;
    let g = match map {
        LayerMap::Dense { inputs, outputs } => Conv::dense(*inputs, *outputs),
        LayerMap::Conv { geometry: g, .. } => geometry(g),
    };
    let mut dims = vec![b];
    dims.extend(map.output_dims());
    let mut u = zeros::<T>(dims.iter().product());
    let mut correlation = zeros::<T>(g.weight_len());
    let (mut yu, mut y_sum) = (zeros::<T>(g.out), zeros::<T>(g.out));
    let bias = bias.map(|t| read::<T, _>(t, <[T]>::to_vec)).transpose()?;
    let compete = |tile: &mut kernels::Tile<'_, T>| {
        run(Tile {
            k: tile.u.len(),
            lanes: tile.lanes,
            stride: LANES,
            u: tile.u.as_flattened(),
            y: tile.y.as_flattened_mut(),
        });
    };
    read::<T, _>(x, |x| {
        read::<T, _>(w, |w| {
            let out = Outputs {
                u: &mut u,
                correlation: &mut correlation,
                decay: &mut yu,
                activity: &mut y_sum,
                y: None,
            };
            let bias = bias.as_deref();
            kernels::step(&g, b, h, wd, x, w, bias, pre_triangle, &compete, out);
        })
    })??;
    Ok(Competed {
        u: tensor(u, &dims)?,
        correlation: tensor(correlation, &map.weight_dims())?,
        yu: tensor(yu, &[g.out])?,
        y_sum: tensor(y_sum, &[g.out])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::dropout::mix;
    use crate::ops::{ConvGeometry, PadMode};
    use candle_core::{DType, Device};

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
            let geometry = ConvGeometry {
                in_channels: 4,
                out_channels: 6,
                kernel: [3, 2],
                stride: [2, 1],
                padding: [1, 1, 2, 0],
                dilation: [1, 2],
                groups,
                mode: PadMode::Reflect,
            };
            let output = geometry.output([7, 9]).expect("fits");
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
