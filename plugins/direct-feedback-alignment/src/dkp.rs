//! Direct Kolen-Pollack. Webster, Choi and Ahn, "Learning the connections in direct
//! feedback alignment", 2020; webstah/dkp-gist.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `W`, `b` | weight and bias |
//! | `B` | feedback weight from the network's output to this layer's input, trained |
//! | `e` | derivative of the loss by the network's output |
//! | `δ` | error at this layer's output, as it arrives from above |
//!
//! As direct feedback alignment, `dW = correlate(x, δ)`, `db = Σ δ` and `e B` below;
//! and `B` learns as the weight of a direct connection from `x` to the output
//! would: `dB = eᵀ x`. Decay is the optimiser's, the same on `W` and `B`.
//!
//! The reference trains `B` by an Adam of its own, with a rate that falls at each
//! epoch, and `W` by SGD; here `B` has the settings of `W`.

use biorule_feedback_parts::{Draw, norm_ratio, own_gradients, trained_state};
use biorule_plugin_api::prelude::*;

use crate::direct::{Layout, output_error};

hyperparameters! {
    /// Direct Kolen-Pollack.
    pub struct Dkp {
        /// initial weights and feedback, as for direct feedback alignment
        init: String = "kaiming", one_of ["xavier", "kaiming", "torch", "he", "lecun", "uniform", "variance_scaling"], source "webstah/dkp-gist utils.py, kaiming_uniform_";
        /// scale of the weights for `uniform` (half-width) and `variance_scaling` (variance times fan_in)
        scale_w: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_w";
        /// the same for the feedback
        scale_b: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_b";
        /// feedback weight of a convolution: a kernel over the error at each position, or one number for each input value
        layout: String = "full", one_of ["kernel", "full"], read_if |_rule, layer| layer.kind == LayerKind::Conv, source "webstah/dkp-gist utils.py, DFATrainingHook; BioTorch dfa layers";
    }
}

impl LearningRule for Dkp {
    fn info() -> RuleInfo {
        RuleInfo::new("direct-feedback-alignment/dkp", Credit::Direct)
            .summary("direct feedback alignment whose feedback weight learns from its two ends")
            .paper("Webster, Choi and Ahn, 2020")
            .claims(Claims::NO_WEIGHT_TRANSPORT | Claims::DETERMINISTIC)
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let mut state = trained_state(Draw::named(&self.init, self.scale_w)?, layer);
        let layout = Layout::of(&self.layout, layer);
        let draw = layout.initial(Draw::named(&self.init, self.scale_b)?, layer);
        let shape = layout.shape(layer);
        state.push(StateSpec::new(
            "feedback",
            shape,
            draw,
            Role::LearnedFeedback,
        ));
        Ok(state)
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        let (layer, error) = (cx.layer(), output_error(e)?);
        let layout = Layout::of(&self.layout, layer);
        let mut out = own_gradients(layer, s, e)?;
        if e.want_grads {
            out = out.of("feedback", layout.correlate(layer, &e.x, error)?);
        }
        if e.want_grad_x {
            let b = s.get("feedback")?;
            out = out.below(layout.below(layer, error, &b, &e.x)?);
        }
        Ok(out)
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        norm_ratio(&*s.get("weight")?, &*s.get("feedback")?)
    }
}
