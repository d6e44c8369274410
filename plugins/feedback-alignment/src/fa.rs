//! Feedback alignment. Lillicrap et al., Nature Communications 7, 2016, eq. 2.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `W`, `b` | weight and bias, trained by the optimiser |
//! | `B` | feedback weight, shaped as `W`, random and fixed |
//! | `δ` | error at the layer's output |
//!
//! `dW = correlate(x, δ)`, `db = Σ δ`, and below goes `feedback(δ, B)`. That the
//! weight comes to align with `B`, so that the error below means something, is the
//! paper's finding. BioTorch and bioflax have the same rule; the latter stores `W`
//! and `B` transposed.

use biorule_plugin_api::prelude::*;

use crate::family::family;

family! {
    /// Feedback alignment.
    Fa
}

impl LearningRule for Fa {
    fn info() -> RuleInfo {
        RuleInfo::new("feedback-alignment/fa", Credit::Feedback)
            .summary("errors go back through a random, fixed weight")
            .paper("Lillicrap et al., Nature Communications 7, 2016")
            .claims(Claims::NO_WEIGHT_TRANSPORT | Claims::DETERMINISTIC)
            .also_local()
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let mut state = self.options().state(layer)?;
        let shape = layer.weight_shape();
        let draw = self.options().feedback_draw()?.initial(&shape);
        state.push(StateSpec::new("feedback", shape, draw, Role::FixedFeedback));
        Ok(state)
    }

    fn forward(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Forward> {
        self.options().forward(cx, s, x)
    }

    fn learn(&self, _cx: &Context, s: &State, _a: &Activity) -> Result<Changes> {
        self.options().learn(s)
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        self.options()
            .backward(cx, s, e, || Ok(s.get("feedback")?.clone()))
    }

    fn input_gradient(&self, cx: &Context, s: &State, e: &Errors) -> Result<Tensor> {
        self.options().input_gradient(cx, s, e)
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        self.options().metrics(s, &*s.get("feedback")?)
    }
}
