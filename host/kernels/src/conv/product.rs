//! The one inner loop of all convolution maps: `acc[row] += sum over steps of x[row + step] w[step]`.
//!
//! Rows and steps are offsets into a padded input. Rows that are positions and steps that are kernel
//! taps make a convolution; rows that are taps and steps that are positions make its weight gradient.
//! So stride, dilation and padding cost nothing here, and no im2col matrix exists.

use crate::check::assert_len;
use crate::real::Real;
use crate::simd::{Job, Simd};
use crate::threads::Shared;

/// `acc[row][lane] = sum over steps of x[rows[row] + steps[step]] * packed[step][lane]`, or added to
/// what `acc` holds.
pub(crate) struct Product<'a, T> {
    pub x: &'a [T],
    pub rows: &'a [u32],
    pub steps: &'a [u32],
    /// `[steps][PANEL]`.
    pub packed: &'a [T],
    /// `[rows][PANEL]`.
    pub acc: &'a mut [T],
    pub add: bool,
}

/// Bytes of packed weights that are used by all rows before the next: half of a small level-1 cache.
pub(crate) const BLOCK_BYTES: usize = 16 << 10;

impl<T: Real> Job<T> for Product<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        assert_len("packed", self.packed, self.steps.len() * S::PANEL);
        assert_len("acc", self.acc, self.rows.len() * S::PANEL);
        if self.rows.is_empty() {
            return;
        }
        let reach = largest(self.rows) + largest(self.steps);
        assert!(
            self.steps.is_empty() || reach < self.x.len(),
            "offset outside the input"
        );
        let block = (BLOCK_BYTES / (S::PANEL * size_of::<T>())).max(1);
        let mut add = self.add;
        if self.steps.is_empty() && !add {
            self.acc.fill(T::ZERO);
        }
        for (steps, packed) in self
            .steps
            .chunks(block)
            .zip(self.packed.chunks(block * S::PANEL))
        {
            let tiles = self
                .rows
                .chunks(S::ROWS)
                .zip(self.acc.chunks_mut(S::ROWS * S::PANEL));
            for (rows, acc) in tiles {
                // SAFETY: every row + step is inside `x` (checked above); `packed` has PANEL elements
                // for each step and `acc` for each row (checked above, cut alike).
                unsafe {
                    tile(
                        s,
                        self.x.as_ptr(),
                        rows,
                        steps,
                        packed.as_ptr(),
                        acc.as_mut_ptr(),
                        add,
                    )
                };
            }
            add = true;
        }
    }
}

#[inline(always)]
pub(crate) fn largest(offsets: &[u32]) -> usize {
    offsets.iter().fold(0, |most, &o| most.max(o)) as usize
}

/// One register tile, compiled for each number of rows.
#[inline(always)]
unsafe fn tile<S: Simd>(
    s: S,
    x: *const S::E,
    rows: &[u32],
    steps: &[u32],
    w: *const S::E,
    acc: *mut S::E,
    add: bool,
) {
    macro_rules! by_rows {
        ($cols:literal: $($rows:literal)*) => {
            match rows.len() {
                // SAFETY: the caller's promise; the arm has the number of rows.
                $($rows if $rows <= S::ROWS => unsafe { fixed::<S, $rows, $cols>(s, x, rows, steps, w, acc, add) },)*
                _ => unreachable!("more rows than the tile has"),
            }
        };
    }
    match S::COLS {
        2 => by_rows!(2: 1 2 3 4 5 6),
        3 => by_rows!(3: 1 2 3 4 5 6 7 8),
        _ => unreachable!("no tile of this width"),
    }
}

#[inline(always)]
unsafe fn fixed<S: Simd, const R: usize, const N: usize>(
    s: S,
    x: *const S::E,
    rows: &[u32],
    steps: &[u32],
    w: *const S::E,
    acc: *mut S::E,
    add: bool,
) {
    let zero = s.splat(S::E::ZERO);
    let mut sum = [[zero; N]; R];
    let mut base = [x; R];
    // SAFETY: R rows of offsets inside `x`, PANEL = N * LANES elements for each row and step.
    unsafe {
        for r in 0..R {
            base[r] = x.add(*rows.get_unchecked(r) as usize);
            if add {
                for (j, sum) in sum[r].iter_mut().enumerate() {
                    *sum = s.read(acc.add(r * S::PANEL + j * S::LANES));
                }
            }
        }
        let mut w = w;
        for &step in steps {
            let mut weight = [zero; N];
            for (j, weight) in weight.iter_mut().enumerate() {
                *weight = s.read(w.add(j * S::LANES));
            }
            for r in 0..R {
                let value = s.splat(*base[r].add(step as usize));
                for j in 0..N {
                    sum[r][j] = s.fma(value, weight[j], sum[r][j]);
                }
            }
            w = w.add(S::PANEL);
        }
        for r in 0..R {
            for (j, sum) in sum[r].iter().enumerate() {
                s.write(acc.add(r * S::PANEL + j * S::LANES), *sum);
            }
        }
    }
}

/// Width of a panel of packed weights on this machine.
pub(crate) fn panel_width<T: Real>() -> usize {
    struct Width;
    impl<T: Real> Job<T> for Width {
        type Out = usize;
        #[inline(always)]
        fn run<S: Simd<E = T>>(self, _: S) -> usize {
            S::PANEL
        }
    }
    T::vectorised(Width)
}

/// Packs rows into lanes: `to[col][lane] = from[lane * stride + col]`, zero in lanes beyond `rows`.
pub(crate) struct Pack<'a, T> {
    pub from: &'a [T],
    pub stride: usize,
    pub rows: usize,
    /// `[cols][PANEL]`.
    pub to: &'a mut [T],
}

impl<T: Real> Job<T> for Pack<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let cols = self.to.len() / S::PANEL;
        if cols == 0 || self.rows == 0 {
            return;
        }
        assert!(self.rows <= S::PANEL && (self.rows - 1) * self.stride + cols <= self.from.len());
        if self.rows < S::PANEL {
            for lanes in self.to.chunks_exact_mut(S::PANEL) {
                lanes[self.rows..].fill(T::ZERO);
            }
        }
        // SAFETY: both rectangles are inside their slices, as checked.
        unsafe {
            s.transpose(
                (self.rows, cols),
                self.from.as_ptr(),
                self.stride,
                self.to.as_mut_ptr(),
                S::PANEL,
            )
        };
    }
}

/// Transposes: `to[col * to_stride + row] = from[row * from_stride + col]`.
pub(crate) struct Turn<'a, T> {
    pub size: (usize, usize),
    pub from: &'a [T],
    pub from_stride: usize,
    pub to: &'a mut [T],
    pub to_stride: usize,
}

impl<T: Real> Job<T> for Turn<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let (rows, cols) = self.size;
        if rows == 0 || cols == 0 {
            return;
        }
        assert!((rows - 1) * self.from_stride + cols <= self.from.len());
        assert!((cols - 1) * self.to_stride + rows <= self.to.len());
        let (from, to) = (self.from.as_ptr(), self.to.as_mut_ptr());
        // SAFETY: both rectangles are inside their slices, as checked.
        unsafe { s.transpose(self.size, from, self.from_stride, to, self.to_stride) };
    }
}

/// Writes lanes as rows: `to[from + lane * stride + row] = acc[row][lane]` (or adds) for `lanes` lanes.
pub(crate) struct Unpack<'a, 'b, T> {
    /// `[rows][PANEL]`.
    pub acc: &'a [T],
    pub lanes: usize,
    pub to: &'a Shared<'b, T>,
    pub from: usize,
    pub stride: usize,
    pub add: bool,
}

impl<T: Real> Job<T> for Unpack<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, s: S) {
        let rows = self.acc.len() / S::PANEL;
        assert!(self.lanes <= S::PANEL);
        let to = self
            .to
            .rectangle(self.from, (self.lanes, rows), self.stride);
        if !self.add {
            // SAFETY: `to` is a rectangle of `lanes` x `rows` elements that only this task writes.
            unsafe {
                s.transpose(
                    (rows, self.lanes),
                    self.acc.as_ptr(),
                    S::PANEL,
                    to,
                    self.stride,
                )
            };
            return;
        }
        for lane in 0..self.lanes {
            for row in 0..rows {
                // SAFETY: as above.
                unsafe { *to.add(lane * self.stride + row) += self.acc[row * S::PANEL + lane] };
            }
        }
    }
}
