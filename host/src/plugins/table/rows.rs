//! Rows of a weight: norms, and the change that a competitive rule makes of its sums.

use abi_stable::std_types::RResult;
use biorule_plugin_api::abi::types::{RawPair, RawResult, RawTensor, fail};
use candle_core::Tensor;

use super::handle::{Fault, give, look, out, run};
use super::room::like;
use crate::ops::synapses;

pub extern "C" fn row_norms(t: RawTensor, p: f64) -> RawResult<RawTensor> {
    out("row_norms", || Ok(synapses::row_norms(look(t), p)?))
}

pub extern "C" fn sub_rows(t: RawTensor, factors: RawTensor, w: RawTensor) -> RawResult<RawPair> {
    let result = run("sub_rows", || {
        let (t, factors, w) = (look(t), look(factors), look(w));
        check(t, factors, w)?;
        like(t)?;
        Ok(synapses::sub_rows(t, factors, w)?)
    });
    match result {
        RResult::ROk((first, second)) => RResult::ROk(RawPair {
            first: give(first),
            second: give(second),
        }),
        RResult::RErr(failure) => RResult::RErr(failure),
    }
}

fn check(t: &Tensor, factors: &Tensor, w: &Tensor) -> Result<(), Fault> {
    let rows = t.dims().first().copied();
    if t.dims() == w.dims() && rows.is_some() && rows == Some(factors.elem_count()) {
        return Ok(());
    }
    let text = format!(
        "rows of {:?} less {:?} times rows of {:?}",
        t.dims(),
        factors.dims(),
        w.dims()
    );
    Err(Fault(fail::SHAPE, text))
}
