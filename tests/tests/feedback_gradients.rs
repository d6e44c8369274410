//! Backpropagation against finite differences on every kind of layer, in float64
//! and through the real library; and every other rule that takes errors against
//! backpropagation, which it must not be.

use biorule::config::{Loss, MapPlan, OptimizerPlan, PoolKind};
use biorule::train::loss::Answers;
use biorule_tests::Result;
use biorule_tests::feedback::plans::{
    Geometry, RuleChoice, activation, block, dense_blocks, layer, pool,
};
use biorule_tests::feedback::single::{Single, Site, below, distance, gradient, noise, values};
use biorule_tests::feedback::trial::Trial;
use biorule_tests::plugins::registry;
use candle_core::{DType, Device, Tensor};

/// Every rule but backpropagation that takes an error.
const OTHERS: [&str; 8] = [
    "feedback-alignment/fa",
    "feedback-alignment/usf",
    "feedback-alignment/brsf",
    "feedback-alignment/frsf",
    "kolen-pollack",
    "direct-feedback-alignment/dfa",
    "direct-feedback-alignment/dkp",
    "weight-mirror",
];

fn conv(geometry: Geometry) -> Site {
    Site::conv(geometry.map(), [4, 7, 6], 6)
}

/// Every kind of layer: dense, and convolutions with each option alone and all together.
fn sites() -> Vec<(&'static str, Site)> {
    let three = Geometry::plain(3, 1);
    let mode = |mode| conv(Geometry { mode, ..three });
    let lopsided = MapPlan::Conv {
        kernel: [3, 2],
        stride: [2, 1],
        padding: [2, 0, 1, 0],
        dilation: [1, 2],
        groups: 2,
        padding_mode: "zeros".into(),
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
        ("reflect", mode("reflect")),
        ("replicate", mode("replicate")),
        ("circular", mode("circular")),
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
                mode: "reflect",
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

/// conv → pool → conv → fc and its tensors' names, hidden layers first.
fn convolutional(rule: &str) -> Result<Trial> {
    let rule = RuleChoice::new(rule, &[]);
    let relu = activation("relu")?;
    let conv = |name: &str, geometry: Geometry, out| biorule::config::BlockPlan {
        layer: Some(layer(&rule, geometry.map(), out, true)),
        activation: relu.clone(),
        ..block(name)
    };
    let blocks = [
        biorule::config::BlockPlan {
            pool: pool(PoolKind::Max, 2),
            ..conv("first", Geometry::plain(3, 1), 6)
        },
        conv(
            "second",
            Geometry {
                stride: 2,
                ..Geometry::plain(3, 1)
            },
            8,
        ),
        biorule::config::BlockPlan {
            flatten: true,
            layer: Some(layer(&rule, MapPlan::Dense, 4, true)),
            ..block("last")
        },
    ];
    trial(&blocks, &[5, 2, 8, 8])
}

fn dense(rule: &str) -> Result<Trial> {
    let relu = activation("relu")?;
    let names = ["first", "second", "last"].map(String::from);
    let rule = RuleChoice::new(rule, &[]);
    let blocks = dense_blocks(&rule, &names, &[20, 15, 4], &[relu.clone(), relu, None]);
    trial(&blocks, &[5, 12])
}

fn trial(blocks: &[biorule::config::BlockPlan], dims: &[usize]) -> Result<Trial> {
    let labels = Tensor::new(&[0u32, 1, 2, 3, 1], &Device::Cpu)?;
    let batch = (noise(3, dims, DType::F64)?, Answers::Classes(labels));
    let optimizer = OptimizerPlan::Sgd {
        lr: 0.1,
        momentum: 0.0,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    };
    Trial::new(registry(), blocks, batch, 4, Loss::CrossEntropy, &optimizer)
}

#[test]
fn hidden_gradients_of_the_other_rules_are_not_those_of_backpropagation() -> Result<()> {
    println!(
        "{:<32} {:>8} {:>8} {:>8}",
        "rule, network", "first", "second", "last"
    );
    for rule in OTHERS {
        for (network, mut trial) in [("dense", dense(rule)?), ("conv", convolutional(rule)?)] {
            let (own, exact) = (trial.walk()?, trial.walk_exactly()?);
            let away = |block: &str, part: &str| -> Result<f64> {
                let name = format!("blocks.{block}.layer.{part}");
                distance(&own.gradients[&name], &exact.gradients[&name])
            };
            let [first, second, last] = [
                away("first", "weight")?,
                away("second", "weight")?,
                away("last", "weight")?,
            ];
            println!(
                "{:<32} {first:8.3} {second:8.3} {last:8.1e}",
                format!("{rule}, {network}")
            );
            for (block, away) in [("first", first), ("second", second)] {
                assert!(
                    away > 0.05,
                    "{rule}, {network}: `{block}` has the true gradient"
                );
            }
            // The output layer has it under every rule.
            assert!(last < 1e-12, "{rule}, {network}: {last:e}");
            assert!(away("last", "bias")? < 1e-12, "{rule}, {network}");
        }
    }
    Ok(())
}

#[test]
fn backpropagation_in_a_network_is_backpropagation() -> Result<()> {
    for mut trial in [dense("backprop")?, convolutional("backprop")?] {
        let (own, exact) = (trial.walk()?, trial.walk_exactly()?);
        assert_eq!(own.gradients.len(), 6);
        for (name, gradient) in &own.gradients {
            assert!(
                distance(gradient, &exact.gradients[name])? < 1e-12,
                "{name}"
            );
        }
    }
    Ok(())
}
