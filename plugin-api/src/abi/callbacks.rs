//! Rust closures as the boundary's callbacks.
//!
//! Each pair (context, function) lives as long as the closure it was made from;
//! the host calls it only during the op it was given to. Panics are caught.

use std::ffi::c_void;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use super::types::{RawCompetition, RawFill, RawRange, RawTile, dtype};
use crate::sdk::compete::{Competition, Real, Tile};

/// `fill` as the callback of `build_f32`. After a panic the values are NaN, which
/// the host notices.
pub(crate) fn fill<F: FnMut(&mut [f32])>(fill: &mut F) -> (*mut c_void, RawFill) {
    extern "C" fn call<F: FnMut(&mut [f32])>(context: *mut c_void, data: *mut f32, len: usize) {
        // SAFETY: `context` is the closure, alive during the op; the host passes its own
        // memory of `len` elements, for this call alone.
        let (fill, data) = unsafe {
            (
                &mut *context.cast::<F>(),
                std::slice::from_raw_parts_mut(data, len),
            )
        };
        if catch_unwind(AssertUnwindSafe(|| fill(data))).is_err() {
            data.fill(f32::NAN);
        }
    }
    (std::ptr::from_mut(fill).cast(), call::<F>)
}

/// `competition` as the callback of `map_compete`. After a panic the factors are
/// NaN, which the host notices.
pub(crate) fn competition<C: Competition>(competition: &C) -> (*const c_void, RawCompetition) {
    extern "C" fn call<C: Competition>(context: *const c_void, tile: *const RawTile) {
        // SAFETY: `context` is the competition, alive during the op; the host passes one tile
        // that no one else touches during the call.
        let (competition, tile) = unsafe { (&*context.cast::<C>(), &*tile) };
        match tile.dtype {
            // SAFETY: the element type is the one the host names.
            dtype::F64 => run::<f64, C>(unsafe { view(tile) }, competition),
            // SAFETY: as above.
            _ => run::<f32, C>(unsafe { view(tile) }, competition),
        }
    }
    (std::ptr::from_ref(competition).cast(), call::<C>)
}

/// The competition compiled for wide vectors, where the machine has them: plugins are built for any
/// machine of their kind, and a competition is loops over lanes. All it calls has to be inlined
/// (`#[inline(always)]`) for that. No operation is fused or reordered, so the results are the same.
#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{Competition, Real, Tile};

    /// # Safety
    /// The machine has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2<T: Real, C: Competition>(competition: &C, tile: &mut Tile<'_, T>) {
        competition.compete(tile);
    }

    /// # Safety
    /// The machine has AVX-512 F, DQ, BW and VL, AVX2 and FMA.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    pub unsafe fn avx512<T: Real, C: Competition>(competition: &C, tile: &mut Tile<'_, T>) {
        competition.compete(tile);
    }
}

#[cfg(target_arch = "x86_64")]
fn compete<T: Real, C: Competition>(competition: &C, tile: &mut Tile<'_, T>) {
    // The detection is a load and a comparison after the first call.
    let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    match (fma, wide) {
        // SAFETY: the machine has what the function needs, as just seen.
        (true, true) => unsafe { wide::avx512(competition, tile) },
        // SAFETY: as above.
        (true, false) => unsafe { wide::avx2(competition, tile) },
        _ => competition.compete(tile),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn compete<T: Real, C: Competition>(competition: &C, tile: &mut Tile<'_, T>) {
    competition.compete(tile);
}

fn run<T: Real, C: Competition>(mut tile: Tile<'_, T>, competition: &C) {
    if catch_unwind(AssertUnwindSafe(|| compete(competition, &mut tile))).is_err() {
        for k in 0..tile.k {
            tile.y(k).fill(T::of(f64::NAN));
        }
    }
}

/// # Safety
/// The host passes `k` rows of `stride` elements of type `T` at both pointers, the second
/// for this call alone.
unsafe fn view<'a, T>(raw: &RawTile) -> Tile<'a, T> {
    let len = if raw.k == 0 {
        0
    } else {
        (raw.k - 1) * raw.stride + raw.lanes
    };
    // SAFETY: by contract.
    let (u, y) = unsafe {
        (
            std::slice::from_raw_parts(raw.u.cast::<T>(), len),
            std::slice::from_raw_parts_mut(raw.y.cast::<T>(), len),
        )
    };
    Tile::new(raw.k, raw.lanes, raw.stride, u, y)
}

/// A closure for `parallel_for`, with a note of whether it panicked.
pub(crate) struct Guarded<F> {
    body: F,
    panicked: AtomicBool,
}

impl<F: Fn(Range<usize>) + Sync> Guarded<F> {
    pub(crate) fn new(body: F) -> Self {
        Self {
            body,
            panicked: AtomicBool::new(false),
        }
    }
    pub(crate) fn entry(&self) -> (*const c_void, RawRange) {
        extern "C" fn call<F: Fn(Range<usize>) + Sync>(
            context: *const c_void,
            begin: usize,
            end: usize,
        ) {
            // SAFETY: `context` is the `Guarded` below, alive until the op returns.
            let guarded = unsafe { &*context.cast::<Guarded<F>>() };
            if catch_unwind(AssertUnwindSafe(|| (guarded.body)(begin..end))).is_err() {
                guarded.panicked.store(true, Ordering::Relaxed);
            }
        }
        (std::ptr::from_ref(self).cast(), call::<F>)
    }
    pub(crate) fn panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }
}
