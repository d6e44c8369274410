//! Files of single operations: the blocks that a template gives, with the real plugins.

use biorule::config::{BlockPlan, Drive};
use biorule::search::space::{Operation, Primitive, Style, template};
use candle_core::{DType, Tensor};

use super::tolerance;
use crate::Result;
use crate::feedback::record::{Recorder, locked};
use crate::golden::{Checks, File, Recogniser};
use crate::network::{Backward, TestNetwork};
use crate::plugins::registry;

/// Kinds of files.
pub(super) fn recognisers() -> Vec<Recogniser> {
    vec![
        Recogniser {
            name: "pooling",
            understands: |file| file.has("h8.s1.avg_pool_3x3.raw.y"),
            run: pooling,
        },
        Recogniser {
            name: "reduction",
            understands: |file| file.has("c4_6_affine.y") && file.has("none.s2.y"),
            run: reduction,
        },
        Recogniser {
            name: "input block",
            understands: |file| file.has("affine_false.y_eval"),
            run: input_block,
        },
        Recogniser {
            name: "separable",
            understands: |file| file.has("s1.conv3.dweight.usf") && !file.has("alpha"),
            run: |file, checks| separable(file, Operation::SepConv(3), checks),
        },
        Recogniser {
            name: "dilated",
            understands: |file| file.has("s1.conv1.dweight.usf") && !file.has("s1.conv3.weight"),
            run: |file, checks| separable(file, Operation::DilConv(3), checks),
        },
        Recogniser {
            name: "hebbian",
            understands: |file| file.has("s1.weight3") && file.has("s1.dx0"),
            run: hebbian,
        },
    ]
}

/// The rules of the files and ours.
const RULES: [(&str, &str); 5] = [
    ("bp", "backprop"),
    ("usf", "feedback-alignment/usf"),
    ("brsf", "feedback-alignment/brsf"),
    ("frsf", "feedback-alignment/frsf"),
    ("fa", "feedback-alignment/fa"),
];

/// A network of these blocks that learns from gradients.
fn network(blocks: &[BlockPlan], x: &Tensor) -> Result<TestNetwork> {
    let mut network = TestNetwork::build(blocks, &x.dims()[1..], DType::F32)?;
    let names: Vec<&str> = blocks.iter().map(|b| b.name.as_str()).collect();
    network.train(&names, Drive::Gradient);
    Ok(network)
}

/// One pass there and back with the gradient `g` at the output.
fn walk(network: &mut TestNetwork, x: &Tensor, g: &Tensor) -> Result<Backward> {
    network.step(x, |_| Ok(g.clone()))
}

fn pooling(file: &File, checks: &mut Checks) -> Result<()> {
    let limit = tolerance(file);
    for side in ["h7", "h8"] {
        let x = file.tensor(&format!("{side}.x"))?;
        for stride in [1, 2] {
            let g = file.tensor(&format!("{side}.s{stride}.g"))?;
            for operation in [Operation::MaxPool, Operation::AvgPool] {
                for (kind, pool_norm) in [("raw", false), ("bn", true)] {
                    let style = Style {
                        pool_norm,
                        ..Style::default()
                    };
                    let plan = Primitive::plain(operation);
                    let blocks = template::blocks(&plan, &style, "op", x.dims()[1], stride);
                    let mut network = network(&blocks, &x)?;
                    let step = walk(&mut network, &x, &g)?;
                    let name = format!("{side}.s{stride}.{operation}.{kind}");
                    checks.compare(
                        &format!("{name}.y"),
                        &step.y,
                        &file.tensor(&format!("{name}.y"))?,
                        limit,
                    )?;
                    checks.compare(
                        &format!("{name}.dx"),
                        &step.grad_x,
                        &file.tensor(&format!("{name}.dx"))?,
                        limit,
                    )?;
                }
            }
        }
    }
    Ok(())
}

fn reduction(file: &File, checks: &mut Checks) -> Result<()> {
    let limit = tolerance(file);
    let x = file.tensor("x")?;
    let channels = x.dims()[1];
    for (name, operation, stride) in [
        ("identity.y", Operation::Skip, 1),
        ("none.s1.y", Operation::None, 1),
        ("none.s2.y", Operation::None, 2),
    ] {
        let plan = Primitive::plain(operation);
        let blocks = template::blocks(&plan, &Style::default(), "op", channels, stride);
        let y = match blocks.is_empty() {
            true => x.clone(),
            false => network(&blocks, &x)?.evaluate(&x)?,
        };
        checks.compare(name, &y, &file.tensor(name)?, limit)?;
    }
    for (case, affine) in [("c4_4", false), ("c4_6_affine", true)] {
        let part = |name: &str| file.tensor(&format!("{case}.{name}"));
        let g = part("g")?;
        let style = Style {
            affine,
            ..Style::default()
        };
        let blocks = template::reduction(&style, "op", template::PLAIN, g.dims()[1]);
        let mut network = network(&blocks, &x)?;
        let mut start = vec![
            ("op-conv0.layer.weight", part("conv0.weight")?),
            ("op-conv1.layer.weight", part("conv1.weight")?),
        ];
        if affine {
            start.push(("norm_after.weight", part("gamma")?));
            start.push(("norm_after.bias", part("beta")?));
        }
        network.set(&start)?;
        let step = walk(&mut network, &x, &g)?;
        let mut compare = |name: &str, got: &Tensor| {
            checks.compare(&format!("{case}.{name}"), got, &part(name)?, limit)
        };
        compare("y", &step.y)?;
        compare("dx", &step.grad_x)?;
        compare("conv0.dweight", &step.grad("op-conv0.layer.weight")?)?;
        compare("conv1.dweight", &step.grad("op-conv1.layer.weight")?)?;
        if affine {
            compare("dgamma", &step.grad("norm_after.weight")?)?;
            compare("dbeta", &step.grad("norm_after.bias")?)?;
        }
        compare("running_mean", &network.tensor("norm_after.running_mean")?)?;
        compare("running_var", &network.tensor("norm_after.running_var")?)?;
    }
    Ok(())
}

fn input_block(file: &File, checks: &mut Checks) -> Result<()> {
    let limit = tolerance(file);
    let (x, g) = (file.tensor("x")?, file.tensor("g")?);
    for (case, affine) in [("affine_false", false), ("affine_true", true)] {
        let part = |name: &str| file.tensor(&format!("{case}.{name}"));
        let style = Style {
            affine,
            ..Style::default()
        };
        let blocks = template::relu_conv_norm(&style, "op", g.dims()[1]);
        let mut network = network(&blocks, &x)?;
        let mut start = vec![("op-conv0.layer.weight", part("weight")?)];
        if affine {
            start.push(("norm_after.weight", part("gamma")?));
            start.push(("norm_after.bias", part("beta")?));
        }
        network.set(&start)?;
        let step = walk(&mut network, &x, &g)?;
        let evaluated = network.evaluate(&x)?;
        for (name, got) in [
            ("y", &step.y),
            ("dx", &step.grad_x),
            ("dweight", &step.grad("op-conv0.layer.weight")?),
            ("y_eval", &evaluated),
        ] {
            checks.compare(&format!("{case}.{name}"), got, &part(name)?, limit)?;
        }
    }
    Ok(())
}

fn separable(file: &File, operation: Operation, checks: &mut Checks) -> Result<()> {
    let limit = tolerance(file);
    for stride in [1, 2] {
        let part = |name: &str| file.tensor(&format!("s{stride}.{name}"));
        let (x, g) = (part("x")?, part("g")?);
        let convs = (0..)
            .take_while(|k| file.has(&format!("s{stride}.conv{k}.weight")))
            .count();
        for (short, rule) in RULES {
            let plan = Primitive::new(operation, rule);
            let blocks = template::blocks(&plan, &Style::default(), "op", x.dims()[1], stride);
            // What a rule draws anew at each pass is in the file.
            let recorder = Recorder::new(registry());
            let mut network =
                TestNetwork::build_with(&blocks, &x.dims()[1..], DType::F32, &recorder)?;
            let names: Vec<&str> = blocks.iter().map(|b| b.name.as_str()).collect();
            network.train(&names, Drive::Gradient);
            for k in 0..convs {
                let name = format!("op-conv{k}.layer.weight");
                network.set(&[(&name, part(&format!("conv{k}.weight"))?)])?;
                let feedback = part(&format!("conv{k}.feedback"))?;
                match short {
                    "fa" => network.set(&[(&format!("op-conv{k}.layer.feedback"), feedback)])?,
                    "frsf" => network.set(&[(&format!("op-conv{k}.layer.magnitude"), feedback)])?,
                    "brsf" => {
                        let drawn = part(&format!("conv{k}.draw0"))?.abs()?;
                        let key = (format!("op-conv{k}"), "magnitude".to_owned());
                        locked(&recorder.tape()).kept.insert(key, drawn);
                    }
                    _ => {}
                }
            }
            let step = walk(&mut network, &x, &g)?;
            let mut compare = |name: String, got: &Tensor| {
                checks.compare(&format!("s{stride}.{name}"), got, &part(&name)?, limit)
            };
            if short == "bp" {
                compare("y".to_owned(), &step.y)?;
                for (k, norm) in norms(&blocks).into_iter().enumerate() {
                    for which in ["running_mean", "running_var"] {
                        compare(
                            format!("bn{k}.{which}"),
                            &network.tensor(&format!("{norm}.{which}"))?,
                        )?;
                    }
                }
            }
            compare(format!("dx.{short}"), &step.grad_x)?;
            for k in 0..convs {
                let got = step.grad(&format!("op-conv{k}.layer.weight"))?;
                compare(format!("conv{k}.dweight.{short}"), &got)?;
            }
        }
    }
    Ok(())
}

/// The normalisations of these blocks, in order.
fn norms(blocks: &[BlockPlan]) -> Vec<String> {
    let one = |b: &BlockPlan| {
        let inner = b
            .norm_inner
            .is_some()
            .then(|| format!("{}.norm_inner", b.name));
        let after = b
            .norm_after
            .is_some()
            .then(|| format!("{}.norm_after", b.name));
        inner.into_iter().chain(after)
    };
    blocks.iter().flat_map(one).collect()
}

fn hebbian(file: &File, checks: &mut Checks) -> Result<()> {
    let limit = tolerance(file);
    const WEIGHT: &str = "op-conv0.layer.weight";
    for stride in [1, 2] {
        let part = |name: &str| file.tensor(&format!("s{stride}.{name}"));
        let x = part("x0")?;
        let plan = Primitive::plain(Operation::Hebbian);
        let blocks = template::blocks(&plan, &Style::default(), "op", x.dims()[1], stride);
        let mut network = network(&blocks, &x)?;
        network.set(&[(WEIGHT, part("weight0")?)])?;
        for pass in 0..3 {
            let (x, g) = (part(&format!("x{pass}"))?, part(&format!("g{pass}"))?);
            let step = walk(&mut network, &x, &g)?;
            let after = network.tensor(WEIGHT)?;
            for (name, got) in [
                (format!("y{pass}"), &step.y),
                (format!("dx{pass}"), &step.grad_x),
                (format!("dweight{pass}"), &step.grad(WEIGHT)?),
                (format!("weight{}", pass + 1), &after),
            ] {
                checks.compare(&format!("s{stride}.{name}"), got, &part(&name)?, limit)?;
            }
        }
    }
    Ok(())
}
