//! How far a rule's gradients agree with the true ones of the same network on the
//! same batch (bioflax, `metric_computation.py`).

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// Gradients of one layer. A feedback weight's own gradient is not among them.
#[derive(Clone, Debug)]
pub struct LayerGradients {
    /// Of the weight.
    pub weight: Tensor,
    /// Of the bias, where there is one.
    pub bias: Option<Tensor>,
}

/// Agreement of two sets of gradients, g by the rule and h the true ones. All but the
/// ratio are cosines; against a zero gradient they are NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alignment {
    /// `cos(h, g)` over weight and bias, by layer.
    pub layer: Vec<f64>,
    /// `cos(h, g)` over the bias alone, by layer with a bias.
    pub bias: Vec<f64>,
    /// `cos(h, g)` over all layers together.
    pub total: f64,
    /// `|h| / |g|` over all layers together.
    pub relative_norm: f64,
}

/// Products of one part of the gradients, or of a sum of parts.
#[derive(Clone, Copy, Debug, Default)]
struct Products {
    gh: f64,
    gg: f64,
    hh: f64,
}

impl Products {
    fn of(g: &Tensor, h: &Tensor) -> Result<Self> {
        if g.dims() != h.dims() {
            return Err(Error::internal(format!(
                "gradients of shapes {:?} and {:?} are compared",
                g.dims(),
                h.dims()
            )));
        }
        let (g, h) = (g.to_dtype(DType::F64)?, h.to_dtype(DType::F64)?);
        let dot =
            |a: &Tensor, b: &Tensor| -> Result<f64> { Ok((a * b)?.sum_all()?.to_scalar::<f64>()?) };
        Ok(Self {
            gh: dot(&g, &h)?,
            gg: dot(&g, &g)?,
            hh: dot(&h, &h)?,
        })
    }
    fn plus(self, other: Self) -> Self {
        Self {
            gh: self.gh + other.gh,
            gg: self.gg + other.gg,
            hh: self.hh + other.hh,
        }
    }
    fn cosine(self) -> f64 {
        self.gh / (self.gg.sqrt() * self.hh.sqrt())
    }
}

/// Agreement of `rule`'s gradients with the `truth`, layer by layer in the same order.
///
/// # Errors
/// Another number of layers, or shapes that differ.
pub fn alignment(rule: &[LayerGradients], truth: &[LayerGradients]) -> Result<Alignment> {
    if rule.len() != truth.len() {
        return Err(Error::internal(format!(
            "gradients of {} and {} layers are compared",
            rule.len(),
            truth.len()
        )));
    }
    let mut out = Alignment::default();
    let mut total = Products::default();
    for (g, h) in rule.iter().zip(truth) {
        let mut layer = Products::of(&g.weight, &h.weight)?;
        if let (Some(g), Some(h)) = (&g.bias, &h.bias) {
            let bias = Products::of(g, h)?;
            out.bias.push(bias.cosine());
            layer = layer.plus(bias);
        }
        out.layer.push(layer.cosine());
        total = total.plus(layer);
    }
    out.total = total.cosine();
    out.relative_norm = (total.hh / total.gg).sqrt();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn layer(weight: [f32; 2], bias: f32) -> LayerGradients {
        let tensor = |v: &[f32]| Tensor::new(v, &Device::Cpu).expect("a vector");
        LayerGradients {
            weight: tensor(&weight),
            bias: Some(tensor(&[bias])),
        }
    }

    #[test]
    fn hand_computed_cosines() {
        let rule = [layer([3.0, 0.0], 4.0), layer([0.0, 1.0], 0.0)];
        let truth = [layer([0.0, 0.0], 2.0), layer([0.0, 2.0], 1.0)];
        let found = alignment(&rule, &truth).expect("the same shapes");
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(found.layer[0], 8.0 / (5.0 * 2.0));
        close(found.layer[1], 2.0 / 5f64.sqrt());
        close(found.bias[0], 1.0);
        assert!(found.bias[1].is_nan());
        close(found.total, 10.0 / (26f64.sqrt() * 3.0));
        close(found.relative_norm, 3.0 / 26f64.sqrt());
    }

    #[test]
    fn layers_that_do_not_match_are_refused() {
        let one = [layer([1.0, 0.0], 0.0)];
        assert!(alignment(&one, &[]).is_err());
    }
}
