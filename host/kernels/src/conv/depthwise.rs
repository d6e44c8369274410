//! Depthwise convolution: every input channel is a group of its own.
//!
//! Lanes are pixels of a row of a [`Plane`], which fits in the level-1 cache.

use super::axis::Axis;
use super::plane::{Place, Plane, SLACK, Zip, planes_per_task};
use crate::geometry::Conv;
use crate::pad::unpad_plane;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::simd::{Job, Simd};
use crate::threads;

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
    let plane = Plane::new(g, h, w);
    let (taps, size) = (plane.taps(), plane.out.0 * plane.out.1);
    let units = g.group_out();
    let many = planes_per_task(h * w);
    debug_assert_eq!(y.len(), b * g.out * size);
    threads::for_each_chunk(y, many * units * size, |task, y| {
        let mut cut = plane.memory(T::ZERO);
        for (i, y) in y.chunks_exact_mut(units * size).enumerate() {
            let n = task * many + i;
            plane.load(&x[n * h * w..][..h * w], &mut cut);
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

/// The wanted pixels of one stride phase: a convolution of stride 1 of the padded `dy`.
struct Phase<T> {
    /// Where in the padded `dy` pixel 0 reads each tap.
    taps: Vec<usize>,
    /// `[K][taps]`.
    weight: Vec<T>,
    /// Rows and columns of the phase.
    size: (usize, usize),
    /// Row and column of its first pixel among all that are wanted.
    first: (usize, usize),
}

impl<T: Real> Phase<T> {
    /// `None` where no wanted pixel belongs to the phase.
    fn new(axes: &[Axis; 2], at: [usize; 2], weight: &[T]) -> Option<Self> {
        let [rows, cols] = [0, 1].map(|axis| axes[axis].taps(at[axis]));
        let [down, right] = [0, 1].map(|axis| axes[axis].zones(at[axis], false).pop());
        let (down, right) = (down?.pixels, right?.pixels);
        let all = || rows.iter().flat_map(|r| cols.iter().map(move |c| (r, c)));
        let (kernel, wide) = (axes[1].kernel, axes[1].size);
        let wanted: Vec<usize> = all().map(|(r, c)| r.0 * kernel + c.0).collect();
        let units = weight.chunks_exact(axes[0].kernel * kernel);
        Some(Self {
            taps: all()
                .map(|(r, c)| (down[0].0 + r.1) * wide + right[0].0 + c.1)
                .collect(),
            weight: units
                .flat_map(|unit| wanted.iter().map(|&tap| unit[tap]))
                .collect(),
            size: (down.len(), right.len()),
            first: (down[0].1, right[0].1),
        })
    }
}

/// `dx[B, C, H, W]`: each stride phase of the input sees the same taps of the padded `dy`.
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
    let (axes, folds) = (Axis::both(g, h, w), g.copies_border());
    let phases = (0..g.stride[0]).flat_map(|i| (0..g.stride[1]).map(move |j| [i, j]));
    let mut phases: Vec<_> = phases
        .filter_map(|at| Phase::new(&axes, at, weight))
        .collect();
    phases.sort_by_key(|phase| phase.first);
    let (rows, wide) = (axes[0].size, axes[1].size);
    let (wanted, strided) = (axes[0].count * axes[1].count, g.stride != [1, 1]);
    let (units, many) = (g.group_out(), planes_per_task(h * w));
    debug_assert_eq!(dx.len(), b * g.channels * h * w);
    threads::for_each_chunk(dx, many * h * w, |task, dx| {
        let mut grid = Buffer::new(rows * wide + SLACK);
        grid.fill(T::ZERO);
        let (mut whole, mut cut) = (Buffer::new(wanted), Buffer::new(wanted));
        for (i, dx) in dx.chunks_exact_mut(h * w).enumerate() {
            let n = task * many + i;
            let all = if folds { &mut whole[..] } else { &mut *dx };
            for k in 0..units {
                let channel = n % g.channels * units + k;
                T::vectorised(Place {
                    x: &dy[(n / g.channels * g.out + channel) * p * q..][..p * q],
                    size: (p, q),
                    at: (axes[0].before, axes[1].before),
                    phases: 1,
                    plane: (rows, wide),
                    to: &mut grid,
                });
                let mut rest = if strided { &mut cut[..] } else { &mut *all };
                for phase in &phases {
                    let (y, behind) = rest.split_at_mut(phase.size.0 * phase.size.1);
                    rest = behind;
                    T::vectorised(Rows {
                        x: &grid,
                        step: wide,
                        cols: phase.size.1,
                        taps: &phase.taps,
                        weight: &phase.weight[channel * phase.taps.len()..][..phase.taps.len()],
                        y,
                        add: k > 0,
                    });
                }
            }
            if strided {
                join(g.stride, axes[1].count, &phases, &cut, all);
            }
            if folds {
                unpad_plane(g.pad_mode, g.padding, (h, w), &whole, dx);
            }
        }
    });
}

/// Puts the pixels of the phases, one after the other in `cut` and sorted by their first pixel, where
/// they belong in rows of `wide`.
fn join<T: Real>(
    stride: [usize; 2],
    wide: usize,
    phases: &[Phase<T>],
    mut cut: &[T],
    to: &mut [T],
) {
    let mut take = |phase: &Phase<T>| {
        let (pixels, behind) = cut.split_at(phase.size.0 * phase.size.1);
        cut = behind;
        pixels.chunks_exact(phase.size.1)
    };
    let mut rest = phases;
    while let [phase, others @ ..] = rest {
        let row_at = |row: usize| (phase.first.0 + row * stride[0]) * wide;
        let rows = take(phase);
        match others {
            // Two phases that share rows fill them together.
            [next, others @ ..] if stride[1] == 2 && next.first.0 == phase.first.0 => {
                for (row, (even, odd)) in rows.zip(take(next)).enumerate() {
                    let to = &mut to[row_at(row)..][..wide];
                    T::vectorised(Zip { even, odd, to });
                }
                rest = others;
            }
            _ => {
                for (row, pixels) in rows.enumerate() {
                    let row = &mut to[row_at(row) + phase.first.1..];
                    let places = row.iter_mut().step_by(stride[1]);
                    places.zip(pixels).for_each(|(to, &v)| *to = v);
                }
                rest = others;
            }
        }
    }
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
    let plane = Plane::new(g, h, w);
    let (taps, size, units) = (plane.taps(), plane.out.0 * plane.out.1, g.group_out());
    threads::for_each_chunk(dw, units * taps.len(), |channel, dw| {
        let mut cut = plane.memory(T::ZERO);
        let mut sums = Buffer::new(dw.len() * SLACK);
        sums.fill(T::ZERO);
        for n in 0..b {
            plane.load(&x[(n * g.channels + channel) * h * w..][..h * w], &mut cut);
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
