//! Every shipped rule in every place of a network where a layer may stand: alone in a block, in a
//! residual sum of each kind, in a sum within a sum; first, in the middle and last; driven by
//! itself, by the loss and by both. It trains, stays finite and evaluates.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use biorule::config::{
    BlockPlan, Credit, Drive, LayerPlan, Loss, MapPlan, OptimizerPlan, PoolKind, PoolPlan,
    ResidualPlan, Shortcut,
};
use biorule::data::Answers;
use biorule::nn::{Clock, Mode};
use biorule::plan::PadMode;
use biorule::plugins::RuleEntry;
use biorule::train::Engine;
use biorule::train::optimizer::Optimizer;
use biorule::train::step::{GradientStep, LocalStep, StepInput};
use biorule_tests::Result;
use biorule_tests::network::{TestNetwork, block, layer, layer_block, relu};
use biorule_tests::numbers::noise;
use biorule_tests::plugins::{Run, registry};
use candle_core::{DType, Tensor};

const BATCH: usize = 6;
/// Classes, and units of every layer.
const UNITS: usize = 10;
/// Channels that enter a sum which adds some.
const FEWER: usize = 6;
const SIDE: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Dense,
    Conv,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Plain,
    Identity,
    SubsamplePad,
    Nested,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    First,
    Middle,
    Last,
}

impl Kind {
    fn layer(self, rule: &str, stride: usize) -> LayerPlan {
        let map = match self {
            Self::Dense => MapPlan::Dense,
            Self::Conv => MapPlan::Conv {
                kernel: [3, 3],
                stride: [stride, stride],
                padding: [1; 4],
                dilation: [1, 1],
                groups: 1,
                padding_mode: PadMode::Zeros,
            },
        };
        layer(rule, map, UNITS, &[])
    }
    fn block(self, name: &str, rule: &str, stride: usize) -> BlockPlan {
        BlockPlan {
            activation: Some(relu()),
            ..layer_block(name, self.layer(rule, stride))
        }
    }
    fn dims(self, channels: usize) -> Vec<usize> {
        match self {
            Self::Dense => vec![channels],
            Self::Conv => vec![channels, SIDE, SIDE],
        }
    }
}

fn sum(name: &str, inner: Vec<BlockPlan>, shortcut: Shortcut) -> BlockPlan {
    BlockPlan {
        residual: Some(ResidualPlan {
            blocks: inner,
            shortcut,
        }),
        ..block(name)
    }
}

impl Shape {
    fn channels(self) -> usize {
        match self {
            Self::SubsamplePad => FEWER,
            _ => UNITS,
        }
    }
    fn core(self, kind: Kind, rule: &str) -> BlockPlan {
        let one = |name: &str, stride| kind.block(name, rule, stride);
        match self {
            Self::Plain => one("core", 1),
            Self::Identity => sum("core", vec![one("a", 1), one("b", 1)], Shortcut::Identity),
            Self::SubsamplePad => sum(
                "core",
                vec![one("a", 2), one("b", 1)],
                Shortcut::SubsamplePad,
            ),
            Self::Nested => {
                let deep = sum("deep", vec![one("b", 1), one("c", 1)], Shortcut::Identity);
                sum("core", vec![one("a", 1), deep], Shortcut::Identity)
            }
        }
    }
}

/// The blocks of a network with `rule` in its block `core`; backpropagation elsewhere.
fn blocks(kind: Kind, shape: Shape, place: Place, rule: &str) -> Vec<BlockPlan> {
    let mut core = shape.core(kind, rule);
    let mut front = kind.block("front", "backprop", 1);
    front.layer.as_mut().expect("a layer").out = shape.channels();
    let readout = BlockPlan {
        flatten: true,
        ..layer_block("readout", layer("backprop", MapPlan::Dense, UNITS, &[]))
    };
    match place {
        Place::First => vec![core, readout],
        Place::Middle => vec![front, core, readout],
        Place::Last => {
            core.pool = (kind == Kind::Conv).then_some(PoolPlan {
                kind: PoolKind::Avg,
                kernel: [0, 0],
                stride: [0, 0],
                padding: [0, 0],
                count_include_pad: true,
            });
            vec![front, core]
        }
    }
}

fn values(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

fn core_tensors(net: &TestNetwork) -> Result<BTreeMap<String, Vec<f64>>> {
    let tensors = net.network.tensors().into_iter();
    tensors
        .filter(|t| t.name.starts_with("blocks.core."))
        .map(|t| Ok((t.name.to_string(), values(&t.tensor)?)))
        .collect()
}

/// Two steps and an evaluation; the failure in words.
fn train(entry: &RuleEntry, kind: Kind, shape: Shape, place: Place, drive: Drive) -> Result<()> {
    let blocks = blocks(kind, shape, place, &entry.name);
    let dims = kind.dims(shape.channels());
    let mut net = TestNetwork::build(&blocks, &dims, DType::F32)?;
    // In a local phase the core alone, so that its output is discarded.
    let listed = match drive {
        Drive::Local => vec!["core".to_owned()],
        _ => blocks.iter().map(|b| b.name.clone()).collect(),
    };
    let mode = Mode {
        blocks: listed,
        drive: Some(drive),
    };
    net.network.set_mode(&mode);
    let by_itself = entry.facts.learns_locally();
    assert_eq!(
        net.network.is_active(),
        drive != Drive::Local || by_itself,
        "whether anything learns"
    );
    if !net.network.is_active() {
        return Ok(());
    }
    let sgd = OptimizerPlan::Sgd {
        lr: 0.01,
        momentum: 0.0,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    };
    net.optimizer = Optimizer::new(&sgd, 0.0, &net.network.tensors())?;
    net.set_kind(match drive {
        Drive::Local => Box::new(LocalStep),
        _ => Box::new(GradientStep::new(Loss::CrossEntropy)),
    });
    let before = core_tensors(&net)?;
    let x = noise(3, &[vec![BATCH], dims].concat(), DType::F32)?;
    let labels: Vec<u32> = (0..BATCH as u32).map(|i| i * 7 % UNITS as u32).collect();
    net.first = net.network.first_active();
    let before_it = 0..net.first;
    for step in 0..2 {
        let input = StepInput {
            x: net
                .network
                .forward(&mut biorule::nn::Pass::inference(), &x, before_it.clone())?,
            answers: Answers::Classes(Tensor::new(labels.as_slice(), x.device())?),
            dropped: false,
        };
        let clock = Clock {
            epochs: 1,
            step,
            steps_per_epoch: 2,
            batch: BATCH,
            samples: 2 * BATCH,
            seed: 1,
            ..Clock::default()
        };
        net.clock = clock;
        Engine::step(&mut net, &input)?;
    }
    let after = core_tensors(&net)?;
    let changed = before != after;
    let expected = match (entry.facts.credit, drive) {
        (Credit::Local, _) => Some(drive != Drive::Gradient),
        (_, Drive::Gradient | Drive::Both) => Some(true),
        // What a rule of errors learns by itself may be switched off by its hyperparameters.
        (_, Drive::Local) => None,
    };
    if expected.is_some_and(|expected| expected != changed) {
        return Err(format!("the core changed: {changed}").into());
    }
    let mut numbers: Vec<f64> = after.into_values().flatten().collect();
    let out = net.evaluate(&x)?;
    numbers.extend(values(&out)?);
    match numbers.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err("something is not finite".into()),
    }
}

#[test]
fn every_rule_trains_in_every_composite() {
    let mut failures = Vec::new();
    let mut tried = 0;
    let shapes = [
        Shape::Plain,
        Shape::Identity,
        Shape::SubsamplePad,
        Shape::Nested,
    ];
    for entry in registry().rules() {
        for kind in [Kind::Dense, Kind::Conv] {
            let served = match kind {
                Kind::Dense => entry.dense,
                Kind::Conv => entry.conv,
            };
            for shape in shapes {
                if !served || (kind == Kind::Dense && shape == Shape::SubsamplePad) {
                    continue;
                }
                for place in [Place::First, Place::Middle, Place::Last] {
                    for drive in [Drive::Local, Drive::Gradient, Drive::Both] {
                        let run = || train(entry, kind, shape, place, drive);
                        let said = match catch_unwind(AssertUnwindSafe(run)) {
                            Ok(Ok(())) => None,
                            Ok(Err(e)) => Some(e.to_string()),
                            Err(_) => Some("a panic, told above".to_owned()),
                        };
                        tried += 1;
                        let name = &entry.name;
                        failures.extend(said.map(|e| {
                            format!("{name} {kind:?} {shape:?} {place:?} {drive:?}: {e}")
                        }));
                    }
                }
            }
        }
    }
    assert!(tried > 500, "only {tried} networks were tried");
    assert!(
        failures.is_empty(),
        "{} of {tried}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// As a user writes it: the rule in a sum within a sum, trained, stopped at no step, evaluated.
#[test]
fn every_rule_trains_in_nested_sums_through_the_command() {
    let home = tempfile::tempdir().unwrap();
    for entry in registry().rules() {
        let (rule, map) = match entry.conv {
            true => (
                &entry.name,
                "layer = \"conv\"\nkernel = 3\npadding = \"same\"\n",
            ),
            false => (&entry.name, "layer = \"dense\"\n"),
        };
        let name = rule.replace('/', "-");
        let text = format!(
            "name = \"{name}\"\ndevice = \"cpu\"\n\
             data = {{ set = \"digits\", limit_train = 40, limit_test = 20 }}\n\
             [[blocks]]\nname = \"front\"\n{map}out = 4\nrule = \"backprop\"\n\
             [[blocks]]\nname = \"sum\"\n[blocks.residual]\n\
             [[blocks.residual.blocks]]\nname = \"outer\"\n{map}out = 4\nrule = \"{rule}\"\n\
             [[blocks.residual.blocks]]\nname = \"inner-sum\"\n[blocks.residual.blocks.residual]\n\
             [[blocks.residual.blocks.residual.blocks]]\nname = \"inner\"\n{map}out = 4\nrule = \"{rule}\"\n\
             [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\nrule = \"backprop\"\n\
             [training]\nmode = \"successive\"\n\
             [training.local]\nepochs = 1\nbatch = 20\n\
             [training.gradient]\nepochs = 1\nbatch = 20\n"
        );
        let config = format!("{name}.toml");
        std::fs::write(home.path().join(&config), text).unwrap();
        for arguments in [
            vec!["train", &config, "--run-dir", &name, "--quiet"],
            vec!["eval", &name],
        ] {
            let ran = Run::new(arguments).dir(home.path()).finish();
            assert_eq!(ran.code, Some(0), "{rule}\n{}\n{}", ran.stdout, ran.stderr);
            assert!(
                ran.stdout.contains("test/accuracy"),
                "{rule}: {}",
                ran.stdout
            );
        }
    }
}
