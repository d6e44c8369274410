//! A tensor and a vector along one of its axes, on slices.

use biorule_kernels::threads;
use candle_core::Tensor;

use super::real::{Real, by_dtype, read, tensor, unwritten};
use crate::Result;
use crate::ops::along::Pair;

/// Elements a task takes at a time, about.
const CHUNK: usize = 1 << 14;

/// See [`crate::ops::along::along`]; `axis` is the one of `a`.
pub fn along(op: Pair, a: &Tensor, v: &Tensor, axis: usize) -> Result<Tensor> {
    by_dtype!(a, T => match op {
        Pair::Add => pass::<T>(a, v, axis, |a, b| a + b),
        Pair::Sub => pass::<T>(a, v, axis, |a, b| a - b),
        Pair::Mul => pass::<T>(a, v, axis, |a, b| a * b),
        Pair::Div => pass::<T>(a, v, axis, |a, b| a / b),
    })
}

fn pass<T: Real>(
    a: &Tensor,
    v: &Tensor,
    axis: usize,
    f: impl Fn(T, T) -> T + Sync,
) -> Result<Tensor> {
    let n = a.dims()[axis];
    let inner: usize = a.dims()[axis + 1..].iter().product();
    let mut out = unwritten::<T>(a.elem_count());
    // Rows share one entry of the vector; without an inner axis they are its whole length.
    let row = if inner == 1 { n } else { inner };
    let many = (CHUNK / row.max(1)).max(1);
    read::<T, _>(a, |a| {
        read::<T, _>(v, |v| {
            let size = (many * row).max(1);
            threads::for_each_chunk(&mut out, size, |task, out| {
                let a = &a[task * size..][..out.len()];
                for (i, (out, a)) in out.chunks_mut(row).zip(a.chunks(row)).enumerate() {
                    if inner == 1 {
                        for ((o, a), v) in out.iter_mut().zip(a).zip(v) {
                            *o = f(*a, *v);
                        }
                    } else {
                        let v = v[(task * many + i) % n];
                        out.iter_mut().zip(a).for_each(|(o, a)| *o = f(*a, v));
                    }
                }
            });
        })
    })??;
    tensor(out, a.dims())
}
