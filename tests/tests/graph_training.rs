//! Graph blocks as a user trains them: drop path, an auxiliary head, a factorised reduction,
//! groups of the optimiser and clipping by norm, through the command and real plugins.

use std::path::Path;

use biorule_tests::plugins::{Ran, Run};
use biorule_tests::runs::weights;

/// A stem, a cell with a factorised reduction and a head, and a classifier.
const NETWORK: &str = r#"
name = "cells"
seed = 3
[data]
set = "digits"
limit_train = 192
limit_test = 64
[[blocks]]
name = "stem"
layer = "conv"
kernel = 3
padding = "same"
out = 6
rule = "feedback-alignment/brsf"
activation = "relu"
[[blocks]]
name = "cell"
norm_inner = { kind = "batch", affine = true }
[[blocks.graph]]
name = "mix"
[[blocks.graph.from]]
source = "input"
drop_path = { p = 0.3, ramp = true }
blocks = [
    { name = "wide", layer = "conv", kernel = 3, padding = "same", out = 6, rule = "feedback-alignment/fa", activation = "relu" },
    { name = "pooled", pool = "avg 3/1/1" },
]
[[blocks.graph.from]]
source = "input"
[[blocks.graph]]
name = "reduce"
join = "concat"
[[blocks.graph.from]]
source = "mix"
blocks = [{ name = "even", layer = "conv", kernel = 1, stride = 2, out = 4, rule = "backprop" }]
[[blocks.graph.from]]
source = "mix"
blocks = [
    { name = "shifted", transform = "shift 1" },
    { name = "odd", layer = "conv", kernel = 1, stride = 2, out = 4, rule = "backprop" },
]
[blocks.side]
weight = 0.4
blocks = [{ name = "aux", layer = "dense", flatten = true, out = "classes", rule = "backprop" }]
[[blocks]]
name = "head"
layer = "dense"
out = "classes"
rule = "backprop"
[training.gradient]
epochs = 3
batch = 32
optimizer = { kind = "sgd", lr = 0.05, momentum = 0.9, weight_decay = 1e-3 }
gradient_clip = { norm = 5.0 }
[[training.gradient.groups]]
roles = ["bias", "norm"]
optimizer = { kind = "sgd", lr = 0.05, momentum = 0.9 }
[[training.gradient.groups]]
prefixes = ["blocks.head."]
optimizer = { kind = "adam", lr = 0.01 }
"#;

/// Trains the network with some settings changed.
fn train(home: &Path, name: &str, sets: &[&str]) -> Ran {
    let file = home.join("network.toml");
    std::fs::write(&file, NETWORK).unwrap();
    let dir = home.join(name);
    Run::new([
        "train".as_ref(),
        file.as_os_str(),
        "--run-dir".as_ref(),
        dir.as_os_str(),
        "--device".as_ref(),
        "cpu".as_ref(),
    ])
    .sets(sets)
    .finish()
}

#[test]
fn settings_that_change_no_result_leave_the_same_bits() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let done = train(home, "plain", &[]);
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    assert!(!done.stderr.contains("has no effect"), "{}", done.stderr);
    let plain = weights(&home.join("plain"));
    let names = |part: &str| plain.keys().any(|name| name.contains(part));
    assert!(names("blocks.cell.side.aux.layer.weight"));
    assert!(names("blocks.cell.reduce.odd.layer.weight"));
    let same = [
        ("again", vec![]),
        ("recomputed", vec!["blocks.cell.recompute=true"]),
        ("off", vec!["training.gradient.gradient_clip.norm=0"]),
        ("huge", vec!["training.gradient.gradient_clip.norm=1e9"]),
    ];
    for (name, sets) in same {
        let done = train(home, name, &sets);
        assert_eq!(done.code, Some(0), "{name}: {}", done.stderr);
        let (left, right) = match name {
            "huge" => (weights(&home.join("off")), weights(&home.join(name))),
            "off" => continue,
            _ => (plain.clone(), weights(&home.join(name))),
        };
        assert_eq!(left.len(), right.len());
        for ((a, x), (b, y)) in left.iter().zip(&right) {
            assert_eq!(a, b);
            assert!(x == y, "`{a}` differs in `{name}`");
        }
    }
}

#[test]
fn every_setting_acts() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let done = train(home, "plain", &[]);
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let plain = weights(&home.join("plain"));
    let changes = [
        ("drop", "blocks.cell.graph.mix.from.0.drop_path.p=0.0"),
        ("ramp", "blocks.cell.graph.mix.from.0.drop_path.ramp=false"),
        ("weight", "blocks.cell.side.weight=0.0"),
        ("clip", "training.gradient.gradient_clip.norm=0.01"),
        ("rate", "training.gradient.groups.1.optimizer.lr=0.02"),
        (
            "decay",
            "training.gradient.groups.0.optimizer.weight_decay=0.1",
        ),
    ];
    for (name, set) in changes {
        let done = train(home, name, &[set]);
        assert_eq!(done.code, Some(0), "{name}: {}", done.stderr);
        let stem = "blocks.head.layer.weight";
        assert!(
            plain[stem] != weights(&home.join(name))[stem],
            "{set} changes nothing"
        );
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    let home = tempfile::tempdir().unwrap();
    let cases = [
        (
            "training.gradient.gradient_clip.nrm=1",
            "expected a number or `{ norm = number }`",
        ),
        (
            "training.gradient.gradient_clip.norm=-1",
            "expected 0 or more",
        ),
        (
            "training.gradient.groups.1.prefixes=[\"blocks.had.\"]",
            "no tensor begins",
        ),
        ("training.gradient.groups.0.roles=[\"biass\"]", "`biass`"),
        ("blocks.shifted.transform.kind=\"shit\"", "`shit`"),
        ("blocks.cell.side.weight=-1", "expected 0 or more"),
        ("blocks.aux.out=3", "the auxiliary head"),
    ];
    for (at, (set, text)) in cases.iter().enumerate() {
        let set = match set.strip_prefix("blocks.shifted") {
            Some(rest) => format!("blocks.cell.graph.reduce.from.1.blocks.shifted{rest}"),
            None => set.replace("blocks.aux", "blocks.cell.side.blocks.aux"),
        };
        let done = train(home.path(), &at.to_string(), &[&set]);
        assert_eq!(done.code, Some(2), "{set}: {}", done.stderr);
        assert!(done.stderr.contains(text), "{set}: {}", done.stderr);
    }
}
