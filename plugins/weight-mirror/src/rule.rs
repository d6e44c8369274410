//! Weight mirrors. Akrout, Wilson, Humphreys, Lillicrap and Tweed, NeurIPS 2019,
//! section 4, eq. 7.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `W`, `b` | weight and bias, trained by the optimiser |
//! | `B` | feedback weight, shaped as `W`, changed by the mirror alone |
//! | `ξ` | noise at the layer's input, normal with mean 0 and deviation σ, a fresh one for each layer |
//! | `η`, `λ` | rate and decay of the mirror |
//!
//! In the mirror's turn the layer is fed noise, and the feedback synapse correlates
//! what its two cells do: `ΔB = η·correlate(ξ, A(ξ; W))/n − λB`, the mean over
//! samples and positions. Noise is white, so `⟨ξ A(ξ; W)⟩ = σ²·W`, and `B` comes to
//! rest at `ησ²/λ` times `W`. Then the error goes below as `feedback(δ, B)`.
//!
//! Mirror and engaged mode take turns within each step. The paper decays `B` and
//! gives no rates; its code for dense nets limits `B` by its response to noise
//! instead, and sends the noise through the nonlinearity. A bias stays out of it:
//! cells are at rest around the mean (the paper's "bias-blocking").

use biorule_feedback_parts::{Draw, agreement, own_gradients, trained_state};
use biorule_plugin_api::prelude::*;

hyperparameters! {
    /// Weight mirrors.
    pub struct WeightMirror {
        /// initial weights and feedback, as for the other feedback rules
        init: String = "xavier", one_of ["xavier", "kaiming", "torch", "he", "lecun", "uniform", "variance_scaling"], source "BioTorch layer_config.options.init; bioflax run_train.py, initializer";
        /// scale of the weights for `uniform` (half-width) and `variance_scaling` (variance times fan_in)
        scale_w: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_w";
        /// the same for the feedback
        scale_b: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_b";
        /// rate of the mirror
        lr: f64 = 0.05, range 0.0 => 1e3, source "Akrout et al. 2019, eq. 7, η_B; value ours";
        /// share of the feedback that is lost at each step
        decay: f64 = 0.05, range 0.0 => 1.0, source "Akrout et al. 2019, section 4; value ours";
        /// deviation of the noise
        noise: f64 = 1.0, range 0.0 => 1e3, source "Akrout et al. 2019, section 4, σ; value ours";
        /// noise samples at each step; 0 takes the size of the batch
        samples: i64 = 0, range 0 => 1_000_000, source "makrout/Deep-Learning-without-Weight-Transport fcnn/FCNN_WM.py, batch_size";
    }
}

impl LearningRule for WeightMirror {
    fn info() -> RuleInfo {
        RuleInfo::new("weight-mirror", Credit::Feedback)
            .summary("errors go back through a weight that mirrors the forward weight by listening to noise")
            .paper("Akrout et al., NeurIPS 2019")
            .claims(Claims::NO_WEIGHT_TRANSPORT | Claims::DETERMINISTIC)
            .also_local()
            .stochastic()
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let mut state = trained_state(Draw::named(&self.init, self.scale_w)?, layer);
        let shape = layer.weight_shape();
        let draw = Draw::named(&self.init, self.scale_b)?.initial(&shape);
        state.push(StateSpec::new("feedback", shape, draw, Role::Plastic));
        Ok(state)
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let (layer, weight) = (cx.layer(), s.get("weight")?);
        let samples = match self.samples {
            0 => a.x.batch()?,
            n => n as usize,
        };
        let mut shape = vec![samples];
        shape.extend_from_slice(layer.input_shape());
        let xi = cx
            .random("mirror")
            .normal(&weight, &shape, 0.0, self.noise)?;
        let hebb = layer.correlate(&xi, &layer.forward(&xi, &weight)?)?;
        let mean = 1.0 / (samples * layer.positions()) as f64;
        let rate = cx.rate_or(self.lr);
        let grow = hebb.scale(rate * mean)?;
        // A scheduled rate slows growth and loss alike, so that their balance stays.
        let share = if self.lr > 0.0 { rate / self.lr } else { 0.0 };
        let lose = s.get("feedback")?.scale(self.decay * share)?;
        Ok(Changes::new().add("feedback", grow.sub(&lose)?))
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        let layer = cx.layer();
        let out = own_gradients(layer, s, e)?;
        if !e.want_grad_x {
            return Ok(out);
        }
        Ok(out.below(layer.feedback(&e.grad_y, &*s.get("feedback")?)?))
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        agreement(&*s.get("weight")?, &*s.get("feedback")?)
    }
}
