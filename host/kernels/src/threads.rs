//! The one place that spreads work over threads: rayon's global pool, which the host configures.
//!
//! Work is cut into pieces by size, never by the number of threads, wherever the cut could change a
//! result; so results do not depend on the number of threads.

use rayon::prelude::*;
use std::marker::PhantomData;

/// Threads that the kernels use.
pub fn count() -> usize {
    rayon::current_num_threads()
}

/// Calls `f(i)` for every `i < n`, in any order, on all threads.
pub fn for_each(n: usize, f: impl Fn(usize) + Sync + Send) {
    if n == 1 || count() == 1 {
        (0..n).for_each(f);
    } else {
        (0..n).into_par_iter().with_max_len(1).for_each(f);
    }
}

/// Calls `f(index, chunk)` for every chunk of `size` elements of `data` (the last may be shorter).
pub fn for_each_chunk<T: Send>(
    data: &mut [T],
    size: usize,
    f: impl Fn(usize, &mut [T]) + Sync + Send,
) {
    if data.is_empty() {
        return;
    }
    if data.len() <= size || count() == 1 {
        data.chunks_mut(size)
            .enumerate()
            .for_each(|(i, chunk)| f(i, chunk));
    } else {
        data.par_chunks_mut(size)
            .enumerate()
            .for_each(|(i, chunk)| f(i, chunk));
    }
}

/// A mutable slice whose disjoint parts several threads write.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it only hands out parts, which the users of `part` keep disjoint, so sending it is sending
// `&mut [T]`s.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }

    /// The elements `from..from + len`.
    ///
    /// # Safety
    /// No other part that overlaps this one is alive.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "parts are disjoint by contract")]
    pub(crate) unsafe fn part(&self, from: usize, len: usize) -> &mut [T] {
        assert!(
            from <= self.len && len <= self.len - from,
            "part outside the slice"
        );
        // SAFETY: in bounds by the check, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), len) }
    }
}

impl<T> Shared<'_, T> {
    /// The first element of a rectangle of `rows` x `cols` elements, rows `stride` apart.
    ///
    /// Nothing is promised about other threads: the caller keeps rectangles disjoint.
    #[inline]
    pub(crate) fn rectangle(
        &self,
        from: usize,
        (rows, cols): (usize, usize),
        stride: usize,
    ) -> *mut T {
        let end = from + rows.saturating_sub(1) * stride + cols;
        assert!(end <= self.len, "rectangle outside the slice");
        // SAFETY: `from` is inside by the check.
        unsafe { self.start.add(from) }
    }
}

/// The size that cuts `total` into pieces of about `wanted`, a multiple of `unit`.
pub(crate) fn even_split(total: usize, wanted: usize, unit: usize) -> usize {
    let pieces = total.div_ceil(wanted.max(1)).max(1);
    total.div_ceil(pieces).next_multiple_of(unit).max(unit)
}
