//! Initial weights and biases, drawn for a radius (SoftHebb hebbconv.py and
//! hebblinear.py, `init_weight`).
//!
//! With `n` synapses a unit and order `p`, both distributions have
//! `E‖w‖_p^p = r^p`.

use biorule_plugin_api::prelude::*;

use crate::rule::SoftHebb;

/// The distribution of the initial weights of `layer`.
pub fn weight(rule: &SoftHebb, layer: &LayerSpec) -> Init {
    let normal = match rule.weight_init.as_str() {
        "normal" => true,
        "positive" => false,
        // Inputs behind a normalisation have both signs, so weights have too.
        _ => layer.is_normalised(),
    };
    let offset = match layer.kind {
        LayerKind::Dense => rule.weight_init_offset,
        LayerKind::Conv => 0.0,
    };
    let (n, p, r) = (layer.fan_in(), rule.lebesgue_p, rule.radius);
    if normal {
        Init::Normal {
            mean: offset,
            std: deviation(n, p, r),
        }
    } else {
        Init::Uniform {
            lo: offset,
            hi: offset + largest(n, p, r),
        }
    }
}

/// The initial bias of `units` soft units, `ln(1/K)/β`: each wins equally often.
pub fn bias(rule: &SoftHebb, units: usize) -> Init {
    Init::Constant((1.0 / units as f64).ln() / rule.t_invert)
}

/// Standard deviation of a normal: `(r^p / (n·E|z|^p))^(1/p)`, z standard normal.
pub fn deviation(n: usize, p: i64, r: f64) -> f64 {
    let odd = if p % 2 == 1 {
        (2.0 / std::f64::consts::PI).sqrt()
    } else {
        1.0
    };
    let moment = double_factorial(p - 1) * odd;
    r * (n as f64 * moment).powf(-1.0 / p as f64)
}

/// Upper end of a uniform from 0: `((p + 1)·r^p / n)^(1/p)`.
pub fn largest(n: usize, p: i64, r: f64) -> f64 {
    r * ((p + 1) as f64 / n as f64).powf(1.0 / p as f64)
}

/// `n!! = n·(n − 2)·…`, 1 for n < 2.
fn double_factorial(n: i64) -> f64 {
    (2..=n)
        .filter(|i| i % 2 == n % 2)
        .map(|i| i as f64)
        .product()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's figures for the layers of its golden vectors.
    #[test]
    fn scales_are_those_of_the_reference() {
        let normal = [
            (27, 2, 25.0, 4.811252243246882),
            (18, 2, 25.0, 5.892556509887896),
            (75, 2, 25.0, 2.886751345948129),
            (27, 3, 2.0, 0.5704952794743886),
        ];
        for (n, p, r, std) in normal {
            assert!(
                (deviation(n, p, r) / std - 1.0).abs() < 1e-12,
                "n {n} p {p} r {r}"
            );
        }
        for (n, p, r, top) in [(27, 2, 2.0, 0.6666666666666666), (12, 2, 3.0, 1.5)] {
            assert!(
                (largest(n, p, r) / top - 1.0).abs() < 1e-12,
                "n {n} p {p} r {r}"
            );
        }
    }

    /// `E|z|^p` of a standard normal against a sum over its density.
    #[test]
    fn moments_of_a_normal() {
        for p in 2..=8 {
            let step = 1e-3;
            let moment: f64 = (-12_000..12_000)
                .map(|i| f64::from(i) * step)
                .map(|z| z.abs().powi(p) * (-z * z / 2.0).exp() * step)
                .sum::<f64>()
                / (2.0 * std::f64::consts::PI).sqrt();
            let ours = deviation(1, i64::from(p), 1.0).powi(-p);
            assert!((ours / moment - 1.0).abs() < 1e-6, "p {p}: {ours} {moment}");
        }
    }
}
