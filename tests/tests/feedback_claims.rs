//! What follows from the definitions of the feedback rules (BP, FA, uSF, brSF,
//! frSF, KP, DFA and their kin), as properties of whole networks.

use std::collections::BTreeMap;

use biorule::config::{BlockPlan, Loss, MapPlan, OptimizerPlan, ParamValue};
use biorule::train::loss::Answers;
use biorule_tests::Result;
use biorule_tests::feedback::plans::{
    Geometry, RuleChoice, activation, block, dense_blocks, layer, number,
};
use biorule_tests::feedback::single::{distance, noise, values};
use biorule_tests::feedback::trial::Trial;
use biorule_tests::plugins::registry;
use candle_core::{DType, Device, Tensor};

const ALL: [&str; 9] = [
    "backprop",
    "feedback-alignment/fa",
    "feedback-alignment/usf",
    "feedback-alignment/brsf",
    "feedback-alignment/frsf",
    "kolen-pollack",
    "direct-feedback-alignment/dfa",
    "direct-feedback-alignment/dkp",
    "weight-mirror",
];

fn sgd(lr: f64) -> OptimizerPlan {
    OptimizerPlan::Sgd {
        lr,
        momentum: 0.0,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    }
}

fn choice(rule: &str) -> RuleChoice {
    RuleChoice::new(rule, &[])
}

/// 12 → 20 → 15 → 4 with relu, under cross-entropy.
fn dense(rule: &RuleChoice, optimizer: &OptimizerPlan) -> Result<Trial> {
    let relu = activation("relu")?;
    let names = ["first", "second", "last"].map(String::from);
    let blocks = dense_blocks(rule, &names, &[20, 15, 4], &[relu.clone(), relu, None]);
    classifier(&blocks, &[8, 12], optimizer)
}

/// Two convolutions, one of them strided with groups, and a dense output.
fn convolutional(rule: &RuleChoice, optimizer: &OptimizerPlan) -> Result<Trial> {
    let conv = |name: &str, geometry: Geometry, out| -> Result<BlockPlan> {
        Ok(BlockPlan {
            layer: Some(layer(rule, geometry.map(), out, true)),
            activation: activation("relu")?,
            ..block(name)
        })
    };
    let strided = Geometry {
        stride: 2,
        groups: 2,
        ..Geometry::plain(3, 1)
    };
    let blocks = [
        conv("first", Geometry::plain(3, 1), 6)?,
        conv("second", strided, 8)?,
        BlockPlan {
            flatten: true,
            layer: Some(layer(rule, MapPlan::Dense, 4, true)),
            ..block("last")
        },
    ];
    classifier(&blocks, &[8, 2, 6, 6], optimizer)
}

fn classifier(blocks: &[BlockPlan], dims: &[usize], optimizer: &OptimizerPlan) -> Result<Trial> {
    let labels = Tensor::new(&[0u32, 1, 2, 3, 1, 0, 3, 2], &Device::Cpu)?;
    let batch = (noise(3, dims, DType::F64)?, Answers::Classes(labels));
    Trial::new(registry(), blocks, batch, 4, Loss::CrossEntropy, optimizer)
}

fn name(block: &str, part: &str) -> String {
    format!("blocks.{block}.layer.{part}")
}

fn everything(trial: &Trial) -> Result<BTreeMap<String, Tensor>> {
    let tensors = trial.network().tensors();
    let copies = tensors
        .iter()
        .map(|t| Ok((t.name.to_string(), t.tensor.copy()?)));
    copies.collect()
}

#[test]
fn with_one_layer_all_rules_are_backpropagation() -> Result<()> {
    for rule in ALL {
        let blocks = dense_blocks(&choice(rule), &["only".into()], &[4], &[None]);
        let mut trial = classifier(&blocks, &[8, 12], &sgd(0.1))?;
        let (own, exact) = (trial.walk()?, trial.walk_exactly()?);
        for part in ["weight", "bias"] {
            let name = name("only", part);
            let away = distance(&own.gradients[&name], &exact.gradients[&name])?;
            assert!(away < 1e-12, "{rule}, {part}: {away:e}");
        }
    }
    Ok(())
}

#[test]
fn the_first_layers_feedback_never_matters() -> Result<()> {
    for (rule, part, learned) in [
        ("feedback-alignment/fa", "feedback", false),
        ("feedback-alignment/frsf", "magnitude", false),
        ("kolen-pollack", "feedback", true),
        ("direct-feedback-alignment/dfa", "feedback", false),
        ("direct-feedback-alignment/dkp", "feedback", true),
    ] {
        let first = name("first", part);
        let mut ends = Vec::new();
        for seed in [1, 2] {
            let mut trial = dense(&choice(rule), &sgd(0.1))?;
            let start = noise(seed, trial.tensor(&first)?.dims(), DType::F64)?;
            trial.set(&first, &start)?;
            for _ in 0..3 {
                trial.step()?;
            }
            let moved = distance(&trial.tensor(&first)?, &start)?;
            assert_eq!(moved > 0.0, learned, "{rule}: {moved:e}");
            let mut end = everything(&trial)?;
            end.remove(&first);
            ends.push(end);
        }
        for (name, tensor) in &ends[0] {
            assert_eq!(values(tensor)?, values(&ends[1][name])?, "{rule}, {name}");
        }
    }
    Ok(())
}

#[test]
fn alignment_through_the_weight_itself_is_backpropagation() -> Result<()> {
    for rule in ["feedback-alignment/fa", "kolen-pollack", "weight-mirror"] {
        for mut trial in [
            dense(&choice(rule), &sgd(0.1))?,
            convolutional(&choice(rule), &sgd(0.1))?,
        ] {
            for block in ["first", "second", "last"] {
                trial.set(
                    &name(block, "feedback"),
                    &trial.tensor(&name(block, "weight"))?,
                )?;
            }
            let (own, exact) = (trial.walk()?, trial.walk_exactly()?);
            for (name, truth) in &exact.gradients {
                assert!(
                    distance(&own.gradients[name], truth)? < 1e-12,
                    "{rule}, {name}"
                );
            }
        }
    }
    Ok(())
}

/// `W − B` shrinks by `1 − λ` at each step, whatever the optimiser.
#[test]
fn kolen_pollack_weights_meet_at_the_rate_of_the_decay() -> Result<()> {
    for decay in [0.0, 0.05, -0.05] {
        for (optimizer, of) in [
            ("sgd", with_decay(0.0, decay)),
            ("momentum", with_decay(0.9, decay)),
            ("adam", adam_with_decay(decay)),
        ] {
            for mut trial in [
                dense(&choice("kolen-pollack"), &of)?,
                convolutional(&choice("kolen-pollack"), &of)?,
            ] {
                let apart = |trial: &Trial, block: &str| -> Result<Tensor> {
                    let [w, b] =
                        ["weight", "feedback"].map(|part| trial.tensor(&name(block, part)));
                    Ok((w? - b?)?)
                };
                let blocks = ["first", "second", "last"];
                let start: Vec<Tensor> = blocks
                    .iter()
                    .map(|b| apart(&trial, b))
                    .collect::<Result<_>>()?;
                let before = trial.tensor(&name("second", "weight"))?;
                for _ in 0..7 {
                    trial.step()?;
                }
                for (block, start) in blocks.iter().zip(&start) {
                    let expected = (start * (1.0 - decay).powi(7))?;
                    let error = distance(&apart(&trial, block)?, &expected)?;
                    assert!(error < 1e-10, "{optimizer}, {decay}, {block}: {error:e}");
                }
                let moved = distance(&trial.tensor(&name("second", "weight"))?, &before)?;
                assert!(moved > 1e-3, "nothing was learned: {moved:e}");
            }
        }
    }
    Ok(())
}

fn with_decay(momentum: f64, decoupled_decay: f64) -> OptimizerPlan {
    OptimizerPlan::Sgd {
        lr: 0.05,
        momentum,
        weight_decay: 0.0,
        decoupled_decay,
    }
}

fn adam_with_decay(decoupled_decay: f64) -> OptimizerPlan {
    OptimizerPlan::Adam {
        lr: 0.01,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled_decay,
    }
}

/// Decay in the gradient, as PyTorch has it, makes them meet too: both have it.
#[test]
fn kolen_pollack_weights_meet_under_coupled_decay() -> Result<()> {
    let optimizer = OptimizerPlan::Sgd {
        lr: 0.1,
        momentum: 0.0,
        weight_decay: 0.2,
        decoupled_decay: 0.0,
    };
    let mut trial = dense(&choice("kolen-pollack"), &optimizer)?;
    let apart = |trial: &Trial| -> Result<Tensor> {
        let [w, b] = ["weight", "feedback"].map(|part| trial.tensor(&name("second", part)));
        Ok((w? - b?)?)
    };
    let start = apart(&trial)?;
    for _ in 0..5 {
        trial.step()?;
    }
    let expected = (start * 0.98f64.powi(5))?;
    assert!(distance(&apart(&trial)?, &expected)? < 1e-10);
    Ok(())
}

/// Under direct feedback the gradients of a hidden layer see the layers above through the
/// output's error alone: with targets that keep the error, other weights above change nothing.
#[test]
fn direct_feedback_sees_the_layers_above_through_the_error_alone() -> Result<()> {
    for (rule, direct) in [
        ("direct-feedback-alignment/dfa", true),
        ("direct-feedback-alignment/dkp", true),
        ("backprop", false),
    ] {
        let relu = activation("relu")?;
        let names = ["first", "second", "last"].map(String::from);
        let blocks = dense_blocks(
            &choice(rule),
            &names,
            &[20, 15, 4],
            &[relu.clone(), relu, None],
        );
        let x = noise(3, &[8, 12], DType::F64)?;
        let targets = noise(4, &[8, 4], DType::F64)?;
        let build = |targets: &Tensor| {
            let batch = (x.clone(), Answers::Values(targets.clone()));
            Trial::new(registry(), &blocks, batch, 4, Loss::Mse, &sgd(0.1))
        };
        let mut here = build(&targets)?;
        let here_walk = here.walk()?;
        let other = |trial: &Trial| -> Result<()> {
            for (seed, block) in [(8, "second"), (9, "last")] {
                let weight = name(block, "weight");
                let dims = trial.tensor(&weight)?.dims().to_vec();
                trial.set(&weight, &noise(seed, &dims, DType::F64)?)?;
            }
            Ok(())
        };
        let mut probe = build(&targets)?;
        other(&probe)?;
        let kept = (probe.walk()?.output - (here_walk.output - targets)?)?;
        let mut there = build(&kept)?;
        other(&there)?;
        let there_walk = there.walk()?;
        assert!(
            distance(&there_walk.error, &here_walk.error)? < 1e-12,
            "{rule}"
        );
        let first = name("first", "weight");
        let away = distance(&there_walk.gradients[&first], &here_walk.gradients[&first])?;
        assert_eq!(away < 1e-12, direct, "{rule}: {away:e}");
    }
    Ok(())
}

/// No decay, and no other optimiser setting, touches fixed feedback.
#[test]
fn fixed_feedback_stays_as_it_is() -> Result<()> {
    let optimizer = OptimizerPlan::Sgd {
        lr: 0.1,
        momentum: 0.9,
        weight_decay: 0.1,
        decoupled_decay: 0.05,
    };
    for (rule, part) in [
        ("feedback-alignment/fa", "feedback"),
        ("feedback-alignment/frsf", "magnitude"),
        ("direct-feedback-alignment/dfa", "feedback"),
    ] {
        let mut trial = convolutional(&choice(rule), &optimizer)?;
        let before = everything(&trial)?;
        for _ in 0..3 {
            trial.step()?;
        }
        for (name, tensor) in everything(&trial)? {
            let same = values(&tensor)? == values(&before[&name])?;
            assert_eq!(same, name.ends_with(part), "{rule}, {name}");
        }
    }
    Ok(())
}

/// Under the norm constraint the weight keeps its norm and still learns; BioTorch's keeps its
/// direction for ever.
#[test]
fn constrained_weights_keep_their_norm_and_learn() -> Result<()> {
    let norm =
        |t: &Tensor| -> Result<f64> { Ok(values(t)?.iter().map(|v| v * v).sum::<f64>().sqrt()) };
    for rule in ["fa", "usf", "brsf", "frsf"] {
        let rule = RuleChoice::new(
            &format!("feedback-alignment/{rule}"),
            &[("constrain_weights", ParamValue::Bool(true))],
        );
        let mut trial = dense(&rule, &sgd(0.5))?;
        let start = everything(&trial)?;
        let mut losses = Vec::new();
        for _ in 0..20 {
            losses.push(trial.step()?.loss);
        }
        // The step after the last one rescales what the last one made, and at rate 0 stops there.
        trial.step_with_rate(0.0)?;
        for block in ["first", "second", "last"] {
            let weight = name(block, "weight");
            let (before, after) = (&start[&weight], trial.tensor(&weight)?);
            let change = norm(&after)? / norm(before)?;
            assert!(
                (change - 1.0).abs() < 1e-12,
                "{}, {block}: {change}",
                rule.name
            );
            let turned = distance(&after, before)?;
            assert!(
                turned > 0.01,
                "{}, {block} is frozen: {turned:e}",
                rule.name
            );
        }
        assert!(losses[19] < 0.8 * losses[0], "{}: {losses:?}", rule.name);
    }
    Ok(())
}

/// Everything that a layer returns lies within the limit, and the error below was limited
/// before it went on.
#[test]
fn the_gradient_clip_acts_on_all_that_a_layer_returns() -> Result<()> {
    let limit = 1e-3;
    let clipped = RuleChoice::new("feedback-alignment/fa", &[("gradient_clip", number(limit))]);
    let mut free = convolutional(&choice("feedback-alignment/fa"), &sgd(0.1))?;
    let mut tight = convolutional(&clipped, &sgd(0.1))?;
    let (free_walk, tight_walk) = (free.walk()?, tight.walk()?);
    let mut limited = 0;
    for (name, gradient) in &tight_walk.gradients {
        let largest = values(gradient)?.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(largest <= limit, "{name}: {largest}");
        limited += usize::from(largest == limit);
    }
    assert!(limited >= 4, "hardly anything was limited");
    let last = |trial: &Trial| trial.heard("last").grad_x.ok_or("no error went below");
    let expected = last(&free)?.clamp(-limit, limit)?;
    assert!(distance(&last(&tight)?, &expected)? < 1e-12);
    // The layer below received the limited error, so its own gradients are others.
    let second = name("second", "weight");
    let unlimited = free_walk.gradients[&second].clamp(-limit, limit)?;
    assert!(distance(&tight_walk.gradients[&second], &unlimited)? > 1e-3);
    Ok(())
}

/// The error reaches the weights: a few steps of every rule lower the loss, in dense and in
/// convolutional networks, and in one that mixes rules.
#[test]
fn every_rule_learns() -> Result<()> {
    let mut trials = Vec::new();
    for rule in ALL {
        trials.push((rule, "dense", dense(&choice(rule), &sgd(0.3))?));
        trials.push((
            rule,
            "convolutional",
            convolutional(&choice(rule), &sgd(0.1))?,
        ));
    }
    let relu = activation("relu")?;
    let mut mixed = Vec::new();
    for (i, rule) in ALL.iter().enumerate() {
        let last = i + 1 == ALL.len();
        mixed.extend(dense_blocks(
            &choice(rule),
            &[format!("layer{i}")],
            &[if last { 4 } else { 16 }],
            &[if last { None } else { relu.clone() }],
        ));
    }
    trials.push((
        "all of them",
        "dense",
        classifier(&mixed, &[8, 12], &sgd(0.1))?,
    ));
    for (rule, network, mut trial) in trials {
        let first = trial.step()?.loss;
        for _ in 0..60 {
            trial.step()?;
        }
        let last = trial.walk()?.loss;
        println!("{rule:<32} {network:<14} {first:.3} -> {last:.3}");
        assert!(last < 0.8 * first, "{rule}, {network}: {first} -> {last}");
    }
    Ok(())
}
