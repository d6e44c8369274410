//! The input gradient of a layer with few input channels, such as the first.
//!
//! The general kernel has channels as lanes; three of them would leave most of a vector empty. Here
//! lanes are pixels of a row, as in a depthwise convolution, and the sums of all channels of a strip of
//! pixels stay in registers while the kernel runs over output channels and taps. Stride 1 only.

use crate::geometry::Conv;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::simd::{Job, Simd};

/// Channels of a group, at most.
const MOST: usize = 4;

/// Whether [`input_grad`] serves this layer.
pub(super) fn serves(g: &Conv) -> bool {
    g.stride == [1; 2] && g.group_channels() <= MOST
}

/// Vectors of a strip for a number of channels: their sums fill a register file of 16.
const fn vectors(channels: usize) -> usize {
    match channels {
        1 => 8,
        2 => 6,
        3 => 4,
        _ => 2,
    }
}

/// What is wanted of the gradient: first row and column of the padded input, rows and columns.
pub(super) type Wanted = [(usize, usize); 2];

/// The weights of every group as `[K][R * S][C]`, taps in the order of [`Layer::taps`].
pub(super) fn reorder<T: Real>(g: &Conv, weight: &[T]) -> Vec<T> {
    let (channels, taps) = (g.group_channels(), g.kernel[0] * g.kernel[1]);
    let mut out = Vec::with_capacity(weight.len());
    for unit in weight.chunks_exact(channels * taps) {
        for tap in 0..taps {
            out.extend((0..channels).map(|c| unit[c * taps + tap]));
        }
    }
    out
}

/// Gradient of one image: `dy: [K, P, Q]`, `weight` from [`reorder`], `dx: [C, rows, columns]`.
pub(super) fn input_grad<T: Real>(
    g: &Conv,
    (p, q): (usize, usize),
    wanted: Wanted,
    dy: &[T],
    weight: &[T],
    dx: &mut [T],
) {
    let layer = Layer::new(g, (p, q), wanted);
    let (units, channels) = (g.group_out(), g.group_channels());
    let mut planes = Buffer::new(units * layer.rows * layer.wide);
    let taps = layer.taps(g);
    let per_group = channels * wanted[0].1 * wanted[1].1;
    let groups = dy
        .chunks_exact(units * p * q)
        .zip(weight.chunks_exact(units * channels * taps.len()))
        .zip(dx.chunks_exact_mut(per_group));
    for ((dy, weight), dx) in groups {
        layer.load((p, q), dy, &mut planes);
        T::vectorised(Strips {
            layer: &layer,
            planes: &planes,
            taps: &taps,
            weight,
            channels,
            size: (wanted[0].1, wanted[1].1),
            dx,
        });
    }
}

/// The output error of a group with a border of zeros.
struct Layer {
    /// Zeros above and to the left of `dy`.
    before: [usize; 2],
    rows: usize,
    wide: usize,
    /// Element that row 0, column 0 of the wanted gradient reads for the last tap.
    first: usize,
}

impl Layer {
    fn new(g: &Conv, (p, q): (usize, usize), wanted: Wanted) -> Self {
        let before = [0, 1].map(|axis| (g.kernel[axis] - 1) * g.dilation[axis]);
        // The last vector of a row, of the widest machine, may end behind it.
        let reach = wanted[1].0 + wanted[1].1.next_multiple_of(16) + before[1];
        let wide = reach.max(before[1] + q);
        let rows = (wanted[0].0 + wanted[0].1 + before[0]).max(before[0] + p);
        Self {
            before,
            rows,
            wide,
            first: wanted[0].0 * wide + wanted[1].0,
        }
    }

    /// Where each tap reads, from the pixel's own place: the kernel upside down.
    fn taps(&self, g: &Conv) -> Vec<usize> {
        let [r, s] = g.kernel;
        (0..r * s)
            .map(|tap| {
                let (down, right) = (r - 1 - tap / s, s - 1 - tap % s);
                self.first + down * g.dilation[0] * self.wide + right * g.dilation[1]
            })
            .collect()
    }

    fn load<T: Real>(&self, (p, q): (usize, usize), dy: &[T], planes: &mut [T]) {
        planes.fill(T::ZERO);
        let planes = planes.chunks_exact_mut(self.rows * self.wide);
        for (plane, dy) in planes.zip(dy.chunks_exact(p * q)) {
            let rows = plane.chunks_exact_mut(self.wide).skip(self.before[0]);
            for (row, dy) in rows.zip(dy.chunks_exact(q)) {
                row[self.before[1]..][..q].copy_from_slice(dy);
            }
        }
    }
}

struct Strips<'a, T> {
    layer: &'a Layer,
    planes: &'a [T],
    taps: &'a [usize],
    weight: &'a [T],
    channels: usize,
    size: (usize, usize),
    dx: &'a mut [T],
}

impl<T: Real> Job<T> for Strips<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        match self.channels {
            1 => self.all::<S, 1, { vectors(1) }>(s),
            2 => self.all::<S, 2, { vectors(2) }>(s),
            3 => self.all::<S, 3, { vectors(3) }>(s),
            4 => self.all::<S, 4, { vectors(4) }>(s),
            _ => unreachable!("too many channels for this kernel"),
        }
    }
}

impl<T: Real> Strips<'_, T> {
    #[inline(always)]
    fn all<S: Simd<E = T>, const C: usize, const N: usize>(self, s: S) {
        let (h, w) = self.size;
        let plane = self.layer.rows * self.layer.wide;
        let units = self.weight.len() / (C * self.taps.len());
        let reach = self.taps.iter().max().copied().unwrap_or(0)
            + (h - 1) * self.layer.wide
            + w.next_multiple_of(S::LANES);
        assert!(reach <= plane && units * plane <= self.planes.len());
        for i in 0..h {
            let mut j = 0;
            while j < w {
                let from = Strip {
                    planes: self.planes,
                    plane,
                    first: i * self.layer.wide + j,
                    taps: self.taps,
                    weight: self.weight,
                    units,
                };
                let to = (&mut *self.dx, (i, j), (h, w));
                // SAFETY: every tap of every strip ends inside the planes (checked above), and
                // weights are C for each unit and tap.
                j += unsafe {
                    match (w - j).div_ceil(S::LANES) {
                        left if left >= N => from.run::<S, C, N>(s, to),
                        left if left >= 2 => from.run::<S, C, 2>(s, to),
                        _ => from.run::<S, C, 1>(s, to),
                    }
                };
            }
        }
    }
}

/// Some vectors of a row, of all channels.
struct Strip<'a, T> {
    planes: &'a [T],
    /// Elements of a plane, and the strip's first element in it.
    plane: usize,
    first: usize,
    taps: &'a [usize],
    weight: &'a [T],
    units: usize,
}

impl<T: Real> Strip<'_, T> {
    /// Sums over units and taps, written to `dx: [C, H, W]` at row `i` from column `j`; returns the
    /// number of pixels.
    ///
    /// # Safety
    /// `N` vectors from every tap of every plane are readable, and `weight` has `C` elements for each
    /// unit and tap.
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "the inner loop is over the outer axis"
    )]
    unsafe fn run<S: Simd<E = T>, const C: usize, const N: usize>(
        &self,
        s: S,
        (dx, (i, j), (h, w)): (&mut [T], (usize, usize), (usize, usize)),
    ) -> usize {
        let mut sums = [[s.splat(T::ZERO); N]; C];
        // SAFETY: the caller's promise.
        unsafe {
            let mut weight = self.weight.as_ptr();
            for k in 0..self.units {
                let from = self.planes.as_ptr().add(k * self.plane + self.first);
                for &tap in self.taps {
                    let from = from.add(tap);
                    let mut factors = [s.splat(T::ZERO); C];
                    for (c, factor) in factors.iter_mut().enumerate() {
                        *factor = s.splat(*weight.add(c));
                    }
                    // One vector at a time: with the sums and factors the registers are full.
                    for n in 0..N {
                        let v = s.read(from.add(n * S::LANES));
                        for c in 0..C {
                            sums[c][n] = s.fma(factors[c], v, sums[c][n]);
                        }
                    }
                    weight = weight.add(C);
                }
            }
        }
        for (c, sums) in sums.iter().enumerate() {
            let left = (w - j).min(N * S::LANES);
            let to = &mut dx[(c * h + i) * w + j..][..left];
            for (to, &sum) in to.chunks_mut(S::LANES).zip(sums) {
                if to.len() == S::LANES {
                    s.store(to, sum);
                } else {
                    s.store_part(to, sum);
                }
            }
        }
        N * S::LANES
    }
}
