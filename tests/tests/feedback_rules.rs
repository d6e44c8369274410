//! What each feedback rule does on one layer: direct feedback against a slow
//! reference, redrawn and generated tensors, the mirror, initial distributions.

use biorule::config::ParamValue;
use biorule_tests::Result;
use biorule_tests::feedback::plans::{Geometry, RuleChoice, number, word};
use biorule_tests::feedback::single::{Single, Site, below, distance, gradient, noise, values};
use biorule_tests::plugins::registry;
use candle_core::{DType, Tensor};

const CLASSES: usize = 3;

fn bound(rule: &str, params: &[(&str, ParamValue)], site: &Site) -> Result<Single> {
    Single::new(registry(), &RuleChoice::new(rule, params), site, DType::F64)
}

fn direct(rule: &str) -> String {
    format!("direct-feedback-alignment/{rule}")
}

fn family(rule: &str) -> String {
    format!("feedback-alignment/{rule}")
}

/// Convolutions that BioTorch's direct feedback serves, and those with groups that it does not.
fn geometries() -> Vec<(Geometry, usize)> {
    let plain = Geometry::plain(3, 1);
    vec![
        (plain, 6),
        (Geometry::plain(2, 0), 5),
        (Geometry { stride: 2, ..plain }, 6),
        (
            Geometry {
                dilation: 2,
                padding: 2,
                ..plain
            },
            6,
        ),
        (Geometry { groups: 2, ..plain }, 6),
        (
            Geometry {
                groups: 4,
                stride: 2,
                ..plain
            },
            4,
        ),
    ]
}

fn site(geometry: Geometry, units: usize) -> Site {
    Site::conv(geometry.map(), [4, 7, 6], units)
}

/// Sizes of a convolution's direct feedback, for loops.
struct Loops {
    geometry: Geometry,
    input: [usize; 3],
    output: [usize; 2],
}

impl Loops {
    fn new(geometry: Geometry, single: &Single) -> Self {
        Self {
            geometry,
            input: [4, 7, 6],
            output: [single.output[1], single.output[2]],
        }
    }
    /// Calls `f(class, index in B, index in one sample's input)` for every product.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let ([c, h, w], g) = (self.input, self.geometry);
        let (per_group, k) = (c / g.groups, g.kernel);
        for (class, channel) in (0..CLASSES).flat_map(|a| (0..c).map(move |b| (a, b))) {
            let row = (channel / per_group) * CLASSES + class;
            let taps = (0..k).flat_map(|r| (0..k).map(move |s| (r, s)));
            for (r, s) in taps {
                let own = ((row * per_group + channel % per_group) * k + r) * k + s;
                for (p, q) in
                    (0..self.output[0]).flat_map(|p| (0..self.output[1]).map(move |q| (p, q)))
                {
                    let y = (p * g.stride + r * g.dilation).wrapping_sub(g.padding);
                    let x = (q * g.stride + s * g.dilation).wrapping_sub(g.padding);
                    if y < h && x < w {
                        f(class, own, (channel * h + y) * w + x);
                    }
                }
            }
        }
    }
}

/// dx[n, c, y, x] = Σ over classes, kernel and the output positions that see (y, x) of e·B.
fn slow_below(loops: &Loops, e: &Tensor, b: &Tensor) -> Result<Vec<f64>> {
    let (n, size) = (e.dims()[0], loops.input.iter().product::<usize>());
    let (e, b) = (values(e)?, values(b)?);
    let mut out = vec![0.0; n * size];
    for sample in 0..n {
        loops.each(|class, own, at| {
            out[sample * size + at] += e[sample * CLASSES + class] * b[own];
        });
    }
    Ok(out)
}

/// dB = Σ over samples and positions of e·x, the kernel of a direct connection.
fn slow_gradient(loops: &Loops, e: &Tensor, x: &Tensor, len: usize) -> Result<Vec<f64>> {
    let (n, size) = (e.dims()[0], loops.input.iter().product::<usize>());
    let (e, x) = (values(e)?, values(x)?);
    let mut out = vec![0.0; len];
    for sample in 0..n {
        loops.each(|class, own, at| {
            out[own] += e[sample * CLASSES + class] * x[sample * size + at];
        });
    }
    Ok(out)
}

fn same(own: &Tensor, slow: Vec<f64>, what: &str) -> Result<()> {
    let slow = Tensor::from_vec(slow, own.dims(), own.device())?;
    let error = distance(own, &slow)?;
    assert!(error < 1e-12, "{what}: {error:e}");
    Ok(())
}

/// Fewer samples than classes and more take two paths to the same sums.
#[test]
fn direct_feedback_of_a_convolution_is_the_slow_sum() -> Result<()> {
    for rule in ["dfa", "dkp"] {
        for (geometry, units) in geometries() {
            let single = bound(
                &direct(rule),
                &[("layout", word("kernel"))],
                &site(geometry, units),
            )?;
            let loops = Loops::new(geometry, &single);
            for n in [2, 9] {
                let x = noise(1, &[n, 4, 7, 6], DType::F64)?;
                let grad_y = noise(2, &single.output_for(n), DType::F64)?;
                let e = noise(3, &[n, CLASSES], DType::F64)?;
                let out = single.backward(0, &x, &grad_y, Some(&e))?;
                let b = single.get("feedback")?;
                let what = format!("{rule}, {geometry:?}, {n} samples");
                same(below(&out)?, slow_below(&loops, &e, b)?, &what)?;
                if rule == "dkp" {
                    let slow = slow_gradient(&loops, &e, &x, b.elem_count())?;
                    same(gradient(&out, "feedback")?, slow, &what)?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn direct_feedback_of_a_dense_layer_and_of_a_full_layout_is_a_product() -> Result<()> {
    let plain = Geometry::plain(3, 1);
    for rule in ["dfa", "dkp"] {
        for site in [
            Site::dense(7, 5),
            site(plain, 6),
            site(Geometry { groups: 2, ..plain }, 6),
        ] {
            let single = bound(&direct(rule), &[("layout", word("full"))], &site)?;
            let size: usize = site.input.iter().product();
            let x = noise(1, &[vec![4], site.input.clone()].concat(), DType::F64)?;
            let grad_y = noise(2, &single.output_for(4), DType::F64)?;
            let e = noise(3, &[4, CLASSES], DType::F64)?;
            let out = single.backward(0, &x, &grad_y, Some(&e))?;
            let b = single.get("feedback")?;
            let expected = e.matmul(&b.reshape((CLASSES, size))?)?.reshape(x.dims())?;
            assert!(distance(below(&out)?, &expected)? < 1e-12);
            if rule == "dkp" {
                let expected = e.t()?.matmul(&x.reshape((4, size))?)?.reshape(b.dims())?;
                assert!(distance(gradient(&out, "feedback")?, &expected)? < 1e-12);
            }
        }
    }
    Ok(())
}

/// Whatever arrives from above, the same error goes below; and the output's error is needed.
#[test]
fn direct_feedback_ignores_what_arrives_from_above() -> Result<()> {
    let single = bound(&direct("dfa"), &[], &Site::dense(7, 5))?;
    let (x, e) = (
        noise(1, &[4, 7], DType::F64)?,
        noise(3, &[4, CLASSES], DType::F64)?,
    );
    let one = single.backward(0, &x, &noise(5, &[4, 5], DType::F64)?, Some(&e))?;
    let other = single.backward(0, &x, &noise(6, &[4, 5], DType::F64)?, Some(&e))?;
    assert_eq!(values(below(&one)?)?, values(below(&other)?)?);
    let error = single.backward(0, &x, &noise(5, &[4, 5], DType::F64)?, None);
    let error = error.err().ok_or("an error is due")?.to_string();
    assert!(error.contains("output error"), "{error}");
    Ok(())
}

/// A feedback weight that is not held is the same at every step, and distributed as one that is.
#[test]
fn feedback_that_is_not_held_is_drawn_again_the_same() -> Result<()> {
    let large = Site {
        classes: 50,
        ..Site::dense(2000, 5)
    };
    let (x, grad_y) = (
        noise(1, &[50, 2000], DType::F64)?,
        noise(2, &[50, 5], DType::F64)?,
    );
    let e = Tensor::eye(50, DType::F64, x.device())?;
    for init in [
        "xavier",
        "kaiming",
        "he",
        "lecun",
        "uniform",
        "variance_scaling",
    ] {
        let matrix = |store: &str, limit: i64, step: u64| -> Result<(bool, Tensor)> {
            let params = [
                ("init", word(init)),
                ("store", word(store)),
                ("store_limit", ParamValue::Int(limit)),
            ];
            let single = bound(&direct("dfa"), &params, &large)?;
            let out = single.backward(step, &x, &grad_y, Some(&e))?;
            Ok((single.has("feedback"), below(&out)?.clone()))
        };
        let (held, stored) = matrix("always", 0, 0)?;
        assert!(held, "{init}");
        let (held, drawn) = matrix("never", 1 << 40, 0)?;
        assert!(!held, "{init}");
        assert_eq!(
            values(&drawn)?,
            values(&matrix("never", 0, 9)?.1)?,
            "{init}"
        );
        assert_eq!(
            (matrix("auto", 100_000, 0)?.0, matrix("auto", 99_999, 0)?.0),
            (true, false)
        );
        let (a, b) = (moments(&stored)?, moments(&drawn)?);
        assert!(
            (a.deviation / b.deviation - 1.0).abs() < 0.02,
            "{init}: {a:?} {b:?}"
        );
        assert!(
            (a.largest / b.largest - 1.0).abs() < 0.25,
            "{init}: {a:?} {b:?}"
        );
        assert!(b.mean.abs() < 0.02 * b.deviation, "{init}: {b:?}");
    }
    Ok(())
}

#[derive(Debug)]
struct Moments {
    mean: f64,
    deviation: f64,
    largest: f64,
}

fn moments(t: &Tensor) -> Result<Moments> {
    let v = values(t)?;
    let mean = v.iter().sum::<f64>() / v.len() as f64;
    let variance = v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / v.len() as f64;
    Ok(Moments {
        mean,
        deviation: variance.sqrt(),
        largest: v.iter().fold(0.0, |m, v| m.max(v.abs())),
    })
}

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
#[test]
fn angles_at_the_start_are_those_of_the_reference() -> Result<()> {
    for (rule, angle) in [("fa", 90.0), ("usf", 30.0), ("brsf", 41.4), ("frsf", 41.4)] {
        let single = bound(&family(rule), &[], &Site::dense(400, 300))?;
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

/// A frozen layer draws in the way down what it would have kept.
#[test]
fn batch_random_feedback_needs_nothing_kept() -> Result<()> {
    use biorule::nn::rule::{Errors, RuleCall};
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
        let weight = [
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
