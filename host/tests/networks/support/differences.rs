//! Central differences in float64, and how far a gradient may be from them.

use biorule::ops::shape::copy_in_place;
use candle_core::{Device, Tensor};

use super::values;

/// How far central differences go to either side.
pub const STEP: f64 = 1e-5;

/// The slope of `loss` along every element of `at`, which may be the input or a parameter inside
/// the network; `at` ends as it was.
pub fn differences(at: &Tensor, mut loss: impl FnMut() -> f64) -> Vec<f64> {
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
                let y = loss();
                set(&base);
                y
            };
            (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
        })
        .collect()
}

/// Panics where a derivative and its difference are more than 2e-7 of the largest apart.
pub fn close(what: &str, ours: &[f64], numeric: &[f64]) {
    let scale = numeric.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    assert_eq!(ours.len(), numeric.len());
    for (i, (a, b)) in ours.iter().zip(numeric).enumerate() {
        assert!(
            (a - b).abs() < 2e-7 * scale,
            "{what}[{i}]: {a} from the tape, {b} from differences"
        );
    }
}
