//! Lengths of input vectors, outputs and weight rows.

use biorule_plugin_api::prelude::*;

/// Shorter vectors are divided by this instead of their length (PyTorch `normalize`).
const SHORTEST: f64 = 1e-12;

/// Dense inputs and outputs as rows `[N, width]`; convolutions as they are.
pub fn rows(layer: &LayerSpec, t: &Tensor, width: usize) -> Result<Tensor> {
    match layer.kind {
        LayerKind::Dense => t.reshape(&[t.elem_count()? / width, width]),
        LayerKind::Conv => Ok(t.clone()),
    }
}

/// Lengths of all input vectors, at least 1e-12: `[B, groups, P·Q]`, or `[N, 1, 1]`.
///
/// The sum of squares under a window is a convolution of the squares with ones.
pub fn of_patches(layer: &LayerSpec, x: &Tensor) -> Result<Tensor> {
    let groups = layer.groups();
    let ones = x.full_like(&layer.weight_shape_for(groups), 1.0)?;
    let squares = layer.forward(&x.sqr()?, &ones)?;
    squares
        .reshape(&[x.batch()?, groups, layer.positions()])?
        .sqrt()?
        .clamp(SHORTEST, f64::INFINITY)
}

/// Lengths over the units of each group, at least 1e-12, for `y` as `[B, groups, K/groups, P·Q]`.
pub fn of_outputs(y: &Tensor) -> Result<Tensor> {
    y.sqr()?
        .sum_keepdim(&[2])?
        .sqrt()?
        .clamp(SHORTEST, f64::INFINITY)
}

/// Each row of `w` divided by its length.
pub fn unit_rows(w: &Tensor) -> Result<Tensor> {
    let (shape, units) = (w.shape()?, w.dim(0)?);
    let rows = w.reshape(&[units, w.elem_count()? / units])?;
    let lengths = rows
        .sqr()?
        .sum_keepdim(&[1])?
        .sqrt()?
        .clamp(SHORTEST, f64::INFINITY)?;
    rows.div(&lengths)?.reshape(&shape)
}
