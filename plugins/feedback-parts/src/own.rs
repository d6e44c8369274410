//! The gradients that no feedback rule changes: those of the layer's own weight
//! and bias, from whatever error arrived.

use biorule_plugin_api::prelude::*;

use crate::Draw;

/// Weight (drawn as `draw` says) and, where the layer has one, bias.
pub fn trained_state(draw: Draw, layer: &LayerSpec) -> Vec<StateSpec> {
    let shape = layer.weight_shape();
    let weight = draw.initial(&shape);
    let bias = draw.initial_bias(&shape);
    let mut state = vec![StateSpec::new("weight", shape, weight, Role::Weight)];
    if layer.has_bias() {
        state.push(StateSpec::new("bias", [layer.units()], bias, Role::Bias));
    }
    state
}

/// `∂L/∂W = correlate(x, δ)` and `∂L/∂b = Σ δ`, where they are wanted.
///
/// # Errors
/// Shapes that do not fit.
pub fn own_gradients(layer: &LayerSpec, s: &State<'_>, e: &Errors<'_>) -> Result<Gradients> {
    let mut out = Gradients::new();
    if e.want_grads {
        out = out.of("weight", layer.correlate(&e.x, &e.grad_y)?);
        if s.find("bias").is_some() {
            out = out.of("bias", layer.sum_bias(&e.grad_y)?);
        }
    }
    Ok(out)
}
