//! Fixed-random sign-concordant feedback. Moskovitz, Litwin-Kumar and Abbott,
//! arXiv 1812.06488, 2018.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `W` | weight, as in this step's forward pass |
//! | `R` | magnitudes, shaped as `W`, random and fixed; only `|R|` counts |
//! | `M = |R|∘sign(W)` | what the error goes back through; `sign(0) = 0` |
//!
//! `dW = correlate(x, δ)`, `db = Σ δ`, and below goes `feedback(δ, M)`.
//!
//! The angle reported is that of `M`. BioTorch logs that of `|R|`, which has no
//! sign and stands at about 90 degrees whatever the weights do.

use biorule_plugin_api::prelude::*;

use crate::family::family;

family! {
    /// Fixed-random sign-concordant feedback.
    Frsf
}

impl Frsf {
    /// `|R|∘sign(W)`.
    fn feedback(&self, s: &State) -> Result<Tensor> {
        let magnitude = s.get("magnitude")?.abs()?;
        self.options().weight(s)?.sign()?.mul(&magnitude)
    }
}

impl LearningRule for Frsf {
    fn info() -> RuleInfo {
        RuleInfo::new("feedback-alignment/frsf", Credit::Feedback)
            .summary("errors go back through the signs of the weights, with sizes fixed at random")
            .paper("Moskovitz, Litwin-Kumar and Abbott, arXiv 1812.06488, 2018")
            .claims(Claims::DETERMINISTIC)
            .also_local()
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let mut state = self.options().state(layer)?;
        let shape = layer.weight_shape();
        let draw = self.options().feedback_draw()?.initial(&shape);
        state.push(StateSpec::new(
            "magnitude",
            shape,
            draw,
            Role::FixedFeedback,
        ));
        Ok(state)
    }

    fn forward(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Forward> {
        self.options().forward(cx, s, x)
    }

    fn learn(&self, _cx: &Context, s: &State, _a: &Activity) -> Result<Changes> {
        self.options().learn(s)
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        self.options().backward(cx, s, e, || self.feedback(s))
    }

    fn input_gradient(&self, cx: &Context, s: &State, e: &Errors) -> Result<Tensor> {
        self.options().input_gradient(cx, s, e)
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        self.options().metrics(s, &self.feedback(s)?)
    }
}
