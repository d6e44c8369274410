//! Uniform sign-concordant feedback. Moskovitz, Litwin-Kumar and Abbott, arXiv
//! 1812.06488, 2018; Liao, Leibo and Poggio, AAAI 2016.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `W` | weight, as in this step's forward pass |
//! | `s` | standard deviation of the initial weights, fixed |
//! | `M = s·sign(W)` | what the error goes back through; `sign(0) = 0` |
//!
//! `dW = correlate(x, δ)`, `db = Σ δ`, and below goes `feedback(δ, M)`: the signs
//! of the weights are carried back, their sizes are not.
//!
//! The agreement reported is that of the weight with the `M` of the last step, which
//! is one update behind it, as in BioTorch. That `M` is held for nothing else.

use biorule_plugin_api::prelude::*;

use crate::family::{LAST, Options, family};

family! {
    /// Uniform sign-concordant feedback.
    Usf
}

impl LearningRule for Usf {
    fn info() -> RuleInfo {
        RuleInfo::new("feedback-alignment/usf", Credit::Feedback)
            .summary("errors go back through the signs of the weights, all of one size")
            .paper("Moskovitz, Litwin-Kumar and Abbott, arXiv 1812.06488, 2018")
            .claims(Claims::DETERMINISTIC)
            .also_local()
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let mut state = self.options().state(layer)?;
        state.push(Options::last_feedback(layer));
        Ok(state)
    }

    fn forward(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Forward> {
        self.options().forward(cx, s, x)
    }

    fn learn(&self, cx: &Context, s: &State, _a: &Activity) -> Result<Changes> {
        let used = self.options().uniform_signs(cx.layer(), s)?;
        Ok(self.options().learn(s)?.set(LAST, used))
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        self.options()
            .backward(cx, s, e, || self.options().uniform_signs(cx.layer(), s))
    }

    fn input_gradient(&self, cx: &Context, s: &State, e: &Errors) -> Result<Tensor> {
        self.options().input_gradient(cx, s, e)
    }

    fn metrics(&self, cx: &Context, s: &State) -> Result<Vec<Metric>> {
        self.options().last_metrics(cx.layer(), s)
    }
}
