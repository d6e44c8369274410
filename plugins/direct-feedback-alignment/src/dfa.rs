//! Direct feedback alignment. Nøkland, NeurIPS 2016, eq. 7.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `W`, `b` | weight and bias |
//! | `B` | feedback weight from the network's output to this layer's input, random and fixed |
//! | `e` | derivative of the loss by the network's output |
//! | `δ` | error at this layer's output, as it arrives from above |
//!
//! `dW = correlate(x, δ)`, `db = Σ δ`. Below goes `e B`, whatever arrived: the layer
//! below gets the output's error through one random matrix, not through the
//! layers between. The output layer has the true gradient (`δ = e` there), and
//! hands `e B` down like the others. Pooling, normalisation and activation between
//! two layers are differentiated as ever; in a residual block only the path through
//! the layer carries `e B`, the shortcut carries what it always does.

use biorule_feedback_parts::{Draw, norm_ratio, own_gradients, trained_state};
use biorule_plugin_api::prelude::*;

use crate::direct::{Layout, output_error};

hyperparameters! {
    /// Direct feedback alignment.
    pub struct Dfa {
        /// initial weights and feedback: uniform in ±√(6/(fan_in + fan_out)), uniform in ±1/√fan_in with the bias
        /// (`kaiming` of BioTorch, also called `torch`), He's normal, or bioflax's three
        init: String = "xavier", one_of ["xavier", "kaiming", "torch", "he", "lecun", "uniform", "variance_scaling"], source "BioTorch layer_config.options.init; bioflax run_train.py, initializer";
        /// scale of the weights for `uniform` (half-width) and `variance_scaling` (variance times fan_in)
        scale_w: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_w";
        /// the same for the feedback
        scale_b: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_b";
        /// feedback weight of a convolution: a kernel over the error at each position, or one number for each input value
        layout: String = "kernel", one_of ["kernel", "full"], read_if |_rule, layer| layer.kind == LayerKind::Conv, source "BioTorch dfa layers; Nøkland 2016, eq. 7";
        /// hold the feedback weight, or draw it again at each step: always, never, or by `store_limit`
        store: String = "auto", one_of ["auto", "always", "never"], source "ours";
        /// largest feedback weight that `auto` holds
        store_limit: i64 = 4_194_304, range 0 => 1e15, unit "values", read_if |rule, _layer| rule.store == "auto", source "ours";
    }
}

impl Dfa {
    fn layout(&self, layer: &LayerSpec) -> Layout {
        Layout::of(&self.layout, layer)
    }

    fn stores(&self, shape: &[usize]) -> bool {
        let values: usize = shape.iter().product();
        match self.store.as_str() {
            "always" => true,
            "never" => false,
            _ => values as i64 <= self.store_limit,
        }
    }

    fn feedback_draw(&self) -> Result<Draw> {
        Draw::named(&self.init, self.scale_b)
    }

    /// `B`, held or drawn.
    fn feedback(&self, cx: &Context, s: &State) -> Result<Tensor> {
        match s.find("feedback") {
            Some(held) => Ok(held.clone()),
            None => self
                .layout(cx.layer())
                .generate(self.feedback_draw()?, cx, &*s.get("weight")?),
        }
    }
}

impl LearningRule for Dfa {
    fn info() -> RuleInfo {
        RuleInfo::new("direct-feedback-alignment/dfa", Credit::Direct)
            .summary("each layer hears the network's output error through a random, fixed weight")
            .paper("Nøkland, NeurIPS 2016")
            .claims(Claims::NO_WEIGHT_TRANSPORT | Claims::DETERMINISTIC)
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let mut state = trained_state(Draw::named(&self.init, self.scale_w)?, layer);
        let layout = self.layout(layer);
        let shape = layout.shape(layer);
        if self.stores(&shape) {
            let draw = layout.initial(self.feedback_draw()?, layer);
            state.push(StateSpec::new("feedback", shape, draw, Role::FixedFeedback));
        }
        Ok(state)
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        let layer = cx.layer();
        let out = own_gradients(layer, s, e)?;
        if !e.want_grad_x {
            return Ok(out);
        }
        let (error, b) = (output_error(e)?, self.feedback(cx, s)?);
        Ok(out.below(self.layout(layer).below(layer, error, &b, &e.x)?))
    }

    fn metrics(&self, cx: &Context, s: &State) -> Result<Vec<Metric>> {
        norm_ratio(&*s.get("weight")?, &self.feedback(cx, s)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feedback_weight_is_held_as_the_parameters_say() {
        let mut rule = Dfa::default_values();
        assert!(rule.stores(&[10, 4096]));
        assert!(!rule.stores(&[1000, 25_088]));
        rule.store = "always".into();
        assert!(rule.stores(&[1000, 25_088]));
        rule.store = "never".into();
        assert!(!rule.stores(&[1, 1]));
    }
}
