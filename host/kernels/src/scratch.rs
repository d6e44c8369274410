//! Working memory that is kept from call to call.
//!
//! A step needs the same buffers every time. Fresh ones would be mapped and faulted in again at every
//! call, which costs more than the arithmetic of a small layer.

use crate::real::Real;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// Free buffers of one element type.
pub type Pool<T> = Mutex<Vec<Vec<T>>>;

/// Buffers that are kept at most.
const KEPT: usize = 32;

/// A borrowed buffer of unspecified content; goes back when dropped.
pub(crate) struct Buffer<T: Real> {
    memory: Vec<T>,
    len: usize,
}

impl<T: Real> Buffer<T> {
    /// `len` elements, whatever they hold.
    pub(crate) fn new(len: usize) -> Self {
        let mut memory = Self::take(len);
        if memory.len() < len {
            // A new block instead of growing: nothing is copied, and zero pages come for free.
            memory = vec![T::ZERO; len];
        }
        Self { memory, len }
    }

    /// The smallest free buffer that is large enough, else the largest.
    fn take(len: usize) -> Vec<T> {
        let mut free = T::scratch()
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let fits = |v: &Vec<T>| {
            (
                v.len() < len,
                if v.len() < len {
                    usize::MAX - v.len()
                } else {
                    v.len()
                },
            )
        };
        let best = (0..free.len()).min_by_key(|&i| fits(&free[i]));
        best.map(|i| free.swap_remove(i)).unwrap_or_default()
    }
}

impl<T: Real> Drop for Buffer<T> {
    fn drop(&mut self) {
        let mut free = T::scratch()
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.memory));
        }
    }
}

impl<T: Real> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[..self.len]
    }
}

impl<T: Real> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[..self.len]
    }
}

/// Memory for `n` results that a kernel writes, every one of them, before anything reads it.
///
/// Zeroing it first would cost a memory-bound kernel half as much again. Debug builds fill it with
/// not-a-numbers, so that an element that was not written shows in every test.
#[expect(
    clippy::uninit_vec,
    reason = "kernels write every element of their output"
)]
pub fn unwritten<T: Real>(n: usize) -> Vec<T> {
    if cfg!(debug_assertions) {
        return vec![T::from_f64(f64::NAN); n];
    }
    let mut memory = Vec::with_capacity(n);
    // SAFETY: the capacity is `n`; every bit pattern is a value of `f32` and `f64`, and the callers
    // write before they read.
    unsafe { memory.set_len(n) };
    memory
}

/// Gives all kept memory back to the allocator, between phases of different sizes.
pub fn release() {
    f32::scratch()
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .clear();
    f64::scratch()
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .clear();
}
