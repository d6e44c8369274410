//! Views and selections.

use abi_stable::std_types::RSlice;
use biorule_plugin_api::abi::types::{Code, RawResult, RawTensor};
use candle_core::{DType, Tensor};

use super::handle::{look, look_all, out, to_dtype as element_type};
use super::room::{as_type, beside, like, room_for};

type Dims<'a> = RSlice<'a, usize>;
type Out = RawResult<RawTensor>;

pub extern "C" fn reshape(t: RawTensor, dims: Dims<'_>) -> Out {
    out("reshape", || {
        let t = look(t);
        // A view, where the elements lie in order.
        if !t.is_contiguous() {
            like(t)?;
        }
        Ok(t.reshape(dims.as_slice())?)
    })
}

pub extern "C" fn permute(t: RawTensor, axes: Dims<'_>) -> Out {
    out("permute", || Ok(look(t).permute(axes.as_slice())?))
}

pub extern "C" fn narrow(t: RawTensor, dim: usize, start: usize, len: usize) -> Out {
    out("narrow", || Ok(look(t).narrow(dim, start, len)?))
}

pub extern "C" fn broadcast(t: RawTensor, dims: Dims<'_>) -> Out {
    out("broadcast", || Ok(look(t).broadcast_as(dims.as_slice())?))
}

pub extern "C" fn cat(ts: RSlice<'_, RawTensor>, dim: usize) -> Out {
    out("cat", || {
        let all = look_all(ts);
        if let Some(first) = all.first().filter(|first| dim < first.rank()) {
            let mut dims = first.dims().to_vec();
            dims[dim] = all.iter().filter_map(|t| t.dims().get(dim)).sum();
            beside(first, &dims)?;
        }
        Ok(Tensor::cat(&all, dim)?)
    })
}

pub extern "C" fn index_select(t: RawTensor, index: RawTensor, dim: usize) -> Out {
    out("index_select", || {
        let (t, index) = (look(t), look(index));
        let mut dims = t.dims().to_vec();
        if let Some(size) = dims.get_mut(dim) {
            *size = index.elem_count();
        }
        beside(t, &dims)?;
        Ok(t.contiguous()?.index_select(&index.contiguous()?, dim)?)
    })
}

pub extern "C" fn gather(t: RawTensor, index: RawTensor, dim: usize) -> Out {
    out("gather", || {
        let (t, index) = (look(t), look(index));
        beside(t, index.dims())?;
        Ok(t.contiguous()?.gather(&index.contiguous()?, dim)?)
    })
}

pub extern "C" fn one_hot(index: RawTensor, depth: usize, dtype: Code) -> Out {
    out("one_hot", || {
        let index = look(index);
        let dtype = element_type(dtype)?;
        // The comparison in bytes, and what it becomes.
        room_for(
            &[index.dims(), &[depth]].concat(),
            1 + dtype.size_in_bytes(),
        )?;
        let classes = Tensor::arange(0u32, depth as u32, index.device())?;
        let hot = index
            .to_dtype(DType::U32)?
            .unsqueeze(index.rank())?
            .broadcast_eq(&classes)?;
        Ok(hot.to_dtype(dtype)?)
    })
}

pub extern "C" fn to_dtype(t: RawTensor, dtype: Code) -> Out {
    out("to_dtype", || {
        let dtype = element_type(dtype)?;
        Ok(as_type(look(t), dtype)?.to_dtype(dtype)?)
    })
}
