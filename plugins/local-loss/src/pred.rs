//! The local prediction loss. Nøkland and Eidnes, ICML 2019, section 3.2 (`pred`).
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `x`, `u` | input and output of the layer; the block's activation comes after it |
//! | `h` | features: `max(0, u)`, in convolutions its mean over places |
//! | `V` | the layer's own linear classifier |
//! | `p`, `t` | softmax of `h Vᵀ`, and one-hot labels |
//! | `η`, `η_V` | learning rates of weight and classifier |
//!
//! The loss is the cross-entropy of `p`, and both weights descend its gradient, which is cut off below:
//! `ΔW = −η·⟨∂L/∂u·x⟩` with `∂L/∂u = ((p − t) V)·[u > 0]`, in convolutions divided over the places, and
//! `ΔV = −η_V·⟨(p − t)·h⟩`, means over samples. Nothing comes from the layers above. The original reduces
//! the map to a small grid and may learn the features by a similarity loss beside (`predsim`); here it
//! is one mean and the prediction loss alone.

use biorule_plugin_api::prelude::*;

hyperparameters! {
    /// The local prediction loss.
    pub struct Pred {
        /// learning rate of the weight where the phase sets no `local_rate`
        lr: f64 = 0.05, range 0.0 => 1e3, source "Nøkland, Eidnes 2019, section 4";
        /// learning rate of the classifier beside that of the weight
        head_scale: f64 = 1.0, range 0.0 => 1e3, unit "1", source "ours";
    }
}

impl LearningRule for Pred {
    fn info() -> RuleInfo {
        RuleInfo::new("local-loss/pred", Credit::Local)
            .summary("a classifier of the layer's own says what to change")
            .paper("Nøkland, Eidnes, ICML 2019, section 3.2")
            .claims(Claims::LOCAL | Claims::DETERMINISTIC)
            .uses_target()
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let uniform = |fan: usize| {
            let limit = 1.0 / (fan as f64).sqrt();
            Init::Uniform {
                lo: -limit,
                hi: limit,
            }
        };
        let (units, draw) = (layer.units(), uniform(layer.fan_in()));
        let head = [layer.classes(), units];
        let mut state = vec![
            StateSpec::new("weight", layer.weight_shape(), draw, Role::Plastic),
            StateSpec::new("head", head, uniform(units), Role::Plastic),
        ];
        if layer.has_bias() {
            state.push(StateSpec::new("bias", [units], draw, Role::Plastic));
        }
        Ok(state)
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let layer = cx.layer();
        // Evaluation and unlabelled data have nothing to learn from.
        let Some(target) = &a.target else {
            return Ok(Changes::new());
        };
        let (head, places) = (s.get("head")?, layer.positions() as f64);
        let active = a.y.relu()?;
        let (samples, units) = (
            a.y.elem_count()? / layer.units() / layer.positions(),
            layer.units(),
        );
        let features = match layer.kind {
            LayerKind::Dense => active.reshape(&[samples, units])?,
            LayerKind::Conv => active.mean(&[2, 3])?,
        };
        let guess = features.matmul(&head.t()?)?.softmax(1, 1.0)?;
        // Rows of zeros are samples without a label: no change comes from them.
        let labelled = target.sum_keepdim(&[1])?;
        let error = guess.mul(&labelled)?.sub(target)?; // (p − t), [B, classes]
        let error = error.scale(1.0 / samples as f64)?;
        let to_head = error.t()?.matmul(&features)?;
        let at_features = error.matmul(&head)?;
        let spread = match layer.kind {
            LayerKind::Dense => at_features.reshape(&a.y.shape()?)?,
            LayerKind::Conv => at_features
                .scale(1.0 / places)?
                .reshape(&[samples, units, 1, 1])?
                .broadcast_as(&a.y.shape()?)?,
        };
        let gate = active.sign()?; // [u > 0]
        let grad = spread.mul(&gate)?;
        let rate = cx.rate_or(self.lr);
        let mut changes = Changes::new()
            .add("weight", layer.correlate(&a.x, &grad)?.scale(-rate)?)
            .add("head", to_head.scale(-rate * self.head_scale)?);
        if s.find("bias").is_some() {
            changes = changes.add("bias", layer.sum_bias(&grad)?.scale(-rate)?);
        }
        Ok(changes)
    }
}
