//! What edges and heads of a supernet compute, and its derivatives against central differences in
//! float64.

use std::sync::Arc;

use biorule::config::plan::*;
use biorule::data::Answers;
use biorule::nn::{Clock, Draws, Mode, Network, Pass, Wants};
use biorule::train::Engine;
use biorule::train::criterion::Criterion;
use biorule::train::step::StepInput;
use candle_core::{DType, Device, Tensor};

use super::{DIMS, batch, clock, conv_block, mixture, pool_block, ready, supernet};
use crate::support::differences::{STEP, close, differences};
use crate::support::*;

/// A pass that changes nothing, for all gradients.
fn pass() -> Pass {
    Pass::measuring(clock()).wanting(Wants::ALL).wanting_input()
}

/// `Σ c ∘ network(x)`, in training mode.
fn objective(network: &mut Network, x: &Tensor, c: &Tensor) -> f64 {
    let mut pass = Pass::forward_only(clock());
    let y = network.forward_all(&mut pass, x).unwrap();
    (y * c).unwrap().sum_all().unwrap().to_scalar().unwrap()
}

/// Gradients of the input, of every parameter and of every weight of a candidate.
fn check(blocks: &[BlockPlan]) {
    let mut network = ready(blocks);
    let x = batch();
    let mut pass = pass();
    let y = network.forward_all(&mut pass, &x).unwrap();
    let c = noise(12, y.dims(), DType::F64);
    let all = 0..network.len();
    let grad = network.backward(&mut pass, &c, all).unwrap().unwrap();
    assert_eq!(pass.depth(), 0, "the tape must be used up");
    close(
        "input",
        &values(&grad),
        &differences(&x, || objective(&mut network, &x, &c)),
    );
    for named in network.tensors().iter().filter(|t| t.learns) {
        let found = pass.gradients.iter().find(|(n, _)| *n == named.name);
        let (_, grad) = found.unwrap_or_else(|| panic!("no gradient for {}", named.name));
        let numeric = differences(&named.tensor, || objective(&mut network, &x, &c));
        close(&named.name, &values(grad), &numeric);
    }
    let sums = pass.architecture.sums(&mixture()).unwrap();
    for (table, rows) in &sums {
        for (row, ours) in rows.iter().enumerate() {
            let mut at = |k: usize, by: f64| {
                let mut moved = mixture();
                moved.tables.get_mut(table).unwrap()[row][k] += by;
                network.set_mixture(&moved).unwrap();
                objective(&mut network, &x, &c)
            };
            let slope = |k| (at(k, STEP) - at(k, -STEP)) / (2.0 * STEP);
            let numeric: Vec<f64> = (0..ours.len()).map(slope).collect();
            close(&format!("{table}[{row}]"), ours, &numeric);
        }
    }
}

#[test]
fn mixed_edges() {
    check(&supernet("backprop", &|_| {}));
}

#[test]
fn recomputed_candidates() {
    check(&supernet("backprop", &|edge| {
        edge.mixed.as_mut().unwrap().recompute = true;
    }));
}

/// A cell whose candidates see half of the channels.
fn partial() -> Vec<BlockPlan> {
    let mut blocks = supernet("backprop", &|edge| edge.partial = 2);
    for edge in blocks[1].graph.as_mut().unwrap().nodes.iter_mut() {
        for candidate in edge.from.iter_mut().flat_map(|e| e.mixed.iter_mut()) {
            for block in candidate.candidates.iter_mut().flat_map(|c| &mut c.blocks) {
                if let Some(layer) = &mut block.layer {
                    layer.out = 2;
                }
            }
        }
    }
    blocks
}

#[test]
fn partial_channels() {
    check(&partial());
}

/// EG-NAS and PC-DARTS: channel `g·(C/k) + c` of the parts goes to `c·k + g`, and what passes by
/// is max-pooled at stride 2.
#[test]
fn partial_channels_pass_by_pooled_and_shuffled() {
    let mut edge = EdgePlan::new("input", vec![pool_block("pool", 2)]);
    edge.partial = 2;
    let graph = GraphPlan {
        nodes: vec![NodePlan {
            name: "out".into(),
            join: Join::Sum,
            from: vec![edge],
        }],
    };
    let block = BlockPlan {
        graph: Some(graph),
        ..empty("cell")
    };
    let mut network = build(&[block], &[4, 4, 4], 3, DType::F64);
    let x = noise(1, &[1, 4, 4, 4], DType::F64);
    let y = network.forward_all(&mut Pass::inference(), &x).unwrap();
    let (x, y) = (values(&x), values(&y));
    for (from, to) in [(2, 1), (3, 3)] {
        for (p, q) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let pixels = [(0, 0), (0, 1), (1, 0), (1, 1)];
            let pixels = pixels.map(|(i, j)| x[from * 16 + (2 * p + i) * 4 + 2 * q + j]);
            let most = pixels.into_iter().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(y[to * 4 + p * 2 + q], most);
        }
    }
}

#[test]
fn weights_of_edges() {
    check(&supernet("backprop", &|edge| {
        let row = usize::from(edge.source == "input");
        edge.weight = Some(RowPlan {
            table: "edges".into(),
            row,
        });
    }));
}

#[test]
fn drop_path_multiplies_whole_samples() {
    let drop = DropPathPlan { p: 0.4, ramp: true };
    let blocks = supernet("backprop", &|edge| edge.drop_path = Some(drop));
    check(&blocks);
}

/// A block whose only edge is dropped hands on zero or `x/(1 − p)`, by sample; p grows with the
/// epochs, and evaluation drops nothing.
#[test]
fn drop_path_keeps_the_mean_and_grows_with_the_epochs() {
    let mut edge = EdgePlan::new("input", Vec::new());
    edge.drop_path = Some(DropPathPlan { p: 0.5, ramp: true });
    let node = NodePlan {
        name: "out".into(),
        join: Join::Sum,
        from: vec![edge],
    };
    let block = BlockPlan {
        graph: Some(GraphPlan { nodes: vec![node] }),
        ..empty("cell")
    };
    let mut network = build(&[block], &[2, 2, 2], 3, DType::F64);
    let x = Tensor::ones((2000, 2, 2, 2), DType::F64, &Device::Cpu).unwrap();
    let dropped = |network: &mut Network, epoch: u64, pass_number: u64| {
        let mut pass = Pass::measuring(Clock {
            epoch,
            pass: pass_number,
            ..clock()
        });
        let y = network.forward_all(&mut pass, &x).unwrap();
        let p = 0.5 * epoch as f64 / 2.0;
        let rows: Vec<f64> = values(&y);
        for row in rows.chunks(8) {
            assert!(row.iter().all(|v| *v == row[0]));
            assert!(row[0] == 0.0 || (row[0] - 1.0 / (1.0 - p)).abs() < 1e-15);
        }
        rows.chunks(8).map(|row| row[0] == 0.0).collect::<Vec<_>>()
    };
    train_all(&mut network);
    let share = |drops: &[bool]| drops.iter().filter(|d| **d).count() as f64 / 2000.0;
    assert!(share(&dropped(&mut network, 0, 0)) == 0.0);
    let first = dropped(&mut network, 1, 0);
    // Four standard deviations of a share of 2000.
    assert!((share(&first) - 0.25).abs() < 4.0 * (0.25f64 * 0.75 / 2000.0).sqrt());
    assert_eq!(
        first,
        dropped(&mut network, 1, 0),
        "the same pass draws the same"
    );
    assert_ne!(
        first,
        dropped(&mut network, 1, 1),
        "another pass draws others"
    );
    network.set_mode(&Mode::default());
    let y = network.forward_all(&mut Pass::inference(), &x).unwrap();
    assert_eq!(values(&y), values(&x));
}

/// Numbers from elsewhere decide where a comparison gives them.
#[test]
fn given_numbers_decide_which_samples_are_dropped() {
    #[derive(Debug)]
    struct Given;
    impl Draws for Given {
        fn uniform(&self, _: &str, n: usize) -> Vec<f64> {
            (0..n).map(|i| i as f64 / n as f64).collect()
        }
    }
    let mut edge = EdgePlan::new("input", Vec::new());
    edge.drop_path = Some(DropPathPlan {
        p: 0.5,
        ramp: false,
    });
    let node = NodePlan {
        name: "out".into(),
        join: Join::Sum,
        from: vec![edge],
    };
    let block = BlockPlan {
        graph: Some(GraphPlan { nodes: vec![node] }),
        ..empty("cell")
    };
    let mut network = build(&[block], &[1], 3, DType::F64);
    train_all(&mut network);
    let x = Tensor::ones((4, 1), DType::F64, &Device::Cpu).unwrap();
    let mut pass = Pass::measuring(clock());
    pass.draws = Some(Arc::new(Given));
    let y = network.forward_all(&mut pass, &x).unwrap();
    assert_eq!(values(&y), [2.0, 2.0, 0.0, 0.0]);
}

/// A network with an auxiliary head on its first block.
fn with_head(weight: f64, recompute: bool) -> Vec<BlockPlan> {
    let head = BlockPlan {
        flatten: true,
        layer: dense_layer("backprop", 0),
        ..empty("aux")
    };
    let mut first = conv_block("first", "backprop", 2, 1);
    first.side = Some(SidePlan {
        weight,
        blocks: vec![head],
    });
    first.recompute = recompute;
    vec![
        first,
        conv_block("second", "backprop", 2, 1),
        BlockPlan {
            flatten: true,
            layer: dense_layer("backprop", 0),
            ..empty("head")
        },
    ]
}

/// The loss of an auxiliary head counts with its weight: gradients against differences of
/// `CE(network) + weight·CE(head)`.
#[test]
fn auxiliary_heads_add_their_loss() {
    const WEIGHT: f64 = 0.4;
    let labels = Tensor::new(&[0u32, 1, 2, 1], &Device::Cpu).unwrap();
    let input = StepInput {
        x: batch(),
        answers: Answers::Classes(labels),
        dropped: false,
    };
    let criterion = Criterion::from(Loss::CrossEntropy);
    for recompute in [false, true] {
        let mut engine = Engine::new(ready(&with_head(WEIGHT, recompute)));
        let mean = |logits: &Tensor| {
            let scored = criterion.score(logits, &input.answers).unwrap();
            scored.sums.to_vec1::<f64>().unwrap()[0] / 4.0
        };
        let loss = |network: &mut Network| {
            let mut pass = Pass::measuring(clock());
            let y = network.forward_all(&mut pass, &input.x).unwrap();
            assert_eq!(pass.sides.len(), 1);
            mean(&y) + WEIGHT * mean(&pass.sides[0].logits)
        };
        let passed = engine
            .pass(Pass::measuring(clock()), &input, &criterion)
            .unwrap();
        let learning = engine.network.tensors().into_iter().filter(|t| t.learns);
        let learning: Vec<_> = learning.collect();
        assert!(learning.iter().any(|t| t.name.contains(".side.")));
        for named in learning {
            let found = passed.gradients.iter().find(|(n, _)| *n == named.name);
            let numeric = differences(&named.tensor, || loss(&mut engine.network));
            close(&named.name, &values(&found.unwrap().1), &numeric);
        }
        // In evaluation there is no head, and it changes nothing of the rest.
        engine.network.set_mode(&Mode::default());
        let mut pass = Pass::inference();
        let y = engine.network.forward_all(&mut pass, &input.x).unwrap();
        assert!(pass.sides.is_empty());
        let mut plain = with_head(WEIGHT, false);
        plain[0].side = None;
        let mut plain = build(&plain, &DIMS, 3, DType::F64);
        let without = plain.forward_all(&mut Pass::inference(), &input.x).unwrap();
        assert_eq!(values(&y), values(&without));
    }
}

/// A factorised reduction: two strided convolutions on grids one pixel apart, concatenated.
#[test]
fn factorised_reductions() {
    let half = |name: &str| {
        let mut block = BlockPlan {
            layer: conv_layer("backprop", 2, [1, 1], [0; 4], "zeros"),
            ..empty(name)
        };
        if let Some(LayerPlan {
            map: MapPlan::Conv { stride, .. },
            ..
        }) = &mut block.layer
        {
            *stride = [2, 2];
        }
        block
    };
    let shift = BlockPlan {
        transform: Some(TransformPlan::Shift { by: 1 }),
        ..empty("shift")
    };
    let node = NodePlan {
        name: "out".into(),
        join: Join::Concat,
        from: vec![
            EdgePlan::new("input", vec![half("even")]),
            EdgePlan::new("input", vec![shift, half("odd")]),
        ],
    };
    check(&[
        conv_block("stem", "backprop", 4, 1),
        BlockPlan {
            graph: Some(GraphPlan { nodes: vec![node] }),
            norm_inner: norm(false),
            ..empty("reduce")
        },
    ]);
}
