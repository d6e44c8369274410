//! The competitive step: what hard WTA, Krotov, SoftHebb and Hebbian layers have in common.
//!
//! Pre-activations `u` of a tile of positions, a competition over the units of a group that turns
//! them into post-synaptic factors `y`, then `correlate(x, y)`, `sum y u` and `sum y` of each unit.
//! The caller supplies the competition as a function of one [`Tile`]; it runs in cache, on the
//! kernels' threads. [`crate::competition`] has the common ones ready.

mod block;
mod step;

pub use step::step;

/// Positions of a tile.
pub const LANES: usize = 16;

/// Up to [`LANES`] positions of one group of units: `u[k][lane]` in, `y[k][lane]` out.
///
/// Positions are lanes, so plain loops over the 16 elements of a row compile to vector code. Lanes
/// from `lanes` on hold zeros in `u`, and what is written there in `y` is ignored.
pub struct Tile<'a, T> {
    /// Pre-activations, one row for each unit of the group.
    pub u: &'a [[T; LANES]],
    /// Post-synaptic factors, to be written for every unit.
    pub y: &'a mut [[T; LANES]],
    /// Lanes that hold a position.
    pub lanes: usize,
    /// Which group of units.
    pub group: usize,
    /// Number of the first position in the batch, `n * P * Q + p * Q + q`; the others follow.
    pub first: usize,
}

/// Where a competitive step writes.
pub struct Outputs<'a, T> {
    /// `[B, K, P, Q]`: pre-activations, after bias and `pre_triangle`.
    pub u: &'a mut [T],
    /// `[K, C/groups, R, S]`: sum over positions of `y x`.
    pub correlation: &'a mut [T],
    /// `[K]`: sum over positions of `y u`.
    pub decay: &'a mut [T],
    /// `[K]`: sum over positions of `y`.
    pub activity: &'a mut [T],
    /// `[B, K, P, Q]`: the factors themselves, where wanted.
    pub y: Option<&'a mut [T]>,
}

/// A competition over the units of a tile.
pub type Competition<'a, T> = &'a (dyn Fn(&mut Tile<'_, T>) + Sync);
