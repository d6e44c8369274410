//! What the four rules share: BioTorch's options, and everything but the choice
//! of `M`.
//!
//! - `gradient_clip`: everything the layer returns (dx, dW, db) is limited element by
//!   element. It acts layer by layer on the way down, so a limited dx feeds the layers
//!   below. BioTorch's switch means 1.
//! - `constrain_weights`: before each forward pass `W ← W·|W₀|/|W|` (Moskovitz et al.
//!   2018), with `|W₀|` the Frobenius norm at the first training step. BioTorch puts
//!   a new tensor in the weight's place and its optimiser goes on changing the old
//!   one: there the weights keep their direction for ever and only biases learn.
//!   Here the weight itself is rescaled, and learns. The first forward and backward
//!   pass of the two are the same.

use biorule_feedback_parts::{Draw, agreement, own_gradients, trained_state};
use biorule_plugin_api::prelude::*;

/// The `M` of the last step.
pub(crate) const LAST: &str = "feedback";

/// Stands for a norm of zero in a quotient.
const TINY: f64 = 1e-12;

/// Declares a rule of the family: its hyperparameters, and `options()` on them.
macro_rules! family {
    ($(#[$meta:meta])* $name:ident) => {
        biorule_plugin_api::hyperparameters! {
            $(#[$meta])*
            pub struct $name {
                /// initial weights and feedback: uniform in ±√(6/(fan_in + fan_out)), uniform in ±1/√fan_in with the bias
                /// (`kaiming` of BioTorch, also called `torch`), He's normal, or bioflax's three
                init: String = "xavier", one_of ["xavier", "kaiming", "torch", "he", "lecun", "uniform", "variance_scaling"], source "BioTorch layer_config.options.init; bioflax run_train.py, initializer";
                /// scale of the weights for `uniform` (half-width) and `variance_scaling` (variance times fan_in)
                scale_w: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| biorule_feedback_parts::Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_w";
                /// the same for the feedback
                scale_b: f64 = 1.0, range 0.0 => 1e6, read_if |rule, _layer| biorule_feedback_parts::Draw::is_scaled(&rule.init), source "bioflax run_train.py, scale_b";
                /// limit of each element of dx, dW and db; 0 is none
                gradient_clip: f64 = 0.0, range 0.0 => 1e6, source "BioTorch layer_config.options.gradient_clip, where on means 1";
                /// keep the norm of the weight at its first value, by rescaling it before each forward pass
                constrain_weights: bool = false, source "BioTorch layer_config.options.constrain_weights; Moskovitz et al. 2018";
            }
        }
        impl $name {
            fn options(&self) -> $crate::family::Options<'_> {
                $crate::family::Options {
                    init: &self.init,
                    scale_w: self.scale_w,
                    scale_b: self.scale_b,
                    clip: self.gradient_clip,
                    constrain: self.constrain_weights,
                }
            }
        }
    };
}
pub(crate) use family;

/// The options of a rule.
pub(crate) struct Options<'a> {
    pub(crate) init: &'a str,
    pub(crate) scale_w: f64,
    pub(crate) scale_b: f64,
    pub(crate) clip: f64,
    pub(crate) constrain: bool,
}

impl Options<'_> {
    /// Distribution of the weight.
    pub(crate) fn weight_draw(&self) -> Result<Draw> {
        Draw::named(self.init, self.scale_w)
    }

    /// Distribution of the feedback.
    pub(crate) fn feedback_draw(&self) -> Result<Draw> {
        Draw::named(self.init, self.scale_b)
    }

    /// Weight, bias and, under the norm constraint, the norm to keep (0 as long as
    /// it is not known).
    pub(crate) fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let mut state = trained_state(self.weight_draw()?, layer);
        if self.constrain {
            let unknown = Init::Constant(0.0);
            state.push(StateSpec::new("norm", [1], unknown, Role::Statistic));
        }
        Ok(state)
    }

    /// The weight as the forward pass uses it.
    pub(crate) fn weight(&self, s: &State<'_>) -> Result<Tensor> {
        let weight = s.get("weight")?;
        if !self.constrain {
            return Ok(weight.clone());
        }
        let (kept, now) = norms(s)?;
        let ratio = kept.div(&now.maximum(&now.full_like(&[1], TINY)?)?)?;
        weight.mul(&ratio.reshape(&vec![1; weight.rank()?])?)
    }

    /// The layer's map with that weight, and the bias.
    pub(crate) fn forward(&self, cx: &Context<'_>, s: &State<'_>, x: &Tensor) -> Result<Forward> {
        let u = cx.layer().forward(x, &self.weight(s)?)?;
        Ok(Forward::new(match s.find("bias") {
            Some(bias) => cx.layer().add_bias(&u, &bias)?,
            None => u,
        }))
    }

    /// Puts the rescaled weight in the weight's place, so that the optimiser changes it.
    pub(crate) fn learn(&self, s: &State<'_>) -> Result<Changes> {
        if !self.constrain {
            return Ok(Changes::new());
        }
        let (kept, _) = norms(s)?;
        Ok(Changes::new()
            .set("weight", self.weight(s)?)
            .set("norm", kept))
    }

    /// `dW = correlate(x, δ)`, `db = Σ δ`, `dx = feedback(δ, M)`, each within the limit.
    pub(crate) fn backward(
        &self,
        cx: &Context<'_>,
        s: &State<'_>,
        e: &Errors<'_>,
        feedback: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Gradients> {
        let mut out = own_gradients(cx.layer(), s, e)?;
        if e.want_grad_x {
            out = out.below(cx.layer().feedback(&e.grad_y, &feedback()?)?);
        }
        if self.clip > 0.0 {
            let limit = |t: &Tensor| t.clamp(-self.clip, self.clip);
            out.grad_x = out.grad_x.as_ref().map(limit).transpose()?;
            for (_, grad) in &mut out.grads {
                *grad = limit(grad)?;
            }
        }
        Ok(out)
    }

    /// The true error below, through the weight that the forward pass used.
    pub(crate) fn input_gradient(
        &self,
        cx: &Context<'_>,
        s: &State<'_>,
        e: &Errors<'_>,
    ) -> Result<Tensor> {
        cx.layer().feedback(&e.grad_y, &self.weight(s)?)
    }

    /// Agreement of `M` with the weight.
    pub(crate) fn metrics(&self, s: &State<'_>, feedback: &Tensor) -> Result<Vec<Metric>> {
        agreement(&self.weight(s)?, feedback)
    }

    /// `s·sign(W)`, with `s` the deviation of the feedback's distribution: the `M` of uSF, and
    /// what uSF and brSF report before their first step.
    pub(crate) fn uniform_signs(&self, layer: &LayerSpec, s: &State<'_>) -> Result<Tensor> {
        let scale = self.feedback_draw()?.deviation(&layer.weight_shape());
        self.weight(s)?.sign()?.scale(scale)
    }

    /// The place of the `M` of the last step, for rules whose `M` changes with the weight.
    pub(crate) fn last_feedback(layer: &LayerSpec) -> StateSpec {
        let none = Init::Constant(0.0);
        StateSpec::new(LAST, layer.weight_shape(), none, Role::Statistic)
    }

    /// Agreement of the weight with the `M` of the last step, which is one update behind it;
    /// before the first step, with its own signs.
    pub(crate) fn last_metrics(&self, layer: &LayerSpec, s: &State<'_>) -> Result<Vec<Metric>> {
        let last = s.get(LAST)?;
        if last.sqr()?.sum_all()?.to_scalar()? > 0.0 {
            return self.metrics(s, &last);
        }
        self.metrics(s, &self.uniform_signs(layer, s)?)
    }
}

/// Norm to keep and norm now, `[1]` each; before the first training step they are equal.
fn norms(s: &State<'_>) -> Result<(Tensor, Tensor)> {
    let now = s.get("weight")?.sqr()?.sum_all()?.sqrt()?.reshape(&[1])?;
    let kept = s.get("norm")?;
    let unknown = kept.eq(&kept.full_like(&[1], 0.0)?)?;
    Ok((now.where_mask(&unknown, &kept)?, now))
}
