//! What the kernel tests share: instruction sets one after another, random data, comparison.

use biorule_kernels::simd::{self, Isa};
use biorule_kernels::{Conv, PadMode, Real};
use proptest::prelude::*;
use std::sync::{Mutex, MutexGuard};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Keeps the instruction set of the whole program as it is while the guard lives.
pub fn turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs `f` with every instruction set of this machine, for all threads; tests of one binary take turns.
pub fn each_isa(mut f: impl FnMut(Isa)) {
    let _turn = turn();
    let best = simd::isa();
    for isa in [Isa::Portable, Isa::PortableWide, Isa::Avx2, Isa::Avx512] {
        if simd::set_isa(isa) {
            f(isa);
        }
    }
    simd::set_isa(best);
}

/// Numbers between -1 and 1 that depend on `seed` alone.
pub fn noise<T: Real>(seed: u64, n: usize) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| T::from_f64(next())).collect()
}

/// `cases` of a property, or as many as `PROPTEST_CASES` says.
pub fn cases(cases: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        // The default reads the variable.
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(cases),
    }
}

/// Panics where `got` and `expected` differ by more than `tolerance` times the largest magnitude.
/// For values that are not sums of terms of either sign: such a sum can cancel, and its rounding is
/// that of its terms ([`assert_sums`]).
#[track_caller]
pub fn assert_close<T: Real>(what: &str, got: &[T], expected: &[T], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    let most = expected
        .iter()
        .map(|v| v.to_f64().abs())
        .fold(0.1, f64::max);
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        let error = (a.to_f64() - b.to_f64()).abs() / most;
        assert!(
            error <= tolerance,
            "{what}: element {i} is {a}, expected {b} (error {error:e})"
        );
    }
}

/// Half the distance from 1 to the next number: the relative error of one rounding.
pub fn unit<T: Real>() -> f64 {
    if size_of::<T>() == 4 {
        f64::from(f32::EPSILON) / 2.0
    } else {
        f64::EPSILON / 2.0
    }
}

/// How many roundings of the sum of magnitudes a sum of terms of either sign may be off.
///
/// Each addition rounds by at most a unit of the partial sum. Partial sums of `n` terms of either
/// sign are of the order of `sqrt(n)` terms, and `n` independent roundings of that order add up to
/// `n` terms' worth of units: the sum of magnitudes, whatever `n`. The factor is what a few standard
/// deviations of both add.
pub const ROUNDINGS: f64 = 8.0;

/// Panics where a sum in `got` is further from `expected` than its terms explain: more than
/// [`ROUNDINGS`] units of `magnitude`, the sum of the magnitudes of the terms (an upper bound of it
/// for what is computed in several steps). However far the sum itself cancels, this is what its
/// rounding is measured against.
#[track_caller]
pub fn assert_sums<T: Real>(what: &str, got: &[T], expected: &[f64], magnitude: &[f64]) {
    assert_sums_of_one_sign(what, got, expected, magnitude, 0);
}

/// The same for terms that may have one sign, or be equal: partial sums are then as large as the
/// whole and roundings may all go one way, so that each of the `chain` additions one after another
/// may add a unit. `expected` has to be better than that ([`exact_sum`]).
#[track_caller]
pub fn assert_sums_of_one_sign<T: Real>(
    what: &str,
    got: &[T],
    expected: &[f64],
    magnitude: &[f64],
    chain: usize,
) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    assert_eq!(got.len(), magnitude.len(), "{what}: magnitudes");
    for (i, ((a, b), m)) in got.iter().zip(expected).zip(magnitude).enumerate() {
        let (error, unit) = ((a.to_f64() - b).abs(), unit::<T>() * m);
        assert!(
            error <= (ROUNDINGS + chain as f64) * unit,
            "{what}: element {i} is {a}, expected {b}: {:.1} roundings of {m}",
            error / unit
        );
    }
}

/// The sum with what each addition loses carried along (Neumaier 1974): right to a rounding or two. A
/// plain sum of many terms of one sign is not, in `f64`, a reference for another one.
pub fn exact_sum(terms: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0);
    for term in terms {
        let next = sum + term;
        lost += match sum.abs() >= term.abs() {
            true => (sum - next) + term,
            false => (term - next) + sum,
        };
        sum = next;
    }
    sum + lost
}

/// The same numbers as `f64`, exactly.
pub fn wide<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|v| v.to_f64()).collect()
}

/// Their magnitudes.
pub fn magnitudes(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| v.abs()).collect()
}

pub fn pad_mode() -> impl Strategy<Value = PadMode> {
    prop_oneof![
        Just(PadMode::Zeros),
        Just(PadMode::Reflect),
        Just(PadMode::Replicate),
        Just(PadMode::Circular)
    ]
}

prop_compose! {
    /// A convolution and the batch, height and width of an input that it fits.
    pub fn convolution()(
        groups in prop_oneof![3 => Just(1usize), 1 => 2usize..4],
        cg in 1usize..6, kg in 1usize..40,
        kernel in prop::array::uniform2(1usize..5),
        stride in prop::array::uniform2(1usize..4),
        dilation in prop::array::uniform2(1usize..3),
        padding in prop::array::uniform4(0usize..4),
        pad_mode in pad_mode(),
        b in 1usize..4, h in 4usize..14, w in 4usize..14,
    ) -> (Conv, usize, usize, usize) {
        let g = Conv { channels: groups * cg, out: groups * kg, kernel, stride, dilation, padding, pad_mode, groups };
        (g, b, h, w)
    }
}

prop_compose! {
    /// The same with a group for every channel.
    pub fn depthwise()(
        shape in convolution(), channels in 2usize..7, multiplier in 1usize..3, w in 4usize..40,
    ) -> (Conv, usize, usize, usize) {
        let (g, b, h, _) = shape;
        (Conv { channels, out: channels * multiplier, groups: channels, ..g }, b, h, w)
    }
}
