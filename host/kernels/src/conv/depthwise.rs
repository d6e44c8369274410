//! Depthwise convolution: every input channel is a group of its own.
//!
//! Lanes are pixels of a row. The padded plane is cut into its column phases (columns 0, s, 2s, … then
//! 1, s+1, …), so that every tap of every stride reads consecutive pixels. One plane fits in the
//! level-1 cache.

use crate::geometry::{Conv, PadMode};
use crate::pad::pad_plane;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::simd::{Job, Simd};
use crate::threads;

/// Elements that are read beyond the last row by whole vectors.
pub(crate) const SLACK: usize = 16;

/// A padded plane by column phases.
pub(crate) struct Plane {
    rows: usize,
    /// Columns of a phase.
    wide: usize,
    stride: [usize; 2],
    dilation: [usize; 2],
    kernel: [usize; 2],
    /// Output rows and columns.
    out: (usize, usize),
}

impl Plane {
    pub(crate) fn new(g: &Conv, (hp, wp): (usize, usize), out: (usize, usize)) -> Self {
        let wide = wp.div_ceil(g.stride[1]);
        Self {
            rows: hp,
            wide,
            stride: g.stride,
            dilation: g.dilation,
            kernel: g.kernel,
            out,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.stride[1] * self.rows * self.wide + SLACK
    }

    /// Element of the window of output row 0, column 0 that tap `(r, s)` reads.
    fn tap(&self, r: usize, s: usize) -> usize {
        let col = s * self.dilation[1];
        let (phase, col) = (col % self.stride[1], col / self.stride[1]);
        (phase * self.rows + r * self.dilation[0]) * self.wide + col
    }

    pub(crate) fn taps(&self) -> Vec<usize> {
        let taps = (0..self.kernel[0]).flat_map(|r| (0..self.kernel[1]).map(move |s| (r, s)));
        taps.map(|(r, s)| self.tap(r, s)).collect()
    }

    /// Elements from one output row to the next.
    pub(crate) fn row_step(&self) -> usize {
        self.stride[0] * self.wide
    }

    /// Cuts a padded plane `[rows, wp]` into phases.
    pub(crate) fn split<T: Real>(&self, wp: usize, padded: &[T], to: &mut [T]) {
        let s = self.stride[1];
        let (body, slack) = to.split_at_mut(s * self.rows * self.wide);
        slack.fill(T::ZERO);
        if s == 1 {
            return body.copy_from_slice(padded);
        }
        if s == 2 {
            let (even, odd) = body.split_at_mut(self.rows * self.wide);
            return T::vectorised(Halves {
                from: padded,
                width: wp,
                wide: self.wide,
                even,
                odd,
            });
        }
        for (phase, rows) in body.chunks_exact_mut(self.rows * self.wide).enumerate() {
            for (to, from) in rows
                .chunks_exact_mut(self.wide)
                .zip(padded.chunks_exact(wp))
            {
                to.fill(T::ZERO);
                for (to, &v) in to.iter_mut().zip(from[phase.min(wp)..].iter().step_by(s)) {
                    *to = v;
                }
            }
        }
    }

    /// Pads one plane of `x` and cuts it.
    fn load<T: Real>(
        &self,
        g: &Conv,
        (h, w): (usize, usize),
        x: &[T],
        padded: &mut [T],
        to: &mut [T],
    ) {
        let (_, wp) = g.padded_size(h, w);
        if self.stride[1] == 1 {
            let len = padded.len();
            pad_plane(g.pad_mode, g.padding, (h, w), x, &mut to[..len]);
            return to[len..].fill(T::ZERO);
        }
        pad_plane(g.pad_mode, g.padding, (h, w), x, padded);
        self.split(wp, padded, to);
    }
}

/// Cuts rows of `width` elements into their even and odd columns.
struct Halves<'a, T> {
    from: &'a [T],
    width: usize,
    /// Columns of `even` and `odd`.
    wide: usize,
    even: &'a mut [T],
    odd: &'a mut [T],
}

impl<T: Real> Job<T> for Halves<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, _: S) {
        let halves = self
            .even
            .chunks_exact_mut(self.wide)
            .zip(self.odd.chunks_exact_mut(self.wide));
        for (from, (even, odd)) in self.from.chunks_exact(self.width).zip(halves) {
            let (pairs, rest) = from.as_chunks::<2>();
            for ((even, odd), pair) in even.iter_mut().zip(odd.iter_mut()).zip(pairs) {
                (*even, *odd) = (pair[0], pair[1]);
            }
            if let [last] = rest {
                (even[pairs.len()], odd[pairs.len()]) = (*last, T::ZERO);
            }
        }
    }
}

/// Planes that one thread takes at a time.
pub(crate) fn planes_per_task(plane: usize) -> usize {
    (32_768 / plane.max(1)).max(1)
}

/// `y[B, K, P, Q]`, K a multiple of C.
pub(crate) fn forward<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    x: &[T],
    weight: &[T],
    y: &mut [T],
) {
    let (hp, wp) = g.padded_size(h, w);
    let plane = Plane::new(g, (hp, wp), g.expect_out(h, w));
    let (taps, size) = (plane.taps(), plane.out.0 * plane.out.1);
    let units = g.group_out();
    let many = planes_per_task(hp * wp);
    debug_assert_eq!(y.len(), b * g.out * size);
    threads::for_each_chunk(y, many * units * size, |task, y| {
        let (mut padded, mut cut) = (Buffer::new(hp * wp), Buffer::new(plane.len()));
        for (i, y) in y.chunks_exact_mut(units * size).enumerate() {
            let n = task * many + i;
            plane.load(g, (h, w), &x[n * h * w..][..h * w], &mut padded, &mut cut);
            for (k, y) in y.chunks_exact_mut(size).enumerate() {
                let channel = n % g.channels * units + k;
                let weight = &weight[channel * taps.len()..][..taps.len()];
                T::vectorised(Rows {
                    x: &cut,
                    step: plane.row_step(),
                    cols: plane.out.1,
                    taps: &taps,
                    weight,
                    y,
                    add: false,
                });
            }
        }
    });
}

/// `y[row][col] = (or +=) sum over taps of weight[tap] x[row * step + col + taps[tap]]`.
struct Rows<'a, T> {
    x: &'a [T],
    step: usize,
    cols: usize,
    taps: &'a [usize],
    weight: &'a [T],
    y: &'a mut [T],
    add: bool,
}

impl<T: Real> Job<T> for Rows<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let rows = self.y.len() / self.cols;
        let reach = self.taps.iter().max().copied().unwrap_or(0) + (rows - 1) * self.step;
        assert!(
            reach + self.cols + S::LANES <= self.x.len() + 1,
            "tap outside the plane"
        );
        assert!(self.weight.len() == self.taps.len());
        for (i, y) in self.y.chunks_exact_mut(self.cols).enumerate() {
            let mut col = 0;
            while col < self.cols {
                let wide = (self.cols - col).div_ceil(S::LANES);
                // SAFETY: the last vector starts inside the row, so it ends at most LANES - 1 behind
                // it, and the plane reaches that far (checked above).
                unsafe {
                    let x = self.x.as_ptr().add(i * self.step + col);
                    col += S::LANES
                        * if wide >= 4 {
                            strip::<S, 4>(s, x, self.taps, self.weight, &mut y[col..], self.add)
                        } else if wide >= 2 {
                            strip::<S, 2>(s, x, self.taps, self.weight, &mut y[col..], self.add)
                        } else {
                            strip::<S, 1>(s, x, self.taps, self.weight, &mut y[col..], self.add)
                        };
                }
            }
        }
    }
}

/// `N` vectors of a row.
#[inline(always)]
unsafe fn strip<S: Simd, const N: usize>(
    s: S,
    x: *const S::E,
    taps: &[usize],
    weight: &[S::E],
    y: &mut [S::E],
    add: bool,
) -> usize {
    let mut sum = [s.splat(S::E::ZERO); N];
    for (&tap, &w) in taps.iter().zip(weight) {
        let w = s.splat(w);
        for (j, sum) in sum.iter_mut().enumerate() {
            // SAFETY: N vectors behind every tap are readable, by the caller's promise.
            *sum = s.fma(w, unsafe { s.read(x.add(tap + j * S::LANES)) }, *sum);
        }
    }
    for (to, sum) in y.chunks_mut(S::LANES).zip(sum) {
        if to.len() == S::LANES {
            let sum = if add { s.add(sum, s.load(to)) } else { sum };
            s.store(to, sum);
        } else {
            let sum = if add {
                s.add(sum, s.load_part(to, S::E::ZERO))
            } else {
                sum
            };
            s.store_part(to, sum);
        }
    }
    N
}

/// `dx[B, C, H, W]`: `dy` spread over the stride grid, convolved with the flipped kernel.
pub(crate) fn input_grad<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    dy: &[T],
    weight: &[T],
    dx: &mut [T],
) {
    let (p, q) = g.expect_out(h, w);
    let (hp, wp) = g.padded_size(h, w);
    let before = [0, 1].map(|axis| (g.kernel[axis] - 1) * g.dilation[axis]);
    let wide = wp + before[1];
    let back = Conv {
        stride: [1; 2],
        ..*g
    };
    let spread = Plane::new(&back, (hp + before[0], wide), (hp, wp));
    let (taps, units) = (spread.taps(), g.group_out());
    let flipped: Vec<T> = weight
        .chunks_exact(taps.len())
        .flat_map(|k| k.iter().rev().copied())
        .collect();
    let many = planes_per_task(hp * wp);
    debug_assert_eq!(dx.len(), b * g.channels * h * w);
    let folds = g.pad_mode != PadMode::Zeros && g.padding != [0; 4];
    threads::for_each_chunk(dx, many * h * w, |task, dx| {
        let (mut grid, mut whole) = (Buffer::new(spread.len()), Buffer::new(hp * wp));
        grid.fill(T::ZERO);
        for (i, dx) in dx.chunks_exact_mut(h * w).enumerate() {
            let n = task * many + i;
            for k in 0..units {
                let channel = n % g.channels * units + k;
                let from = &dy[(n / g.channels * g.out + channel) * p * q..][..p * q];
                for (row, from) in from.chunks_exact(q).enumerate() {
                    let to = &mut grid[(before[0] + row * g.stride[0]) * wide + before[1]..];
                    if g.stride[1] == 1 {
                        to[..q].copy_from_slice(from);
                        continue;
                    }
                    to.iter_mut()
                        .step_by(g.stride[1])
                        .zip(from)
                        .for_each(|(to, &v)| *to = v);
                }
                // Where the border's gradient goes nowhere it is not computed.
                let (x, cols, y) = if folds {
                    (&grid[..], wp, &mut whole[..])
                } else {
                    (&grid[g.padding[0] * wide + g.padding[2]..], w, &mut *dx)
                };
                T::vectorised(Rows {
                    x,
                    step: wide,
                    cols,
                    taps: &taps,
                    weight: &flipped[channel * taps.len()..][..taps.len()],
                    y,
                    add: k > 0,
                });
            }
            if folds {
                crate::pad::unpad_plane(g.pad_mode, g.padding, (h, w), &whole, dx);
            }
        }
    });
}

/// `dw[K, 1, R, S]`; images in order, so that the sums do not depend on threads.
pub(super) fn weight_grad<T: Real>(
    g: &Conv,
    b: usize,
    h: usize,
    w: usize,
    x: &[T],
    dy: &[T],
    dw: &mut [T],
) {
    let (hp, wp) = g.padded_size(h, w);
    let plane = Plane::new(g, (hp, wp), g.expect_out(h, w));
    let (taps, size, units) = (plane.taps(), plane.out.0 * plane.out.1, g.group_out());
    threads::for_each_chunk(dw, units * taps.len(), |channel, dw| {
        let (mut padded, mut cut) = (Buffer::new(hp * wp), Buffer::new(plane.len()));
        let mut sums = Buffer::new(dw.len() * SLACK);
        sums.fill(T::ZERO);
        for n in 0..b {
            let from = &x[(n * g.channels + channel) * h * w..][..h * w];
            plane.load(g, (h, w), from, &mut padded, &mut cut);
            for (k, sums) in sums.chunks_exact_mut(taps.len() * SLACK).enumerate() {
                let dy = &dy[(n * g.out + channel * units + k) * size..][..size];
                T::vectorised(Dots {
                    x: &cut,
                    step: plane.row_step(),
                    cols: plane.out.1,
                    taps: &taps,
                    dy,
                    sums,
                });
            }
        }
        for (dw, sums) in dw.iter_mut().zip(sums.chunks_exact(SLACK)) {
            *dw = sums.iter().copied().sum();
        }
    });
}

/// `sums[tap][lane] += sum over pixels of dy[row][col] x[row * step + col + taps[tap]]`.
struct Dots<'a, T> {
    x: &'a [T],
    step: usize,
    cols: usize,
    taps: &'a [usize],
    dy: &'a [T],
    sums: &'a mut [T],
}

/// Taps whose sums are kept in registers together, at most.
const TOGETHER: usize = 13;

impl<T: Real> Job<T> for Dots<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let rows = self.dy.len() / self.cols;
        let reach = self.taps.iter().max().copied().unwrap_or(0) + (rows - 1) * self.step;
        assert!(
            reach + self.cols + S::LANES <= self.x.len() + 1,
            "tap outside the plane"
        );
        let many = threads::even_split(self.taps.len(), TOGETHER, 1);
        macro_rules! by_taps {
            ($taps:ident, $sums:ident: $($n:literal)*) => {
                match $taps.len() {
                    // SAFETY: every tap of every row is inside the plane, whole vectors included
                    // (checked above).
                    $($n => unsafe {
                        dots::<S, $n>(s, self.x, self.step, self.cols, $taps, self.dy, $sums)
                    },)*
                    _ => unreachable!("more taps than registers"),
                }
            };
        }
        let sums = self.sums.chunks_mut(many * SLACK);
        for (taps, sums) in self.taps.chunks(many).zip(sums) {
            by_taps!(taps, sums: 1 2 3 4 5 6 7 8 9 10 11 12 13);
        }
    }
}

#[inline(always)]
unsafe fn dots<S: Simd, const N: usize>(
    s: S,
    x: &[S::E],
    step: usize,
    cols: usize,
    taps: &[usize],
    dy: &[S::E],
    sums: &mut [S::E],
) {
    let mut sum = [s.splat(S::E::ZERO); N];
    let mut at = [0; N];
    for (n, sums) in sums.chunks_exact(SLACK).enumerate() {
        (sum[n], at[n]) = (s.load(sums), taps[n]);
    }
    let whole = cols / S::LANES * S::LANES;
    for (row, dy) in dy.chunks_exact(cols).enumerate() {
        // SAFETY: the caller has checked the reach of rows and taps.
        unsafe {
            let x = x.as_ptr().add(row * step);
            for col in (0..whole).step_by(S::LANES) {
                let g = s.read(dy.as_ptr().add(col));
                for n in 0..N {
                    sum[n] = s.fma(g, s.read(x.add(at[n] + col)), sum[n]);
                }
            }
            if whole < cols {
                let g = s.load_part(&dy[whole..], S::E::ZERO);
                for n in 0..N {
                    sum[n] = s.fma(g, s.read(x.add(at[n] + whole)), sum[n]);
                }
            }
        }
    }
    for (sums, sum) in sums.chunks_exact_mut(SLACK).zip(sum) {
        s.store(sums, sum);
    }
}
