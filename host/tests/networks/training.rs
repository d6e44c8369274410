//! The trainer end to end: phases, cached features, resume, baselines, failures.

use biorule::ExitCode;
use biorule::config::plan::*;
use biorule::train::{Outcome, TrainData};
use candle_core::Tensor;

use crate::support::data::*;
use crate::support::*;

const DIMS: [usize; 3] = [1, 8, 8];

/// Two Hebbian blocks and a classifier.
fn blocks() -> Vec<BlockPlan> {
    let conv = |name: &str, out| {
        let mut block = empty(name);
        block.norm = norm(false);
        block.layer = conv_layer("hebb", out, [3, 3], [1; 4], "reflect");
        block.activation = Some(ActivationPlan::Triangle { power: 0.7 });
        block.pool = Some(PoolPlan {
            kind: PoolKind::Max,
            kernel: [4, 4],
            stride: [2, 2],
            padding: [1, 1],
            count_include_pad: true,
        });
        block
    };
    let mut head = empty("head");
    head.flatten = true;
    head.dropout = 0.5;
    head.layer = dense_layer("backprop", 0);
    vec![conv("conv1", 6), conv("conv2", 8), head]
}

/// SoftHebb's successive mode.
fn successive(epochs: u64) -> Vec<PhasePlan> {
    vec![
        phase("conv1", &["conv1"], Drive::Local, 1),
        phase("conv2", &["conv2"], Drive::Local, 2),
        phase("head", &["head"], Drive::Gradient, epochs),
    ]
}

fn data() -> TrainData {
    patterns(200, &DIMS, 4)
}

fn accuracy(outcome: &Outcome, segment: usize) -> f64 {
    outcome.results[segment].scores().accuracy.unwrap()
}

/// Bit equality of everything two runs leave behind.
fn same(a: &Recorder, b: &Recorder, what: &str) {
    assert_eq!(a.tensors.len(), b.tensors.len());
    for (name, t) in &a.tensors {
        assert_bits(t, &b.tensors[name], &format!("{what}: {name}"));
    }
}

fn assert_bits(a: &Tensor, b: &Tensor, what: &str) {
    let bits = |t: &Tensor| values(t).iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert!(bits(a) == bits(b), "{what} differs");
}

#[test]
fn successive_phases_learn_to_tell_patterns_apart() {
    let mut recorder = Recorder::default();
    let outcome = train(
        &plan(blocks(), successive(12)),
        &data(),
        &mut recorder,
        None,
    )
    .unwrap();
    assert!(!outcome.stopped);
    assert!(accuracy(&outcome, 0) > 0.6, "{outcome:?}");
    let losses: Vec<f64> = recorder
        .epochs
        .iter()
        .filter_map(|(_, _, m)| m.get("train/loss").copied())
        .collect();
    assert_eq!(losses.len(), 12);
    // The loss is that of training, with half of the features dropped.
    assert!(losses[11] < 0.9 * losses[0], "{losses:?}");
    assert_eq!(
        recorder.phases,
        [
            ("conv1".to_owned(), 0, false),
            ("conv2".to_owned(), 1, true),
            ("head".to_owned(), 2, true)
        ]
    );
}

#[test]
fn a_rule_that_learns_from_its_input_is_not_asked_for_an_output() {
    let recorded = |rule| {
        let mut blocks = blocks();
        blocks[1].layer = conv_layer(rule, 8, [3, 3], [1; 4], "reflect");
        let mut recorder = Recorder::default();
        let plan = plan(blocks, successive(1));
        train(&plan, &data(), &mut recorder, None).unwrap();
        recorder
    };
    same(&recorded("hebb"), &recorded("blind"), "with and without");
}

#[test]
fn kept_features_change_nothing() {
    let data = data();
    let mut reference = Recorder::default();
    let mut phases = successive(3);
    phases.iter_mut().for_each(|p| p.cache.enabled = false);
    let plain = train(&plan(blocks(), phases), &data, &mut reference, None).unwrap();
    assert!(reference.phases.iter().all(|(_, _, cached)| !cached));

    let mut kept = Recorder::default();
    let memory = train(&plan(blocks(), successive(3)), &data, &mut kept, None).unwrap();
    same(&reference, &kept, "in memory");
    assert_eq!(plain, memory);
    assert_eq!(reference.epochs, kept.epochs);

    let folder = tempfile::tempdir().unwrap();
    let mut mapped = Recorder {
        scratch: Some(folder.path().to_owned()),
        ..Recorder::default()
    };
    let mut phases = successive(3);
    phases.iter_mut().for_each(|p| p.cache.memory_limit = 1000);
    train(&plan(blocks(), phases), &data, &mut mapped, None).unwrap();
    same(&reference, &mapped, "in a file");
}

#[test]
fn bf16_features_are_close_and_not_the_same() {
    let data = data();
    let mut exact = Recorder::default();
    train(&plan(blocks(), successive(2)), &data, &mut exact, None).unwrap();
    let mut phases = successive(2);
    phases[2].cache.store = CachePrecision::Bf16;
    let mut short = Recorder::default();
    train(&plan(blocks(), phases), &data, &mut short, None).unwrap();
    let name = "blocks.head.layer.weight";
    let d = distance(&exact.tensors[name], &short.tensors[name]);
    assert!(d > 0.0 && d < 0.02, "{d}");
}

/// Every step is a place to stop: the run goes on there and ends the same.
#[test]
fn a_stopped_run_ends_as_if_it_had_not_stopped() {
    let data = patterns(60, &DIMS, 3);
    let mut mixed = phase("mixed", &["conv2", "head"], Drive::Both, 2);
    mixed.optimizer = OptimizerPlan::Sgd {
        lr: 0.05,
        momentum: 0.9,
        weight_decay: 1e-3,
        decoupled_decay: 1e-4,
    };
    mixed.local_rate = Some(LocalRatePlan::Exponential {
        start: 0.02,
        end: 0.001,
        speed: 1.0,
    });
    let phases = vec![
        phase("conv1", &["conv1"], Drive::Local, 2),
        mixed,
        phase("head", &["head"], Drive::Gradient, 2),
    ];
    let mut plan = plan(blocks(), phases);
    plan.baselines = vec![Baseline::RandomWeights, Baseline::LinearPixels];
    let mut whole = Recorder::default();
    let expected = train(&plan, &data, &mut whole, None).unwrap();
    for stop in 1..whole.steps {
        let mut first = Recorder::stopping(stop);
        let stopped = train(&plan, &data, &mut first, None).unwrap();
        assert!(stopped.stopped, "after {stop} steps");
        let mut second = Recorder::default();
        let resumed = train(&plan, &data, &mut second, Some(first.checkpoint())).unwrap();
        assert_eq!(expected, resumed, "stopped after {stop} steps");
        assert_eq!(first.steps + second.steps, whole.steps);
        same(&whole, &second, &format!("stopped after {stop} steps"));
        let epochs: Vec<_> = first.epochs.iter().chain(&second.epochs).cloned().collect();
        assert_eq!(whole.epochs, epochs, "stopped after {stop} steps");
    }
}

#[test]
fn a_finished_run_has_nothing_left_to_do() {
    let data = data();
    let plan = plan(blocks(), successive(1));
    let mut first = Recorder::default();
    let done = train(&plan, &data, &mut first, None).unwrap();
    let mut again = Recorder::default();
    assert_eq!(
        train(&plan, &data, &mut again, Some(first.checkpoint())).unwrap(),
        done
    );
    assert_eq!(again.steps, 0);
}

#[test]
fn a_checkpoint_of_another_seed_or_network_is_refused() {
    let data = data();
    let mut recorder = Recorder::stopping(5);
    train(&plan(blocks(), successive(1)), &data, &mut recorder, None).unwrap();
    let mut other = blocks();
    if let Some(layer) = &mut other[0].layer {
        layer.out = 7;
    }
    let checkpoint = recorder.checkpoint();
    let error = train(
        &plan(other, successive(1)),
        &data,
        &mut Recorder::default(),
        Some(checkpoint),
    )
    .unwrap_err();
    assert_eq!(error.code, ExitCode::Usage);
    assert!(error.text.contains("blocks.conv1.layer.weight"), "{error}");
    let mut checkpoint = recorder.checkpoint();
    checkpoint.state["seed"] = 4.into();
    let error = train(
        &plan(blocks(), successive(1)),
        &data,
        &mut Recorder::default(),
        Some(checkpoint),
    )
    .unwrap_err();
    assert!(error.text.contains("seed 4"), "{error}");
}

#[test]
fn baselines_follow_the_network() {
    let mut plan = plan(blocks(), successive(12));
    plan.baselines = vec![Baseline::RandomWeights, Baseline::LinearPixels];
    let mut recorder = Recorder::default();
    let outcome = train(&plan, &data(), &mut recorder, None).unwrap();
    let names: Vec<_> = outcome.results.iter().map(|r| r.segment.as_str()).collect();
    assert_eq!(names, ["network", "random-weights", "linear-pixels"]);
    assert!((0..3).all(|i| accuracy(&outcome, i) > 0.5), "{outcome:?}");
    assert!(recorder.tensors.contains_key("blocks.conv1.layer.weight"));
    let segments: Vec<_> = recorder.epochs.iter().map(|(n, _, _)| n.as_str()).collect();
    assert_eq!(segments[14..16], ["network/head", "random-weights/head"]);
    assert_eq!(segments.len(), 3 + 3 * 12);
    assert_eq!(segments[38], "linear-pixels/head");
}

#[test]
fn divergence_names_the_block() {
    let mut phases = successive(1);
    phases[1].local_rate = Some(LocalRatePlan::Constant { value: 1e30 });
    let error = train(
        &plan(blocks(), phases),
        &data(),
        &mut Recorder::default(),
        None,
    )
    .unwrap_err();
    assert_eq!(error.code, ExitCode::Diverged);
    assert!(error.text.contains("conv2"), "{error}");

    let mut phases = successive(2);
    phases[2].optimizer = adam(f64::INFINITY);
    let error = train(
        &plan(blocks(), phases),
        &data(),
        &mut Recorder::default(),
        None,
    )
    .unwrap_err();
    assert_eq!(error.code, ExitCode::Diverged);
    assert!(error.text.contains("head"), "{error}");
}

#[test]
fn a_rule_that_breaks_its_contract_is_a_plugin_error() {
    let mut blocks = blocks();
    blocks[2].layer = dense_layer("broken", 0);
    let error = train(
        &plan(blocks, successive(1)),
        &data(),
        &mut Recorder::default(),
        None,
    )
    .unwrap_err();
    assert_eq!(error.code, ExitCode::Plugin);
    assert!(
        error.text.contains("block `head`") && error.text.contains("shape"),
        "{error}"
    );
}

#[test]
fn a_phase_in_which_nothing_learns_is_refused() {
    let phases = vec![phase("head", &["conv1"], Drive::Gradient, 1)];
    let error = train(
        &plan(blocks(), phases),
        &data(),
        &mut Recorder::default(),
        None,
    )
    .unwrap_err();
    assert_eq!(error.code, ExitCode::Usage);
    assert!(error.text.contains("nothing learns"), "{error}");
}

/// Labels reach the supervised read-out, and nothing below it.
#[test]
fn only_a_supervised_local_rule_sees_the_labels() {
    let trained = |data: &TrainData| {
        let mut blocks = blocks();
        blocks[2].layer = dense_layer("supervised", 0);
        blocks[2].dropout = 0.0;
        let mut phases = successive(3);
        phases[2].drive = Drive::Local;
        let mut recorder = Recorder::default();
        train(&plan(blocks, phases), data, &mut recorder, None).unwrap();
        recorder.tensors
    };
    let (straight, shuffled) = (trained(&data()), trained(&relabelled(200, &DIMS, 4)));
    for (name, tensor) in &straight {
        if name.contains("head") {
            assert!(distance(tensor, &shuffled[name]) > 1e-3, "{name}");
        } else {
            assert_bits(tensor, &shuffled[name], name);
        }
    }
}

#[test]
fn every_kind_of_credit_learns_and_alignment_tells_them_apart() {
    let network = |rule: &str| {
        let mut out = Vec::new();
        for (name, width) in [("a", 32), ("b", 32), ("c", 0)] {
            let mut block = empty(name);
            block.flatten = true;
            block.layer = dense_layer(rule, width);
            if width > 0 {
                block.activation = Some(ActivationPlan::Relu);
            }
            out.push(block);
        }
        out
    };
    let mut cosines = Vec::new();
    for rule in ["backprop", "fa", "dfa"] {
        let phases = vec![phase("all", &["a", "b", "c"], Drive::Gradient, 6)];
        let mut plan = plan(network(rule), phases);
        plan.output.alignment_every = 1;
        let mut recorder = Recorder::default();
        let outcome = train(&plan, &data(), &mut recorder, None).unwrap();
        assert!(accuracy(&outcome, 0) > 0.8, "{rule}: {outcome:?}");
        let last = &recorder.epochs.last().unwrap().2;
        assert!(
            (last["c/gradient_cosine"] - 1.0).abs() < 1e-6,
            "{rule}: {last:?}"
        );
        cosines.push(last["a/gradient_cosine"]);
        assert_eq!(rule == "fa", last.contains_key("b/weight_angle"));
    }
    assert!((cosines[0] - 1.0).abs() < 1e-6, "{cosines:?}");
    assert!(cosines[1] < 0.99 && cosines[2] < 0.99, "{cosines:?}");
}

/// A metric that only rises runs out of patience after the second epoch.
#[test]
fn a_stop_rule_ends_an_open_phase() {
    let mut phases = successive(1);
    phases[0].epochs = 0;
    phases[0].stop = Some(StopPlan {
        metric: "age".into(),
        threshold: None,
        patience: Some(1.0),
        mode: None,
        min_delta: None,
    });
    let mut recorder = Recorder::default();
    train(&plan(blocks(), phases), &data(), &mut recorder, None).unwrap();
    let of_phase = |n: &str| n == "network/conv1";
    let epochs = recorder.epochs.iter().filter(|(n, _, _)| of_phase(n));
    assert_eq!(epochs.count(), 2);
}

/// What an early stop has seen, the best epoch and the weights of classes survive a stop at any
/// step.
#[test]
fn early_stopping_and_class_weights_go_on_as_they_were() {
    let data = patterns(60, &DIMS, 3);
    let mut head = phase("head", &["head"], Drive::Gradient, 9);
    head.class_weights = Some(ClassWeights::Balanced);
    head.optimizer = adam(0.3);
    head.stop = Some(StopPlan {
        metric: "test/loss".into(),
        threshold: None,
        patience: Some(1.0),
        mode: None,
        min_delta: Some(0.05),
    });
    let phases = vec![phase("conv1", &["conv1"], Drive::Local, 1), head];
    let plan = plan(blocks(), phases);
    let mut whole = Recorder::default();
    let expected = train(&plan, &data, &mut whole, None).unwrap();
    assert!(whole.epochs.len() < 10, "{:?}", whole.epochs);
    assert!(expected.best.is_some());
    for stop in 1..whole.steps {
        let mut first = Recorder::stopping(stop);
        train(&plan, &data, &mut first, None).unwrap();
        let mut second = Recorder::default();
        let resumed = train(&plan, &data, &mut second, Some(first.checkpoint())).unwrap();
        assert_eq!(expected, resumed, "stopped after {stop} steps");
        same(&whole, &second, &format!("stopped after {stop} steps"));
        let epochs: Vec<_> = first.epochs.iter().chain(&second.epochs).cloned().collect();
        assert_eq!(whole.epochs, epochs, "stopped after {stop} steps");
    }
}

/// Checkpoints from before there were class weights and a choice of the best have less in them.
#[test]
fn a_checkpoint_of_an_older_program_goes_on() {
    let data = patterns(60, &DIMS, 3);
    let plan = plan(blocks(), successive(3));
    let mut whole = Recorder::default();
    let expected = train(&plan, &data, &mut whole, None).unwrap();
    let mut first = Recorder::stopping(whole.steps - 2);
    train(&plan, &data, &mut first, None).unwrap();
    let mut checkpoint = first.checkpoint();
    let state = checkpoint.state.as_object_mut().unwrap();
    for later in ["chosen", "meter_weight", "current"] {
        state.remove(later).unwrap();
    }
    let score = serde_json::json!({"loss": 0, "accuracy": 0, "samples": 3});
    state.insert("last_scores".to_owned(), score);
    let mut second = Recorder::default();
    let resumed = train(&plan, &data, &mut second, Some(checkpoint)).unwrap();
    assert_eq!(expected.results, resumed.results);
    same(&whole, &second, "from an older checkpoint");
}
