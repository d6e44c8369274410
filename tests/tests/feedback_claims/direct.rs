//! Direct feedback on one layer, against loops over every product, and feedback
//! that is drawn again in place of being held.

use biorule::config::ParamValue;
use biorule_tests::Result;
use biorule_tests::feedback::plans::{Geometry, word};
use biorule_tests::feedback::single::{Single, Site, below, gradient};
use biorule_tests::numbers::{distance, noise, values};
use candle_core::{DType, Tensor};

use crate::singles::{bound, moments, site};

const CLASSES: usize = 3;

fn direct(rule: &str) -> String {
    format!("direct-feedback-alignment/{rule}")
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
