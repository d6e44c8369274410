//! Hebb's rule. Hebb, The Organization of Behavior, 1949.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `x` | input of a unit: a sample, or a patch of a convolution |
//! | `y` | output `W·x` |
//! | `η` | learning rate |
//!
//! `ΔW = η·⟨y·x⟩`, the mean over samples and places: cells that fire together wire
//! together. Nothing bounds it: every unit grows along the first principal
//! component of its input. `clamp` cuts each weight at a limit; `hebbian/oja` has
//! the decay that keeps the length.

use biorule_plugin_api::prelude::*;

use crate::plain::{no_bias, samples};

hyperparameters! {
    /// Hebb's rule.
    pub struct Hebb {
        /// learning rate where the phase sets no `local_rate`
        lr: f64 = 0.01, range 0.0 => 100.0, source "Hebb 1949";
        /// limit of the size of a weight; 0 is none
        clamp: f64 = 0.0, range 0.0 => 1e9, source "ours";
    }
}

impl LearningRule for Hebb {
    fn info() -> RuleInfo {
        RuleInfo::new("hebbian/hebb", Credit::Local)
            .summary("weights grow with the product of input and output")
            .paper("Hebb, The Organization of Behavior, 1949")
            .claims(crate::plain::CLAIMS)
    }

    fn check(&self, layer: &LayerSpec) -> Result<()> {
        no_bias(layer)
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        Ok(vec![crate::plain::unit_weight(layer)])
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let n = samples(cx.layer(), &a.y)?;
        let step = cx.layer().correlate(&a.x, &a.y)?; // Σ y·x
        let step = step.scale(cx.rate_or(self.lr) / n)?;
        if self.clamp == 0.0 {
            return Ok(Changes::new().add("weight", step));
        }
        let grown = s.get("weight")?.add(&step)?;
        Ok(Changes::new().set("weight", grown.clamp(-self.clamp, self.clamp)?))
    }
}
