//! Length checks of the slices that a kernel is given.
//!
//! A wrong length is a bug of the caller, who knows the shapes, so it panics with both figures.

/// Panics unless `slice` has exactly `expected` elements; `what` names it in the message.
#[track_caller]
#[inline]
pub fn assert_len<T>(what: &str, slice: &[T], expected: usize) {
    assert!(
        slice.len() == expected,
        "`{what}` has {} elements, expected {expected}",
        slice.len()
    );
}
