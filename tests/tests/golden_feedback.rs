//! Every golden file of the feedback rules, through the real plugins and the host's
//! own network, losses and optimisers.

use std::sync::Arc;

use biorule::config::{Loss, MapPlan, OptimizerPlan};
use biorule::data::Answers;
use biorule::nn::rule::{LayerShape, Role, RuleCall, RuleSource as _, StateTensor};
use biorule::train::alignment::{LayerAlignment, compare};
use biorule_tests::Result;
use biorule_tests::feedback::plans::{RuleChoice, activation, dense_blocks, layer};
use biorule_tests::feedback::trial::Trial;
use biorule_tests::feedback::{TOLERANCE, bioflax, biotorch, rule_name};
use biorule_tests::golden::{Checks, File, Recogniser, expect_further, judge};
use biorule_tests::plugins::registry;
use candle_core::{DType, Tensor};

#[test]
fn every_file_of_the_feedback_rules() {
    let verdict = judge(
        "feedback",
        &[
            Recogniser {
                name: "bioflax",
                understands: bioflax::understands,
                run: |file, checks| bioflax::run(registry(), file, checks),
            },
            Recogniser {
                name: "biotorch",
                understands: biotorch::understands,
                run: |file, checks| biotorch::run(registry(), file, checks),
            },
            Recogniser {
                name: "alignment",
                understands: |file| file.has("bioflax.weight_alignment"),
                run: fixed_alignments,
            },
            Recogniser {
                name: "teacher",
                understands: |file| file.has("teacher.x") || file.has("sinreg.x"),
                run: regression_sets,
            },
        ],
    );
    verdict.assert_good();
}

#[test]
fn there_are_further_files() {
    expect_further("feedback");
}

/// Metrics of one fixed set of tensors: those of weights by the rule itself, those of
/// gradients by the host.
fn fixed_alignments(file: &File, checks: &mut Checks) -> Result<()> {
    let layers = (0..)
        .take_while(|i| file.has(&format!("layer{i}.kernel")))
        .count();
    let (mut angles, mut cosines, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..layers {
        let weight = file
            .tensor(&format!("layer{i}.kernel"))?
            .t()?
            .contiguous()?;
        let feedback = file.tensor(&format!("layer{i}.B"))?.t()?.contiguous()?;
        let (units, inputs) = weight.dims2()?;
        let shape = LayerShape {
            name: format!("layer{i}"),
            index: i,
            input: vec![inputs],
            output: vec![units],
            classes: units,
            first: i == 0,
            last: i + 1 == layers,
            normalised: false,
        };
        let choice = RuleChoice::new(rule_name("fa")?, &[]);
        let plan = layer(&choice, MapPlan::Dense, units, false);
        let bound = registry().bind(&plan, &shape, DType::F32)?;
        let state =
            [("weight", weight), ("feedback", feedback)].map(|(name, tensor)| StateTensor {
                name: name.into(),
                tensor,
                role: Role::Weight,
            });
        for (name, value) in bound.metrics(&RuleCall::evaluation(0), &state)? {
            match name.as_str() {
                "alignment_angle" => angles.push(value),
                "alignment_cosine" => cosines.push(value),
                "norm_ratio" => ratios.push(value),
                other => checks.problem(format!("the rule reports `{other}`, which nobody knows")),
            }
        }
    }
    let gradients = |prefix: &str| -> Result<Vec<(Arc<str>, Tensor)>> {
        let mut all = Vec::new();
        for i in 0..layers {
            for (part, ours) in [("kernel", "weight"), ("bias", "bias")] {
                let golden = file.tensor(&format!("{prefix}.layer{i}.{part}"))?;
                all.push((Arc::from(format!("layer{i}.{ours}")), golden));
            }
        }
        Ok(all)
    };
    let found = compare(&gradients("grad")?, &gradients("bp_grad")?)?;
    let by_layer = |part: fn(&LayerAlignment) -> Option<f64>| -> Vec<f64> {
        let layer = |i: usize| found.layers.get(&format!("layer{i}"));
        (0..layers).filter_map(|i| part(layer(i)?)).collect()
    };
    for (name, own) in [
        ("biotorch.angle_deg", angles),
        ("bioflax.weight_alignment", cosines),
        ("biotorch.weight_ratio", ratios),
        ("bioflax.bias_grad_alignment", by_layer(|l| l.bias)),
        ("bioflax.grad_alignment_layer", by_layer(|l| l.gradient)),
        ("bioflax.grad_alignment_total", vec![found.cosine]),
        ("bioflax.rel_norm", vec![found.relative_norm]),
    ] {
        checks.compare_values(name, &own, &file.values(name)?, TOLERANCE);
    }
    Ok(())
}

/// bioflax's teacher: the targets from the inputs, by a network of ours.
fn regression_sets(file: &File, checks: &mut Checks) -> Result<()> {
    if file.has("teacher.x") {
        let layers = (0..)
            .take_while(|i| file.has(&format!("teacher.layer{i}.kernel")))
            .count();
        let mut widths = Vec::new();
        for i in 0..layers {
            widths.push(file.tensor(&format!("teacher.layer{i}.kernel"))?.dims()[1]);
        }
        let names: Vec<String> = (0..layers).map(|i| format!("layer{i}")).collect();
        let mut activations = vec![activation(file.text("teacher_activation")?)?; layers];
        activations[layers - 1] = None;
        let rule = RuleChoice::new("backprop", &[]);
        let blocks = dense_blocks(&rule, &names, &widths, &activations);
        let golden = file.tensor("teacher.y")?;
        let batch = (file.tensor("teacher.x")?, Answers::Values(golden.clone()));
        let mut teacher = Trial::new(
            registry(),
            &blocks,
            batch,
            widths[layers - 1],
            Loss::Mse,
            &plain_sgd(0.1),
        )?;
        for name in &names {
            let part = |part: &str| file.tensor(&format!("teacher.{name}.{part}"));
            let ours = |part: &str| format!("blocks.{name}.layer.{part}");
            teacher.set(&ours("weight"), &part("kernel")?.t()?.contiguous()?)?;
            teacher.set(&ours("bias"), &part("bias")?)?;
        }
        checks.compare("teacher.y", &teacher.walk()?.output, &golden, TOLERANCE)?;
    }
    if file.has("sinreg.x") {
        let y: Tensor = file.tensor("sinreg.x")?.sin()?;
        checks.compare("sinreg.y", &y, &file.tensor("sinreg.y")?, TOLERANCE)?;
    }
    Ok(())
}

fn plain_sgd(lr: f64) -> OptimizerPlan {
    OptimizerPlan::Sgd {
        lr,
        momentum: 0.0,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    }
}
