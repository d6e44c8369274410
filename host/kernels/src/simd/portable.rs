//! Vectors as arrays: what every machine can run, and the only path of `f64`.

use super::Simd;
use crate::real::Real;
use std::marker::PhantomData;

/// `N` lanes, a register tile of `ROWS` x `COLS` vectors.
#[derive(Clone, Copy)]
pub struct Portable<E, const N: usize, const COLS: usize, const ROWS: usize>(PhantomData<E>);

impl<E: Real, const N: usize, const COLS: usize, const ROWS: usize> Portable<E, N, COLS, ROWS> {
    /// Needs no particular machine.
    #[inline(always)]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E: Real, const N: usize, const COLS: usize, const ROWS: usize> Default
    for Portable<E, N, COLS, ROWS>
{
    fn default() -> Self {
        Self::new()
    }
}

#[inline(always)]
fn zip<E: Real, const N: usize>(a: [E; N], b: [E; N], f: impl Fn(E, E) -> E) -> [E; N] {
    let mut out = [E::ZERO; N];
    for i in 0..N {
        out[i] = f(a[i], b[i]);
    }
    out
}

impl<E: Real, const N: usize, const C: usize, const R: usize> Simd for Portable<E, N, C, R> {
    type E = E;
    type V = [E; N];
    const LANES: usize = N;
    const COLS: usize = C;
    const ROWS: usize = R;

    #[inline(always)]
    fn splat(self, value: E) -> [E; N] {
        [value; N]
    }
    #[inline(always)]
    unsafe fn read(self, at: *const E) -> [E; N] {
        // SAFETY: N elements are readable; arrays have the alignment of their elements.
        unsafe { *at.cast() }
    }
    #[inline(always)]
    unsafe fn write(self, at: *mut E, v: [E; N]) {
        // SAFETY: N elements are writable; arrays have the alignment of their elements.
        unsafe { *at.cast() = v }
    }
    #[inline(always)]
    fn add(self, a: [E; N], b: [E; N]) -> [E; N] {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: [E; N], b: [E; N]) -> [E; N] {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: [E; N], b: [E; N]) -> [E; N] {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: [E; N], b: [E; N]) -> [E; N] {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: [E; N], b: [E; N], c: [E; N]) -> [E; N] {
        // Two roundings: without the instruction a fused one is a library call per element.
        zip(zip(a, b, |a, b| a * b), c, |ab, c| ab + c)
    }
    #[inline(always)]
    fn max(self, a: [E; N], b: [E; N]) -> [E; N] {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn gt(self, a: [E; N], b: [E; N], yes: [E; N], no: [E; N]) -> [E; N] {
        let mut out = no;
        for i in 0..N {
            out[i] = if a[i] > b[i] { yes[i] } else { no[i] };
        }
        out
    }
    #[inline(always)]
    fn abs(self, a: [E; N]) -> [E; N] {
        a.map(E::abs)
    }
    #[inline(always)]
    fn sqrt(self, a: [E; N]) -> [E; N] {
        a.map(E::sqrt)
    }
    #[inline(always)]
    fn exp(self, a: [E; N]) -> [E; N] {
        a.map(E::exp)
    }
    #[inline(always)]
    fn powf(self, a: [E; N], power: E) -> [E; N] {
        a.map(|x| x.powf(power))
    }
}
