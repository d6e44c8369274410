//! Batch-random sign-concordant feedback. Moskovitz, Litwin-Kumar and Abbott,
//! arXiv 1812.06488, 2018.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `W` | weight, as in this step's forward pass |
//! | `R_t` | magnitudes, drawn anew at each step from the initial distribution |
//! | `M_t = |R_t|∘sign(W)` | what the error goes back through; `sign(0) = 0` |
//!
//! `dW = correlate(x, δ)`, `db = Σ δ`, and below goes `feedback(δ, M_t)`.
//!
//! `R_t` depends on run, layer and step alone, and is drawn where the layer learns;
//! in BioTorch each forward pass draws, evaluation included, and any `init` but
//! xavier is an error. The agreement reported is that of the weight with the `M` of
//! the last step, as there.

use biorule_plugin_api::prelude::*;

use crate::family::{LAST, Options, family};

family! {
    /// Batch-random sign-concordant feedback.
    Brsf
}

impl Brsf {
    /// `R_t`.
    fn draw(&self, cx: &Context, like: &Tensor) -> Result<Tensor> {
        let shape = cx.layer().weight_shape();
        let mut stream = cx.random("magnitude");
        self.options()
            .feedback_draw()?
            .fresh(&mut stream, like, &shape, &shape)
    }

    /// `|R|∘sign(W)`.
    fn feedback(&self, s: &State, magnitude: &Tensor) -> Result<Tensor> {
        self.options().weight(s)?.sign()?.mul(&magnitude.abs()?)
    }
}

impl LearningRule for Brsf {
    fn info() -> RuleInfo {
        RuleInfo::new("feedback-alignment/brsf", Credit::Feedback)
            .summary(
                "errors go back through the signs of the weights, their sizes drawn at each step",
            )
            .paper("Moskovitz, Litwin-Kumar and Abbott, arXiv 1812.06488, 2018")
            .claims(Claims::DETERMINISTIC)
            .also_local()
            .stochastic()
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let mut state = self.options().state(layer)?;
        state.push(Options::last_feedback(layer));
        Ok(state)
    }

    fn forward(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Forward> {
        let out = self.options().forward(cx, s, x)?;
        if !cx.learning() {
            return Ok(out);
        }
        let magnitude = self.draw(cx, &*s.get("weight")?)?;
        Ok(out.keep("magnitude", magnitude))
    }

    fn learn(&self, _cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let used = self.feedback(s, &*a.kept.get("magnitude")?)?;
        Ok(self.options().learn(s)?.set(LAST, used))
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        self.options()
            .backward(cx, s, e, || match e.kept.find("magnitude") {
                Some(kept) => self.feedback(s, &kept),
                // A frozen layer only hands the error on; the step's stream gives the same numbers.
                None => self.feedback(s, &self.draw(cx, &*s.get("weight")?)?),
            })
    }

    fn input_gradient(&self, cx: &Context, s: &State, e: &Errors) -> Result<Tensor> {
        self.options().input_gradient(cx, s, e)
    }

    fn metrics(&self, cx: &Context, s: &State) -> Result<Vec<Metric>> {
        self.options().last_metrics(cx.layer(), s)
    }
}
