//! Small classifiers in float64 whose layers all have one rule.

use std::collections::BTreeMap;

use biorule::config::{BlockPlan, Loss, MapPlan, OptimizerPlan};
use biorule::data::Answers;
use biorule_tests::Result;
use biorule_tests::feedback::plans::{
    Geometry, RuleChoice, activation, block, dense_blocks, layer, residual_blocks,
};
use biorule_tests::feedback::trial::Trial;
use biorule_tests::numbers::noise;
use biorule_tests::plugins::registry;
use candle_core::{DType, Device, Tensor};

/// Every rule that takes an error.
pub(crate) const ALL: [&str; 9] = [
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

pub(crate) fn sgd(lr: f64) -> OptimizerPlan {
    OptimizerPlan::Sgd {
        lr,
        momentum: 0.0,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    }
}

pub(crate) fn choice(rule: &str) -> RuleChoice {
    RuleChoice::new(rule, &[])
}

/// 12 → 20 → 15 → 4 with relu, under cross-entropy.
pub(crate) fn dense(rule: &RuleChoice, optimizer: &OptimizerPlan) -> Result<Trial> {
    let relu = activation("relu")?;
    let names = ["first", "second", "last"].map(String::from);
    let blocks = dense_blocks(rule, &names, &[20, 15, 4], &[relu.clone(), relu, None]);
    classifier(&blocks, &[8, 12], optimizer)
}

/// Two convolutions, one of them strided with groups, and a dense output.
pub(crate) fn convolutional(rule: &RuleChoice, optimizer: &OptimizerPlan) -> Result<Trial> {
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

/// A first convolution, two residual blocks with batch normalisation, the second of half the
/// size and twice the channels, and a dense output; `rule` names the rule of each block.
pub(crate) fn residual(
    rule: impl Fn(&str) -> RuleChoice,
    optimizer: &OptimizerPlan,
) -> Result<Trial> {
    let mut blocks = residual_blocks(&choice("backprop"), 4, 4);
    let each = |block: &mut BlockPlan| {
        if let Some(layer) = &mut block.layer {
            let choice = rule(&block.name);
            (layer.rule, layer.params) = (choice.name, choice.params);
        }
    };
    for block in &mut blocks {
        each(block);
        if let Some(residual) = &mut block.residual {
            residual.blocks.iter_mut().for_each(each);
        }
    }
    classifier(&blocks, &[8, 2, 6, 6], optimizer)
}

pub(crate) fn classifier(
    blocks: &[BlockPlan],
    dims: &[usize],
    optimizer: &OptimizerPlan,
) -> Result<Trial> {
    let labels = Tensor::new(&[0u32, 1, 2, 3, 1, 0, 3, 2], &Device::Cpu)?;
    let batch = (noise(3, dims, DType::F64)?, Answers::Classes(labels));
    Trial::new(registry(), blocks, batch, 4, Loss::CrossEntropy, optimizer)
}

pub(crate) fn name(block: &str, part: &str) -> String {
    format!("blocks.{block}.layer.{part}")
}

pub(crate) fn everything(trial: &Trial) -> Result<BTreeMap<String, Tensor>> {
    let tensors = trial.network().tensors();
    let copies = tensors
        .iter()
        .map(|t| Ok((t.name.to_string(), t.tensor.copy()?)));
    copies.collect()
}
