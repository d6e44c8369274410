//! Exponential and logarithm of `f32` vectors by range reduction and a polynomial.
//!
//! Coefficients: Cephes `expf` and `logf` (S. Moshier), as in most vector libraries.

use super::Simd;

/// The bit-level steps that differ between instruction sets.
pub(super) trait Bits: Simd<E = f32> {
    /// Nearest whole number.
    fn round(self, v: Self::V) -> Self::V;
    /// `2^n` for whole `n` from -126 to 127.
    fn pow2(self, n: Self::V) -> Self::V;
    /// Mantissa in `[0.5, 1)` and exponent of a positive normal number.
    fn split(self, v: Self::V) -> (Self::V, Self::V);
    /// The smaller, `b` if either is not a number.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
}

#[inline(always)]
fn poly<S: Bits, const N: usize>(s: S, x: S::V, coefficients: [f32; N]) -> S::V {
    let mut sum = s.splat(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(c));
    }
    sum
}

#[inline(always)]
pub(super) fn exp<S: Bits>(s: S, x: S::V) -> S::V {
    // Inside this range the result is a normal number; not-a-number passes through.
    let x = s.max(s.splat(-87.336_54), s.min(s.splat(88.376_26), x));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-0.693_359_4), x);
    let r = s.fma(n, s.splat(2.121_944_4e-4), r);
    let p = poly(
        s,
        r,
        [
            1.987_569_2e-4,
            1.398_2e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            0.166_666_66,
            0.5,
        ],
    );
    let p = s.add(s.fma(p, s.mul(r, r), r), s.splat(1.0));
    s.mul(p, s.pow2(n))
}

#[inline(always)]
fn ln<S: Bits>(s: S, x: S::V) -> S::V {
    let (m, e) = s.split(x);
    let half = s.splat(std::f32::consts::FRAC_1_SQRT_2);
    let one = s.splat(1.0);
    // Centre the mantissa on 1: [sqrt(1/2), sqrt(2)).
    let e = s.gt(half, m, s.sub(e, one), e);
    let m = s.sub(s.gt(half, m, s.add(m, m), m), one);
    let z = s.mul(m, m);
    let p = poly(
        s,
        m,
        [
            7.037_684e-2,
            -0.115_146_1,
            0.116_769_98,
            -0.124_201_41,
            0.142_493_23,
            -0.166_680_57,
            0.200_007_15,
            -0.249_999_94,
            0.333_333_3,
        ],
    );
    let p = s.mul(s.mul(p, m), z);
    let p = s.fma(e, s.splat(-2.121_944_4e-4), p);
    let p = s.fma(z, s.splat(-0.5), p);
    s.fma(e, s.splat(0.693_359_4), s.add(m, p))
}

#[inline(always)]
pub(super) fn powf<S: Bits>(s: S, x: S::V, power: f32) -> S::V {
    exp(s, s.mul(ln(s, x), s.splat(power)))
}
