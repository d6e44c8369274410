//! Supernets: mixed edges, partial channels, drop path, auxiliary heads and recomputation, in
//! float64 against central differences, and bit for bit against passes that keep everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use biorule::config::plan::*;
use biorule::data::Answers;
use biorule::nn::{Clock, Draws, Mixture, Mode, Network, Pass, Wants};
use biorule::ops::shape::copy_in_place;
use biorule::train::Engine;
use biorule::train::criterion::Criterion;
use biorule::train::step::StepInput;
use candle_core::{DType, Device, Tensor};

use crate::support::*;

const STEP: f64 = 1e-5;

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

fn differences(network: &mut Network, x: &Tensor, c: &Tensor, at: &Tensor) -> Vec<f64> {
    let base = values(at);
    let set = |v: &[f64]| {
        let v = Tensor::from_vec(v.to_vec(), at.dims(), &Device::Cpu).unwrap();
        copy_in_place(at, &v).unwrap();
    };
    (0..base.len())
        .map(|i| {
            let mut moved = |by: f64| {
                let mut v = base.clone();
                v[i] += by;
                set(&v);
                let y = objective(network, x, c);
                set(&base);
                y
            };
            (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
        })
        .collect()
}

fn close(what: &str, ours: &[f64], numeric: &[f64]) {
    let scale = numeric.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    assert_eq!(ours.len(), numeric.len());
    for (i, (a, b)) in ours.iter().zip(numeric).enumerate() {
        assert!(
            (a - b).abs() < 2e-7 * scale,
            "{what}[{i}]: {a} from the tape, {b} from differences"
        );
    }
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
        &differences(&mut network, &x, &c, &x),
    );
    for named in network.tensors().iter().filter(|t| t.learns) {
        let found = pass.gradients.iter().find(|(n, _)| *n == named.name);
        let (_, grad) = found.unwrap_or_else(|| panic!("no gradient for {}", named.name));
        let numeric = differences(&mut network, &x, &c, &named.tensor);
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

/// All that a step of passes leaves behind: output, gradients, statistics, as bits.
fn bits(blocks: &[BlockPlan], wants: Wants) -> Vec<(String, Vec<u64>)> {
    let mut network = ready(blocks);
    network.set_mode(&Mode {
        blocks: network.block_names(),
        drive: Some(Drive::Both),
    });
    let x = batch();
    let mut pass = Pass::gradient(clock()).wanting(wants).wanting_input();
    let y = network.forward_all(&mut pass, &x).unwrap();
    pass.output_error = Some(y.clone());
    let all = 0..network.len();
    let grad = network.backward(&mut pass, &y, all).unwrap().unwrap();
    assert_eq!(pass.depth(), 0, "the tape must be used up");
    let mut out = vec![("y".to_owned(), y), ("x".to_owned(), grad)];
    let gradients = pass.gradients.iter();
    out.extend(gradients.map(|(n, g)| (format!("d {n}"), g.clone())));
    network.apply_changes().unwrap();
    let tensors = network.tensors().into_iter();
    out.extend(tensors.map(|t| (t.name.to_string(), t.tensor)));
    let mut out: Vec<(String, Vec<u64>)> = out
        .iter()
        .map(|(n, t)| (n.clone(), values(t).into_iter().map(f64::to_bits).collect()))
        .collect();
    let sums = pass.architecture.sums(&mixture()).unwrap();
    let sums = sums.into_iter();
    out.extend(sums.map(|(n, rows)| (n, rows.concat().into_iter().map(f64::to_bits).collect())));
    let counters = network.counters().into_iter();
    out.extend(counters.map(|(n, v)| (n, vec![v])));
    out
}

/// With rules of every credit and a local rule, with dropout and drop path inside.
#[test]
fn what_is_recomputed_has_the_same_bits_and_moves_statistics_once() {
    for rule in ["backprop", "fa", "dfa", "hebb"] {
        let make = |candidates: bool, block: bool| {
            let drop = DropPathPlan {
                p: 0.3,
                ramp: false,
            };
            let mut blocks = supernet(rule, &|edge| {
                edge.drop_path = Some(drop);
                let mixed = edge.mixed.as_mut().unwrap();
                mixed.recompute = candidates;
                mixed.candidates[1].blocks[0].dropout = 0.25;
            });
            if rule == "dfa" || rule == "hebb" {
                // What they send below has the shape of a flat input, or nothing is sent.
                blocks = flat(rule, candidates);
            }
            blocks[1].recompute = block;
            blocks
        };
        for wants in [Wants::WEIGHTS, Wants::ARCHITECTURE, Wants::ALL] {
            let kept = bits(&make(false, false), wants);
            let tracked = kept
                .iter()
                .filter(|(n, _)| n.ends_with("num_batches_tracked"));
            assert!(tracked.into_iter().all(|(_, n)| n == &[1]));
            for (candidates, block) in [(true, false), (false, true), (true, true)] {
                let other = bits(&make(candidates, block), wants);
                assert_eq!(kept.len(), other.len());
                for (a, b) in kept.iter().zip(&other) {
                    assert_eq!(a, b, "{rule}, {wants:?}");
                }
            }
        }
    }
}

#[test]
fn candidates_side_by_side_give_the_bits_of_one_after_the_other() {
    for rule in ["backprop", "fa", "dfa", "hebb"] {
        for recompute in [false, true] {
            let blocks = match rule {
                "dfa" | "hebb" => flat(rule, recompute),
                _ => supernet(rule, &|edge| {
                    edge.mixed.as_mut().unwrap().recompute = recompute;
                }),
            };
            for wants in [Wants::WEIGHTS, Wants::ARCHITECTURE, Wants::ALL] {
                let on = |threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                    pool.build().unwrap().install(|| bits(&blocks, wants))
                };
                let one = on(1);
                assert!(!one.is_empty());
                for threads in [2, 3, 8] {
                    assert_eq!(on(threads), one, "{rule}, {recompute}, {threads} threads");
                }
            }
        }
    }
}

/// A mixed edge of dense layers, of which one has the rule `rule`.
fn flat(rule: &str, recompute: bool) -> Vec<BlockPlan> {
    let dense = |name: &str, rule: &str| BlockPlan {
        layer: dense_layer(rule, 6),
        norm_inner: norm(true),
        activation: Some(ActivationPlan::Tanh { gain: 1.0 }),
        ..empty(name)
    };
    let candidate = |name: &str, blocks| CandidatePlan {
        name: name.to_owned(),
        blocks,
    };
    let mixed = MixedPlan {
        table: "normal".into(),
        row: 0,
        candidates: vec![
            candidate("one", vec![dense("one", rule), dense("below", rule)]),
            candidate("two", vec![dense("two", "backprop")]),
            candidate("skip", Vec::new()),
            candidate("three", vec![dense("three", rule)]),
        ],
        recompute,
    };
    let node = NodePlan {
        name: "out".into(),
        join: Join::Sum,
        from: vec![EdgePlan::mixed("input", mixed)],
    };
    vec![
        BlockPlan {
            flatten: true,
            ..dense("stem", "backprop")
        },
        BlockPlan {
            graph: Some(GraphPlan { nodes: vec![node] }),
            ..empty("cell")
        },
        BlockPlan {
            layer: dense_layer("backprop", 0),
            ..empty("head")
        },
    ]
}

/// A rule that projects the network's error sends that projection below times the weight of its
/// candidate.
#[test]
fn direct_rules_send_their_projection_weighted() {
    let run = |weights: [f64; 4]| {
        let mut network = build(&flat("dfa", false), &DIMS, 3, DType::F64);
        train_all(&mut network);
        let tables = BTreeMap::from([("normal".to_owned(), vec![weights.to_vec()])]);
        network.set_mixture(&Mixture { tables }).unwrap();
        let mut pass = Pass::measuring(clock()).wanting_input();
        let x = batch();
        network.forward_all(&mut pass, &x).unwrap();
        let error = noise(5, &[4, 3], DType::F64);
        pass.output_error = Some(error.clone());
        let all = 0..network.len();
        network.backward(&mut pass, &error, all).unwrap();
        assert!(pass.output_error.is_some());
        let stem = |(n, _): &&(Arc<str>, Tensor)| &**n == "blocks.stem.layer.weight";
        pass.gradients.iter().find(stem).unwrap().1.clone()
    };
    // Only a direct candidate: what arrives at the stem is proportional to its weight.
    let (whole, half) = (run([0.0, 0.0, 0.0, 1.0]), run([0.0, 0.0, 0.0, 0.5]));
    assert!(distance(&(whole * 0.5).unwrap(), &half) < 1e-15);
}

/// A candidate of weight 0 is not run: nothing of it moves, and its weight has no derivative.
#[test]
fn candidates_of_weight_zero_are_left_out() {
    let blocks = supernet("backprop", &|_| {});
    let mut network = ready(&blocks);
    let mut one = mixture();
    for row in one.tables.get_mut("normal").unwrap() {
        row.copy_from_slice(&[0.0, 0.0, 1.0, 0.0]);
    }
    network.set_mixture(&one).unwrap();
    let mut pass = Pass::gradient(clock()).wanting(Wants::ALL);
    let y = network.forward_all(&mut pass, &batch()).unwrap();
    let all = 0..network.len();
    network.backward(&mut pass, &y, all).unwrap();
    network.end_step();
    for (name, _) in &pass.gradients {
        assert!(!name.contains(".cell."), "{name}");
    }
    let sums = pass.architecture.sums(&one).unwrap();
    for row in &sums["normal"] {
        assert!(row[2] != 0.0 && [row[0], row[1], row[3]] == [0.0; 3]);
    }
    let stem = |n: &str| n.starts_with("blocks.stem.") || n.starts_with("blocks.head.");
    for (name, count) in network.counters() {
        assert_eq!(count, u64::from(stem(&name)), "{name}");
    }
    // All at 0: zeros of the right shape, and nothing goes below.
    one.tables
        .get_mut("normal")
        .unwrap()
        .iter_mut()
        .for_each(|row| row.fill(0.0));
    network.set_mixture(&one).unwrap();
    let mut pass = Pass::measuring(clock()).wanting_input();
    network.forward_all(&mut pass, &batch()).unwrap();
    let all = 0..network.len();
    let grad = network.backward(&mut pass, &y, all).unwrap().unwrap();
    assert!(values(&grad).iter().all(|g| *g == 0.0));
}

/// A pass for the architecture alone has the same derivatives, and no gradient of a weight.
#[test]
fn a_pass_for_the_architecture_finds_no_gradients_of_weights() {
    let run = |wants| {
        let mut network = ready(&supernet("fa", &|_| {}));
        let mut pass = Pass::measuring(clock()).wanting(wants);
        let y = network.forward_all(&mut pass, &batch()).unwrap();
        let all = 0..network.len();
        network.backward(&mut pass, &y, all).unwrap();
        assert_eq!(pass.depth(), 0, "the tape must be used up");
        (
            pass.gradients.len(),
            pass.architecture.sums(&mixture()).unwrap(),
        )
    };
    let (none, alone) = run(Wants::ARCHITECTURE);
    let (some, both) = run(Wants::ALL);
    assert!(none == 0 && some > 0);
    assert_eq!(alone, both);
    let (_, nothing) = run(Wants::WEIGHTS);
    assert!(nothing.values().flatten().flatten().all(|d| *d == 0.0));
}

/// One more candidate initialises no other layer anew, in the cell or in the chain around it.
#[test]
fn a_candidate_more_initialises_no_other_anew() {
    let before = ready(&supernet("backprop", &|_| {})).tensors();
    let wider = supernet("backprop", &|edge| {
        let mixed = edge.mixed.as_mut().unwrap();
        let more = format!(
            "{}-{}-more",
            edge.source, mixed.candidates[0].blocks[0].name
        );
        let stride = if mixed.candidates[3].blocks.is_empty() {
            1
        } else {
            2
        };
        let more = CandidatePlan {
            name: "more".into(),
            blocks: vec![conv_block(&more, "backprop", 4, stride)],
        };
        mixed.candidates.insert(1, more);
    });
    let after = build(&wider, &DIMS, 3, DType::F64).tensors();
    assert!(after.len() > before.len());
    for old in before {
        let new = after.iter().find(|t| t.name == old.name).unwrap();
        assert_eq!(values(&new.tensor), values(&old.tensor), "{}", old.name);
    }
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
            let base = values(&named.tensor);
            let set = |v: &[f64]| {
                let v = Tensor::from_vec(v.to_vec(), named.tensor.dims(), &Device::Cpu);
                copy_in_place(&named.tensor, &v.unwrap()).unwrap();
            };
            let mut numeric = Vec::new();
            for i in 0..base.len() {
                let mut at = |by: f64| {
                    let mut v = base.clone();
                    v[i] += by;
                    set(&v);
                    loss(&mut engine.network)
                };
                numeric.push((at(STEP) - at(-STEP)) / (2.0 * STEP));
                set(&base);
            }
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
