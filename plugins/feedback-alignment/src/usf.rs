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
//! BioTorch logs the angle to the feedback of the *last* forward pass, one update
//! behind the weight; here it is the one that the weight would have now.

use biorule_plugin_api::prelude::*;

use crate::family::family;

family! {
    /// Uniform sign-concordant feedback.
    Usf
}

impl Usf {
    /// `s·sign(W)`.
    fn feedback(&self, cx: &Context, s: &State) -> Result<Tensor> {
        let scale = self
            .options()
            .feedback_draw()?
            .deviation(&cx.layer().weight_shape());
        self.options().weight(s)?.sign()?.scale(scale)
    }
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
        self.options().state(layer)
    }

    fn forward(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Forward> {
        self.options().forward(cx, s, x)
    }

    fn learn(&self, _cx: &Context, s: &State, _a: &Activity) -> Result<Changes> {
        self.options().learn(s)
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        self.options().backward(cx, s, e, || self.feedback(cx, s))
    }

    fn metrics(&self, cx: &Context, s: &State) -> Result<Vec<Metric>> {
        self.options().metrics(s, &self.feedback(cx, s)?)
    }
}
