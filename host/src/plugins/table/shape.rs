//! Views and selections.

use abi_stable::std_types::RSlice;
use biorule_plugin_api::abi::types::{Code, RawResult, RawTensor};
use candle_core::{DType, Tensor};

use super::handle::{look, look_all, out, to_dtype as element_type};

type Dims<'a> = RSlice<'a, usize>;
type Out = RawResult<RawTensor>;

pub extern "C" fn reshape(t: RawTensor, dims: Dims<'_>) -> Out {
    out("reshape", || Ok(look(t).reshape(dims.as_slice())?))
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
    out("cat", || Ok(Tensor::cat(&look_all(ts), dim)?))
}

pub extern "C" fn index_select(t: RawTensor, index: RawTensor, dim: usize) -> Out {
    out("index_select", || {
        Ok(look(t)
            .contiguous()?
            .index_select(&look(index).contiguous()?, dim)?)
    })
}

pub extern "C" fn gather(t: RawTensor, index: RawTensor, dim: usize) -> Out {
    out("gather", || {
        Ok(look(t)
            .contiguous()?
            .gather(&look(index).contiguous()?, dim)?)
    })
}

pub extern "C" fn one_hot(index: RawTensor, depth: usize, dtype: Code) -> Out {
    out("one_hot", || {
        let index = look(index);
        let classes = Tensor::arange(0u32, depth as u32, index.device())?;
        let hot = index
            .to_dtype(DType::U32)?
            .unsqueeze(index.rank())?
            .broadcast_eq(&classes)?;
        Ok(hot.to_dtype(element_type(dtype)?)?)
    })
}

pub extern "C" fn to_dtype(t: RawTensor, dtype: Code) -> Out {
    out("to_dtype", || Ok(look(t).to_dtype(element_type(dtype)?)?))
}
