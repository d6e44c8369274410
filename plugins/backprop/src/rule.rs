//! Backpropagation. Rumelhart, Hinton and Williams, Nature 323, 1986, eqs. 4 to 7.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `x` | input, `[B, C, H, W]` or `[B, …, D]` |
//! | `W`, `b` | weight and bias |
//! | `y = A(x; W) + b` | output; `A` is the layer's map |
//! | `δ` | derivative of the loss by `y`, as it arrives from above |
//!
//! `∂L/∂W = correlate(x, δ)`, `∂L/∂b = Σ δ`, and below goes `feedback(δ, W)`: the
//! forward weight carries the error back, which is the weight transport that all
//! other feedback rules avoid.

use biorule_feedback_parts::{Draw, own_gradients, trained_state, weight_norm};
use biorule_plugin_api::prelude::*;

hyperparameters! {
    /// Backpropagation.
    pub struct Backprop {
        /// initial weights: uniform in ±1/√fan_in (`torch`, which BioTorch calls `kaiming`), Glorot's uniform, He's normal,
        /// LeCun's truncated normal, uniform in ±scale, or normal of variance scale/fan_in
        init: String = "torch", one_of ["torch", "xavier", "kaiming", "he", "lecun", "uniform", "variance_scaling"], source "PyTorch nn.Linear; BioTorch layers; bioflax model.py";
        /// scale of `uniform` and `variance_scaling`
        scale_w: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_w";
    }
}

impl LearningRule for Backprop {
    fn info() -> RuleInfo {
        RuleInfo::new("backprop", Credit::Feedback)
            .summary("the true gradient; errors go back through the forward weights")
            .paper("Rumelhart, Hinton and Williams, Nature 323, 1986")
            .claims(Claims::DETERMINISTIC)
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        Ok(trained_state(Draw::named(&self.init, self.scale_w)?, layer))
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        let layer = cx.layer();
        let out = own_gradients(layer, s, e)?;
        if !e.want_grad_x {
            return Ok(out);
        }
        Ok(out.below(layer.feedback(&e.grad_y, &*s.get("weight")?)?))
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        weight_norm(&*s.get("weight")?)
    }
}
