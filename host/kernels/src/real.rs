//! The two element types of every kernel.
//!
//! [`Real`] is sealed: `f32` is the type of training, `f64` the one of gradient checks and golden
//! vectors. It carries the few scalar functions that the kernels need and the way into the
//! vectorised code ([`Real::vectorised`]).

use crate::scratch::Pool;
use crate::simd::Job;
use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`.
pub trait Real:
    sealed::Sealed
    + Copy
    + Default
    + Debug
    + Display
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Smallest value, of which every other is the maximum.
    const NEG_INFINITY: Self;

    /// The nearest value.
    fn from_f64(value: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// Magnitude.
    fn abs(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Natural exponential.
    fn exp(self) -> Self;
    /// `self` to the power `a`.
    fn powf(self, a: Self) -> Self;
    /// Whether not a number.
    fn is_nan(self) -> bool;

    /// Runs `job` compiled for the best instruction set of this machine.
    fn vectorised<J: Job<Self>>(job: J) -> J::Out;

    /// The buffers of this type that are free.
    #[doc(hidden)]
    fn scratch() -> &'static Pool<Self>;
}

macro_rules! real {
    ($type:ident, $run:path) => {
        impl Real for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NEG_INFINITY: Self = $type::NEG_INFINITY;

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn exp(self) -> Self {
                self.exp()
            }
            #[inline(always)]
            fn powf(self, a: Self) -> Self {
                self.powf(a)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                self.is_nan()
            }
            #[inline]
            fn vectorised<J: Job<Self>>(job: J) -> J::Out {
                $run(job)
            }
            fn scratch() -> &'static Pool<Self> {
                static FREE: Pool<$type> = Pool::new(Vec::new());
                &FREE
            }
        }
    };
}

real!(f32, crate::simd::run_f32);
real!(f64, crate::simd::run_f64);
