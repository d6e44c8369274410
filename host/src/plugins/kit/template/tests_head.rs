//! `{{name}}` on layers of its own, without BioRule: plain arrays stand in for the host.

use biorule_plugin_api::testkit::{Array, Site, Trial, keeps_its_contract};
use {{crate}}::{{type}};

/// What `biorule rules check` checks on the library, here on the code.
#[test]
fn it_keeps_its_contract() {
    keeps_its_contract::<{{type}}>();
}

/// A vector of `tests/golden/vectors.txt`: each line is a name, a shape in brackets, and the numbers.
fn golden(name: &str) -> Array {
    let text = include_str!("golden/vectors.txt");
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no vector `{name}`"));
    let (head, numbers) = line.split_once(']').expect("a shape in brackets");
    let (_, shape) = head.split_once('[').expect("a shape in brackets");
    let shape: Vec<usize> = shape.split(',').map(|n| n.trim().parse().expect("a size")).collect();
    let numbers = numbers.split_whitespace().map(|n| n.parse().expect("a number"));
    Array::new(&shape, &numbers.collect::<Vec<f64>>())
}

fn assert_close(a: &Array, b: &Array) {
    assert_eq!(a.shape(), b.shape());
    assert!(a.distance(b) < 1e-12, "{:?} and {:?}", a.values(), b.values());
}
