//! AVX2 with FMA: 8 lanes, a tile of 6 x 2 vectors in 16 registers.

use super::math::{self, Bits};
use super::{Job, Portable, Simd};
use std::arch::x86_64::*;

/// Proof that the machine has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

/// Runs `job` on AVX2 vectors.
///
/// # Safety
/// The machine has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run<J: Job<f32>>(job: J) -> J::Out {
    job.run(Avx2(()))
}

/// Runs `job` on arrays of 4, which the compiler turns into AVX2 vectors here.
///
/// # Safety
/// The machine has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run_f64<J: Job<f64>>(job: J) -> J::Out {
    job.run(Portable::<f64, 4, 2, 4>::new())
}

macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: an `Avx2` exists only where `run` was called, on a machine that has AVX2 and FMA.
        unsafe { $call }
    };
}

impl Simd for Avx2 {
    type E = f32;
    type V = __m256;
    const LANES: usize = 8;
    const COLS: usize = 2;
    const ROWS: usize = 6;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        intrinsic!(_mm256_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn read(self, at: *const f32) -> __m256 {
        intrinsic!(_mm256_loadu_ps(at))
    }
    #[inline(always)]
    unsafe fn write(self, at: *mut f32, v: __m256) {
        intrinsic!(_mm256_storeu_ps(at, v))
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        intrinsic!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn gt(self, a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        intrinsic!(_mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)))
    }
    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        intrinsic!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        intrinsic!(_mm256_sqrt_ps(a))
    }
    #[inline(always)]
    fn exp(self, a: __m256) -> __m256 {
        math::exp(self, a)
    }
    #[inline(always)]
    fn powf(self, a: __m256, power: f32) -> __m256 {
        math::powf(self, a, power)
    }
    #[inline(always)]
    fn halves(self, a: __m256, b: __m256) -> (__m256, __m256) {
        // Each half of the shuffle holds two elements of `a`, then two of `b`.
        intrinsic!({
            let even = _mm256_castps_pd(_mm256_shuffle_ps::<0x88>(a, b));
            let odd = _mm256_castps_pd(_mm256_shuffle_ps::<0xdd>(a, b));
            (
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(even)),
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(odd)),
            )
        })
    }
    #[inline(always)]
    fn zip(self, a: __m256, b: __m256) -> (__m256, __m256) {
        intrinsic!({
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            (
                _mm256_permute2f128_ps::<0x20>(low, high),
                _mm256_permute2f128_ps::<0x31>(low, high),
            )
        })
    }
    #[inline(always)]
    fn store_whole(self, to: &mut [u32], v: __m256) {
        let to = &mut to[..Self::LANES];
        intrinsic!(_mm256_storeu_si256(
            to.as_mut_ptr().cast(),
            _mm256_cvttps_epi32(v)
        ))
    }
    #[inline(always)]
    unsafe fn transpose(
        self,
        size: (usize, usize),
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        // SAFETY: the caller's promise is passed on; the machine has AVX2.
        unsafe { transpose(size, from, from_stride, to, to_stride) }
    }
}

impl Bits for Avx2 {
    #[inline(always)]
    fn round(self, v: __m256) -> __m256 {
        intrinsic!(_mm256_round_ps::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(v))
    }
    #[inline(always)]
    fn pow2(self, n: __m256) -> __m256 {
        intrinsic!({
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        })
    }
    #[inline(always)]
    fn split(self, v: __m256) -> (__m256, __m256) {
        intrinsic!({
            let bits = _mm256_castps_si256(v);
            let exponent = _mm256_sub_epi32(_mm256_srli_epi32::<23>(bits), _mm256_set1_epi32(126));
            let mantissa = _mm256_and_si256(bits, _mm256_set1_epi32(0x007f_ffff));
            let mantissa = _mm256_or_si256(mantissa, _mm256_set1_epi32(0x3f00_0000));
            (_mm256_castsi256_ps(mantissa), _mm256_cvtepi32_ps(exponent))
        })
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_min_ps(a, b))
    }
}

/// [`Simd::transpose`] in blocks of 8 x 8; also serves AVX-512, whose machines have AVX2.
///
/// # Safety
/// As [`Simd::transpose`], and the machine has AVX2.
#[inline(always)]
pub(super) unsafe fn transpose(
    (rows, cols): (usize, usize),
    from: *const f32,
    from_stride: usize,
    to: *mut f32,
    to_stride: usize,
) {
    let (whole_rows, whole_cols) = (rows / 8 * 8, cols / 8 * 8);
    // Run along the side whose rows are further apart: eight lines a power of two apart already fill
    // one set of a small cache.
    let (blocks_r, blocks_c) = (whole_rows / 8, whole_cols / 8);
    for i in 0..blocks_r * blocks_c {
        let (r, c) = if from_stride > to_stride {
            (i / blocks_c, i % blocks_c)
        } else {
            (i % blocks_r, i / blocks_r)
        };
        // SAFETY: an 8 x 8 block inside both rectangles.
        unsafe {
            block(
                from.add(8 * r * from_stride + 8 * c),
                from_stride,
                to.add(8 * c * to_stride + 8 * r),
                to_stride,
            )
        };
    }
    for c in 0..cols {
        let first = if c < whole_cols { whole_rows } else { 0 };
        for r in first..rows {
            // SAFETY: inside both rectangles.
            unsafe { *to.add(c * to_stride + r) = *from.add(r * from_stride + c) };
        }
    }
}

#[inline(always)]
unsafe fn block(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    // SAFETY: the caller gives 8 x 8 readable and writable elements and has AVX2.
    unsafe {
        for c in [0, 4] {
            let (a, b) = (
                halves(from.add(c), from_stride),
                halves(from.add(from_stride + c), from_stride),
            );
            let (d, e) = (from.add(2 * from_stride + c), from.add(3 * from_stride + c));
            let (d, e) = (halves(d, from_stride), halves(e, from_stride));
            let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (de_low, de_high) = (_mm256_unpacklo_ps(d, e), _mm256_unpackhi_ps(d, e));
            let to = to.add(c * to_stride);
            _mm256_storeu_ps(to, _mm256_shuffle_ps::<0x44>(ab_low, de_low));
            _mm256_storeu_ps(to.add(to_stride), _mm256_shuffle_ps::<0xee>(ab_low, de_low));
            _mm256_storeu_ps(
                to.add(2 * to_stride),
                _mm256_shuffle_ps::<0x44>(ab_high, de_high),
            );
            _mm256_storeu_ps(
                to.add(3 * to_stride),
                _mm256_shuffle_ps::<0xee>(ab_high, de_high),
            );
        }
    }
}

/// Four elements of a row and four of the row 4 below: the loads do the 128-bit part of the transposition.
#[inline(always)]
unsafe fn halves(from: *const f32, stride: usize) -> __m256 {
    // SAFETY: inside the block of `block`, whose caller has AVX2.
    unsafe {
        let low = _mm256_castps128_ps256(_mm_loadu_ps(from));
        _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(from.add(4 * stride)))
    }
}
