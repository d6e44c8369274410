//! A block that is a graph: named nodes, each the sum or the concatenation of what its edges
//! bring from the block's input or from earlier nodes. A residual block is a graph of one node
//! with two edges, and a cell of a searched network one of several nodes.
//!
//! Nodes are listed in topological order. The backward pass visits them in reverse, so that it
//! takes from the tape exactly what the forward pass pushed, last first.

use candle_core::Tensor;

use super::module::{Module, backward_all, forward_all};
use super::pass::{Kept, Pass, Wants};
use crate::ops::optim::added;
use crate::ops::shape::{subsample_pad, subsample_pad_backward};
use crate::plan::Join;
use crate::{Error, Result};

/// Where an edge starts, and what stands on it.
pub struct Edge {
    /// 0 is the input of the block, `i + 1` its node `i`.
    pub from: usize,
    /// In order; none hands the value on unchanged.
    pub modules: Vec<Box<dyn Module>>,
    /// Channels (axis 1) that the edge brings.
    pub width: usize,
}

/// A value of the graph.
pub struct Node {
    /// How the edges' values become one.
    pub join: Join,
    /// At least one.
    pub edges: Vec<Edge>,
}

/// Nodes in topological order; the last is the output.
pub struct Graph {
    nodes: Vec<Node>,
    /// For each value (the input, then the nodes) the last node that reads it: it is dropped then.
    last_read: Vec<usize>,
}

impl Edge {
    fn learns(&self, wants: Wants) -> bool {
        self.modules.iter().any(|m| m.learns(wants))
    }
}

impl Graph {
    /// From its nodes.
    ///
    /// # Errors
    /// An internal error where an edge starts at a node that is not earlier, or a node is read by
    /// none and is not the last: plans with such edges are refused before.
    pub fn new(nodes: Vec<Node>) -> Result<Self> {
        let mut last_read = vec![0; nodes.len() + 1];
        last_read[nodes.len()] = usize::MAX;
        let mut is_read = vec![false; nodes.len() + 1];
        for (i, node) in nodes.iter().enumerate() {
            for edge in &node.edges {
                if edge.from > i {
                    return Err(Error::internal("an edge starts at a later node"));
                }
                last_read[edge.from] = i;
                is_read[edge.from] = true;
            }
        }
        if nodes.is_empty() || !is_read[..nodes.len()].iter().all(|read| *read) {
            return Err(Error::internal("a node of a graph is read by none"));
        }
        Ok(Self { nodes, last_read })
    }

    /// For each value whether a gradient has to reach it: something at or below it learns, or
    /// `want` asks for the gradient at the input.
    fn wanted(&self, wants: Wants, want: bool) -> Vec<bool> {
        let mut wanted = vec![want];
        for node in &self.nodes {
            let below = |edge: &Edge| wanted[edge.from] || edge.learns(wants);
            wanted.push(node.edges.iter().any(below));
        }
        wanted
    }
}

/// The values of a node's edges, `[B, C, H, W]` or `[B, C]`, as one.
fn join(join: Join, mut values: Vec<Tensor>) -> Result<Tensor> {
    match join {
        Join::Concat => Ok(Tensor::cat(&values, 1)?),
        Join::Sum => {
            let rest = values.split_off(1);
            let first = values
                .pop()
                .ok_or_else(|| Error::internal("an empty sum"))?;
            rest.iter().try_fold(first, |sum, value| added(&sum, value))
        }
    }
}

impl Module for Graph {
    fn parts<'a>(&'a self, visit: &mut dyn FnMut(&'a dyn Module)) {
        for edge in self.nodes.iter().flat_map(|n| &n.edges) {
            edge.modules.iter().for_each(|m| visit(&**m));
        }
    }

    fn parts_mut(&mut self, visit: &mut dyn FnMut(&mut dyn Module)) {
        for edge in self.nodes.iter_mut().flat_map(|n| &mut n.edges) {
            edge.modules.iter_mut().for_each(|m| visit(&mut **m));
        }
    }

    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        // Every output inside is read by a node, also where nothing reads that of the graph.
        pass.unread = false;
        let below = pass.below;
        let wanted = self.wanted(pass.wants, below);
        let mut values = vec![Some(x.clone())];
        for (i, node) in self.nodes.iter_mut().enumerate() {
            let mut brought = Vec::with_capacity(node.edges.len());
            for edge in &mut node.edges {
                let from = values[edge.from]
                    .as_ref()
                    .ok_or_else(|| Error::internal("a value of a graph was dropped too early"))?;
                pass.below = wanted[edge.from];
                brought.push(forward_all(&mut edge.modules, pass, from)?);
            }
            values.push(Some(join(node.join, brought)?));
            for (value, last) in values.iter_mut().zip(&self.last_read) {
                if *last == i && value.is_some() {
                    *value = None;
                }
            }
        }
        pass.below = below;
        values
            .pop()
            .flatten()
            .ok_or_else(|| Error::internal("a graph without an output"))
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let wanted = self.wanted(pass.wants, want);
        let mut grads = vec![None; self.nodes.len() + 1];
        grads[self.nodes.len()] = Some(grad.clone());
        for (i, node) in self.nodes.iter_mut().enumerate().rev() {
            // Nothing at or below this node learns: none of its edges kept anything.
            let Some(grad) = grads[i + 1].take().filter(|_| wanted[i + 1]) else {
                continue;
            };
            let mut end: usize = node.edges.iter().map(|edge| edge.width).sum();
            for edge in node.edges.iter_mut().rev() {
                end -= edge.width;
                let below = wanted[edge.from];
                if !below && !edge.learns(pass.wants) {
                    continue;
                }
                let part = match node.join {
                    Join::Sum => grad.clone(),
                    Join::Concat => grad.narrow(1, end, edge.width)?.contiguous()?,
                };
                let Some(through) = backward_all(&mut edge.modules, pass, &part, below)? else {
                    continue;
                };
                let arrived = &mut grads[edge.from];
                *arrived = Some(match arrived.take() {
                    Some(sum) => added(&sum, &through)?,
                    None => through,
                });
            }
        }
        Ok(grads[0].take().filter(|_| want))
    }
}

/// Shortcut A of CIFAR `ResNets` (He et al. 2016): every second pixel, zero channels added in
/// equal parts before and after. `x: [B, C, H, W]` to `[B, channels, ⌈H/2⌉, ⌈W/2⌉]`.
pub struct SubsamplePad {
    /// Channels of the output.
    pub channels: usize,
}

impl Module for SubsamplePad {
    fn forward(&mut self, pass: &mut Pass, x: &Tensor) -> Result<Tensor> {
        pass.push(|| Kept {
            dims: x.dims().to_vec(),
            ..Kept::default()
        });
        subsample_pad(x, self.channels)
    }

    fn backward(&mut self, pass: &mut Pass, grad: &Tensor, want: bool) -> Result<Option<Tensor>> {
        let kept = pass.pop()?;
        let input = [kept.dims[1], kept.dims[2], kept.dims[3]];
        want.then(|| subsample_pad_backward(grad, input))
            .transpose()
    }
}
