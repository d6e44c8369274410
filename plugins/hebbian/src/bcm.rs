//! The rule of Bienenstock, Cooper and Munro with a sliding threshold. J. Neuroscience 2, 1982;
//! threshold as in Intrator and Cooper, Neural Networks 5, 1992.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `x` | input of a unit: a sample, or a patch of a convolution |
//! | `y` | output `W·x` |
//! | `θ` | threshold of the unit, which follows `⟨y²⟩` |
//! | `η`, `τ` | learning rate, and steps in which `θ` follows |
//!
//! `ΔW = η·⟨y·(y − θ)·x⟩ − η·λ·W`, `θ ← θ + (⟨y²⟩ − θ)/τ`, means over samples and places. Strong responses
//! grow, weak ones shrink, and since the threshold grows faster than the response, both stay bounded. In
//! a world of `n` equally likely, linearly independent patterns a unit comes to answer one of them with
//! `n` and the others with 0: the test of this rule.

use biorule_plugin_api::prelude::*;

use crate::plain::{no_bias, samples};

hyperparameters! {
    /// The BCM rule.
    pub struct Bcm {
        /// learning rate where the phase sets no `local_rate`
        lr: f64 = 0.001, range 0.0 => 100.0, source "Bienenstock et al. 1982, eq. 3";
        /// steps in which the threshold follows the mean square of the output
        tau: f64 = 2.0, range 1.0 => 1e9, unit "steps", source "Intrator, Cooper 1992, eq. 2";
        /// decay of the weight beside the learning rate, `ε` of the paper
        decay: f64 = 0.0, range 0.0 => 1e6, source "Bienenstock et al. 1982, eq. 3";
        /// threshold at the start
        threshold: f64 = 1.0, range 0.0 => 1e9, source "ours";
    }
}

impl LearningRule for Bcm {
    fn info() -> RuleInfo {
        RuleInfo::new("hebbian/bcm", Credit::Local)
            .summary("growth above a sliding threshold, decline below it")
            .paper("Bienenstock, Cooper, Munro, J. Neuroscience 2, 1982")
            .claims(crate::plain::CLAIMS)
    }

    fn check(&self, layer: &LayerSpec) -> Result<()> {
        no_bias(layer)
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let start = Init::Constant(self.threshold);
        let threshold = StateSpec::new("threshold", [layer.units()], start, Role::Statistic);
        Ok(vec![crate::plain::unit_weight(layer), threshold])
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let (layer, w, theta) = (cx.layer(), s.get("weight")?, s.get("threshold")?);
        let (n, rate) = (samples(layer, &a.y)?, cx.rate_or(self.lr));
        let squares = a.y.sqr()?;
        let strong = layer.correlate(&a.x, &squares)?; // Σ y²·x
        let weak = layer.correlate(&a.x, &a.y)?.mul_rows(&theta)?; // θ·Σ y·x
        let mut step = strong.sub(&weak)?.scale(rate / n)?;
        if self.decay > 0.0 {
            step = step.sub(&w.scale(rate * self.decay)?)?;
        }
        let mean = layer.sum_bias(&squares)?.scale(1.0 / n)?;
        let moved = mean.sub(&theta)?.scale(1.0 / self.tau)?;
        Ok(Changes::new().add("weight", step).add("threshold", moved))
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        let theta = s.get("threshold")?.to_vec()?;
        let mean = theta.iter().sum::<f64>() / theta.len() as f64;
        Ok(vec![Metric::new("threshold", mean)])
    }
}
