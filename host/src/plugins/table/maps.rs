//! The three maps of a layer, unfolding, and the competitive step.
//!
//! The geometry is the layer's, except for what the operands decide: a feedback
//! weight may have another number of outputs (direct feedback has one per class)
//! and another grouping than the forward weight.

use std::ffi::c_void;

use abi_stable::std_types::RResult;
use biorule_plugin_api::abi::types::*;
use candle_core::{DType, Tensor};

use super::handle::{Fault, give, look, out, run};
use super::room::beside;
use crate::nn::LayerMap;
use crate::ops::{Conv, compete, conv, dense};
use crate::plugins::geometry;

type Out = RawResult<RawTensor>;

pub extern "C" fn forward(layer: *const RawLayer, x: RawTensor, w: RawTensor) -> Out {
    out("map_forward", || {
        let (x, w) = (look(x), look(w));
        room(layer, Map::Forward, x, w)?;
        let layer = of_layer(layer);
        match conv_for(layer, w)? {
            None => rows(x, |x| Ok(dense::dense_forward(x, w)?)),
            Some(g) => Ok(conv::conv_forward(&g, x, w)?),
        }
    })
}

pub extern "C" fn feedback(layer: *const RawLayer, g: RawTensor, w: RawTensor) -> Out {
    out("map_feedback", || {
        let (grad, w) = (look(g), look(w));
        room(layer, Map::Feedback, grad, w)?;
        let layer = of_layer(layer);
        match conv_for(layer, w)? {
            None => rows(grad, |grad| Ok(dense::dense_input_grad(grad, w)?)),
            Some(g) => Ok(conv::conv_input_grad(
                &g,
                grad,
                w,
                [layer.input[1], layer.input[2]],
            )?),
        }
    })
}

pub extern "C" fn correlate(layer: *const RawLayer, x: RawTensor, g: RawTensor) -> Out {
    out("map_correlate", || {
        let (layer, x, grad) = (of_layer(layer), look(x), look(g));
        if layer.kind != self::layer::CONV {
            let (x, grad) = (flat(x)?, flat(grad)?);
            beside(&x, &[grad.dim(1)?, x.dim(1)?])?;
            return Ok(dense::dense_weight_grad(&x, &grad)?);
        }
        let g = Conv {
            out: grad.dim(1)?,
            ..conv_geometry(layer)?
        };
        beside(x, &g.weight_dims())?;
        Ok(conv::conv_weight_grad(&g, x, grad)?)
    })
}

pub extern "C" fn patches(layer: *const RawLayer, x: RawTensor) -> Out {
    out("map_patches", || {
        let (layer, x) = (of_layer(layer), look(x));
        if layer.kind != self::layer::CONV {
            let flat = flat(x)?;
            return Ok(flat.unsqueeze(1)?);
        }
        let g = conv_geometry(layer)?;
        let (p, q) = g.out_size(layer.input[1], layer.input[2])?;
        // Selected window by window, then turned over.
        beside(
            x,
            &[2, x.dim(0)?, g.channels, g.kernel[0], g.kernel[1], p, q],
        )?;
        Ok(conv::patches(&g, x)?)
    })
}

/// Which of a layer's maps.
#[derive(Clone, Copy, Debug)]
enum Map {
    /// `forward(x, W)`.
    Forward,
    /// `feedback(g, B)`.
    Feedback,
}

/// Refuses the result of a map on `t` through `w`.
fn room(layer: *const RawLayer, which: Map, t: &Tensor, w: &Tensor) -> Result<(), Fault> {
    let layer = of_layer(layer);
    let (Some(&batch), [units, rest @ ..]) = (t.dims().first(), w.dims()) else {
        return Ok(());
    };
    let dims = match (conv_for(layer, w)?, which) {
        (None, Map::Forward) => [&t.dims()[..t.rank() - 1], &[*units]].concat(),
        (None, Map::Feedback) => [&t.dims()[..t.rank() - 1], rest].concat(),
        (Some(_), Map::Feedback) => [&[batch], &layer.input[..]].concat(),
        (Some(g), Map::Forward) => {
            let (p, q) = g.out_size(layer.input[1], layer.input[2])?;
            vec![batch, *units, p, q]
        }
    };
    beside(t, &dims)
}

/// A plugin's competition, for use on the host's threads.
struct Callback {
    context: *const c_void,
    run: RawCompetition,
}
// SAFETY: the SDK makes contexts from competitions that are `Sync`.
unsafe impl Sync for Callback {}

impl Callback {
    fn call<T>(&self, tile: compete::Tile<'_, T>, dtype: Code) {
        let raw = RawTile {
            k: tile.k,
            lanes: tile.lanes,
            stride: tile.stride,
            dtype,
            u: tile.u.as_ptr().cast(),
            y: tile.y.as_mut_ptr().cast(),
        };
        (self.run)(self.context, &raw const raw);
    }
}

impl compete::Competition for Callback {
    fn f32(&self, tile: compete::Tile<'_, f32>) {
        self.call(tile, dtype::F32);
    }
    fn f64(&self, tile: compete::Tile<'_, f64>) {
        self.call(tile, dtype::F64);
    }
}

pub extern "C" fn compete(
    layer: *const RawLayer,
    x: RawTensor,
    w: RawTensor,
    bias: RawTensor,
    pre_triangle: bool,
    context: *const c_void,
    competition: RawCompetition,
) -> RawResult<RawCompeted> {
    let result = run("map_compete", || {
        let (layer, x, w) = (of_layer(layer), look(x), look(w));
        if !x.device().is_cpu() || !matches!(x.dtype(), DType::F32 | DType::F64) {
            return Err(Fault(
                fail::UNSUPPORTED,
                "the fused competitive step is for f32 and f64 in CPU memory".into(),
            ));
        }
        let bias = (!bias.is_null()).then(|| look(bias));
        let map = layer_map(layer)?;
        beside(x, &[&[x.dim(0)?], &map.output_dims()[..]].concat())?;
        Ok(compete::step(
            &map,
            x,
            w,
            bias,
            pre_triangle,
            &Callback {
                context,
                run: competition,
            },
        )?)
    });
    match result {
        RResult::ROk(c) => RResult::ROk(RawCompeted {
            u: give(c.u),
            correlation: give(c.correlation),
            yu: give(c.yu),
            y_sum: give(c.y_sum),
        }),
        RResult::RErr(failure) => RResult::RErr(failure),
    }
}

fn of_layer<'a>(layer: *const RawLayer) -> &'a RawLayer {
    // SAFETY: the SDK passes the `RawLayer` inside its own `LayerSpec`, alive during the call;
    // `check_ops` has made sure that both sides mean the same type.
    unsafe { &*layer }
}

fn conv_geometry(layer: &RawLayer) -> Result<Conv, Fault> {
    geometry::read(layer)
        .map_err(|Code(n)| Fault(fail::UNSUPPORTED, format!("padding mode number {n}")))
}

/// The convolution with the outputs and groups of `w`, or nothing for a dense layer.
fn conv_for(layer: &RawLayer, w: &Tensor) -> Result<Option<Conv>, Fault> {
    if layer.kind != self::layer::CONV {
        return Ok(None);
    }
    let g = conv_geometry(layer)?;
    let (units, per_group, r, s) = w.dims4()?;
    if [r, s] != g.kernel || per_group == 0 || g.channels % per_group != 0 {
        let text = format!(
            "a weight of shape {:?} does not fit a layer with {} channels and kernel {:?}",
            w.dims(),
            g.channels,
            g.kernel
        );
        return Err(Fault(fail::SHAPE, text));
    }
    Ok(Some(Conv {
        out: units,
        groups: g.channels / per_group,
        ..g
    }))
}

fn layer_map(layer: &RawLayer) -> Result<LayerMap, Fault> {
    if layer.kind != self::layer::CONV {
        let width = |shape: &[usize]| shape.last().copied().unwrap_or(0);
        return Ok(LayerMap::Dense {
            inputs: width(&layer.input),
            outputs: width(&layer.output),
        });
    }
    Ok(LayerMap::Conv {
        geometry: conv_geometry(layer)?,
        input: [layer.input[1], layer.input[2]],
        output: [layer.output[1], layer.output[2]],
    })
}

/// All axes but the last as one.
fn flat(t: &Tensor) -> Result<Tensor, Fault> {
    let width = t.dims().last().copied().unwrap_or(1);
    Ok(if t.rank() == 2 {
        t.clone()
    } else {
        t.reshape(((), width))?
    })
}

/// A map of rows, applied over all leading axes.
fn rows(t: &Tensor, map: impl FnOnce(&Tensor) -> Result<Tensor, Fault>) -> Result<Tensor, Fault> {
    if t.rank() == 2 {
        return map(t);
    }
    let y = map(&flat(t)?)?;
    let mut dims = t.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = y.dim(1)?;
    }
    Ok(y.reshape(dims)?)
}
