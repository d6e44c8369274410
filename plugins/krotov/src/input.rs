//! The layer's own normalisation of its input: batch normalisation without gain and
//! shift (`BioPyTorch`, `BioLinear` and `BioConv2d`).
//!
//! Learning uses the batch's statistics and moves the running ones; the forward
//! pass always uses the running ones, whatever mode the network is in, so that a
//! layer's output does not depend on its neighbours in the batch. Padding comes
//! after normalisation, so a padded zero stands for the channel's mean.

use biorule_plugin_api::prelude::*;

/// Added to variances (PyTorch's default).
const EPS: f64 = 1e-5;
/// Share of the new batch in the running statistics (PyTorch's default).
const MOMENTUM: f64 = 0.1;

/// Names of the statistics; those of the reference's state dict.
pub const MEAN: &str = "batch_norm.running_mean";
/// Running variance, unbiased.
pub const VAR: &str = "batch_norm.running_var";
/// Batches seen.
pub const COUNT: &str = "batch_norm.num_batches_tracked";

/// The tensors the host is to hold.
pub fn state(layer: &LayerSpec) -> Vec<StateSpec> {
    let channels = [layer.inputs()];
    let of = |name, shape: &[usize], start| {
        StateSpec::new(name, shape, Init::Constant(start), Role::Statistic)
    };
    vec![
        of(MEAN, &channels, 0.0),
        of(VAR, &channels, 1.0),
        of(COUNT, &[1], 0.0),
    ]
}

/// Samples that give each channel the two values that a variance needs.
pub fn least_batch(layer: &LayerSpec) -> usize {
    match layer.kind {
        LayerKind::Conv if layer.input_shape()[1..].iter().any(|&side| side > 1) => 1,
        LayerKind::Conv | LayerKind::Dense => 2,
    }
}

/// The input as the layer's maps take it: dense inputs as rows `[N, D]`.
pub fn rows(layer: &LayerSpec, x: &Tensor) -> Result<Tensor> {
    match layer.kind {
        LayerKind::Dense => x.reshape(&[x.elem_count()? / layer.inputs(), layer.inputs()]),
        LayerKind::Conv => Ok(x.clone()),
    }
}

/// `x` under the running statistics.
pub fn frozen(layer: &LayerSpec, s: &State, x: &Tensor) -> Result<Tensor> {
    let rank = x.rank()?;
    let mean = s.get(MEAN)?.reshape(&by_channel(layer, rank))?;
    x.sub(&mean)?.mul(&gain(layer, s, rank)?)
}

/// `1/√(var + ε)` by channel, the derivative of [`frozen`], for inputs of `rank` axes.
pub fn gain(layer: &LayerSpec, s: &State, rank: usize) -> Result<Tensor> {
    reciprocal_root(&s.get(VAR)?.reshape(&by_channel(layer, rank))?)
}

/// Shape of one value for each channel that broadcasts over `rank` axes.
fn by_channel(layer: &LayerSpec, rank: usize) -> Vec<usize> {
    let mut shape = vec![1; rank];
    let axis = match layer.kind {
        LayerKind::Dense => rank - 1,
        LayerKind::Conv => 1,
    };
    shape[axis] = layer.inputs();
    shape
}

/// `x` (`[N, D]` or `[B, C, H, W]`) under its own statistics, and the running ones moved.
pub fn batch(s: &State, x: &Tensor) -> Result<(Tensor, Changes)> {
    let shape = x.shape()?;
    let axes: Vec<usize> = (0..shape.len()).filter(|&axis| axis != 1).collect();
    let n = shape.iter().product::<usize>() / shape[1];
    if n < 2 {
        return Err(RuleError::rule(
            "one value per channel has no variance: train with a batch of 2 or more, \
             or with `variant = \"original\"`, which does not normalise",
        ));
    }
    let mean = x.mean_keepdim(&axes)?;
    let centred = x.sub(&mean)?;
    let var = centred.sqr()?.mean_keepdim(&axes)?;
    let y = centred.mul(&reciprocal_root(&var)?)?;

    let unbiased = n as f64 / (n as f64 - 1.0);
    let blend = |name: &str, new: &Tensor, share: f64| -> Result<Tensor> {
        let new = new.reshape(&[shape[1]])?.scale(share)?;
        s.get(name)?.scale(1.0 - MOMENTUM)?.add(&new)
    };
    let changes = Changes::new()
        .set(MEAN, blend(MEAN, &mean, MOMENTUM)?)
        .set(VAR, blend(VAR, &var, MOMENTUM * unbiased)?)
        .set(COUNT, s.get(COUNT)?.affine(1.0, 1.0)?);
    Ok((y, changes))
}

fn reciprocal_root(var: &Tensor) -> Result<Tensor> {
    var.affine(1.0, EPS)?.sqrt()?.recip()
}
