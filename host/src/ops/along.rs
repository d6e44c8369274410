//! A tensor and a vector that runs along one of its axes: what a bias, a gain and a row scale are.
//! Candle's broadcast visits each element through its strides; this is one pass over memory.

use candle_core::{DType, Device, Tensor};

use super::cpu;
use crate::Result;

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// `a + b`.
    Add,
    /// `a − b`.
    Sub,
    /// `a·b`.
    Mul,
    /// `a/b`.
    Div,
}

/// `a ∘ v` with `v` broadcast as in NumPy, or nothing where that is not what the operands are: floats
/// of one type in CPU memory, `v` of size 1 along all axes of `a` but one.
///
/// # Errors
/// Candle cannot allocate.
pub fn along(op: Pair, a: &Tensor, v: &Tensor) -> Result<Option<Tensor>> {
    let float = matches!(a.dtype(), DType::F32 | DType::F64) && a.dtype() == v.dtype();
    if !float || !matches!(a.device(), Device::Cpu) || !matches!(v.device(), Device::Cpu) {
        return Ok(None);
    }
    let Some(axis) = axis(a.dims(), v.dims()) else {
        return Ok(None);
    };
    cpu::along::along(op, a, v, axis).map(Some)
}

/// The axis of `a` along which `v` runs.
fn axis(a: &[usize], v: &[usize]) -> Option<usize> {
    let missing = a.len().checked_sub(v.len())?;
    let axis = missing + v.iter().position(|&n| n != 1)?;
    let size = a[axis];
    (v[axis - missing] == size && v.iter().product::<usize>() == size).then_some(axis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_is_the_only_one_that_is_not_1() {
        assert_eq!(axis(&[2, 3, 4, 5], &[1, 3, 1, 1]), Some(1));
        assert_eq!(axis(&[2, 3, 4, 5], &[3, 1, 1]), Some(1));
        assert_eq!(axis(&[2, 3], &[3]), Some(1));
        assert_eq!(axis(&[3, 3], &[3, 1]), Some(0));
        for v in [
            &[1, 3, 4, 1][..],
            &[1, 1, 1, 1],
            &[4],
            &[1, 1, 1, 1, 3],
            &[],
        ] {
            assert_eq!(axis(&[2, 3, 4, 5], v), None, "{v:?}");
        }
    }

    #[test]
    fn it_is_candles_broadcast() {
        let count = |n: usize| {
            (0..n)
                .map(|i| (i as f64 * 0.37).sin() + 2.0)
                .collect::<Vec<_>>()
        };
        let a = Tensor::from_vec(count(2 * 3 * 4 * 35), &[2, 3, 4, 35], &Device::Cpu).expect("a");
        for dims in [&[2, 1, 1, 1][..], &[1, 3, 1, 1], &[4, 1], &[35]] {
            let v = Tensor::from_vec(count(dims.iter().product()), dims, &Device::Cpu).expect("v");
            for op in [Pair::Add, Pair::Sub, Pair::Mul, Pair::Div] {
                let want = match op {
                    Pair::Add => a.broadcast_add(&v),
                    Pair::Sub => a.broadcast_sub(&v),
                    Pair::Mul => a.broadcast_mul(&v),
                    Pair::Div => a.broadcast_div(&v),
                };
                let got = along(op, &a, &v).expect("computed").expect("served");
                let flat = |t: Tensor| t.flatten_all().and_then(|t| t.to_vec1::<f64>()).expect("v");
                assert_eq!(flat(got), flat(want.expect("candle")), "{op:?} {dims:?}");
            }
        }
    }
}
