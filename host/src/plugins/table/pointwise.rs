//! Element by element, with broadcasting where there are two operands.

use biorule_plugin_api::abi::types::{RawResult, RawTensor};
use candle_core::Tensor;

use super::handle::{Fault, look, out};
use super::room::{beside, like, together};
use crate::ops::along::{Pair, along};

type Out = RawResult<RawTensor>;

macro_rules! unary {
    ($($name:ident)*) => { $(
        pub extern "C" fn $name(t: RawTensor) -> Out {
            out(stringify!($name), || Ok(like(look(t))?.$name()?))
        }
    )* };
}
unary! { neg abs sign exp sqrt sqr recip relu tanh }

pub extern "C" fn ln(t: RawTensor) -> Out {
    out("ln", || Ok(like(look(t))?.log()?))
}

pub extern "C" fn sigmoid(t: RawTensor) -> Out {
    out("sigmoid", || Ok(candle_nn::ops::sigmoid(like(look(t))?)?))
}

pub extern "C" fn affine(t: RawTensor, mul: f64, add: f64) -> Out {
    out("affine", || Ok(like(look(t))?.affine(mul, add)?))
}

pub extern "C" fn powf(t: RawTensor, p: f64) -> Out {
    out("powf", || Ok(like(look(t))?.powf(p)?))
}

pub extern "C" fn clamp(t: RawTensor, lo: f64, hi: f64) -> Out {
    out("clamp", || Ok(like(look(t))?.clamp(lo, hi)?))
}

macro_rules! binary {
    ($($name:ident $broadcast:ident $($pair:ident)?;)*) => { $(
        pub extern "C" fn $name(a: RawTensor, b: RawTensor) -> Out {
            out(stringify!($name), || {
                let (a, b) = (look(a), look(b));
                together(a, b)?;
                // Candle's broadcast path costs a strided pass; equal shapes do not need it.
                if a.dims() == b.dims() {
                    return Ok(a.$name(b)?);
                }
                $(
                    if let Some(served) = along(Pair::$pair, a, b)? {
                        return Ok(served);
                    }
                )?
                Ok(a.$broadcast(b)?)
            })
        }
    )* };
}
binary! {
    add broadcast_add Add;
    sub broadcast_sub Sub;
    mul broadcast_mul Mul;
    div broadcast_div Div;
    maximum broadcast_maximum;
    minimum broadcast_minimum;
    eq broadcast_eq;
    lt broadcast_lt;
    le broadcast_le;
}

pub extern "C" fn select(mask: RawTensor, a: RawTensor, b: RawTensor) -> Out {
    out("select", || {
        let (mask, a, b) = (look(mask), look(a), look(b));
        let shape = common(common(mask.dims(), a)?.as_slice(), b)?;
        beside(a, &shape)?;
        let fit = |t: &Tensor| t.broadcast_as(shape.as_slice());
        Ok(fit(mask)?.where_cond(&fit(a)?, &fit(b)?)?)
    })
}

/// The shape to which `dims` and `t` broadcast.
fn common(dims: &[usize], t: &Tensor) -> Result<Vec<usize>, Fault> {
    let shape = candle_core::Shape::from_dims(dims);
    Ok(shape
        .broadcast_shape_binary_op(t.shape(), "select")?
        .into_dims())
}
