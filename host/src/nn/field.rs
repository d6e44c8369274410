//! What excites a unit: the picture that its layer answers to most, by projected gradient ascent
//! (activation maximisation, as in SoftHebb's Figure 2; Erhan, Bengio, Courville and Vincent 2009).
//!
//! Of the network only what lies below the unit is kept, without padding, so that a convolution has one
//! place and the picture is its receptive field. The answer is the layer's own, before activation.

use candle_core::{DType, Tensor};

use super::network::Network;
use super::pass::{Clock, Pass};
use crate::plan::{BlockPlan, MapPlan};
use crate::{Error, Result};

/// The blocks up to `of`, the last with its layer alone, and the shape of the picture that one of its
/// units sees, where samples are of shape `sample`, `[C, H, W]`. Convolutions and pools lose their
/// padding, unless a dense layer is among them: its units see the whole sample, as it is.
///
/// # Errors
/// Usage error for a block without a layer of its own, and for one above blocks that are no chain.
pub fn below(
    blocks: &[BlockPlan],
    of: usize,
    sample: &[usize],
) -> Result<(Vec<BlockPlan>, Vec<usize>)> {
    let mut kept = blocks[..=of].to_vec();
    let name = kept[of].name.clone();
    let refuse = |what: &str, block: &str| {
        let text = format!(
            "what excites the units of block `{name}` cannot be found: block `{block}` {what}"
        );
        Error::usage(text).hint("blocks with a layer above a chain of such blocks can be looked at")
    };
    if let Some(odd) = kept
        .iter()
        .find(|b| b.residual.is_some() || b.graph.is_some() || b.transform.is_some())
    {
        return Err(refuse("is no chain of layers", &odd.name));
    }
    if kept[of].layer.is_none() {
        return Err(refuse("has no layer", &name));
    }
    let is_dense = |b: &BlockPlan| b.layer.as_ref().is_some_and(|l| l.map == MapPlan::Dense);
    let whole = kept.iter().any(|b| b.flatten || is_dense(b));
    let last = &mut kept[of];
    (last.activation, last.pool, last.norm_after, last.norm_inner) = (None, None, None, None);
    if whole {
        return Ok((kept, sample.to_vec()));
    }
    for block in &mut kept {
        if let Some(MapPlan::Conv { padding, .. }) = block.layer.as_mut().map(|l| &mut l.map) {
            *padding = [0; 4];
        }
        if let Some(pool) = &mut block.pool {
            pool.padding = [0, 0];
        }
    }
    let side = |axis: usize| {
        kept.iter().rev().fold(1, |size, block| {
            let size = match &block.pool {
                Some(pool) if pool.kernel[axis] > 0 => {
                    (size - 1) * pool.stride[axis] + pool.kernel[axis]
                }
                _ => size,
            };
            match block.layer.as_ref().map(|l| &l.map) {
                Some(MapPlan::Conv {
                    kernel,
                    stride,
                    dilation,
                    ..
                }) => (size - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1,
                _ => size,
            }
        })
    };
    let channels = sample.first().copied().unwrap_or(1);
    let dims = vec![channels, side(0), side(1)];
    Ok((kept, dims))
}

/// What the unit `units[i]` answers to the picture `x[i]`, and the gradient of that by the picture,
/// shaped as `x`.
///
/// # Errors
/// Failures of rules and tensor operations; internal error for a unit that is not there.
pub fn slopes(network: &mut Network, x: &Tensor, units: &[usize]) -> Result<(Vec<f64>, Tensor)> {
    let mut pass = Pass::measuring(Clock::default()).wanting_input();
    pass.exact = true;
    let y = network.forward_all(&mut pass, x)?;
    let flat = y.flatten_from(1)?;
    let width = flat.dim(1)?;
    let mut chosen = vec![0f32; units.len() * width];
    for (row, unit) in chosen.chunks_exact_mut(width).zip(units) {
        let slot = row.get_mut(*unit);
        *slot.ok_or_else(|| Error::internal(format!("unit {unit} of {width}")))? = 1.0;
    }
    let chosen = Tensor::from_vec(chosen, flat.shape(), y.device())?.to_dtype(y.dtype())?;
    let answers = (&flat * &chosen)?.sum(1)?.to_dtype(DType::F64)?.to_vec1()?;
    let grad = chosen.reshape(y.shape())?;
    let blocks = 0..network.len();
    let gradient = network.backward(&mut pass, &grad, blocks)?;
    let gradient = gradient.ok_or_else(|| Error::internal("no gradient at the picture"))?;
    Ok((answers, gradient))
}

/// The pictures after a step: `x + rate·gradient`, each made positive, of unit length, and then
/// stretched to reach from 0 to 1.
///
/// # Errors
/// Failures of tensor operations.
pub fn step(x: &Tensor, gradient: &Tensor, rate: f64) -> Result<Tensor> {
    let moved = (x + (gradient * rate)?)?;
    let flat = moved.flatten_from(1)?;
    let length = flat.sqr()?.sum_keepdim(1)?.sqrt()?;
    let v = flat.abs()?.broadcast_div(&length)?;
    let v = v.broadcast_sub(&v.min_keepdim(1)?)?;
    let top = v.max_keepdim(1)?;
    // A picture of one value everywhere stays at 0.
    let flat_ones = top.eq(0.0)?.to_dtype(top.dtype())?;
    let v = v.broadcast_div(&(top + flat_ones)?)?;
    Ok(v.clamp(0.0, 1.0)?.reshape(x.shape())?)
}
