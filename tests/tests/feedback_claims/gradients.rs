//! Backpropagation against finite differences on every kind of layer, in float64.

use biorule::config::MapPlan;
use biorule::plan::PadMode;
use biorule_tests::Result;
use biorule_tests::feedback::plans::{Geometry, RuleChoice};
use biorule_tests::feedback::single::{Single, Site, below, gradient};
use biorule_tests::numbers::{distance, noise, values};
use biorule_tests::plugins::registry;
use candle_core::{DType, Device, Tensor};

fn conv(geometry: Geometry) -> Site {
    Site::conv(geometry.map(), [4, 7, 6], 6)
}

/// Every kind of layer: dense, and convolutions with each option alone and all together.
pub(crate) fn sites() -> Vec<(&'static str, Site)> {
    let three = Geometry::plain(3, 1);
    let mode = |mode| conv(Geometry { mode, ..three });
    let lopsided = MapPlan::Conv {
        kernel: [3, 2],
        stride: [2, 1],
        padding: [2, 0, 1, 0],
        dilation: [1, 2],
        groups: 2,
        padding_mode: PadMode::Zeros,
    };
    vec![
        ("dense", Site::dense(7, 5)),
        (
            "dense without bias",
            Site {
                bias: false,
                ..Site::dense(7, 5)
            },
        ),
        ("convolution", conv(Geometry::plain(3, 0))),
        ("kernel of one pixel", conv(Geometry::plain(1, 0))),
        ("zeros", conv(three)),
        ("reflect", mode(PadMode::Reflect)),
        ("replicate", mode(PadMode::Replicate)),
        ("circular", mode(PadMode::Circular)),
        ("stride", conv(Geometry { stride: 2, ..three })),
        (
            "dilation",
            conv(Geometry {
                dilation: 2,
                padding: 2,
                ..three
            }),
        ),
        ("groups", conv(Geometry { groups: 2, ..three })),
        (
            "depthwise",
            Site::conv(Geometry { groups: 4, ..three }.map(), [4, 7, 6], 4),
        ),
        (
            "reflect, stride, dilation, groups",
            conv(Geometry {
                stride: 2,
                dilation: 2,
                groups: 2,
                padding: 2,
                mode: PadMode::Reflect,
                ..three
            }),
        ),
        ("nothing square or even", Site::conv(lopsided, [4, 7, 6], 6)),
    ]
}

/// Σ c·y(x), whose derivative by the output is `c`.
fn weighted(single: &Single, x: &Tensor, c: &Tensor) -> Result<f64> {
    let y = single.forward(0, x)?.y;
    Ok(values(&(y * c)?)?.iter().sum())
}

/// Central differences of `f` by each element of `at`.
fn differences(at: &Tensor, mut f: impl FnMut(&Tensor) -> Result<f64>) -> Result<Tensor> {
    let (base, h) = (values(at)?, 1e-4);
    let mut out = Vec::new();
    for i in 0..base.len() {
        let mut moved = |by: f64| {
            let mut v = base.clone();
            v[i] += by;
            f(&Tensor::from_vec(v, at.dims(), &Device::Cpu)?)
        };
        out.push((moved(h)? - moved(-h)?) / (2.0 * h));
    }
    Ok(Tensor::from_vec(out, at.dims(), &Device::Cpu)?)
}

fn check_site(name: &str, site: &Site) -> Result<()> {
    let choice = RuleChoice::new("backprop", &[]);
    let mut single = Single::new(registry(), &choice, site, DType::F64)?;
    let x = noise(1, &[vec![2], site.input.clone()].concat(), DType::F64)?;
    let c = noise(2, &single.output_for(2), DType::F64)?;
    let own = single.backward(0, &x, &c, None)?;
    let close = |part: &str, own: &Tensor, slow: &Tensor| -> Result<()> {
        let error = distance(own, slow)?;
        println!("{name:<36} {part:<7} {error:.1e}");
        assert!(error < 1e-9, "{name}, {part}: {error:e}");
        Ok(())
    };
    let slow = differences(&x, |x| weighted(&single, x, &c))?;
    close("input", below(&own)?, &slow)?;
    for part in ["weight", "bias"] {
        if !single.has(part) {
            continue;
        }
        let start = single.get(part)?.clone();
        let slow = differences(&start, |value| {
            single.set(part, value.clone())?;
            weighted(&single, &x, &c)
        })?;
        single.set(part, start)?;
        close(part, gradient(&own, part)?, &slow)?;
    }
    assert_eq!(own.grads.len(), 1 + usize::from(site.bias), "{name}");
    Ok(())
}

#[test]
fn backpropagation_is_the_gradient_on_every_kind_of_layer() -> Result<()> {
    sites()
        .iter()
        .try_for_each(|(name, site)| check_site(name, site))
}

#[test]
fn dense_layers_take_further_axes() -> Result<()> {
    let choice = RuleChoice::new("backprop", &[]);
    let single = Single::new(registry(), &choice, &Site::dense(4, 3), DType::F64)?;
    let x = noise(1, &[2, 5, 4], DType::F64)?;
    let c = noise(2, &[2, 5, 3], DType::F64)?;
    let own = single.backward(0, &x, &c, None)?;
    let flat = single.backward(0, &x.reshape((10, 4))?, &c.reshape((10, 3))?, None)?;
    assert_eq!(below(&own)?.dims(), [2, 5, 4]);
    for part in ["weight", "bias"] {
        assert!(distance(gradient(&own, part)?, gradient(&flat, part)?)? < 1e-12);
    }
    assert!(distance(below(&own)?, &below(&flat)?.reshape((2, 5, 4))?)? < 1e-12);
    Ok(())
}
