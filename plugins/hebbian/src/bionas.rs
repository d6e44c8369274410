//! The Hebbian convolution of `BioNAS` (class `HebbianConv` of its README).
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `P` | input vectors as rows `[N, D]`: samples, or patches of all images |
//! | `Y` | outputs `[N, K]` with the weight as it stands, bias included |
//! | `p̂`, `ŷ` | rows divided by their length (at least 1e-12) |
//! | `M` | `p̂ᵀ ŷ`, `[D, K]` |
//! | `A`, `W` | accumulator and weight, both shaped as the weight |
//! | `η` | `hebbian_scale` |
//!
//! `A ← clamp(A + η·M, ±c)`, `W ← A`, and the output is made with the new weight.
//! The sum `M` is one correlation: the lengths of patch and output are divided out
//! of the output, and the length of a patch is a convolution with ones.
//!
//! # What belongs to the rule, what to the block
//! The reference's module ends in a batch normalisation; that is the block's
//! `norm_inner = { kind = "batch", affine = true }`. There is no nonlinearity in it.
//! The rule is the map, its accumulator and the error that passes through: the error
//! goes below through the new weight, as in backpropagation, so the rule takes an
//! error from above and also learns locally.
//!
//! # Modes
//! - `faithful` is the reference to the letter: `M`'s memory `[D, K]` is read as
//!   `[K, D]` without a transpose, `A` starts from zero (the initial weight only
//!   shapes the first output), `M` is a sum, and the weight stays with the optimiser,
//!   whose step lasts until the next `W ← A`. It updates in evaluation too
//!   (`update_in_eval`): evaluating changes the network, and the result depends on
//!   the order and the number of batches.
//! - `corrected` takes each of those back by a flag of its own, and adds a decay:
//!   without one the weights drift along the mean input until they meet the clamp.
//! - `plain` is the module with the rule switched off: an ordinary layer for the
//!   optimiser.
//!
//! Groups are separate layers on slices of channels; they, rectangular kernels and
//! dilation are `corrected` only, as the reference has none of them. A rate of 0 from
//! the phase switches the update off in every mode.

use biorule_plugin_api::prelude::*;

use crate::lengths::{of_outputs, of_patches, rows, unit_rows};
use crate::plain::samples;

hyperparameters! {
    /// `BioNAS`'s Hebbian convolution.
    pub struct BioNas {
        /// `faithful` is the reference with its defects, learning in evaluation among them; `corrected` obeys the flags below; `plain` is the layer without the rule
        mode: String = "faithful", one_of ["faithful", "corrected", "plain"], source "BioNAS README, HebbianConv";
        /// step size where the phase sets no `local_rate`; 0 takes the mode's: 1e-4 faithful, 1e-2 corrected
        hebbian_scale: f64 = 0.0, range 0.0 => 1e6, read_if |rule, _layer| rule.mode != "plain", source "BioNAS README, HebbianConv";
        /// limit of the size of a weight
        clamp: f64 = 1.0, range 0.0 => 1e9, read_if |rule, _layer| rule.mode != "plain", source "BioNAS README, HebbianConv";
        /// corrected: the sum read as the weight lies, or with its memory scrambled as in the reference
        layout: String = "transposed", one_of ["transposed", "scrambled"], read_if |rule, _layer| rule.mode == "corrected", source "BioNAS README, HebbianConv (no transpose)";
        /// corrected: mean or sum over samples and places
        reduce: String = "mean", one_of ["mean", "sum"], read_if |rule, _layer| rule.mode == "corrected", source "BioNAS README, HebbianConv (a sum)";
        /// corrected: learning starts from the initial weight or from zeros
        init: String = "conv", one_of ["conv", "zeros"], read_if |rule, _layer| rule.mode == "corrected", source "BioNAS README, HebbianConv (zeros)";
        /// corrected: forward passes in evaluation update too
        update_in_eval: bool = false, read_if |rule, _layer| rule.mode == "corrected", source "BioNAS README, HebbianConv (updates in eval)";
        /// corrected: the optimiser moves the weight as well
        optimizer_owns_weight: bool = false, read_if |rule, _layer| rule.mode == "corrected", source "BioNAS README, HebbianConv (a parameter)";
        /// corrected: Oja's decay, rows kept at length 1, or none
        decay: String = "none", one_of ["none", "oja", "unit"], read_if |rule, _layer| rule.mode == "corrected", source "Oja 1982";
    }
}

/// Name under which `forward` keeps the updated weight.
const UPDATED: &str = "updated";

impl LearningRule for BioNas {
    fn info() -> RuleInfo {
        RuleInfo::new("hebbian/bionas", Credit::Feedback)
            .summary("a clamped sum of correlations of unit-length patches and outputs")
            .paper("BioNAS README, class HebbianConv")
            .claims(Claims::DETERMINISTIC)
            .also_local()
            .learns_in_evaluation()
    }

    fn check(&self, layer: &LayerSpec) -> Result<()> {
        if self.scrambled() && layer.groups() > 1 {
            return Err(refuse("a scrambled layout", "channel groups"));
        }
        if self.mode != "faithful" {
            return Ok(());
        }
        let ([r, s], [sr, ss], [dr, ds]) = (layer.kernel(), layer.stride(), layer.dilation());
        let pad = layer.padding();
        if r != s || sr != ss || pad.iter().any(|&p| p != pad[0]) {
            return Err(refuse("`mode = \"faithful\"`", "rectangles"));
        }
        if dr * ds != 1 {
            return Err(refuse("`mode = \"faithful\"`", "dilation"));
        }
        Ok(())
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let limit = 1.0 / (layer.fan_in() as f64).sqrt();
        let uniform = Init::Uniform {
            lo: -limit,
            hi: limit,
        };
        let role = if self.optimizer_owns() {
            Role::Weight
        } else {
            Role::Plastic
        };
        let shape = layer.weight_shape();
        let mut state = vec![StateSpec::new("weight", shape.clone(), uniform, role)];
        if self.has_accumulator() {
            let zero = Init::Constant(0.0);
            state.push(StateSpec::new("accumulator", shape, zero, Role::Plastic));
        }
        if layer.has_bias() {
            state.push(StateSpec::new("bias", [layer.units()], uniform, Role::Bias));
        }
        Ok(state)
    }

    fn forward(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Forward> {
        let learns = cx.learning() || (!cx.training() && self.updates_in_eval());
        if !learns || !self.is_on(cx) {
            let y = output(cx.layer(), s, x, &*s.get("weight")?)?;
            return Ok(Forward::new(y));
        }
        let updated = self.updated(cx, s, x)?;
        let y = output(cx.layer(), s, x, &updated)?;
        Ok(Forward::new(y).keep(UPDATED, updated))
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        if !self.is_on(cx) || !(cx.training() || self.updates_in_eval()) {
            return Ok(Changes::new());
        }
        let updated = match a.kept.find(UPDATED) {
            Some(updated) => updated.clone(),
            None => self.updated(cx, s, &a.x)?,
        };
        let mut changes = Changes::new();
        if self.has_accumulator() {
            changes = changes.set("accumulator", updated.clone());
        }
        Ok(changes.set("weight", updated))
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        let layer = cx.layer();
        let mut out = Gradients::new();
        if e.want_grads {
            if self.optimizer_owns() {
                out = out.of("weight", layer.correlate(&e.x, &e.grad_y)?);
            }
            if s.find("bias").is_some() {
                out = out.of("bias", layer.sum_bias(&e.grad_y)?);
            }
        }
        if e.want_grad_x {
            out = out.below(self.input_gradient(cx, s, e)?);
        }
        Ok(out)
    }

    fn input_gradient(&self, cx: &Context, s: &State, e: &Errors) -> Result<Tensor> {
        match e.kept.find(UPDATED) {
            Some(updated) => cx.layer().feedback(&e.grad_y, &updated),
            None => cx.layer().feedback(&e.grad_y, &*s.get("weight")?),
        }
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        let values = s.get("weight")?.to_vec()?;
        let clamped = values.iter().filter(|v| v.abs() >= self.clamp).count();
        Ok(vec![Metric::new(
            "clamped_share",
            clamped as f64 / values.len() as f64,
        )])
    }
}

impl BioNas {
    fn is_faithful(&self) -> bool {
        self.mode == "faithful"
    }
    fn scrambled(&self) -> bool {
        self.is_faithful() || (self.mode == "corrected" && self.layout == "scrambled")
    }
    fn sums(&self) -> bool {
        self.is_faithful() || self.reduce == "sum"
    }
    fn has_accumulator(&self) -> bool {
        self.is_faithful() || (self.mode == "corrected" && self.init == "zeros")
    }
    fn optimizer_owns(&self) -> bool {
        self.mode != "corrected" || self.optimizer_owns_weight
    }
    fn updates_in_eval(&self) -> bool {
        self.is_faithful() || (self.mode == "corrected" && self.update_in_eval)
    }
    fn rate(&self, cx: &Context) -> f64 {
        let own = match (self.hebbian_scale > 0.0, self.is_faithful()) {
            (true, _) => self.hebbian_scale,
            (false, true) => 1e-4,
            (false, false) => 1e-2,
        };
        cx.rate_or(own)
    }
    fn is_on(&self, cx: &Context) -> bool {
        self.mode != "plain" && self.rate(cx) != 0.0
    }

    /// The next accumulator, which is the next weight.
    fn updated(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Tensor> {
        let (layer, w) = (cx.layer(), s.get("weight")?);
        let x = rows(layer, x, layer.inputs())?;
        let y = rows(layer, &output(layer, s, &x, &w)?, layer.units())?;
        let n = samples(layer, &y)?;

        let grouped = [x.batch()?, layer.groups(), layer.units() / layer.groups()];
        let y_by_group = y.reshape(&[grouped[0], grouped[1], grouped[2], layer.positions()])?;
        let unit = y_by_group.div(&of_outputs(&y_by_group)?)?; // ŷ
        let lengths =
            of_patches(layer, &x)?.reshape(&[grouped[0], grouped[1], 1, layer.positions()])?;
        let m = layer.correlate(&x, &unit.div(&lengths)?.reshape(&y.shape()?)?)?; // Mᵀ

        let mut step = if self.scrambled() { scramble(&m)? } else { m };
        let held = s.find("accumulator");
        let start = held.as_deref().unwrap_or(&*w);
        if self.mode == "corrected" && self.decay == "oja" {
            let squares = layer.sum_bias(&unit.sqr()?.reshape(&y.shape()?)?)?; // Σ ŷ²
            step = step.sub(&start.mul_rows(&squares)?)?;
        }
        let scale = self.rate(cx) / if self.sums() { 1.0 } else { n };
        let mut next = start.add(&step.scale(scale)?)?;
        if self.mode == "corrected" && self.decay == "unit" {
            next = unit_rows(&next)?;
        }
        next.clamp(-self.clamp, self.clamp)
    }
}

/// The layer's output with the weight `w`.
fn output(layer: &LayerSpec, s: &State, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let u = layer.forward(x, w)?;
    match s.find("bias") {
        Some(bias) => layer.add_bias(&u, &bias),
        None => Ok(u),
    }
}

/// `Mᵀ` `[K, …]` written out as `M` `[D, K]` and read again in the weight's shape.
fn scramble(m: &Tensor) -> Result<Tensor> {
    let (shape, units) = (m.shape()?, m.dim(0)?);
    let inputs = m.elem_count()? / units;
    m.reshape(&[units, inputs])?.t()?.reshape(&shape)
}

fn refuse(what: &str, lacks: &str) -> RuleError {
    RuleError::unsupported(format!(
        "{what} has no meaning for {lacks}: set `mode = \"corrected\"`, `layout = \"transposed\"`"
    ))
}
