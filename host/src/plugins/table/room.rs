//! Memory is asked for before it is taken. A plan cannot know what a rule makes inside a step, and
//! memory that is not there ends the process: an op that would take more than there is fails.

use candle_core::{DType, Device, Shape, Tensor};

use super::handle::Fault;
use crate::device::memory;

/// Bytes of an element in the widest type.
pub const WIDE: usize = size_of::<f64>();

/// Below so many bytes nobody asks the system, which takes longer than taking them.
const SMALL: u128 = 64 << 20;

/// Refuses a tensor of these sizes that does not fit; `each` is what an element takes while it is
/// made.
pub fn room_for(dims: &[usize], each: usize) -> Result<(), Fault> {
    let sizes = dims.iter().map(|&d| d as u128);
    let bytes = sizes.fold(each as u128, u128::saturating_mul);
    if bytes > SMALL {
        memory::require(bytes, &format!("a tensor of shape {dims:?}"))?;
    }
    Ok(())
}

/// Refuses a result of these sizes beside `t`, on its device and of its type. A GPU that lacks the
/// room answers with an error of its own.
pub fn beside(t: &Tensor, dims: &[usize]) -> Result<(), Fault> {
    match t.device() {
        Device::Cpu => room_for(dims, t.dtype().size_in_bytes()),
        _ => Ok(()),
    }
}

/// Refuses a result as large as `t`; gives `t` back.
pub fn like(t: &Tensor) -> Result<&Tensor, Fault> {
    beside(t, t.dims())?;
    Ok(t)
}

/// Refuses a result as large as `t` in another type; gives `t` back.
pub fn as_type(t: &Tensor, dtype: DType) -> Result<&Tensor, Fault> {
    if t.device().is_cpu() && t.dtype() != dtype {
        room_for(t.dims(), dtype.size_in_bytes())?;
    }
    Ok(t)
}

/// Refuses what two operands give together. Sizes that do not fit each other are for the op to
/// refuse.
pub fn together(a: &Tensor, b: &Tensor) -> Result<(), Fault> {
    if a.dims() == b.dims() {
        return beside(a, a.dims());
    }
    match a.shape().broadcast_shape_binary_op(b.shape(), "room") {
        Ok(shape) => beside(a, shape.dims()),
        Err(_) => Ok(()),
    }
}

/// Refuses a matrix product, with the copies of operands that are repeated over leading axes.
pub fn product(a: &Tensor, b: &Tensor) -> Result<(), Fault> {
    let (Some((rows, left)), Some((columns, right))) = (split(a, 2), split(b, 1)) else {
        return Ok(());
    };
    let Ok(shape) = left.broadcast_shape_binary_op(&right, "room") else {
        return Ok(());
    };
    let result = [shape.dims(), &[rows, columns]].concat();
    beside(a, &result)?;
    for (operand, own) in [(a, left), (b, right)] {
        if own.dims() != shape.dims() {
            let matrix = &operand.dims()[operand.rank() - 2..];
            beside(operand, &[shape.dims(), matrix].concat())?;
        }
    }
    Ok(())
}

/// The axis `from_end` of a matrix and the axes before both.
fn split(t: &Tensor, from_end: usize) -> Option<(usize, Shape)> {
    let at = t.rank().checked_sub(2)?;
    let axis = t.dims()[t.rank() - from_end];
    Some((axis, Shape::from_dims(&t.dims()[..at])))
}
