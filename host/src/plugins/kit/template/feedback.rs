//! `{{name}}`, a rule with feedback: an error arrives from above, and another one goes below.
//!
//! What is here is feedback alignment, which works and passes every check, as a beginning. With the
//! input `x`, the error `δ` at the output and a random, fixed feedback weight `B`,
//!
//! `dW = δᵀ x`, `db = Σ δ`, and below goes `δ B`.

use biorule_plugin_api::prelude::*;

hyperparameters! {
    /// `dW = δᵀ x`, and below goes `δ B`.
    pub struct {{type}} {
        /// size of the feedback weight beside that of the forward weight at the start
        feedback_scale: f64 = 1.0, range 0.0 => 100.0, source "Lillicrap et al. 2016, methods";
    }
}

impl LearningRule for {{type}} {
    fn info() -> RuleInfo {
        RuleInfo::new("{{name}}", Credit::Feedback)
            .summary("errors go back through a random, fixed weight")
            .paper("Lillicrap et al., Nature Communications 7, 2016")
            .claims(Claims::NO_WEIGHT_TRANSPORT | Claims::DETERMINISTIC)
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let limit = 1.0 / (layer.fan_in() as f64).sqrt();
        let uniform = |size: f64| Init::Uniform { lo: -size, hi: size };
        let shape = layer.weight_shape();
        let back = uniform(self.feedback_scale * limit);
        let mut state = vec![
            StateSpec::new("weight", shape.clone(), uniform(limit), Role::Weight),
            StateSpec::new("feedback", shape, back, Role::FixedFeedback),
        ];
        if layer.has_bias() {
            state.push(StateSpec::new("bias", [layer.units()], uniform(limit), Role::Bias));
        }
        Ok(state)
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        let layer = cx.layer();
        let mut out = Gradients::new();
        if e.want_grads {
            out = out.of("weight", layer.correlate(&e.x, &e.grad_y)?);
            if s.find("bias").is_some() {
                out = out.of("bias", layer.sum_bias(&e.grad_y)?);
            }
        }
        if e.want_grad_x {
            out = out.below(layer.feedback(&e.grad_y, &*s.get("feedback")?)?);
        }
        Ok(out)
    }
}

export_rules!({{type}});
