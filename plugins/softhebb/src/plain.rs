//! The competitions by tensor operations: the readable reference, on any device
//! and element type.

use biorule_plugin_api::prelude::*;

use crate::competition::{Contest, Kind};

/// Post-synaptic factors `y` for pre-activations `u`, `[B, K, P, Q]` or `[B, …, K]`.
///
/// # Errors
/// Shapes that do not fit the layer, or the host lacks an operation.
pub fn factors(contest: &Contest, layer: &LayerSpec, u: &Tensor) -> Result<Tensor> {
    let shape = u.shape()?;
    match layer.kind {
        LayerKind::Dense => {
            let units = layer.units();
            among(contest, &u.reshape(&[u.elem_count()? / units, units])?, 1)?.reshape(&shape)
        }
        LayerKind::Conv => {
            // Each group has its own winners: [B·G, K/G, P·Q].
            let (groups, rivals) = (layer.groups(), layer.units() / layer.groups());
            let split = u.reshape(&[shape[0] * groups, rivals, shape[2] * shape[3]])?;
            among(contest, &split, 1)?.reshape(&shape)
        }
    }
}

/// The competition along `axis`.
fn among(c: &Contest, u: &Tensor, axis: usize) -> Result<Tensor> {
    let soft = || u.softmax(axis, c.gain);
    let first = || one_hot(u, 1, axis);
    let punished = || one_hot(u, c.rank, axis);
    match (c.kind, c.mode) {
        (Kind::Hard | Kind::Supervised, _) => first(),
        (Kind::HardKrotov, _) if c.overwrite => instead(&first()?, &punished()?, -c.delta),
        (Kind::HardKrotov, _) => first()?.sub(&punished()?.scale(c.delta)?),
        (Kind::Soft, _) => soft(),
        // +s for the winner, −s for the rest.
        (Kind::SoftKrotov, 0) => soft()?.mul(&first()?.affine(2.0, -1.0)?),
        // s·(1 − (1 + δ)·punished): −δ·s there, s elsewhere.
        (Kind::SoftKrotov, 1) => soft()?.mul(&punished()?.affine(-(1.0 + c.delta), 1.0)?),
        (Kind::SoftKrotov, _) => instead(&soft()?, &punished()?, -c.delta),
    }
}

/// `y` with `value` where `mask` is 1.
fn instead(y: &Tensor, mask: &Tensor, value: f64) -> Result<Tensor> {
    y.mul(&mask.affine(-1.0, 1.0)?)?.add(&mask.scale(value)?)
}

/// 1 for the unit of rank `rank` along `axis` (1 here), else 0; shaped as `u`.
fn one_hot(u: &Tensor, rank: usize, axis: usize) -> Result<Tensor> {
    let units = u.dim(axis)?;
    let place = match rank {
        1 => u.argmax(axis, false)?,
        _ => u.argrank(rank, axis, false)?,
    };
    let last = place.one_hot(units, u.dtype()?)?;
    match u.rank()? {
        2 => Ok(last),
        _ => last.permute(&[0, 2, 1]),
    }
}
