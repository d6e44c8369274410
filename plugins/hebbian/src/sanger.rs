//! Sanger's rule, the generalised Hebbian algorithm. Sanger, Neural Networks 2, 1989, eq. 4.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `x` | input of a unit: a sample, or a patch of a convolution |
//! | `y` | outputs `W·x` of all units |
//! | `LT` | the lower triangle of a matrix, its diagonal included |
//! | `η` | learning rate |
//!
//! `ΔW = η·⟨y·xᵀ − LT[y·yᵀ]·W⟩`, the mean over samples and places: Oja's rule on what the units before
//! have left of the input. Unit `k` finds the `k`-th principal component, all with length 1.

use biorule_plugin_api::prelude::*;

use crate::plain::{no_bias, samples};

hyperparameters! {
    /// Sanger's rule.
    pub struct Sanger {
        /// learning rate where the phase sets no `local_rate`
        lr: f64 = 0.01, range 0.0 => 100.0, source "Sanger 1989, eq. 4";
    }
}

impl LearningRule for Sanger {
    fn info() -> RuleInfo {
        RuleInfo::new("hebbian/sanger", Credit::Local)
            .summary("principal components in their order, one for each unit")
            .paper("Sanger, Neural Networks 2, 1989")
            .claims(crate::plain::CLAIMS)
    }

    fn check(&self, layer: &LayerSpec) -> Result<()> {
        if layer.groups() > 1 {
            return Err(RuleError::unsupported(
                "units of different groups see different inputs, so they have no order: one group only",
            ));
        }
        no_bias(layer)
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        Ok(vec![crate::plain::unit_weight(layer)])
    }

    fn learn(&self, cx: &Context, s: &State, a: &Activity) -> Result<Changes> {
        let (layer, w) = (cx.layer(), s.get("weight")?);
        let (n, units) = (samples(layer, &a.y)?, layer.units());
        let hebb = layer.correlate(&a.x, &a.y)?; // y·xᵀ
        let outputs = match layer.kind {
            LayerKind::Dense => a.y.reshape(&[n as usize, units])?.t()?,
            LayerKind::Conv => a.y.permute(&[1, 0, 2, 3])?.reshape(&[units, n as usize])?,
        };
        let products = outputs.matmul(&outputs.t()?)?; // y·yᵀ
        let lower = products.mul(&lower_triangle(&products, units)?)?;
        let rows = w.reshape(&[units, w.elem_count()? / units])?;
        let taken = lower.matmul(&rows)?.reshape(&w.shape()?)?;
        let step = hebb.sub(&taken)?.scale(cx.rate_or(self.lr) / n)?;
        Ok(Changes::new().add("weight", step))
    }

    fn metrics(&self, _cx: &Context, s: &State) -> Result<Vec<Metric>> {
        let w = s.get("weight")?;
        let lengths = w.row_norms(2.0)?.to_vec()?;
        let mean = lengths.iter().sum::<f64>() / lengths.len() as f64;
        Ok(vec![Metric::new("weight_length", mean)])
    }
}

/// Ones on and below the diagonal, `[units, units]`.
fn lower_triangle(like: &Tensor, units: usize) -> Result<Tensor> {
    let numbers = like
        .arange_like(units, DType::F32)?
        .to_dtype(like.dtype()?)?;
    let (row, column) = (numbers.reshape(&[units, 1])?, numbers.reshape(&[1, units])?);
    // Differences are whole: 1 and more where the row is not above the diagonal.
    row.sub(&column)?.affine(1.0, 1.0)?.clamp(0.0, 1.0)
}
