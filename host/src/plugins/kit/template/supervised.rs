//! `{{name}}`, a supervised local rule: each layer learns towards a target of its own, and nothing
//! comes from the layers above.
//!
//! What is here is the delta rule with a random, fixed code `P` of the classes, which works and passes
//! every check, as a beginning. With the input `x`, the weight `W`, the output `y = x Wᵀ` and the
//! one-hot labels `t`,
//!
//! `ΔW = η·⟨(t Pᵀ − y)·x⟩`,
//!
//! the mean over samples and, in convolutions, places.

use biorule_plugin_api::prelude::*;

hyperparameters! {
    /// `ΔW = η·⟨(t Pᵀ − y)·x⟩`.
    pub struct {{type}} {
        /// learning rate, where the phase sets no `local_rate`
        lr: f64 = 0.05, range 0.0 => 10.0, source "Widrow, Hoff 1960";
    }
}

impl LearningRule for {{type}} {
    fn info() -> RuleInfo {
        RuleInfo::new("{{name}}", Credit::Local)
            .summary("the delta rule towards a random code of the classes")
            .paper("Widrow, Hoff, IRE WESCON 1960")
            .claims(Claims::LOCAL | Claims::DETERMINISTIC)
            .uses_target()
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
        let code = Init::Uniform { lo: -1.0, hi: 1.0 };
        let classes = [layer.units(), layer.classes()];
        Ok(vec![
            StateSpec::new("weight", layer.weight_shape(), start, Role::Plastic),
            StateSpec::new("code", classes, code, Role::FixedFeedback),
        ])
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let layer = cx.layer();
        // Absent where there are no labels, as in evaluation.
        let Some(target) = &a.target else {
            return Ok(Changes::new());
        };
        let wanted = target.matmul(&s.get("code")?.t()?)?; // [B, K]
        let at_places = match layer.kind {
            LayerKind::Dense => wanted,
            LayerKind::Conv => wanted.reshape(&[a.y.batch()?, layer.units(), 1, 1])?,
        };
        let error = at_places.sub(&a.y)?;
        let n = (a.y.elem_count()? / layer.units()) as f64; // samples × places
        let change = layer.correlate(&a.x, &error)?.scale(cx.rate_or(self.lr) / n)?;
        Ok(Changes::new().add("weight", change))
    }
}

export_rules!({{type}});
