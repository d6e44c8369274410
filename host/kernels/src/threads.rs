//! The one place that spreads work over threads: rayon's global pool, which the host configures.
//!
//! Work is cut into pieces by size, never by the number of threads, wherever the cut could change a
//! result; so results do not depend on the number of threads.

use rayon::prelude::*;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

thread_local! {
    /// This thread runs one of several works side by side: what it computes stays on it.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Threads that the kernels use: one inside of [`side_by_side`].
pub fn count() -> usize {
    match ALONE.get() {
        true => 1,
        false => rayon::current_num_threads(),
    }
}

/// While it lives, this thread computes alone.
struct Alone(bool);

impl Alone {
    fn enter() -> Self {
        Self(ALONE.replace(true))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        ALONE.set(self.0);
    }
}

/// What `f` makes of each item, in the order of the items.
///
/// Items are begun in their order, and each is computed from start to end on one thread, whatever
/// kernels it calls: many small kernels lose more by waiting for a second thread than it saves, so
/// works that do not need each other run beside each other instead. Start with the longest.
pub fn side_by_side<T: Send, R: Send>(items: Vec<T>, f: impl Fn(T) -> R + Sync) -> Vec<R> {
    let (n, threads) = (items.len(), count());
    if n < 2 || threads == 1 {
        return items.into_iter().map(f).collect();
    }
    let queue = Mutex::new(items.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let done = Mutex::new(Vec::with_capacity(n));
    rayon::scope(|scope| {
        for _ in 0..threads.min(n) {
            scope.spawn(|_| {
                let _alone = Alone::enter();
                while let Some((i, item)) = next() {
                    let made = f(item);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((i, made));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, made)| made).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_side_by_side_keep_their_order_and_their_thread() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        pool.install(|| {
            assert_eq!(count(), 3);
            let made = side_by_side((0..20).collect(), |i: u64| {
                let own = std::thread::current().id();
                let inner = Mutex::new(Vec::new());
                for_each(8, |_| {
                    inner.lock().unwrap().push(std::thread::current().id())
                });
                assert!(inner.into_inner().unwrap().iter().all(|id| *id == own));
                // A work inside a work runs where it is.
                assert_eq!(side_by_side(vec![1, 2], |j| (j, count())), [(1, 1), (2, 1)]);
                i * i
            });
            assert_eq!(made, (0..20).map(|i| i * i).collect::<Vec<u64>>());
            assert_eq!(count(), 3, "the flag stays where it belongs");
        });
    }

    #[test]
    fn a_panic_in_one_work_reaches_the_caller_and_leaves_no_flag() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .unwrap();
        let told = pool.install(|| {
            std::panic::catch_unwind(|| side_by_side(vec![1, 2, 3], |i| assert_ne!(i, 2)))
        });
        assert!(told.is_err());
        pool.install(|| (0..8).for_each(|_| assert_eq!(count(), 2)));
    }
}
