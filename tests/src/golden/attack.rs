//! Attacks on a small BIODARTS network (`attack_whitebox`): the network is built as one graph from
//! the canonical names and the recipe of the golden files, and attacked through its rules' own
//! gradients.

use std::collections::BTreeMap;

use biorule::attack::draw::Stream;
use biorule::attack::loss::{Climb, Logits};
use biorule::attack::method::{Apgd, ApgdLoss, Pgd, StepSize};
use biorule::attack::{Attack, Gradient, Keyed, Method, Noise, Norm, Target, Victims, perturb};
use biorule::config::{
    BlockPlan, EdgePlan, GraphPlan, Join, LayerPlan, MapPlan, NodePlan, PoolKind, PoolPlan,
};
use biorule::data::PixelSpace;
use biorule::device::{Place, budget::Budget};
use biorule::nn::build::Placement;
use biorule::nn::{Clock, InputShape, Mode, Network, Pass};
use candle_core::{DType, Device, Tensor};

use super::nas::recipe::unit;
use super::{Checks, File, Recogniser, Tolerance};
use crate::Result;
use crate::network::{batch_norm, block, layer, layer_block, relu};
use crate::numbers::values;
use crate::plugins::registry;

/// The kinds of files that are read here.
pub fn recognisers() -> Vec<Recogniser> {
    vec![Recogniser {
        name: "attack",
        understands: |file| file.has("fgsm.8_255") && file.has("tpgd") && file.has("apgd"),
        run,
    }]
}

/// `centre + reach·(2u − 1)`, rounded to `f32`.
fn drawn(name: &str, shape: &[usize], centre: f64, reach: f64) -> Result<Tensor> {
    let n = shape.iter().product();
    let value = |u: f64| f64::from((centre + reach * (2.0 * u - 1.0)) as f32);
    let all: Vec<f64> = unit(name, n).into_iter().map(value).collect();
    Ok(Tensor::from_vec(all, shape, &Device::Cpu)?)
}

/// The recipe's weight or feedback of this shape.
fn weight(name: &str, shape: &[usize]) -> Result<Tensor> {
    let area: usize = shape.iter().skip(2).product();
    let reach = (6.0 / ((shape[0] + shape[1]) * area) as f64).sqrt();
    drawn(name, shape, 0.0, reach)
}

/// What a tensor of the network is in the recipe.
enum Source {
    Weight(String),
    /// A 1x1 kernel that reads one pixel further down and right.
    Shifted(String),
    Feedback(String),
    Gain(String),
    Shift(String),
}

/// Blocks and nodes in the making.
#[derive(Default)]
struct Plan {
    nodes: Vec<NodePlan>,
    /// By the end of the tensor's name in the network.
    sources: Vec<(String, Source)>,
}

/// Geometry of a convolution.
#[derive(Clone, Copy)]
struct Conv {
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    /// Every channel by itself.
    depthwise: bool,
}

const POINT: Conv = Conv {
    kernel: 1,
    stride: 1,
    padding: 0,
    dilation: 1,
    depthwise: false,
};

impl Plan {
    /// A name without dots, which separate the parts of a tensor's name.
    fn plain(name: &str) -> String {
        name.replace('.', "-")
    }

    fn conv(&mut self, name: &str, rule: &str, (input, out): (usize, usize), g: Conv) -> BlockPlan {
        let map = MapPlan::Conv {
            kernel: [g.kernel; 2],
            stride: [g.stride; 2],
            padding: [g.padding; 4],
            dilation: [g.dilation; 2],
            groups: if g.depthwise { input } else { 1 },
            padding_mode: biorule::plan::PadMode::Zeros,
        };
        let plain = Self::plain(name);
        let source = Source::Weight(format!("{name}.weight"));
        self.sources.push((format!("{plain}.layer.weight"), source));
        if rule.ends_with("frsf") {
            let source = Source::Feedback(format!("{name}.feedback"));
            self.sources
                .push((format!("{plain}.layer.magnitude"), source));
        }
        layer_block(&plain, layer(rule, map, out, &[]))
    }

    fn norm(&mut self, name: &str) -> BlockPlan {
        let plain = Self::plain(name);
        let parts = [
            (".norm.weight", Source::Gain(format!("{name}.gamma"))),
            (".norm.bias", Source::Shift(format!("{name}.beta"))),
        ];
        for (end, source) in parts {
            self.sources.push((format!("{plain}{end}"), source));
        }
        BlockPlan {
            norm: Some(batch_norm(true)),
            ..block(&plain)
        }
    }

    fn relu(name: &str) -> BlockPlan {
        BlockPlan {
            activation: Some(relu()),
            ..block(&Self::plain(name))
        }
    }

    fn node(&mut self, name: &str, join: Join, from: Vec<(String, Vec<BlockPlan>)>) -> String {
        let name = Self::plain(name);
        self.nodes.push(NodePlan {
            name: name.clone(),
            join,
            from: from
                .into_iter()
                .map(|(source, blocks)| EdgePlan::new(source, blocks))
                .collect(),
        });
        name
    }

    /// ReLU, 1x1, normalisation.
    fn reduce_channels(&mut self, name: &str, from: &str, channels: (usize, usize)) -> String {
        let blocks = vec![
            Self::relu(&format!("{name}.relu")),
            self.conv(&format!("{name}.conv0"), "backprop", channels, POINT),
            self.norm(&format!("{name}.bn0")),
        ];
        self.node(name, Join::Sum, vec![(from.into(), blocks)])
    }

    /// ReLU, two 1x1 convolutions of stride 2 on the even and the odd pixels, normalisation.
    fn factorised(&mut self, name: &str, from: &str, (input, out): (usize, usize)) -> String {
        let relu = vec![Self::relu(&format!("{name}.relu"))];
        let relu = self.node(
            &format!("{name}.positive"),
            Join::Sum,
            vec![(from.into(), relu)],
        );
        let half = (input, out / 2);
        let even = Conv { stride: 2, ..POINT };
        let odd = Conv { kernel: 2, ..even };
        let even = self.conv(&format!("{name}.conv0"), "backprop", half, even);
        let odd = self.conv(&format!("{name}.conv1"), "backprop", half, odd);
        if let Some((_, source)) = self.sources.last_mut() {
            *source = Source::Shifted(format!("{name}.conv1.weight"));
        }
        let both = vec![(relu.clone(), vec![even]), (relu, vec![odd])];
        let both = self.node(&format!("{name}.both"), Join::Concat, both);
        let norm = vec![self.norm(&format!("{name}.bn0"))];
        self.node(name, Join::Sum, vec![(both, norm)])
    }

    /// What stands on an edge of a cell; a factorised reduce makes nodes of its own. Returns where
    /// the edge starts, and its blocks.
    fn operation(
        &mut self,
        name: &str,
        operation: &str,
        from: &str,
        (channels, stride): (usize, usize),
    ) -> (String, Vec<BlockPlan>) {
        let same = (channels, channels);
        let deep = |kernel: usize, stride: usize, dilation: usize| Conv {
            kernel,
            stride,
            padding: dilation * (kernel - 1) / 2,
            dilation,
            depthwise: true,
        };
        let blocks = match operation {
            "max_pool_3x3" => vec![BlockPlan {
                pool: Some(PoolPlan {
                    kind: PoolKind::Max,
                    kernel: [3, 3],
                    stride: [stride; 2],
                    padding: [1, 1],
                    count_include_pad: true,
                }),
                ..block(&Self::plain(&format!("{name}.pool")))
            }],
            "skip" if stride == 1 => Vec::new(),
            "skip" => return (self.factorised(name, from, same), Vec::new()),
            "dil_conv_5x5_u" => {
                let rule = "feedback-alignment/usf";
                vec![
                    Self::relu(&format!("{name}.relu0")),
                    self.conv(&format!("{name}.conv0"), rule, same, deep(5, stride, 2)),
                    self.conv(&format!("{name}.conv1"), rule, same, POINT),
                    self.norm(&format!("{name}.bn0")),
                ]
            }
            separable => {
                let rule = match separable {
                    "sep_conv_3x3_u" => "feedback-alignment/usf",
                    _ => "feedback-alignment/frsf",
                };
                vec![
                    Self::relu(&format!("{name}.relu0")),
                    self.conv(&format!("{name}.conv0"), rule, same, deep(3, stride, 1)),
                    self.conv(&format!("{name}.conv1"), rule, same, POINT),
                    self.norm(&format!("{name}.bn0")),
                    Self::relu(&format!("{name}.relu1")),
                    self.conv(&format!("{name}.conv2"), rule, same, deep(3, 1, 1)),
                    self.conv(&format!("{name}.conv3"), rule, same, POINT),
                    self.norm(&format!("{name}.bn1")),
                ]
            }
        };
        (from.into(), blocks)
    }
}

/// Node, source and operation of each edge of BIODARTS's cells.
type Cell = [(usize, usize, &'static str); 8];

const NORMAL: Cell = [
    (2, 0, "skip"),
    (2, 1, "skip"),
    (3, 1, "sep_conv_3x3_fr"),
    (3, 2, "sep_conv_3x3_u"),
    (4, 0, "sep_conv_3x3_u"),
    (4, 1, "skip"),
    (5, 1, "sep_conv_3x3_fr"),
    (5, 0, "max_pool_3x3"),
];

const REDUCE: Cell = [
    (2, 0, "max_pool_3x3"),
    (2, 1, "skip"),
    (3, 0, "max_pool_3x3"),
    (3, 1, "max_pool_3x3"),
    (4, 0, "max_pool_3x3"),
    (4, 1, "max_pool_3x3"),
    (5, 0, "max_pool_3x3"),
    (5, 3, "dil_conv_5x5_u"),
];

/// BIODARTS of `cells` cells that start at `width` channels, for 3x32x32.
fn biodarts(width: usize, cells: usize) -> (Vec<BlockPlan>, Plan) {
    let mut plan = Plan::default();
    let same = Conv {
        kernel: 3,
        padding: 1,
        ..POINT
    };
    let stem = vec![
        plan.conv("stem.conv0", "backprop", (3, 3 * width), same),
        plan.norm("stem.bn1"),
    ];
    let stem = plan.node("stem", Join::Sum, vec![("input".into(), stem)]);
    let mut before = (stem.clone(), 3 * width);
    let mut last = (stem, 3 * width);
    let (mut channels, mut reduced) = (width, false);
    for cell in 0..cells {
        let reduces = cell == cells / 3 || cell == 2 * cells / 3;
        if reduces {
            channels *= 2;
        }
        let name = |part: &str| format!("cell{cell}.{part}");
        let first = match reduced {
            true => plan.factorised(&name("pre0"), &before.0, (before.1, channels)),
            false => plan.reduce_channels(&name("pre0"), &before.0, (before.1, channels)),
        };
        let second = plan.reduce_channels(&name("pre1"), &last.0, (last.1, channels));
        let mut nodes = vec![first, second];
        let edges = if reduces { &REDUCE } else { &NORMAL };
        for pair in edges.chunks(2).enumerate() {
            let (at, pair) = pair;
            let brought = pair
                .iter()
                .enumerate()
                .map(|(i, (_, source, operation))| {
                    let stride = if reduces && *source < 2 { 2 } else { 1 };
                    let op = name(&format!("op{}", 2 * at + i));
                    plan.operation(&op, operation, &nodes[*source], (channels, stride))
                })
                .collect();
            let node = plan.node(&name(&format!("node{}", at + 2)), Join::Sum, brought);
            nodes.push(node);
        }
        let brought = nodes[2..].iter().map(|n| (n.clone(), Vec::new())).collect();
        let out = plan.node(&name("out"), Join::Concat, brought);
        before = std::mem::replace(&mut last, (out, 4 * channels));
        reduced = reduces;
    }
    let cells = BlockPlan {
        graph: Some(GraphPlan {
            nodes: std::mem::take(&mut plan.nodes),
        }),
        pool: Some(PoolPlan {
            kind: PoolKind::Avg,
            kernel: [0, 0],
            stride: [1, 1],
            padding: [0, 0],
            count_include_pad: true,
        }),
        ..block("cells")
    };
    let classifier = BlockPlan {
        flatten: true,
        layer: Some(LayerPlan {
            bias: true,
            ..layer("backprop", MapPlan::Dense, 10, &[])
        }),
        ..block("classifier")
    };
    let source = Source::Weight("classifier.weight".into());
    plan.sources
        .push(("classifier.layer.weight".into(), source));
    (vec![cells, classifier], plan)
}

/// The network of the file, its running statistics moved as the metadata says.
fn network(file: &File, tag: &str) -> Result<Network> {
    let (blocks, plan) = biodarts(file.count("C")?, file.count("layers")?);
    let input = InputShape {
        dims: vec![3, 32, 32],
        outputs: 10,
    };
    let place = Placement {
        device: Device::Cpu,
        dtype: DType::F64,
        seed: 1,
    };
    let mut network = Network::build(&blocks, &input, registry(), &place)?;
    let mut all = BTreeMap::new();
    for slot in network.tensors() {
        let name = &*slot.name;
        let shape = slot.tensor.dims();
        let found = plan.sources.iter().find(|(end, _)| name.ends_with(end));
        let value = match found {
            Some((_, Source::Weight(name) | Source::Feedback(name))) => weight(name, shape)?,
            Some((_, Source::Shifted(name))) => {
                let point = weight(name, &[shape[0], shape[1], 1, 1])?;
                point.pad_with_zeros(2, 1, 0)?.pad_with_zeros(3, 1, 0)?
            }
            Some((_, Source::Gain(name))) => drawn(name, shape, 1.0, 0.2)?,
            Some((_, Source::Shift(name))) => drawn(name, shape, 0.0, 0.2)?,
            None if name.ends_with("classifier.layer.bias") => {
                file.tensor("classifier.bias")?.to_dtype(DType::F64)?
            }
            // Running statistics start at 0 and 1; the rules' further state is not read here.
            None => slot.tensor.copy()?,
        };
        all.insert(name.to_owned(), value);
    }
    network.load(&|name| all.get(name).cloned())?;
    network.set_mode(&Mode {
        blocks: network.block_names(),
        drive: None,
    });
    for k in 0..3 {
        let x = drawn(&format!("{tag}.warm{k}"), &[8, 3, 32, 32], 0.5, 0.5)?;
        let mut pass = Pass::local(Clock::default());
        network.forward_all(&mut pass, &x)?;
    }
    Ok(network)
}

/// The numbers that the golden attacks start from.
struct Given {
    tag: String,
    each: usize,
    keyed: Keyed,
}

impl Noise for Given {
    fn stream(&self, sample: u64, step: u64) -> Stream {
        self.keyed.stream(sample, step)
    }

    fn uniform(&self, sample: u64, out: &mut [f32]) {
        let all = unit(
            &format!("{}.apgd1", self.tag),
            (sample as usize + 1) * self.each,
        );
        let own = &all[sample as usize * self.each..];
        out.iter_mut().zip(own).for_each(|(v, u)| *v = *u as f32);
    }

    fn normal(&self, sample: u64, out: &mut [f32]) {
        let all = unit(
            &format!("{}.noise", self.tag),
            (sample as usize + 1) * self.each,
        );
        let own = &all[sample as usize * self.each..];
        let value = |u: &f64| (1.7 * (2.0 * u - 1.0)) as f32;
        out.iter_mut().zip(own).for_each(|(v, u)| *v = value(u));
    }
}

/// A pixel that took another step is this far away at least.
const STEP: f64 = 1e-4;

/// Compares pixels: a share `may` of them may have taken another step, the rest agree.
fn pixels(checks: &mut Checks, name: &str, got: &Tensor, want: &Tensor, may: f64) -> Result<()> {
    let (got, want) = (values(got)?, values(want)?);
    let apart = |(a, b): &(&f64, &f64)| (*a - *b).abs() > STEP;
    let other = got.iter().zip(&want).filter(apart).count();
    let share = other as f64 / want.len() as f64;
    if share > may {
        checks.problem(format!(
            "{name}: {:.2} % of the pixels differ",
            100.0 * share
        ));
    }
    let near: Vec<(f64, f64)> = got
        .iter()
        .zip(&want)
        .filter(|pair| !apart(pair))
        .map(|(a, b)| (*a, *b))
        .collect();
    let (got, want): (Vec<f64>, Vec<f64>) = near.into_iter().unzip();
    checks.compare_values(name, &got, &want, Tolerance::Largest(1e-5));
    Ok(())
}

/// Computes what the file holds and compares.
fn run(file: &File, checks: &mut Checks) -> Result<()> {
    let tag = file.text("recipe_tag")?.to_owned();
    let mut network = network(file, &tag)?;
    let space = PixelSpace::plain(&[3, 32, 32]);
    let place = Place {
        device: Device::Cpu,
        dtype: DType::F64,
        budget: Budget::of(&Device::Cpu, 0.9)?,
        stop: Default::default(),
    };
    let x = file.tensor("x")?.to_dtype(DType::F64)?;
    let labels: Vec<u32> = values(&file.tensor("y")?)?
        .iter()
        .map(|v| *v as u32)
        .collect();
    let victims = Victims {
        samples: (0..labels.len() as u64).collect(),
        labels: labels.clone(),
        pixels: x.clone(),
    };
    let mut target = Target::new(&mut network, &space, Gradient::Rule, &place)?;
    let flat = |t: &Tensor, target: &mut Target<'_>| -> Result<Vec<f64>> {
        Ok(target.logits(t)?.rows().flatten().copied().collect())
    };
    let tight = Tolerance::Largest(1e-5);
    checks.compare_values(
        "logits",
        &flat(&x, &mut target)?,
        &file.values("logits")?,
        tight,
    );
    // PyTorch's mean over the batch.
    let n = labels.len() as f64;
    let mean = |z: &Logits| -> biorule::Result<Climb> {
        let mut climb = z.cross_entropy(&labels);
        climb.gradient.iter_mut().for_each(|g| *g /= n);
        Ok(climb)
    };
    let slope = target.slope(&x, &mean)?;
    checks.compare("ce_grad", &slope.gradient, &file.tensor("ce_grad")?, tight)?;
    let eps = 8.0 / 255.0;
    let (norm, step) = (Norm::Linf, 2.0 / 255.0);
    let fgsm = || Method::Fgsm { norm };
    let pgd = Method::Pgd(Pgd {
        norm,
        steps: 5,
        step_size: StepSize::Absolute(step),
        random_start: false,
    });
    let tpgd = Method::Tpgd {
        steps: 3,
        step_size: step,
    };
    let apgd = Method::Apgd(Apgd {
        norm,
        steps: 12,
        loss: ApgdLoss::CrossEntropy,
    });
    let attacks = [
        ("fgsm.8_255", fgsm(), eps, 0.0),
        ("fgsm.0.35", fgsm(), 0.35, 0.0),
        ("pgd", pgd, eps, 0.0),
        ("tpgd", tpgd, eps, 0.02),
        ("apgd", apgd, eps, 0.0),
    ];
    // The golden APGD draws for the images that are right alone, in their order.
    let right = target.logits(&x)?.right(&labels);
    for (name, method, strength, may) in attacks {
        let noise = Given {
            tag: tag.clone(),
            each: 3 * 32 * 32,
            keyed: Keyed::new(0, &method),
        };
        let mut victims = victims.clone();
        if name == "apgd" {
            let mut next = 0;
            for (sample, right) in victims.samples.iter_mut().zip(&right) {
                *sample = next;
                next += u64::from(*right);
            }
        }
        let attack = Attack {
            method,
            strength,
            gradient: Some(Gradient::Rule),
        };
        let changed = perturb(&mut target, &attack, &victims, &noise)?;
        let golden = file.tensor(name)?.to_dtype(DType::F64)?;
        pixels(checks, name, &changed, &golden, may)?;
        // Of the golden pixels, so that one that took another step does not count twice.
        let logits = flat(&golden, &mut target)?;
        let want = file.values(&format!("logits.{name}"))?;
        checks.compare_values(&format!("logits.{name}"), &logits, &want, tight);
    }
    Ok(())
}
