//! Vectors of one instruction set, and the choice of it at run time.
//!
//! A kernel is a [`Job`]: a struct with its arguments and one generic `run`. [`crate::Real::vectorised`]
//! calls it inside a function compiled for the instruction set, so that everything marked
//! `#[inline(always)]` below it is compiled for that set too. (A closure would not be inlined
//! reliably, and a fused multiply-add would become a call into libm.) A value of a [`Simd`] type is
//! the proof that the machine has the instructions, which keeps arithmetic free of `unsafe`.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod math;
mod portable;

pub use portable::Portable;

use crate::real::Real;
use std::sync::atomic::{AtomicU8, Ordering};

/// Vectors of `LANES` elements of type `E`, and the register tile that suits the register file.
pub trait Simd: Copy + 'static {
    /// Element.
    type E: Real;
    /// Vector.
    type V: Copy;
    /// Elements of a vector.
    const LANES: usize;
    /// Vectors side by side in the register tile of a matrix product.
    const COLS: usize;
    /// Rows of that tile.
    const ROWS: usize;
    /// Width of a panel of packed weights: `LANES * COLS`.
    const PANEL: usize = Self::LANES * Self::COLS;

    /// All lanes equal.
    fn splat(self, value: Self::E) -> Self::V;
    /// Reads `LANES` elements.
    ///
    /// # Safety
    /// `LANES` elements are readable at `at`.
    unsafe fn read(self, at: *const Self::E) -> Self::V;
    /// Writes `LANES` elements.
    ///
    /// # Safety
    /// `LANES` elements are writable at `at`.
    unsafe fn write(self, at: *mut Self::E, v: Self::V);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, in one rounding where the machine can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger, `b` if either is not a number.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `yes` where `a > b`, else `no`.
    fn gt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// Magnitude.
    fn abs(self, a: Self::V) -> Self::V;
    /// Square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// Exponential, within 2 units of the last place, never below the smallest normal number.
    fn exp(self, a: Self::V) -> Self::V;
    /// `a^power` for positive normal `a`.
    fn powf(self, a: Self::V, power: Self::E) -> Self::V;

    /// Transposes `rows` x `cols` elements: `to[c * to_stride + r] = from[r * from_stride + c]`.
    ///
    /// # Safety
    /// Both rectangles lie in memory that may be read and written, and do not overlap.
    #[inline(always)]
    unsafe fn transpose(
        self,
        (rows, cols): (usize, usize),
        from: *const Self::E,
        from_stride: usize,
        to: *mut Self::E,
        to_stride: usize,
    ) {
        for c in 0..cols {
            for r in 0..rows {
                // SAFETY: inside both rectangles, by the caller's promise.
                unsafe { *to.add(c * to_stride + r) = *from.add(r * from_stride + c) };
            }
        }
    }

    /// Reads the first `LANES` elements of `from`.
    #[inline(always)]
    fn load(self, from: &[Self::E]) -> Self::V {
        let from = &from[..Self::LANES];
        // SAFETY: the slice has LANES elements.
        unsafe { self.read(from.as_ptr()) }
    }

    /// Writes the first `LANES` elements of `to`.
    #[inline(always)]
    fn store(self, to: &mut [Self::E], v: Self::V) {
        let to = &mut to[..Self::LANES];
        // SAFETY: the slice has LANES elements.
        unsafe { self.write(to.as_mut_ptr(), v) }
    }

    /// Reads up to `LANES` elements, the missing ones are `fill`.
    #[inline(always)]
    fn load_part(self, from: &[Self::E], fill: Self::E) -> Self::V {
        let mut full = [fill; 16];
        let n = from.len().min(Self::LANES);
        full[..n].copy_from_slice(&from[..n]);
        self.load(&full)
    }

    /// Writes as many lanes as `to` has elements.
    #[inline(always)]
    fn store_part(self, to: &mut [Self::E], v: Self::V) {
        let mut full = [Self::E::ZERO; 16];
        self.store(&mut full, v);
        let n = to.len().min(Self::LANES);
        to[..n].copy_from_slice(&full[..n]);
    }

    /// Writes the lanes, whole numbers from 0 to 2^24, as integers.
    #[inline(always)]
    fn store_whole(self, to: &mut [u32], v: Self::V) {
        let mut lanes = [Self::E::ZERO; 16];
        self.store(&mut lanes, v);
        for (to, v) in to[..Self::LANES].iter_mut().zip(lanes) {
            *to = v.to_f64() as u32;
        }
    }

    /// The elements of even and of odd number of `a` followed by `b`.
    #[inline(always)]
    fn halves(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
        let mut all = [Self::E::ZERO; 32];
        self.store(&mut all, a);
        self.store(&mut all[Self::LANES..], b);
        let (mut even, mut odd) = ([Self::E::ZERO; 16], [Self::E::ZERO; 16]);
        for (i, pair) in all.as_chunks::<2>().0.iter().enumerate() {
            (even[i], odd[i]) = (pair[0], pair[1]);
        }
        (self.load(&even), self.load(&odd))
    }

    /// The elements of `a` and `b` in turn: the inverse of [`Simd::halves`].
    #[inline(always)]
    fn zip(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
        let (mut even, mut odd) = ([Self::E::ZERO; 16], [Self::E::ZERO; 16]);
        self.store(&mut even, a);
        self.store(&mut odd, b);
        let mut all = [Self::E::ZERO; 32];
        for (i, pair) in all.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            *pair = [even[i], odd[i]];
        }
        (self.load(&all), self.load(&all[Self::LANES..]))
    }

    /// Sum of the lanes, always in the same order.
    #[inline(always)]
    fn sum(self, v: Self::V) -> Self::E {
        let mut lanes = [Self::E::ZERO; 16];
        self.store(&mut lanes, v);
        let mut width = Self::LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
            width /= 2;
        }
        lanes[0]
    }

    /// Largest lane.
    #[inline(always)]
    fn max_lane(self, v: Self::V) -> Self::E {
        let mut lanes = [Self::E::ZERO; 16];
        self.store(&mut lanes, v);
        let largest = |a: Self::E, &b: &Self::E| if b > a || b.is_nan() { b } else { a };
        lanes[..Self::LANES].iter().fold(lanes[0], largest)
    }
}

/// A kernel with its arguments.
pub trait Job<E: Real> {
    /// Result.
    type Out;
    /// The kernel; implementations are `#[inline(always)]`.
    fn run<S: Simd<E = E>>(self, s: S) -> Self::Out;
}

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Isa {
    /// 4-element vectors, no intrinsics: any machine.
    Portable = 1,
    /// Portable code in the geometry of AVX-512 (16 lanes, 3 x 8 tile), to test it anywhere.
    PortableWide = 2,
    /// AVX2 and FMA.
    Avx2 = 3,
    /// AVX-512 F, DQ, BW and VL.
    Avx512 = 4,
}

impl Isa {
    /// Whether this machine can run it.
    pub fn available(self) -> bool {
        match self {
            Isa::Portable | Isa::PortableWide => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => false,
        }
    }
}

static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// The instruction set in use: the best of the machine, or what [`set_isa`] chose.
pub fn isa() -> Isa {
    match CHOSEN.load(Ordering::Relaxed) {
        1 => Isa::Portable,
        2 => Isa::PortableWide,
        3 => Isa::Avx2,
        4 => Isa::Avx512,
        _ => {
            let best = [Isa::Avx512, Isa::Avx2].into_iter().find(|i| i.available());
            let best = best.unwrap_or(Isa::Portable);
            CHOSEN.store(best as u8, Ordering::Relaxed);
            best
        }
    }
}

/// Uses `isa` from now on, in every thread; false (and no change) where the machine lacks it.
/// For tests and comparisons: packed weights of one instruction set do not serve another.
pub fn set_isa(isa: Isa) -> bool {
    if isa.available() {
        CHOSEN.store(isa as u8, Ordering::Relaxed);
    }
    isa.available()
}

pub(crate) fn run_f32<J: Job<f32>>(job: J) -> J::Out {
    match isa() {
        // SAFETY: `isa` returns only what the machine has.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::run(job) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::run(job) },
        Isa::PortableWide => job.run(Portable::<f32, 16, 3, 8>::new()),
        _ => job.run(Portable::<f32, 4, 2, 4>::new()),
    }
}

pub(crate) fn run_f64<J: Job<f64>>(job: J) -> J::Out {
    match isa() {
        // SAFETY: `isa` returns only what the machine has, and AVX-512 machines have AVX2.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2 => unsafe { avx2::run_f64(job) },
        Isa::PortableWide => job.run(Portable::<f64, 16, 3, 8>::new()),
        _ => job.run(Portable::<f64, 4, 2, 4>::new()),
    }
}
