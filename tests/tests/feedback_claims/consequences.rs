//! Properties of whole networks that follow from what each rule sends below.

use biorule::config::{BlockPlan, Loss, OptimizerPlan};
use biorule::data::Answers;
use biorule_tests::Result;
use biorule_tests::feedback::plans::{activation, dense_blocks};
use biorule_tests::feedback::trial::Trial;
use biorule_tests::numbers::{distance, noise, values};
use biorule_tests::plugins::registry;
use candle_core::{DType, Tensor};

use crate::networks::{
    ALL, choice, classifier, convolutional, dense, everything, name, residual, sgd,
};

#[test]
fn hidden_gradients_of_the_other_rules_are_not_those_of_backpropagation() -> Result<()> {
    println!(
        "{:<32} {:>8} {:>8} {:>8}",
        "rule, network", "first", "second", "last"
    );
    for &rule in &ALL[1..] {
        for (network, mut trial) in [
            ("dense", dense(&choice(rule), &sgd(0.1))?),
            ("conv", convolutional(&choice(rule), &sgd(0.1))?),
        ] {
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
    for mut trial in [
        dense(&choice("backprop"), &sgd(0.1))?,
        convolutional(&choice("backprop"), &sgd(0.1))?,
    ] {
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

/// The error reaches the weights: a few steps of every rule lower the loss, in dense,
/// convolutional and residual networks, and in two that mix rules.
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
        // The learned direct feedback of a whole map grows with the error that it is fed.
        let lr = if rule.ends_with("dkp") { 0.02 } else { 0.1 };
        trials.push((rule, "residual", residual(|_| choice(rule), &sgd(lr))?));
    }
    let each = |block: &str| {
        choice(match block {
            "conv1" | "fc" => "feedback-alignment/brsf",
            "b1.conv1" => "direct-feedback-alignment/dfa",
            "b1.conv2" => "kolen-pollack",
            "b2.conv1" => "feedback-alignment/usf",
            _ => "weight-mirror",
        })
    };
    trials.push(("five of them", "residual", residual(each, &sgd(0.1))?));
    let relu = activation("relu")?;
    let mixed: Vec<BlockPlan> = [
        ("feedback-alignment/brsf", "first", 20, relu.clone()),
        ("kolen-pollack", "second", 16, relu.clone()),
        ("direct-feedback-alignment/dfa", "third", 16, relu),
        ("weight-mirror", "last", 4, None),
    ]
    .into_iter()
    .flat_map(|(rule, name, width, activation)| {
        dense_blocks(&choice(rule), &[name.into()], &[width], &[activation])
    })
    .collect();
    let mixed = classifier(&mixed, &[8, 12], &sgd(0.3))?;
    trials.push(("four of them", "dense", mixed));
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
