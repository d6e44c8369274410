//! Reductions, products and softmax.

use abi_stable::std_types::RSlice;
use biorule_plugin_api::abi::types::{RawResult, RawTensor, fail};
use candle_core::Tensor;

use super::handle::{Fault, look, out};
use super::room::{WIDE, like, product, room_for};
use crate::ops::reduce;

type Dims<'a> = RSlice<'a, usize>;
type Out = RawResult<RawTensor>;

pub extern "C" fn sum(t: RawTensor, axes: Dims<'_>, keep: bool) -> Out {
    out("sum", || added(look(t), axes.as_slice(), keep))
}

pub extern "C" fn mean(t: RawTensor, axes: Dims<'_>, keep: bool) -> Out {
    out("mean", || {
        let (t, axes) = (look(t), axes.as_slice());
        let n: usize = axes
            .iter()
            .map(|&a| t.dim(a))
            .product::<Result<usize, _>>()?;
        Ok((added(t, axes, keep)? / n as f64)?)
    })
}

fn added(t: &Tensor, axes: &[usize], keep: bool) -> Result<Tensor, Fault> {
    if let Some(axis) = axes.iter().find(|a| **a >= t.rank()) {
        let text = format!("axis {axis} of a tensor of shape {:?}", t.dims());
        return Err(Fault(fail::SHAPE, text));
    }
    Ok(reduce::sum(t, axes, keep)?)
}

pub extern "C" fn max(t: RawTensor, axis: usize, keep: bool) -> Out {
    out("max", || {
        let t = look(t);
        Ok(if keep {
            t.max_keepdim(axis)?
        } else {
            t.max(axis)?
        })
    })
}

pub extern "C" fn min(t: RawTensor, axis: usize, keep: bool) -> Out {
    out("min", || {
        let t = look(t);
        Ok(if keep {
            t.min_keepdim(axis)?
        } else {
            t.min(axis)?
        })
    })
}

pub extern "C" fn argmax(t: RawTensor, axis: usize, keep: bool) -> Out {
    out("argmax", || {
        let t = look(t);
        Ok(if keep {
            t.argmax_keepdim(axis)?
        } else {
            t.argmax(axis)?
        })
    })
}

pub extern "C" fn argrank(t: RawTensor, rank: usize, axis: usize, keep: bool) -> Out {
    out("argrank", || {
        let t = look(t);
        let size = t.dim(axis)?;
        if rank == 0 || rank > size {
            return Err(Fault(fail::SHAPE, format!("rank {rank} of {size} entries")));
        }
        // The order as numbers, beside a copy.
        room_for(t.dims(), WIDE)?;
        let last = t.rank() - 1;
        // Largest first; the sort is stable, so the first of equals comes first.
        let order = t
            .transpose(axis, last)?
            .contiguous()?
            .arg_sort_last_dim(false)?;
        let index = order.narrow(last, rank - 1, 1)?.transpose(axis, last)?;
        Ok(if keep { index } else { index.squeeze(axis)? }.contiguous()?)
    })
}

pub extern "C" fn max_all(t: RawTensor) -> Out {
    out("max_all", || Ok(look(t).max_all()?))
}

pub extern "C" fn matmul(a: RawTensor, b: RawTensor) -> Out {
    out("matmul", || {
        let (a, b) = (look(a), look(b));
        product(a, b)?;
        Ok(a.broadcast_matmul(b)?)
    })
}

pub extern "C" fn softmax(t: RawTensor, axis: usize, gain: f64) -> Out {
    out("softmax", || {
        let t = like(look(t))?;
        let scaled: Tensor = if gain == 1.0 { t.clone() } else { (t * gain)? };
        Ok(candle_nn::ops::softmax(&scaled, axis)?)
    })
}
