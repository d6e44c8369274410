//! Handles: boxed arrays, counted on the thread of the call.

use std::cell::{Cell, OnceCell};

use super::array::Array;
use crate::abi::types::RawTensor;

/// What a handle points to: the array and, once somebody looked, its f32 memory.
pub(super) struct Slot {
    /// The array.
    pub(super) array: Array,
    single: OnceCell<Vec<f32>>,
}

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// Handles given out on this thread and not yet given back.
pub(super) fn live() -> i64 {
    LIVE.with(Cell::get)
}

/// Hands an array out.
pub(super) fn give(array: Array) -> RawTensor {
    LIVE.with(|n| n.set(n.get() + 1));
    let single = OnceCell::new();
    RawTensor(Box::into_raw(Box::new(Slot { array, single })).cast())
}

/// Takes a handle back.
pub(super) fn take(raw: RawTensor) -> Array {
    LIVE.with(|n| n.set(n.get() - 1));
    // SAFETY: a handle comes from `give` and is taken back once; the SDK's `Tensor` has no
    // other way to make or duplicate one.
    unsafe { Box::from_raw(raw.0.cast::<Slot>()) }.array
}

/// What a handle that the caller keeps points to.
pub(super) fn slot<'a>(raw: RawTensor) -> &'a Slot {
    assert!(!raw.is_null(), "a null tensor handle");
    // SAFETY: handles in arguments are borrowed for the call and come from `give`.
    unsafe { &*raw.0.cast::<Slot>() }
}

/// Looks at a handle that the caller keeps.
pub(super) fn look<'a>(raw: RawTensor) -> &'a Array {
    &slot(raw).array
}

impl Slot {
    /// The array's memory as f32.
    pub(super) fn single(&self) -> &[f32] {
        let values = self.array.values();
        self.single
            .get_or_init(|| values.iter().map(|v| *v as f32).collect())
    }
}
