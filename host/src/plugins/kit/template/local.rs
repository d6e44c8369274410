//! `{{name}}`, a local learning rule: it sees its own input and output, and no labels.
//!
//! What is here is Oja's rule, which works and passes every check, as a beginning. With the input
//! `x`, the weight `W` and the output `y = x Wᵀ`,
//!
//! `ΔW = η·⟨y·(x − y·W)⟩`,
//!
//! the mean over samples and, in convolutions, places.

use biorule_plugin_api::prelude::*;

hyperparameters! {
    /// `ΔW = η·⟨y·(x − y·W)⟩`.
    pub struct {{type}} {
        /// learning rate, where the phase sets no `local_rate`
        lr: f64 = 0.01, range 0.0 => 10.0, source "Oja 1982, eq. 3";
    }
}

impl LearningRule for {{type}} {
    fn info() -> RuleInfo {
        RuleInfo::new("{{name}}", Credit::Local)
            .summary("Hebbian growth bounded by a decay")
            .paper("Oja, J. Math. Biology 15, 1982")
            .claims(Claims::LOCAL | Claims::UNSUPERVISED | Claims::DETERMINISTIC)
    }

    fn check(&self, layer: &LayerSpec) -> Result<()> {
        if layer.has_bias() {
            return Err(RuleError::unsupported("the rule learns no bias: set `bias = false`"));
        }
        Ok(())
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let std = 1.0 / (layer.fan_in() as f64).sqrt();
        let start = Init::Normal { mean: 0.0, std };
        Ok(vec![StateSpec::new("weight", layer.weight_shape(), start, Role::Plastic)])
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let (layer, w) = (cx.layer(), s.get("weight")?);
        let n = (a.y.elem_count()? / layer.units()) as f64; // samples × places
        let hebb = layer.correlate(&a.x, &a.y)?; // Σ y·x
        let decay = w.mul_rows(&layer.sum_bias(&a.y.sqr()?)?)?; // Σ y²·W
        let change = hebb.sub(&decay)?.scale(cx.rate_or(self.lr) / n)?;
        Ok(Changes::new().add("weight", change))
    }

    fn metrics(&self, _: &Context, s: &State) -> Result<Vec<Metric>> {
        let lengths = s.get("weight")?.row_norms(2.0)?.to_vec()?;
        let mean = lengths.iter().sum::<f64>() / lengths.len() as f64;
        Ok(vec![Metric::new("length", mean)])
    }
}

export_rules!({{type}});
