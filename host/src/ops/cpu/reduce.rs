//! Sums over axes on slices. Neighbouring axes with the same fate are one, so most
//! sums are of the form `[A, O, M, I] → [A, M]`: over batch and positions, over
//! rows, over columns, over everything. Lanes are summed side by side in the
//! element type, blocks of them in `f64`, always in the same order.

use biorule_kernels::threads;
use candle_core::Tensor;
use rayon::prelude::*;

use super::real::{Real, by_dtype, read, tensor};
use crate::Result;

/// Partial sums side by side, as many as fill the vector registers.
const LANES: usize = 16;
/// Elements between two additions in `f64`.
const BLOCK: usize = 1 << 12;
/// Below this many elements one thread is faster than several.
const WORTH_SHARING: usize = 1 << 15;
/// Columns that a task takes at a time.
const COLUMNS: usize = 256;

/// See [`crate::ops::reduce::sum`].
pub fn sum(t: &Tensor, axes: &[usize], keep: bool) -> Result<Tensor> {
    let dims = t.dims();
    let Some(form) = Form::of(dims, axes) else {
        return Ok(if keep {
            t.sum_keepdim(axes)?
        } else {
            t.sum(axes)?
        });
    };
    let out: Vec<usize> = (dims.iter().enumerate())
        .filter_map(|(axis, &size)| match (axes.contains(&axis), keep) {
            (false, _) => Some(size),
            (true, true) => Some(1),
            (true, false) => None,
        })
        .collect();
    by_dtype!(t, T => tensor(read::<T, _>(t, |x| form.sums(x))?, &out))
}

/// See [`crate::ops::reduce::dot`]: products in the element type, blocks of them summed in `f64`,
/// always in the same order.
pub fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    if a.dims() != b.dims() {
        return Err(crate::Error::internal("a scalar product of two shapes"));
    }
    by_dtype!(a, T => read::<T, _>(a, |a| read::<T, _>(b, |b| products(a, b)))?)
}

fn products<T: Real>(a: &[T], b: &[T]) -> f64 {
    let one = |(a, b): (&[T], &[T])| -> f64 {
        let mut lanes = [T::ZERO; LANES];
        let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest = a.remainder().iter().zip(b.remainder());
        let rest: f64 = rest.map(|(a, b)| (*a * *b).wide()).sum();
        for (a, b) in a.zip(b) {
            for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                *lane += *a * *b;
            }
        }
        rest + lanes.iter().map(|v| v.wide()).sum::<f64>()
    };
    let blocks: Vec<f64> = match a.len() >= WORTH_SHARING && threads::count() > 1 {
        true => (a.par_chunks(BLOCK).zip(b.par_chunks(BLOCK)))
            .map(one)
            .collect(),
        false => a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(one).collect(),
    };
    blocks.iter().sum()
}

/// `[kept, summed, kept, summed]`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Form {
    a: usize,
    o: usize,
    m: usize,
    i: usize,
}

impl Form {
    /// The form of a sum over `axes` of a tensor of shape `dims`, if it is of this kind.
    fn of(dims: &[usize], axes: &[usize]) -> Option<Self> {
        let mut runs: Vec<(bool, usize)> = Vec::new();
        for (axis, &size) in dims.iter().enumerate().filter(|(_, size)| **size != 1) {
            let summed = axes.contains(&axis);
            match runs.last_mut() {
                Some((before, run)) if *before == summed => *run *= size,
                _ => runs.push((summed, size)),
            }
        }
        let form = |a, o, m, i| Some(Self { a, o, m, i });
        match runs[..] {
            [] => form(1, 1, 1, 1),
            [(false, m)] => form(1, 1, m, 1),
            [(true, i)] => form(1, 1, 1, i),
            [(false, m), (true, i)] => form(1, 1, m, i),
            [(true, o), (false, m)] => form(1, o, m, 1),
            [(true, o), (false, m), (true, i)] => form(1, o, m, i),
            [(false, a), (true, o), (false, m)] => form(a, o, m, 1),
            [(false, a), (true, o), (false, m), (true, i)] => form(a, o, m, i),
            _ => None,
        }
    }

    fn sums<T: Real>(self, x: &[T]) -> Vec<T> {
        let mut out = vec![T::ZERO; self.a * self.m];
        if out.is_empty() || x.is_empty() {
            return out;
        }
        let part = self.o * self.m * self.i;
        let share = x.len() >= WORTH_SHARING && threads::count() > 1;
        if self.i == 1 && self.o > 1 {
            let columns = |(at, out): (usize, &mut [T])| {
                let per_part = self.m.div_ceil(COLUMNS);
                let (a, first) = (at / per_part, at % per_part * COLUMNS);
                add_rows(&x[a * part..(a + 1) * part], self.m, first, out);
            };
            let pieces: Vec<(usize, &mut [T])> = (out.chunks_mut(self.m))
                .flat_map(|row| row.chunks_mut(COLUMNS))
                .enumerate()
                .collect();
            match share {
                true => pieces.into_par_iter().for_each(columns),
                false => pieces.into_iter().for_each(columns),
            }
            return out;
        }
        let one = |(at, out): (usize, &mut T)| {
            let first = at / self.m * part + at % self.m * self.i;
            let rows = (0..self.o).map(|o| first + o * self.m * self.i);
            *out = T::of(rows.map(|row| run(&x[row..row + self.i])).sum());
        };
        match share && out.len() > 1 {
            true => out.par_iter_mut().enumerate().for_each(one),
            false => out.iter_mut().enumerate().for_each(one),
        }
        out
    }
}

/// Sum of neighbours.
fn run<T: Real>(x: &[T]) -> f64 {
    x.chunks(BLOCK).map(block).sum()
}

fn block<T: Real>(x: &[T]) -> f64 {
    let mut lanes = [T::ZERO; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().map(|v| v.wide()).sum();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += *v;
        }
    }
    rest + lanes.iter().map(|v| v.wide()).sum::<f64>()
}

/// Sums of the columns from `first` on of rows of `width` elements.
fn add_rows<T: Real>(x: &[T], width: usize, first: usize, out: &mut [T]) {
    let mut sums = [0.0; COLUMNS];
    let sums = &mut sums[..out.len()];
    for row in x.chunks_exact(width) {
        for (sum, v) in sums.iter_mut().zip(&row[first..]) {
            *sum += v.wide();
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = T::of(*sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Every set of axes of shapes with and without axes of size 1, small and shared among threads.
    #[test]
    fn sums_over_every_set_of_axes_are_candles() {
        let shapes: [&[usize]; 7] = [
            &[5],
            &[7, 300],
            &[300, 7],
            &[3, 1, 4],
            &[4, 5, 6, 3],
            &[9, 8, 30, 30],
            &[2, 3, 2, 2, 5],
        ];
        for dims in shapes {
            let n: usize = dims.iter().product();
            let values: Vec<f64> = (0..n).map(|i| ((i * 37) % 101) as f64 - 50.25).collect();
            let wide = Tensor::from_vec(values, dims, &Device::Cpu).expect("a tensor");
            let narrow = wide.to_dtype(candle_core::DType::F32).expect("f32");
            for set in 0..1usize << dims.len() {
                let axes: Vec<usize> = (0..dims.len()).filter(|a| set >> a & 1 == 1).collect();
                for keep in [false, true] {
                    let (own, own32) = (sum(&wide, &axes, keep), sum(&narrow, &axes, keep));
                    let slow = match keep {
                        true => wide.sum_keepdim(axes.as_slice()),
                        false => wide.sum(axes.as_slice()),
                    };
                    let (own, slow) = (own.expect("a sum"), slow.expect("a sum"));
                    let own32 = own32.expect("a sum").to_dtype(candle_core::DType::F64);
                    let own32 = own32.expect("f64");
                    assert_eq!(own.dims(), slow.dims(), "{dims:?} over {axes:?}");
                    let far = |a: &Tensor| {
                        let d = (a - &slow).and_then(|d| d.flatten_all()?.to_vec1::<f64>());
                        d.expect("values")
                            .into_iter()
                            .fold(0.0, |m: f64, v| m.max(v.abs()))
                    };
                    assert!(far(&own) < 1e-9, "{dims:?} over {axes:?}: {}", far(&own));
                    let limit = 1e-6 * 50.0 * n as f64;
                    assert!(
                        far(&own32) <= limit,
                        "{dims:?} over {axes:?}: {}",
                        far(&own32)
                    );
                }
            }
        }
    }

    #[test]
    fn a_transposed_tensor_is_read_in_its_own_order() {
        let t = Tensor::arange(0f32, 12.0, &Device::Cpu).and_then(|t| t.reshape((3, 4))?.t());
        let own = sum(&t.expect("a tensor"), &[0], false).expect("a sum");
        assert_eq!(own.to_vec1::<f32>().expect("values"), [6.0, 22.0, 38.0]);
    }
}
