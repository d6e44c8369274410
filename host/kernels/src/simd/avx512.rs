//! AVX-512: 16 lanes, a tile of 8 x 3 vectors in 32 registers.

use super::math::{self, Bits};
use super::{Job, Simd, avx2};
use std::arch::x86_64::*;

/// Proof that the machine has AVX-512 F, DQ, BW, VL, AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

/// Runs `job` on AVX-512 vectors.
///
/// # Safety
/// The machine has AVX-512 F, DQ, BW, VL, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
pub(super) unsafe fn run<J: Job<f32>>(job: J) -> J::Out {
    job.run(Avx512(()))
}

macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: an `Avx512` exists only where `run` was called, on a machine that has AVX-512.
        unsafe { $call }
    };
}

impl Simd for Avx512 {
    type E = f32;
    type V = __m512;
    const LANES: usize = 16;
    const COLS: usize = 3;
    const ROWS: usize = 8;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        intrinsic!(_mm512_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn read(self, at: *const f32) -> __m512 {
        intrinsic!(_mm512_loadu_ps(at))
    }
    #[inline(always)]
    unsafe fn write(self, at: *mut f32, v: __m512) {
        intrinsic!(_mm512_storeu_ps(at, v))
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        intrinsic!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn gt(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        intrinsic!(_mm512_mask_blend_ps(
            _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b),
            no,
            yes
        ))
    }
    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        intrinsic!(_mm512_abs_ps(a))
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        intrinsic!(_mm512_sqrt_ps(a))
    }
    #[inline(always)]
    fn exp(self, a: __m512) -> __m512 {
        math::exp(self, a)
    }
    #[inline(always)]
    fn powf(self, a: __m512, power: f32) -> __m512 {
        math::powf(self, a, power)
    }
    #[inline(always)]
    fn halves(self, a: __m512, b: __m512) -> (__m512, __m512) {
        intrinsic!({
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
            (
                _mm512_permutex2var_ps(a, even, b),
                _mm512_permutex2var_ps(a, odd, b),
            )
        })
    }
    #[inline(always)]
    fn zip(self, a: __m512, b: __m512) -> (__m512, __m512) {
        intrinsic!({
            let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
            (
                _mm512_permutex2var_ps(a, first, b),
                _mm512_permutex2var_ps(a, second, b),
            )
        })
    }
    #[inline(always)]
    fn store_whole(self, to: &mut [u32], v: __m512) {
        let to = &mut to[..Self::LANES];
        intrinsic!(_mm512_storeu_si512(
            to.as_mut_ptr().cast(),
            _mm512_cvttps_epi32(v)
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
        // SAFETY: the caller's promise is passed on; machines with AVX-512 have AVX2.
        unsafe { avx2::transpose(size, from, from_stride, to, to_stride) }
    }
}

impl Bits for Avx512 {
    #[inline(always)]
    fn round(self, v: __m512) -> __m512 {
        intrinsic!(_mm512_roundscale_ps::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(v))
    }
    #[inline(always)]
    fn pow2(self, n: __m512) -> __m512 {
        intrinsic!(_mm512_scalef_ps(_mm512_set1_ps(1.0), n))
    }
    #[inline(always)]
    fn split(self, v: __m512) -> (__m512, __m512) {
        intrinsic!((
            _mm512_getmant_ps::<_MM_MANT_NORM_P5_1, _MM_MANT_SIGN_SRC>(v),
            _mm512_add_ps(_mm512_getexp_ps(v), _mm512_set1_ps(1.0)),
        ))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_min_ps(a, b))
    }
}
