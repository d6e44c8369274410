//! Backpropagation. Rumelhart, Hinton and Williams, Nature 323, 1986, eqs. 4 to 7.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `x` | input, `[B, C, H, W]` or `[B, …, D]` |
//! | `W`, `b` | weight and bias |
//! | `y = A(x; W) + b` | output; `A` is the layer's map |
//! | `δ` | derivative of the loss by `y`, as it arrives from above |
//!
//! `∂L/∂W = correlate(x, δ)`, `∂L/∂b = Σ δ`, and below goes `feedback(δ, W)`: the
//! forward weight carries the error back, which is the weight transport that all
//! other feedback rules avoid.
//!
//! Initial weights follow the named convention: PyTorch's default (uniform in
//! ±1/√fan_in, weight and bias), Glorot's uniform or He's normal as BioTorch
//! offers, or LeCun's truncated normal with zero bias as bioflax uses.

use biorule_plugin_api::prelude::*;

hyperparameters! {
    /// Backpropagation.
    pub struct Backprop {
        /// initial weights: uniform in ±1/√fan_in, Glorot's uniform, He's normal, or LeCun's truncated normal
        init: String = "torch", one_of ["torch", "xavier", "kaiming", "lecun"], source "PyTorch nn.Linear; BioTorch layers; bioflax model.py";
    }
}

impl LearningRule for Backprop {
    fn info() -> RuleInfo {
        RuleInfo::new("backprop", Credit::Feedback)
            .summary("the true gradient; errors go back through the forward weights")
            .paper("Rumelhart, Hinton and Williams, Nature 323, 1986")
            .claims(Claims::DETERMINISTIC)
    }

    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        let (weight, bias) = initial(&self.init, layer);
        let mut state = vec![StateSpec::new(
            "weight",
            layer.weight_shape(),
            weight,
            Role::Weight,
        )];
        if layer.has_bias() {
            state.push(StateSpec::new("bias", [layer.units()], bias, Role::Bias));
        }
        Ok(state)
    }

    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        let (layer, delta) = (cx.layer(), &*e.grad_y);
        let mut out = Gradients::new();
        if e.want_grads {
            out = out.of("weight", layer.correlate(&e.x, delta)?);
            if s.find("bias").is_some() {
                out = out.of("bias", layer.sum_bias(delta)?);
            }
        }
        if e.want_grad_x {
            out = out.below(layer.feedback(delta, &*s.get("weight")?)?);
        }
        Ok(out)
    }
}

/// Initialisers of weight and bias by name.
fn initial(name: &str, layer: &LayerSpec) -> (Init, Init) {
    let (fan_in, fan_out) = (layer.fan_in() as f64, layer.fan_out() as f64);
    let uniform = |limit: f64| Init::Uniform {
        lo: -limit,
        hi: limit,
    };
    let zero = Init::Constant(0.0);
    match name {
        "xavier" => (uniform((6.0 / (fan_in + fan_out)).sqrt()), zero),
        "kaiming" => (
            Init::Normal {
                mean: 0.0,
                std: (2.0 / fan_in).sqrt(),
            },
            zero,
        ),
        // The normal's deviation before it is cut at two of them (jax.nn.initializers).
        "lecun" => (
            Init::Truncated {
                std: (1.0 / fan_in).sqrt() / 0.879_625_66,
            },
            zero,
        ),
        _ => (uniform(1.0 / fan_in.sqrt()), uniform(1.0 / fan_in.sqrt())),
    }
}
