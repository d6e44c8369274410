//! Exact gradients through every rule, for attacks, alignment and layers that learn
//! below others: the derivative of what the rule's own forward pass computes, through
//! the real plugins, against central differences in float64.

use biorule::config::{Drive, LayerPlan, MapPlan, ParamValue};
use biorule::nn::Pass;
use biorule::plan::PadMode;
use biorule_tests::Result;
use biorule_tests::network::{TestNetwork, layer, layer_block};
use biorule_tests::numbers::{noise, values};
use candle_core::{DType, Tensor};

/// Groups, stride, dilation and uneven padding at once.
fn conv() -> MapPlan {
    MapPlan::Conv {
        kernel: [3, 2],
        stride: [2, 1],
        padding: [1, 0, 1, 2],
        dilation: [1, 2],
        groups: 2,
        padding_mode: PadMode::Reflect,
    }
}

/// Where dilation and stride go together and the kernel is square.
fn square() -> MapPlan {
    MapPlan::Conv {
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1; 4],
        dilation: [1, 1],
        groups: 1,
        padding_mode: PadMode::Zeros,
    }
}

type Params = Vec<(&'static str, ParamValue)>;

/// Every rule, with the parameters that change what its forward pass computes.
fn rules() -> Vec<(&'static str, Params, MapPlan, bool)> {
    let word = |s: &str| ParamValue::Text(s.into());
    let on = ParamValue::Bool(true);
    let mut all: Vec<(&str, Params, MapPlan, bool)> = Vec::new();
    for map in [MapPlan::Dense, conv()] {
        let dense = map == MapPlan::Dense;
        for p in [1.0, 2.0, 2.5, 3.0, 8.0] {
            all.push((
                "krotov",
                vec![("lebesgue_p", ParamValue::Float(p))],
                map.clone(),
                dense,
            ));
        }
        let powered = vec![("bias_output", word("powered"))];
        all.push(("krotov", powered, map.clone(), dense));
        let original = vec![("variant", word("original"))];
        all.push(("krotov", original, map.clone(), false));
        for p in [2, 3, 5] {
            for path in ["ops", "auto"] {
                let params = vec![("lebesgue_p", ParamValue::Int(p)), ("path", word(path))];
                all.push(("softhebb", params, map.clone(), false));
            }
        }
        if !dense {
            let params = vec![
                ("pre_triangle", on.clone()),
                ("lebesgue_p", ParamValue::Int(3)),
            ];
            all.push(("softhebb", params, map.clone(), false));
        }
        for rule in ["hebbian/hebb", "hebbian/oja"] {
            all.push((rule, vec![], map.clone(), false));
        }
        for rule in ["fa", "usf", "brsf", "frsf"] {
            let name = match rule {
                "fa" => "feedback-alignment/fa",
                "usf" => "feedback-alignment/usf",
                "brsf" => "feedback-alignment/brsf",
                _ => "feedback-alignment/frsf",
            };
            all.push((name, vec![], map.clone(), true));
            let constrained = vec![("constrain_weights", on.clone())];
            all.push((name, constrained, map.clone(), true));
        }
        for rule in [
            "backprop",
            "kolen-pollack",
            "weight-mirror",
            "direct-feedback-alignment/dfa",
            "direct-feedback-alignment/dkp",
        ] {
            all.push((rule, vec![], map.clone(), true));
        }
    }
    // In the faithful mode the weight itself depends on the input, also in evaluation, and the
    // reference does not differentiate that; its golden vectors hold the gradient it has.
    for mode in ["corrected", "plain"] {
        all.push((
            "hebbian/bionas",
            vec![("mode", word(mode))],
            square(),
            false,
        ));
    }
    all
}

/// `Σ c·y` for the input `x`, in a pass that measures.
fn weighted(driven: &mut TestNetwork, x: &Tensor, c: Option<&Tensor>) -> Result<(Tensor, f64)> {
    let mut pass = measuring(driven);
    let y = driven.network.forward_all(&mut pass, x)?;
    let sum = match c {
        Some(c) => (&y * c)?.sum_all()?.to_scalar::<f64>()?,
        None => 0.0,
    };
    Ok((y, sum))
}

fn measuring(driven: &TestNetwork) -> Pass {
    let mut pass = Pass::measuring(driven.clock.clone()).wanting_input();
    pass.exact = true;
    pass
}

#[test]
fn the_gradient_through_every_rule_is_that_of_its_forward_pass() -> Result<()> {
    for (rule, params, map, bias) in rules() {
        let what = format!("{rule}, {params:?}, {map:?}");
        let dims: &[usize] = match map {
            MapPlan::Dense => &[11],
            MapPlan::Conv { .. } => &[4, 6, 5],
        };
        let plan = LayerPlan {
            bias,
            ..layer(rule, map.clone(), 6, &params)
        };
        let below = match map {
            MapPlan::Dense => layer("backprop", MapPlan::Dense, 11, &[]),
            MapPlan::Conv { .. } => layer("backprop", square(), 4, &[]),
        };
        let blocks = [layer_block("below", below), layer_block("tested", plan)];
        let mut driven = TestNetwork::build(&blocks, dims, DType::F64)?;
        let batch = [&[3][..], dims].concat();
        // A few steps, so that statistics, norms and accumulators are no longer at their start.
        // Direct rules hear the error of a network's output, which this is not.
        if !rule.starts_with("direct") {
            driven.train(&["below", "tested"], Drive::Both);
            for step in 0..3 {
                let x = noise(20 + step, &batch, DType::F64)?;
                driven.step(&x, |y| Ok((y * 0.01)?))?;
            }
        }
        driven.train(&[], Drive::Gradient);
        driven.start();
        let x = noise(1, &batch, DType::F64)?;
        let (y, _) = weighted(&mut driven, &x, None)?;
        let c = noise(2, y.dims(), DType::F64)?;

        let mut pass = measuring(&driven);
        driven.network.forward_all(&mut pass, &x)?;
        let exact = driven.network.backward(&mut pass, &c, 0..2)?;
        let exact = values(&exact.ok_or("no gradient at the input")?)?;

        let (at, h) = (values(&x)?, 1e-5);
        let size = exact.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        assert!(size > 0.0, "{what}: all is zero");
        for i in (0..at.len()).step_by(7) {
            let mut moved = |by: f64| -> Result<f64> {
                let mut v = at.clone();
                v[i] += by;
                let x = Tensor::from_vec(v, x.dims(), x.device())?;
                Ok(weighted(&mut driven, &x, Some(&c))?.1)
            };
            let slow = (moved(h)? - moved(-h)?) / (2.0 * h);
            let error = (slow - exact[i]).abs() / size;
            assert!(error < 1e-6, "{what}: input {i}: {slow} and {}", exact[i]);
        }
    }
    Ok(())
}
