//! Proxies: what is said of a network without training it.
//!
//! `synflow` (Tanaka et al. 2020; for architecture search Abdelfattah et al. 2021, whose program is
//! SamsungLabs/zero-cost-nas) is `Σ θ·∂R/∂θ` over the weights θ of all layers, where `R` is the sum
//! of the outputs of the network whose weights are taken by their absolute values, for one sample of
//! ones. As there, norms are left out, so that nothing divides by the very growth that is measured,
//! and numbers are `f64`. Every layer learns by backpropagation, whatever its rule: the derivative is
//! the true one, and rules change nothing.

use candle_core::{DType, Device, Tensor};

use crate::nn::build::Placement;
use crate::nn::rule::Role;
use crate::nn::{Clock, InputShape, Mode, Network, Pass, RuleSource};
use crate::ops::shape::copy_in_place;
use crate::plan::define::words;
use crate::plan::shapes::DataShape;
use crate::plan::{BlockPlan, Drive};
use crate::search::genotype::Genotype;
use crate::search::network::{self, Size};
use crate::search::space::Space;
use crate::search::space::template::PLAIN;
use crate::{Error, Result};

words! {
    /// What a network is judged by that is not trained. More is taken for better.
    pub enum Proxy = Synflow {
        /// `ln(1 + Σ θ·∂R/∂θ)`.
        Synflow = "synflow",
        /// Trained numbers.
        Parameters = "parameters",
        /// Products for one sample, forward.
        MultiplyAdds = "multiply_adds",
    }
}

/// `blocks` as synflow sees them: all layers by backpropagation; no norms, heads or dropout.
#[must_use]
pub fn bare(blocks: &[BlockPlan]) -> Vec<BlockPlan> {
    let mut blocks = blocks.to_vec();
    blocks.iter_mut().for_each(lay_bare);
    blocks
}

fn lay_bare(block: &mut BlockPlan) {
    (block.norm, block.norm_inner, block.norm_after) = (None, None, None);
    (block.side, block.dropout, block.recompute) = (None, 0.0, false);
    if let Some(layer) = &mut block.layer {
        layer.rule = PLAIN.to_owned();
        layer.params.clear();
    }
    let inner = block.residual.iter_mut().flat_map(|r| &mut r.blocks);
    inner.for_each(lay_bare);
    let nodes = block.graph.iter_mut().flat_map(|g| &mut g.nodes);
    for edge in nodes.flat_map(|n| &mut n.from) {
        edge.drop_path = None;
        edge.blocks.iter_mut().for_each(lay_bare);
        let candidates = edge.mixed.iter_mut().flat_map(|m| &mut m.candidates);
        candidates.flat_map(|c| &mut c.blocks).for_each(lay_bare);
    }
}

/// The score of the network of `genotype` at its first weights under `seed`.
///
/// # Errors
/// Usage error for a genotype or a size that is no network; plugin error without backpropagation.
pub fn synflow(
    genotype: &Genotype,
    size: &Size,
    data: &DataShape,
    rules: &dyn RuleSource,
    seed: u64,
) -> Result<f64> {
    flow(&network::blocks(genotype, size)?, data, rules, seed)
}

/// [`synflow`] of the network of `blocks`.
///
/// # Errors
/// As for [`synflow`].
pub fn flow(
    blocks: &[BlockPlan],
    data: &DataShape,
    rules: &dyn RuleSource,
    seed: u64,
) -> Result<f64> {
    let input = InputShape {
        dims: data.sample.clone(),
        outputs: data.classes,
    };
    let place = Placement {
        device: Device::Cpu,
        dtype: DType::F64,
        seed,
    };
    let mut network = Network::build(&bare(blocks), &input, rules, &place)?;
    network.set_mode(&Mode {
        blocks: network.block_names(),
        drive: Some(Drive::Gradient),
    });
    let tensors = network.tensors();
    for named in tensors.iter().filter(|t| t.role.is_trained()) {
        copy_in_place(&named.tensor, &named.tensor.abs()?)?;
    }
    let mut pass = Pass::measuring(Clock::default());
    pass.exact = true;
    let x = Tensor::ones(
        [&[1], input.dims.as_slice()].concat(),
        DType::F64,
        &Device::Cpu,
    )?;
    let y = network.forward_all(&mut pass, &x)?;
    let all = 0..network.len();
    network.backward(&mut pass, &y.ones_like()?, all)?;
    let mut sum = 0.0;
    for (name, gradient) in &pass.gradients {
        let weight = tensors.iter().find(|t| t.name == *name);
        let weight = weight.ok_or_else(|| Error::internal("a gradient of no tensor"))?;
        if weight.role == Role::Weight {
            sum += (&weight.tensor * gradient)?
                .abs()?
                .sum_all()?
                .to_scalar::<f64>()?;
        }
    }
    Ok(sum.ln_1p())
}

/// Refuses a space all of whose genotypes have the same value: proxies do not see rules, so one
/// operation on edges that are given leaves nothing to choose. Gives what should be known of another.
///
/// # Errors
/// Usage error.
pub fn sees(space: &Space) -> Result<Option<String>> {
    let mut operations: Vec<_> = space.choices().iter().map(|p| p.operation).collect();
    let primitives = operations.len();
    operations.sort_unstable();
    operations.dedup();
    let nodes = space.cell.inputs..space.cell.inputs + space.cell.nodes;
    let wired = nodes.into_iter().any(|n| space.cell.degree(n) < n);
    if operations.len() == 1 && !wired {
        return Err(Error::usage(format!(
            "space `{}` has one operation, `{}`, and proxies do not see rules: all genotypes have the same value",
            space.name, operations[0]
        ))
        .hint("take `evaluator = \"training\"`, or add operations"));
    }
    if primitives == operations.len() {
        return Ok(None);
    }
    let what = match operations.len() {
        1 => "they tell its genotypes apart by their edges alone",
        _ => "genotypes that differ in their rules alone have the same value",
    };
    Ok(Some(format!(
        "proxies do not see rules, and space `{}` has operations with several: {what}",
        space.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::space::Skeleton;

    fn space(operations: &[&str], rules: &[&str], nodes: usize) -> Space {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let made = Space::product(Skeleton::Darts, &owned(operations), &owned(rules));
        let mut space = made.expect("a space");
        space.cell.nodes = nodes;
        space
    }

    #[test]
    fn a_search_over_rules_alone_is_refused_and_one_over_rules_too_is_warned_about() {
        let rules = ["a", "b"];
        let e = sees(&space(&["conv_1x1"], &rules, 1)).expect_err("one value");
        assert!(e.text.contains("same value"), "{}", e.text);
        let edges = sees(&space(&["conv_1x1"], &rules, 2)).expect("edges differ");
        assert!(edges.expect("a warning").contains("edges alone"));
        let both = sees(&space(&["conv_1x1", "conv_3x3"], &rules, 1)).expect("operations differ");
        assert!(both.expect("a warning").contains("rules alone"));
        let plain = sees(&space(&["conv_1x1", "skip_connect"], &["a"], 1)).expect("fine");
        assert_eq!(plain, None);
    }
}
