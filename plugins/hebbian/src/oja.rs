//! Oja's rule. Oja, J. Math. Biology 15, 1982, eq. 3.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `x` | input of a unit: a sample, or a patch of a convolution |
//! | `y` | output `W·x` |
//! | `η` | learning rate |
//!
//! `ΔW = η·⟨y·(x − y·W)⟩`, the mean over samples and places. The decay `y²·W` is the
//! first-order part of dividing by the length, so each unit settles on the first
//! principal component of its input with length 1. Units do not compete: all of
//! them find the same direction, up to its sign.

use biorule_plugin_api::prelude::*;

use crate::plain::{no_bias, samples};

hyperparameters! {
    /// Oja's rule.
    pub struct Oja {
        /// learning rate where the phase sets no `local_rate`
        lr: f64 = 0.01, range 0.0 => 100.0, source "Oja 1982, eq. 3";
    }
}

impl LearningRule for Oja {
    fn info() -> RuleInfo {
        RuleInfo::new("hebbian/oja", Credit::Local)
            .summary("Hebbian growth bounded by a decay")
            .paper("Oja, J. Math. Biology 15, 1982")
            .claims(crate::plain::CLAIMS)
    }

    fn check(&self, layer: &LayerSpec) -> Result<()> {
        no_bias(layer)
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        Ok(vec![crate::plain::unit_weight(layer)])
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let (layer, w) = (cx.layer(), s.get("weight")?);
        let n = samples(layer, &a.y)?;
        let hebb = layer.correlate(&a.x, &a.y)?; // Σ y·x
        let decay = w.mul_rows(&layer.sum_bias(&a.y.sqr()?)?)?; // Σ y²·W
        let step = hebb.sub(&decay)?.scale(cx.rate_or(self.lr) / n)?;
        Ok(Changes::new().add("weight", step))
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        let w = s.get("weight")?;
        let rows = [w.dim(0)?, w.elem_count()? / w.dim(0)?];
        let lengths = w.reshape(&rows)?.sqr()?.sum(&[1])?.sqrt()?.to_vec()?;
        let mean = lengths.iter().sum::<f64>() / lengths.len() as f64;
        Ok(vec![Metric::new("weight_length", mean)])
    }
}
