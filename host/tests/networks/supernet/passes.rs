//! What a pass through a supernet leaves behind: the same bits however it is computed, and nothing
//! of what it isn't asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use biorule::config::plan::*;
use biorule::nn::{Mixture, Mode, Pass, Wants};
use candle_core::{DType, Tensor};

use super::{DIMS, batch, clock, conv_block, mixture, ready, supernet};
use crate::support::*;

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
