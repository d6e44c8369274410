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
            among(contest, &u.reshape(&[u.elem_count()? / units, units])?)?.reshape(&shape)
        }
        LayerKind::Conv => {
            // Each group has its own winners: [B·G, K/G, P·Q].
            let (groups, rivals) = (layer.groups(), layer.units() / layer.groups());
            let split = u.reshape(&[shape[0] * groups, rivals, shape[2] * shape[3]])?;
            among(contest, &split)?.reshape(&shape)
        }
    }
}

/// The competition along axis 1.
fn among(c: &Contest, u: &Tensor) -> Result<Tensor> {
    let soft = || u.softmax(1, c.gain);
    let first = || one_hot(u, 1);
    let punished = || one_hot(u, c.rank);
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

/// 1 for the unit of rank `rank` along axis 1, else 0; shaped as `u`.
fn one_hot(u: &Tensor, rank: usize) -> Result<Tensor> {
    let place = match rank {
        1 => u.argmax(1, false)?,
        _ => u.argrank(rank, 1, false)?,
    };
    let last = place.one_hot(u.dim(1)?, u.dtype()?)?;
    match u.rank()? {
        2 => Ok(last),
        _ => last.permute(&[0, 2, 1]),
    }
}
