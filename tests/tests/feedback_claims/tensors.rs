//! What stands in the weight's place on one layer: initial distributions, signs,
//! redrawn magnitudes, the mirror.

use biorule::config::ParamValue;
use biorule::nn::rule::{Errors, RuleCall};
use biorule_tests::Result;
use biorule_tests::feedback::plans::{Geometry, number, word};
use biorule_tests::feedback::single::{Single, Site, below};
use biorule_tests::numbers::{distance, noise, values};
use candle_core::{DType, Tensor};

use crate::singles::{bound, family, moments, site};

/// Deviation and largest value of weight and feedback under each name, against the formulas.
#[test]
fn initial_weights_are_distributed_as_the_references_have_them() -> Result<()> {
    // [K, C/groups, R, S] = [40, 25, 3, 3]: fan_in 225, fan_out 360.
    let site = Site::conv(
        Geometry {
            groups: 2,
            ..Geometry::plain(3, 1)
        }
        .map(),
        [50, 5, 5],
        40,
    );
    let (fan_in, fan_out) = (225f64, 360f64);
    for (init, deviation, largest, bias) in [
        (
            "xavier",
            (2.0 / (fan_in + fan_out)).sqrt(),
            3f64.sqrt(),
            0.0,
        ),
        (
            "kaiming",
            (1.0 / (3.0 * fan_in)).sqrt(),
            3f64.sqrt(),
            1.0 / 15.0,
        ),
        (
            "torch",
            (1.0 / (3.0 * fan_in)).sqrt(),
            3f64.sqrt(),
            1.0 / 15.0,
        ),
        ("lecun", (1.0 / fan_in).sqrt(), 2.0 / 0.879_625_66, 0.0),
        ("he", (2.0 / fan_in).sqrt(), f64::INFINITY, 0.0),
        ("uniform", 0.3 / 3f64.sqrt(), 3f64.sqrt(), 0.0),
        (
            "variance_scaling",
            (0.3 / fan_in).sqrt(),
            f64::INFINITY,
            0.0,
        ),
    ] {
        let params = [
            ("init", word(init)),
            ("scale_w", number(0.3)),
            ("scale_b", number(0.3)),
        ];
        for rule in [family("fa"), "kolen-pollack".into(), "weight-mirror".into()] {
            let single = bound(&rule, &params, &site)?;
            for part in ["weight", "feedback"] {
                let m = moments(single.get(part)?)?;
                let what = format!("{rule}, {init}, {part}: {m:?}");
                assert!((m.deviation / deviation - 1.0).abs() < 0.03, "{what}");
                assert!(m.largest <= deviation * largest * (1.0 + 1e-6), "{what}");
                assert!(m.mean.abs() < 0.05 * deviation, "{what}");
            }
            assert!(distance(single.get("weight")?, single.get("feedback")?)? > 0.5);
            let m = moments(single.get("bias")?)?;
            assert!(
                m.largest <= bias && (m.largest > 0.0) == (bias > 0.0),
                "{rule}, {init}: {m:?}"
            );
        }
    }
    Ok(())
}

/// BioTorch, xavier, a large layer: FA 90 degrees, uSF 30.1, brSF and frSF 41.4; norms equal.
/// Before its first step brSF has only the signs to show, as BioTorch's.
#[test]
fn angles_at_the_start_are_those_of_the_reference() -> Result<()> {
    let start = [("fa", 90.0), ("usf", 30.0), ("brsf", 30.0), ("frsf", 41.4)];
    let used = [("usf", 30.0), ("brsf", 41.4)];
    let all = start.iter().map(|case| (case, false));
    for (&(rule, angle), stepped) in all.chain(used.iter().map(|case| (case, true))) {
        let mut single = bound(&family(rule), &[], &Site::dense(400, 300))?;
        if stepped {
            for change in single.learn(0, &noise(1, &[2, 400], DType::F64)?)? {
                single.set(&change.name, change.tensor)?;
            }
        }
        let (found, ratio) = (
            single.metric("alignment_angle")?,
            single.metric("norm_ratio")?,
        );
        println!("{rule:<5} {found:6.2} degrees, ratio of norms {ratio:.3}");
        assert!((found - angle).abs() < 1.0, "{rule}: {found}");
        assert!((ratio - 1.0).abs() < 0.02, "{rule}: {ratio}");
        let cosine = single.metric("alignment_cosine")?;
        assert!((cosine.acos().to_degrees() - found).abs() < 1e-9);
    }
    Ok(())
}

/// What each output's unit error sends below: the feedback matrix of a dense layer.
fn matrix(single: &Single, step: u64, units: usize) -> Result<Tensor> {
    let inputs = single.get("weight")?.dims()[1];
    let x = noise(1, &[units, inputs], DType::F64)?;
    let errors = Tensor::eye(units, DType::F64, x.device())?;
    Ok(below(&single.backward(step, &x, &errors, None)?)?.clone())
}

#[test]
fn batch_random_feedback_is_new_at_each_step_and_only_there() -> Result<()> {
    let single = bound(&family("brsf"), &[], &Site::dense(9, 6))?;
    let (one, again, next) = (
        matrix(&single, 3, 6)?,
        matrix(&single, 3, 6)?,
        matrix(&single, 4, 6)?,
    );
    assert_eq!(values(&one)?, values(&again)?);
    assert!(distance(&next, &one)? > 0.1);
    // Another forward pass, as in evaluation, moves nothing.
    single.forward(3, &noise(8, &[2, 9], DType::F64)?)?;
    assert_eq!(values(&one)?, values(&matrix(&single, 3, 6)?)?);
    let signs =
        |t: &Tensor| -> Result<Vec<f64>> { Ok(values(t)?.into_iter().map(f64::signum).collect()) };
    assert_eq!(signs(&one)?, signs(single.get("weight")?)?);
    Ok(())
}

/// A step that passes several times through the network, as a search's second order does, draws
/// anew in each pass, and what is repeated draws the same.
#[test]
fn batch_random_feedback_is_new_in_each_pass_of_a_step() -> Result<()> {
    let single = bound(&family("brsf"), &[], &Site::dense(9, 6))?;
    let x = noise(1, &[6, 9], DType::F64)?;
    let errors = Tensor::eye(6, DType::F64, x.device())?;
    let of_pass = |pass: u64| -> Result<Vec<f64>> {
        let call = RuleCall {
            step: 3,
            pass,
            training: true,
            learning: true,
            ..RuleCall::evaluation(17)
        };
        let out = single.rule.forward(&call, &single.state, &x)?;
        let errors = Errors {
            x: &x,
            y: &out.y,
            kept: &out.kept,
            grad_y: &errors,
            output_error: None,
            target: None,
            losses: None,
            want_grad_x: true,
            want_grads: true,
        };
        values(below(&single.rule.backward(
            &call,
            &single.state,
            &errors,
        )?)?)
    };
    let draws: Vec<Vec<f64>> = (0..7).map(of_pass).collect::<Result<_>>()?;
    assert_eq!(draws[0], values(&matrix(&single, 3, 6)?)?);
    for (pass, draw) in draws.iter().enumerate() {
        assert_eq!(*draw, of_pass(pass as u64)?);
        assert!(
            draws[..pass].iter().all(|other| other != draw),
            "pass {pass}"
        );
    }
    Ok(())
}

/// A frozen layer draws in the way down what it would have kept.
#[test]
fn batch_random_feedback_needs_nothing_kept() -> Result<()> {
    let single = bound(&family("brsf"), &[], &Site::dense(9, 6))?;
    let learned = matrix(&single, 0, 6)?;
    let x = noise(1, &[6, 9], DType::F64)?;
    let errors = Tensor::eye(6, DType::F64, x.device())?;
    let frozen = Errors {
        x: &x,
        y: &errors,
        kept: &Vec::new(),
        grad_y: &errors,
        output_error: None,
        target: None,
        losses: None,
        want_grad_x: true,
        want_grads: false,
    };
    let out = single
        .rule
        .backward(&RuleCall::evaluation(17), &single.state, &frozen)?;
    assert_eq!(values(below(&out)?)?, values(&learned)?);
    assert!(out.grads.is_empty());
    Ok(())
}

/// A weight of exactly 0 sends nothing back under the sign rules.
#[test]
fn the_sign_of_zero_is_zero() -> Result<()> {
    for rule in ["usf", "brsf", "frsf"] {
        let mut single = bound(&family(rule), &[], &Site::dense(4, 3))?;
        let weight: [f64; 12] = [
            1.0, 0.0, -0.5, 0.0, 0.0, 2.0, -0.0, 1e-30, -1e-30, 0.0, 3.0, -4.0,
        ];
        single.set(
            "weight",
            Tensor::from_slice(&weight, (3, 4), single.get("weight")?.device())?,
        )?;
        let sent = values(&matrix(&single, 0, 3)?)?;
        for (sent, weight) in sent.iter().zip(weight) {
            assert_eq!(*sent == 0.0, weight == 0.0, "{rule}: {weight} sends {sent}");
            assert!(*sent == 0.0 || sent.signum() == weight.signum(), "{rule}");
        }
    }
    Ok(())
}

/// With the weight at rest, the mirror turns the feedback to it, dense and in convolutions.
#[test]
fn the_mirror_turns_feedback_to_the_weight() -> Result<()> {
    let conv = site(
        Geometry {
            stride: 2,
            groups: 2,
            ..Geometry::plain(3, 1)
        },
        8,
    );
    for (what, site) in [("dense", Site::dense(30, 20)), ("convolution", conv)] {
        let mut single = bound("weight-mirror", &[("samples", ParamValue::Int(64))], &site)?;
        let start = single.metric("alignment_angle")?;
        let x = noise(1, &[vec![4], site.input.clone()].concat(), DType::F64)?;
        for step in 0..300 {
            for change in single.learn(step, &x)? {
                assert_eq!(change.name, "feedback", "the mirror changes feedback alone");
                let sum = (single.get("feedback")? + &change.tensor)?;
                single.set("feedback", sum)?;
            }
        }
        let (end, ratio) = (
            single.metric("alignment_angle")?,
            single.metric("norm_ratio")?,
        );
        println!("{what:<12} {start:.1} -> {end:.1} degrees, ratio of norms {ratio:.2}");
        assert!(start > 60.0 && end < 15.0, "{what}: {start} -> {end}");
        assert!((0.6..1.2).contains(&ratio), "{what}: {ratio}");
    }
    Ok(())
}
