//! What a rule says that it does not read changes nothing: with each word of each hyperparameter, on
//! each kind of layer, every hyperparameter that is called unread is given another value, and the
//! network's weights and outputs after two steps have the same bits.

use std::collections::BTreeMap;

use biorule::config::{BlockPlan, Drive, Loss, MapPlan, OptimizerPlan, ParamValue};
use biorule::data::Answers;
use biorule::nn::outline::PartKind;
use biorule::nn::{Clock, InputShape, Mode, Outline};
use biorule::plugins::RuleEntry;
use biorule::train::Engine;
use biorule::train::optimizer::Optimizer;
use biorule::train::step::{GradientStep, StepInput};
use biorule_plugin_api::sdk::{ParamSpec, ParamValue as SdkValue};
use biorule_tests::Result;
use biorule_tests::network::{TestNetwork, conv, layer, layer_block, relu};
use biorule_tests::numbers::noise;
use biorule_tests::plugins::registry;
use candle_core::{DType, Tensor};

const BATCH: usize = 6;
const UNITS: usize = 10;

type Params = BTreeMap<String, ParamValue>;

fn blocks(rule: &str, map: &MapPlan, bias: bool, params: &Params) -> Vec<BlockPlan> {
    let mut inner = layer(rule, map.clone(), UNITS, &[]);
    inner.bias = bias;
    inner.params.clone_from(params);
    let core = BlockPlan {
        activation: Some(relu()),
        ..layer_block("core", inner)
    };
    let readout = BlockPlan {
        flatten: true,
        ..layer_block("readout", layer("backprop", MapPlan::Dense, UNITS, &[]))
    };
    vec![core, readout]
}

fn dims(map: &MapPlan) -> Vec<usize> {
    match map {
        MapPlan::Dense => vec![7],
        MapPlan::Conv { .. } => vec![3, 6, 6],
    }
}

/// The hyperparameters that the rule calls unread; `None` where it refuses the layer.
fn unread(blocks: &[BlockPlan], dims: &[usize]) -> Option<Vec<String>> {
    let input = InputShape {
        dims: dims.to_vec(),
        outputs: UNITS,
    };
    let outline = Outline::of(blocks, &input, registry(), DType::F32).ok()?;
    let core = outline.parts.into_iter().find(|p| p.names == ["core"])?;
    match core.kind {
        PartKind::Layer { unread, .. } => Some(unread),
        _ => None,
    }
}

/// Bits of all tensors and of an output after two steps.
fn trained(blocks: &[BlockPlan], dims: &[usize]) -> Result<Vec<(String, Vec<u32>)>> {
    let mut net = TestNetwork::build(blocks, dims, DType::F32)?;
    net.network.set_mode(&Mode {
        blocks: blocks.iter().map(|b| b.name.clone()).collect(),
        drive: Some(Drive::Both),
    });
    let sgd = OptimizerPlan::Sgd {
        lr: 0.01,
        momentum: 0.0,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    };
    net.optimizer = Optimizer::new(&sgd, 0.0, &net.network.tensors())?;
    net.set_kind(Box::new(GradientStep::new(Loss::CrossEntropy)));
    let x = noise(3, &[vec![BATCH], dims.to_vec()].concat(), DType::F32)?;
    let labels: Vec<u32> = (0..BATCH as u32).map(|i| i * 7 % UNITS as u32).collect();
    for step in 0..2 {
        net.clock = Clock {
            epochs: 2,
            step,
            steps_per_epoch: 2,
            batch: BATCH,
            samples: 2 * BATCH,
            seed: 1,
            ..Clock::default()
        };
        let input = StepInput {
            x: x.clone(),
            answers: Answers::Classes(Tensor::new(labels.as_slice(), x.device())?),
            dropped: false,
        };
        Engine::step(&mut net, &input)?;
    }
    let bits = |t: &Tensor| -> Result<Vec<u32>> {
        let values = t.flatten_all()?.to_vec1::<f32>()?;
        Ok(values.into_iter().map(f32::to_bits).collect())
    };
    let mut out = Vec::new();
    for named in net.network.tensors() {
        out.push((named.name.to_string(), bits(&named.tensor)?));
    }
    out.push(("output".to_owned(), bits(&net.evaluate(&x)?)?));
    Ok(out)
}

/// Another value that the schema allows.
fn other(spec: &ParamSpec) -> Option<ParamValue> {
    Some(match &spec.default {
        SdkValue::Bool(b) => ParamValue::Bool(!b),
        SdkValue::Int(v) => ParamValue::Int(match ((v + 1) as f64) <= spec.max {
            true => v + 1,
            false => v - 1,
        }),
        SdkValue::Float(v) => ParamValue::Float(match v + 0.5 <= spec.max {
            true => v + 0.5,
            false => v - 0.5,
        }),
        SdkValue::Text(v) => ParamValue::Text(spec.choices.iter().find(|c| *c != v)?.clone()),
    })
}

/// All defaults, then each word of each hyperparameter.
fn settings(entry: &RuleEntry) -> Vec<Params> {
    let words = entry.params.iter().flat_map(|spec| {
        let set = |word: &String| (spec.name.clone(), ParamValue::Text(word.clone()));
        spec.choices.iter().map(set)
    });
    let each = words.map(|(name, value)| Params::from([(name, value)]));
    std::iter::once(Params::new()).chain(each).collect()
}

#[test]
fn what_a_rule_calls_unread_changes_nothing() -> Result<()> {
    let (mut tried, mut lies) = (0, Vec::new());
    for entry in registry().rules() {
        for (map, bias) in [
            (MapPlan::Dense, false),
            (MapPlan::Dense, true),
            (conv([3, 3]), false),
        ] {
            for params in settings(entry) {
                let plain = blocks(&entry.name, &map, bias, &params);
                let dims = dims(&map);
                let Some(names) = unread(&plain, &dims) else {
                    continue;
                };
                // Some words need what this test does not have (a kernel's own path).
                let Ok(want) = trained(&plain, &dims) else {
                    continue;
                };
                for name in names {
                    let spec = entry.params.iter().find(|p| p.name == name);
                    let spec = spec.ok_or_else(|| format!("{}: no `{name}`", entry.name))?;
                    let Some(value) = other(spec).filter(|_| !params.contains_key(&name)) else {
                        continue;
                    };
                    let mut params = params.clone();
                    params.insert(name.clone(), value);
                    let changed = blocks(&entry.name, &map, bias, &params);
                    tried += 1;
                    match trained(&changed, &dims) {
                        Ok(found) if found == want => {}
                        Ok(_) => lies.push(format!("{} {map:?} {params:?}: `{name}`", entry.name)),
                        Err(e) => lies.push(format!("{} {params:?}: {e}", entry.name)),
                    }
                }
            }
        }
    }
    assert!(tried > 100, "only {tried} were tried");
    assert!(lies.is_empty(), "of {tried}:\n{}", lies.join("\n"));
    Ok(())
}
