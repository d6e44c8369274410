//! Supernets: mixed edges, partial channels, drop path, auxiliary heads and recomputation.

mod gradients;
mod passes;

use std::collections::BTreeMap;

use biorule::config::plan::*;
use biorule::nn::{Clock, Mixture, Network};
use candle_core::{DType, Tensor};

use crate::support::*;

/// Two rows of weights, one of which several edges share.
fn mixture() -> Mixture {
    let rows = vec![vec![0.4, 0.25, 0.2, 0.15], vec![0.1, 0.3, 0.45, 0.15]];
    Mixture {
        tables: BTreeMap::from([
            ("normal".to_owned(), rows),
            ("edges".to_owned(), vec![vec![0.7], vec![0.3]]),
        ]),
    }
}

/// Convolution, norm and activation.
fn conv_block(name: &str, rule: &str, out: usize, stride: usize) -> BlockPlan {
    let mut block = BlockPlan {
        layer: conv_layer(rule, out, [3, 3], [1; 4], "zeros"),
        norm_inner: norm(true),
        activation: Some(ActivationPlan::Tanh { gain: 1.0 }),
        ..empty(name)
    };
    if let Some(LayerPlan {
        map: MapPlan::Conv { stride: s, .. },
        ..
    }) = &mut block.layer
    {
        *s = [stride; 2];
    }
    block
}

fn pool_block(name: &str, stride: usize) -> BlockPlan {
    BlockPlan {
        pool: Some(PoolPlan {
            kind: PoolKind::Avg,
            kernel: [3, 3],
            stride: [stride; 2],
            padding: [1, 1],
            count_include_pad: true,
        }),
        ..empty(name)
    }
}

fn zero_block(name: &str, stride: usize) -> BlockPlan {
    BlockPlan {
        transform: Some(TransformPlan::Zero { stride }),
        ..empty(name)
    }
}

/// A mixed edge of four candidates: none, a convolution, a pooling, an identity or another
/// convolution at stride 2.
fn mixed(edge: &str, row: usize, (rule, out, stride): (&str, usize, usize)) -> MixedPlan {
    let candidate = |name: &str, blocks| CandidatePlan {
        name: name.to_owned(),
        blocks,
    };
    let skip = match stride {
        1 => Vec::new(),
        _ => vec![conv_block(&format!("{edge}-skip"), rule, out, stride)],
    };
    MixedPlan {
        table: "normal".into(),
        row,
        candidates: vec![
            candidate("none", vec![zero_block(&format!("{edge}-none"), stride)]),
            candidate(
                "conv",
                vec![conv_block(&format!("{edge}-conv"), rule, out, stride)],
            ),
            candidate("pool", vec![pool_block(&format!("{edge}-pool"), stride)]),
            candidate("skip", skip),
        ],
        recompute: false,
    }
}

/// A stem, a cell of two nodes with mixed edges, and a classifier.
fn supernet(rule: &str, change: &dyn Fn(&mut EdgePlan)) -> Vec<BlockPlan> {
    let mut edges = [
        EdgePlan::mixed("input", mixed("a", 0, (rule, 4, 1))),
        EdgePlan::mixed("input", mixed("b", 1, (rule, 4, 2))),
        EdgePlan::mixed("one", mixed("c", 0, (rule, 4, 2))),
    ];
    edges.iter_mut().for_each(change);
    let [a, b, c] = edges;
    let graph = GraphPlan {
        nodes: vec![
            NodePlan {
                name: "one".into(),
                join: Join::Sum,
                from: vec![a],
            },
            NodePlan {
                name: "two".into(),
                join: Join::Sum,
                from: vec![b, c],
            },
        ],
    };
    vec![
        conv_block("stem", rule, 4, 1),
        BlockPlan {
            graph: Some(graph),
            ..empty("cell")
        },
        BlockPlan {
            flatten: true,
            layer: dense_layer("backprop", 0),
            ..empty("head")
        },
    ]
}

const DIMS: [usize; 3] = [2, 4, 4];

fn clock() -> Clock {
    Clock {
        seed: 3,
        step: 5,
        epoch: 1,
        epochs: 2,
        ..Clock::default()
    }
}

fn ready(blocks: &[BlockPlan]) -> Network {
    let mut network = build(blocks, &DIMS, 3, DType::F64);
    train_all(&mut network);
    network.set_mixture(&mixture()).unwrap();
    network
}

fn batch() -> Tensor {
    noise(11, &[4, 2, 4, 4], DType::F64)
}
