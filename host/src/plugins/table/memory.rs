//! Handles and their memory.

use abi_stable::std_types::{RSlice, RVec};
use biorule_plugin_api::abi::types::{Code, RawResult, RawTensor, fail};
use candle_core::{CpuStorage, DType, Storage};

use super::handle::{Fault, from_dtype, give, look, run, take};
use super::room::{WIDE, room_for};

pub extern "C" fn clone_tensor(t: RawTensor) -> RawTensor {
    give(look(t).clone())
}

pub extern "C" fn drop_tensor(t: RawTensor) {
    drop(take(t));
}

pub extern "C" fn shape(t: RawTensor) -> RVec<usize> {
    look(t).dims().iter().copied().collect()
}

pub extern "C" fn dtype(t: RawTensor) -> Code {
    from_dtype(look(t).dtype())
}

pub extern "C" fn on_cpu(t: RawTensor) -> bool {
    look(t).device().is_cpu()
}

pub extern "C" fn to_f64(t: RawTensor) -> RawResult<RVec<f64>> {
    run("to_f64", || {
        let t = look(t);
        // Once as a tensor, once as what the rule gets.
        room_for(t.dims(), 2 * WIDE)?;
        let values = t.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        Ok(values.into_iter().collect())
    })
}

pub extern "C" fn view_f32(t: RawTensor) -> RawResult<RSlice<'static, f32>> {
    run("view_f32", || {
        let tensor = look(t);
        let (storage, layout) = tensor.storage_and_layout();
        let (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) =
            (&*storage, layout.contiguous_offsets())
        else {
            return Err(Fault(
                fail::UNSUPPORTED,
                "the tensor is not contiguous f32 in CPU memory".into(),
            ));
        };
        let view = &values[start..end];
        // SAFETY: the elements belong to the tensor's storage, which lives as long as the handle;
        // the SDK ties the slice to it. No in-place op of the host runs during a plugin call.
        let view: &'static [f32] = unsafe { std::slice::from_raw_parts(view.as_ptr(), view.len()) };
        Ok(RSlice::from_slice(view))
    })
}
