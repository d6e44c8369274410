//! The three maps of a dense layer on row-major matrices.
//!
//! A general matrix product divides its work over rows and columns of the result. The read-out of a
//! network has few of both (64 samples, 10 classes) and a long inner axis (thousands of features): for
//! such layers the forward map is cut along the inner axis, and the weight gradient streams the input
//! once; everything else goes to [`crate::gemm`].

use crate::check::assert_len;
use crate::gemm;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::simd::{Job, Simd};
use crate::threads::{self, Shared};

/// Units up to which a layer counts as narrow.
const NARROW: usize = 24;
/// Inputs from which it counts as long.
const LONG: usize = 1024;
/// Inputs of a task: a block of all samples and units stays in a level-2 cache.
const BLOCK: usize = 512;
/// Samples and units of a register tile.
const TILE: (usize, usize) = (4, 2);

fn is_skinny(inputs: usize, units: usize) -> bool {
    units <= NARROW && inputs >= LONG
}

/// `y[B, K] = x[B, D] w[K, D]^T`.
pub fn forward<T: Real>((b, d, k): (usize, usize, usize), x: &[T], w: &[T], y: &mut [T]) {
    if !is_skinny(d, k) {
        return gemm::nt((b, k, d), T::ONE, x, w, T::ZERO, y);
    }
    assert_len("x", x, b * d);
    assert_len("w", w, k * d);
    assert_len("y", y, b * k);
    // One partial result for each block of inputs, added up in order: the cut depends on sizes alone.
    let blocks = d.div_ceil(BLOCK);
    let mut parts = Buffer::new(blocks * b * k);
    threads::for_each_chunk(&mut parts, (b * k).max(1), |block, part| {
        let inputs = block * BLOCK..d.min((block + 1) * BLOCK);
        T::vectorised(Dots {
            size: (b, d, k),
            inputs,
            x,
            w,
            part,
        });
    });
    y.fill(T::ZERO);
    for part in parts.chunks_exact((b * k).max(1)) {
        y.iter_mut().zip(part).for_each(|(y, &v)| *y += v);
    }
}

/// `part[B, K] = x[.., inputs] w[.., inputs]^T`.
struct Dots<'a, T> {
    size: (usize, usize, usize),
    inputs: std::ops::Range<usize>,
    x: &'a [T],
    w: &'a [T],
    part: &'a mut [T],
}

impl<T: Real> Job<T> for Dots<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let (b, d, k) = self.size;
        let (from, len) = (self.inputs.start, self.inputs.len());
        let row = |of: &'_ [T], i: usize| -> *const T { of[i * d + from..][..len].as_ptr() };
        for i in (0..b).step_by(TILE.0) {
            for j in (0..k).step_by(TILE.1) {
                // Rows beyond the last repeat it: their results are not written.
                let mut xs = [std::ptr::null(); TILE.0];
                for (r, x) in xs.iter_mut().enumerate() {
                    *x = row(self.x, (i + r).min(b - 1));
                }
                let mut ws = [std::ptr::null(); TILE.1];
                for (r, w) in ws.iter_mut().enumerate() {
                    *w = row(self.w, (j + r).min(k - 1));
                }
                // SAFETY: each pointer has `len` readable elements behind it.
                let sums = unsafe { dots::<S>(s, xs, ws, len) };
                for (r, sums) in sums.iter().enumerate().take(b - i) {
                    for (c, sum) in sums.iter().enumerate().take(k - j) {
                        self.part[(i + r) * k + j + c] = *sum;
                    }
                }
            }
        }
    }
}

/// Dot products of every `x` with every `w`.
///
/// # Safety
/// `len` elements are readable behind each pointer.
#[inline(always)]
unsafe fn dots<S: Simd>(
    s: S,
    xs: [*const S::E; TILE.0],
    ws: [*const S::E; TILE.1],
    len: usize,
) -> [[S::E; TILE.1]; TILE.0] {
    let mut sums = [[s.splat(S::E::ZERO); TILE.1]; TILE.0];
    let whole = len / S::LANES * S::LANES;
    let mut out = [[S::E::ZERO; TILE.1]; TILE.0];
    // SAFETY: every read is below `len`, by the caller's promise.
    unsafe {
        for at in (0..whole).step_by(S::LANES) {
            let mut w = [s.splat(S::E::ZERO); TILE.1];
            for (c, w) in w.iter_mut().enumerate() {
                *w = s.read(ws[c].add(at));
            }
            for r in 0..TILE.0 {
                let x = s.read(xs[r].add(at));
                for c in 0..TILE.1 {
                    sums[r][c] = s.fma(x, w[c], sums[r][c]);
                }
            }
        }
        for r in 0..TILE.0 {
            for c in 0..TILE.1 {
                let mut sum = s.sum(sums[r][c]);
                for at in whole..len {
                    sum += *xs[r].add(at) * *ws[c].add(at);
                }
                out[r][c] = sum;
            }
        }
    }
    out
}

/// `dx[B, D] = g[B, K] w[K, D]`, with any weight.
pub fn input_grad<T: Real>((b, d, k): (usize, usize, usize), g: &[T], w: &[T], dx: &mut [T]) {
    gemm::nn((b, d, k), T::ONE, g, w, T::ZERO, dx);
}

/// `dw[K, D] = g[B, K]^T x[B, D]`.
pub fn weight_grad<T: Real>((b, d, k): (usize, usize, usize), x: &[T], g: &[T], dw: &mut [T]) {
    if !is_skinny(d, k) {
        return gemm::tn((k, d, b), T::ONE, g, x, T::ZERO, dw);
    }
    assert_len("x", x, b * d);
    assert_len("g", g, b * k);
    assert_len("dw", dw, k * d);
    let dw = Shared::new(dw);
    threads::for_each(d.div_ceil(BLOCK), |block| {
        let inputs = block * BLOCK..d.min((block + 1) * BLOCK);
        T::vectorised(Outer {
            size: (b, d, k),
            inputs,
            x,
            g,
            dw: &dw,
        });
    });
}

/// `dw[.., inputs] = g^T x[.., inputs]`.
struct Outer<'a, 'b, T> {
    size: (usize, usize, usize),
    inputs: std::ops::Range<usize>,
    x: &'a [T],
    g: &'a [T],
    dw: &'a Shared<'b, T>,
}

/// Units whose sums are in registers together, for two vectors of inputs.
const UNITS: usize = 5;

impl<T: Real> Job<T> for Outer<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let (b, d, k) = self.size;
        assert!(self.x.len() == b * d && self.g.len() == b * k && self.inputs.end <= d);
        let step = 2 * S::LANES;
        let whole = self.inputs.start + self.inputs.len() / step * step;
        for j in (0..k).step_by(UNITS) {
            for at in (self.inputs.start..whole).step_by(step) {
                let mut sums = [[s.splat(T::ZERO); 2]; UNITS];
                for n in 0..b {
                    // SAFETY: two vectors inside row `n` of `x`, and entries of row `n` of `g`;
                    // units beyond the last repeat it.
                    unsafe {
                        let x = self.x.as_ptr().add(n * d + at);
                        let (left, right) = (s.read(x), s.read(x.add(S::LANES)));
                        for (u, sums) in sums.iter_mut().enumerate() {
                            let g = *self.g.as_ptr().add(n * k + (j + u).min(k - 1));
                            let g = s.splat(g);
                            sums[0] = s.fma(g, left, sums[0]);
                            sums[1] = s.fma(g, right, sums[1]);
                        }
                    }
                }
                for (u, sums) in sums.iter().enumerate().take(k - j) {
                    // SAFETY: these columns belong to this task alone.
                    let to = unsafe { self.dw.part((j + u) * d + at, step) };
                    s.store(to, sums[0]);
                    s.store(&mut to[S::LANES..], sums[1]);
                }
            }
        }
        for j in 0..k {
            for at in whole..self.inputs.end {
                let terms = (0..b).map(|n| self.g[n * k + j] * self.x[n * d + at]);
                // SAFETY: as above.
                let to = unsafe { self.dw.part(j * d + at, 1) };
                to[0] = terms.sum();
            }
        }
    }
}
