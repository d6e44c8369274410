//! Direct random target projection. Frenkel, Lefebvre and Bol, Frontiers in Neuroscience 15, 2021,
//! eq. 3.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `W`, `b` | weight and bias |
//! | `B` | projection from the target to this layer's input, `[classes, …]`, random and fixed |
//! | `t` | one-hot label, or target values |
//! | `δ` | error at this layer's output, as it arrives from above |
//! | `N` | samples in the batch |
//!
//! `dW = correlate(x, δ)`, `db = Σ δ`. Below goes `−t B / N`: the sign of the output's error is known from
//! the label alone, so that a layer learns without waiting for the output. The output layer has the true
//! gradient. As in direct feedback alignment here, the layer above holds the projection and hands it down.

use biorule_feedback_parts::{Draw, norm_ratio, own_gradients, trained_state};
use biorule_plugin_api::prelude::*;

use crate::direct::Layout;

hyperparameters! {
    /// Direct random target projection.
    pub struct Drtp {
        /// initial weights: as for direct feedback alignment
        init: String = "kaiming", one_of ["xavier", "kaiming", "torch", "he", "lecun"], source "Frenkel et al. 2021, section 2.3 (uniform, He)";
        /// half-width of the projection beside 1/√classes
        scale_b: f64 = 1.0, range 0.0 => 1e6, source "Frenkel et al. 2021, section 2.3";
    }
}

impl LearningRule for Drtp {
    fn info() -> RuleInfo {
        RuleInfo::new("direct-feedback-alignment/drtp", Credit::Feedback)
            .summary("each layer hears the label through a random, fixed weight")
            .paper("Frenkel, Lefebvre, Bol, Frontiers in Neuroscience 15, 2021")
            .claims(Claims::NO_WEIGHT_TRANSPORT | Claims::DETERMINISTIC)
            .uses_target()
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let mut state = trained_state(Draw::named(&self.init, 1.0)?, layer);
        let limit = self.scale_b / (layer.classes() as f64).sqrt();
        let shape = Layout::Full.shape(layer);
        let draw = Init::Uniform {
            lo: -limit,
            hi: limit,
        };
        state.push(StateSpec::new(
            "projection",
            shape,
            draw,
            Role::FixedFeedback,
        ));
        Ok(state)
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        let out = own_gradients(cx.layer(), s, e)?;
        if !e.want_grad_x {
            return Ok(out);
        }
        let target = e.target.as_ref().ok_or_else(|| {
            RuleError::rule("the rule needs labels or target values, and there are none")
        })?;
        let b = s.get("projection")?;
        let below = Layout::Full.below(cx.layer(), target, &b, &e.x)?;
        Ok(out.below(below.scale(-1.0 / e.x.batch()? as f64)?))
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        norm_ratio(&*s.get("weight")?, &*s.get("projection")?)
    }
}
