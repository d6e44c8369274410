//! Dropout on the kernels crate.

use biorule_kernels::dropout::{self, Mask};
use candle_core::Tensor;

use super::real::{by_dtype, filled, read};
use crate::Result;

/// See [`crate::ops::dropout::dropout`].
pub fn apply(x: &Tensor, p: f64, key: u64) -> Result<Tensor> {
    by_dtype!(x, T => {
        let mask = Mask::<T>::new(p, key);
        read::<T, _>(x, |v| filled::<T>(x.dims(), |y| dropout::apply(&mask, v, y)))?
    })
}
