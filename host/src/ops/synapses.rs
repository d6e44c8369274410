//! What a local rule does with the rows of a weight, each in one pass. A row is
//! one entry of axis 0, the synapses of a unit: `[K, D]` or `[K, C/groups, R, S]`.

use candle_core::Tensor;

use super::{cpu, on_device};
use crate::Result;

/// `(Σ|w|ᵖ)^(1/p)` of each row, `[K]`.
pub fn row_norms(w: &Tensor, p: f64) -> Result<Tensor> {
    on_device!(w, "row_norms", cpu: cpu::synapses::row_norms(w, p), cuda: super::cuda::synapses::row_norms(w, p))
}

/// `Δ = c − q[k]·w[k]`, shaped as `c`, and `max|Δ|` of each row, `[K]`.
/// `c, w: [K, …]`, `q: [K]`; shapes are the caller's to check.
pub fn sub_rows(c: &Tensor, q: &Tensor, w: &Tensor) -> Result<(Tensor, Tensor)> {
    on_device!(c, "sub_rows", cpu: cpu::synapses::sub_rows(c, q, w), cuda: super::cuda::synapses::sub_rows(c, q, w))
}

/// `w[k] ← w[k] + scale[k]·delta[k]`. `w, delta: [K, …]`, `scale: [K]`.
pub fn add_rows_in_place(w: &Tensor, delta: &Tensor, scale: &Tensor) -> Result<()> {
    on_device!(w, "add_rows", cpu: cpu::synapses::add_rows(w, delta, scale), cuda: super::cuda::synapses::add_rows(w, delta, scale))
}
