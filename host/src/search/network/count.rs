//! What a network holds and what a pass through it costs, from its plan alone.

use serde::Serialize;

use crate::Result;
use crate::plan::shapes::{BlockShape, DataShape, propagate};
use crate::plan::{BlockPlan, LayerPlan, MapPlan, NormPlan};
use crate::search::space::template::PLAIN;

/// Numbers of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Trained numbers: weights, biases, gains and shifts of normalisations.
    pub parameters: u64,
    /// Those of normalisations among them.
    pub of_norms: u64,
    /// Those that learn by another rule than backpropagation, among them.
    pub by_rules: u64,
    /// Products of the layers' maps for one sample, forward.
    pub multiply_adds: u64,
    /// Trained numbers of auxiliary heads, which are in none of the others.
    pub auxiliary: u64,
}

impl Counts {
    /// Those of `blocks` on samples of `data`.
    ///
    /// # Errors
    /// Usage error where shapes do not fit.
    pub fn of(blocks: &[BlockPlan], data: &DataShape) -> Result<Self> {
        let mut counts = Self::default();
        counts.add(blocks, &propagate(blocks, data)?);
        Ok(counts)
    }

    fn add(&mut self, blocks: &[BlockPlan], shapes: &[BlockShape]) {
        for (block, shape) in blocks.iter().zip(shapes) {
            if let Some(layer) = &block.layer {
                self.layer(layer, shape);
            }
            self.norm(block.norm.as_ref(), shape.input[0]);
            // Channels do not change between the layer, or the graph, and the output.
            for norm in [&block.norm_inner, &block.norm_after] {
                self.norm(norm.as_ref(), shape.output[0]);
            }
            // Inner shapes are those of all lists, one after the other.
            let mut inner = shape.inner.as_slice();
            let heads = usize::from(block.side.is_some());
            let lists: Vec<&[BlockPlan]> = block.inside().collect();
            for (i, list) in lists.iter().enumerate() {
                let (own, rest) = inner.split_at(list.len().min(inner.len()));
                inner = rest;
                // The head is the last.
                if i + heads < lists.len() {
                    self.add(list, own);
                } else {
                    let mut head = Self::default();
                    head.add(list, own);
                    self.auxiliary += head.parameters;
                }
            }
        }
    }

    fn layer(&mut self, layer: &LayerPlan, shape: &BlockShape) {
        let inputs = match &layer.map {
            MapPlan::Dense => shape.layer_input[0],
            MapPlan::Conv { kernel, groups, .. } => {
                shape.layer_input[0] / groups * kernel[0] * kernel[1]
            }
        };
        let units = shape.unpooled[0];
        let weights = (inputs * units) as u64;
        let bias = if layer.bias { units as u64 } else { 0 };
        self.parameters += weights + bias;
        if layer.rule != PLAIN {
            self.by_rules += weights + bias;
        }
        let positions: usize = shape.unpooled[1..].iter().product();
        self.multiply_adds += weights * positions as u64;
    }

    fn norm(&mut self, norm: Option<&NormPlan>, channels: usize) {
        if norm.is_some_and(|n| n.affine) {
            self.parameters += 2 * channels as u64;
            self.of_norms += 2 * channels as u64;
        }
    }
}
