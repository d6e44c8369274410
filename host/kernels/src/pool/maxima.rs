//! What ways to take maxima share.

use crate::geometry::{Conv, Pool};
use crate::real::Real;
use crate::scratch::Buffer;

/// The window as a convolution of one channel.
pub(super) fn window(g: &Pool) -> Conv {
    let [ph, pw] = g.padding;
    Conv {
        kernel: g.kernel,
        stride: g.stride,
        padding: [ph, ph, pw, pw],
        ..Conv::square(1, 1, 1)
    }
}

/// A way to take the maxima of finite planes of one size.
pub(super) trait Maxima<T: Real>: Sync {
    /// Working memory of one task.
    fn memory(&self) -> Buffer<T>;

    /// One plane; false, and nothing of use written, where not all of it is finite.
    fn max(&self, memory: &mut [T], x: &[T], y: &mut [T], places: Option<&mut [u32]>) -> bool;
}

/// Whole numbers below this are exact in every element type.
pub(super) const EXACT: usize = 1 << 24;
