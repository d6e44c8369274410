//! What plain Hebb and Oja have in common: claims, start weights and the number of
//! samples.

use biorule_plugin_api::prelude::*;

/// What plain Hebb and Oja claim.
pub const CLAIMS: Claims = Claims(
    Claims::LOCAL.0
        | Claims::UNSUPERVISED.0
        | Claims::NO_WEIGHT_TRANSPORT.0
        | Claims::DETERMINISTIC.0,
);

/// Refuses a bias, which plain Hebb and Oja have no rule for.
pub fn no_bias(layer: &LayerSpec) -> Result<()> {
    if layer.has_bias() {
        return Err(RuleError::unsupported(
            "the rule says nothing of a bias: set `bias = false`",
        ));
    }
    Ok(())
}

/// Normal weights whose rows have length 1 on average.
pub fn unit_weight(layer: &LayerSpec) -> StateSpec {
    let normal = Init::Normal {
        mean: 0.0,
        std: 1.0 / (layer.fan_in() as f64).sqrt(),
    };
    StateSpec::new("weight", layer.weight_shape(), normal, Role::Plastic)
}

/// Samples times places: how many input vectors a unit has answered in `y`.
pub fn samples(layer: &LayerSpec, y: &Tensor) -> Result<f64> {
    Ok((y.elem_count()? / layer.units()) as f64)
}
