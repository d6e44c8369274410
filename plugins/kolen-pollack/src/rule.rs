//! Kolen and Pollack, ICNN 1994; as a network rule Akrout et al., NeurIPS 2019,
//! eqs. 16 and 17, and bioflax.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `W`, `b` | weight and bias |
//! | `B` | feedback weight, shaped as `W`, trained |
//! | `δ` | error at the layer's output |
//! | `η`, `λ` | the optimiser's rate and its `decoupled_decay` |
//!
//! Below goes `feedback(δ, B)`; `dW = correlate(x, δ)`, `db = Σ δ`, and `dB = dW`:
//! both synapses see the same two cells. With `W ← W − η dW − λW` and the same for
//! `B`, `W − B` shrinks by `1 − λ` at each step, whatever the optimiser does with
//! the gradients, since it does the same to both. Without decay it stays for ever.
//!
//! bioflax documents this decay and adds it with the other sign: there a positive
//! `weight_decay` makes `W`, `b` and `B` grow. `decoupled_decay` is the documented
//! one; a negative value reproduces the growth.
//!
//! No reference has the rule for convolutions; a `B` of the kernel's shape is the
//! same definition.

use biorule_feedback_parts::{Draw, agreement, own_gradients, trained_state};
use biorule_plugin_api::prelude::*;

hyperparameters! {
    /// Kolen and Pollack's rule.
    pub struct KolenPollack {
        /// initial weights and feedback: LeCun's truncated normal, uniform in ±scale, normal of variance scale/fan_in,
        /// Glorot's uniform, uniform in ±1/√fan_in with the bias (`kaiming` of BioTorch, also called `torch`), or He's normal
        init: String = "lecun", one_of ["lecun", "uniform", "variance_scaling", "xavier", "kaiming", "torch", "he"], source "bioflax run_train.py, initializer";
        /// scale of the weights for `uniform` (half-width) and `variance_scaling` (variance times fan_in)
        scale_w: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_w";
        /// the same for the feedback
        scale_b: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_b";
    }
}

impl LearningRule for KolenPollack {
    fn info() -> RuleInfo {
        RuleInfo::new("kolen-pollack", Credit::Feedback)
            .summary("errors go back through a weight that learns as the forward weight does")
            .paper("Kolen and Pollack, ICNN 1994; Akrout et al., NeurIPS 2019")
            .claims(Claims::NO_WEIGHT_TRANSPORT | Claims::DETERMINISTIC)
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let mut state = trained_state(Draw::named(&self.init, self.scale_w)?, layer);
        let shape = layer.weight_shape();
        let draw = Draw::named(&self.init, self.scale_b)?.initial(&shape);
        state.push(StateSpec::new(
            "feedback",
            shape,
            draw,
            Role::LearnedFeedback,
        ));
        Ok(state)
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        let layer = cx.layer();
        let mut out = own_gradients(layer, s, e)?;
        let shared = out.grads.iter().find(|(name, _)| name == "weight");
        if let Some((_, grad)) = shared {
            let grad = grad.clone();
            out = out.of("feedback", grad);
        }
        if e.want_grad_x {
            out = out.below(layer.feedback(&e.grad_y, &*s.get("feedback")?)?);
        }
        Ok(out)
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        agreement(&*s.get("weight")?, &*s.get("feedback")?)
    }
}
