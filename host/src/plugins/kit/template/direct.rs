//! `{{name}}`, a direct rule: the error at the network's output is broadcast to every layer.
//!
//! What is here is direct feedback alignment on dense layers, which works and passes every check, as a
//! beginning. The layer above holds the random, fixed weight `B` `[classes, D]` and hands `e B` down,
//! whatever error arrived, so that with the input `x` and the arriving error `δ`
//!
//! `dW = δᵀ x`, `db = Σ δ`, and below goes `e B`.

use biorule_plugin_api::prelude::*;

hyperparameters! {
    /// `dW = δᵀ x`, and below goes `e B`.
    pub struct {{type}} {
        /// size of the feedback weight
        feedback_scale: f64 = 1.0, range 0.0 => 100.0, source "Nøkland 2016, section 3";
    }
}

impl LearningRule for {{type}} {
    fn info() -> RuleInfo {
        RuleInfo::new("{{name}}", Credit::Direct)
            .summary("each layer hears the network's output error through a random, fixed weight")
            .paper("Nøkland, NeurIPS 2016, eq. 7")
            .claims(Claims::NO_WEIGHT_TRANSPORT | Claims::DETERMINISTIC)
            .dense_only()
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let limit = 1.0 / (layer.fan_in() as f64).sqrt();
        let uniform = |size: f64| Init::Uniform { lo: -size, hi: size };
        let back = [layer.classes(), layer.inputs()];
        let size = self.feedback_scale / (layer.classes() as f64).sqrt();
        let mut state = vec![
            StateSpec::new("weight", layer.weight_shape(), uniform(limit), Role::Weight),
            StateSpec::new("feedback", back, uniform(size), Role::FixedFeedback),
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
            let error = e.output_error.as_ref();
            let error = error.ok_or_else(|| RuleError::rule("no output error was given"))?;
            out = out.below(error.matmul(&*s.get("feedback")?)?.reshape(&e.x.shape()?)?);
        }
        Ok(out)
    }
}

export_rules!({{type}});
