//! Backpropagation on layers of its own: the true gradient, by finite differences.
#![allow(clippy::unwrap_used)]

use biorule_backprop::Backprop;
use biorule_plugin_api::sdk::PadMode;
use biorule_plugin_api::testkit::{Array, Site, Trial, keeps_its_contract};

const STEP: f64 = 1e-6;

#[test]
fn it_keeps_its_contract() {
    keeps_its_contract::<Backprop>();
}

/// `Σ c ∘ y` for fixed random `c`.
fn objective(trial: &Trial<Backprop>, x: &Array, c: &Array) -> f64 {
    let y = trial.forward(x).unwrap().y;
    let products = y.values().iter().zip(c.values()).map(|(y, c)| y * c);
    products.sum()
}

/// Central differences of `f` for each entry of `at`.
fn differences(at: &Array, mut f: impl FnMut(&Array) -> f64) -> Array {
    let mut i = 0;
    at.map(|_| {
        let mut moved = |by: f64| {
            let mut values = at.values().to_vec();
            values[i] += by;
            f(&Array::new(at.shape(), &values))
        };
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        i += 1;
        slope
    })
}

#[test]
fn its_gradients_are_those_of_finite_differences() {
    let sites = [
        Site::dense(4, 3).with_bias(),
        Site::conv([2, 4, 5], 4, 3).with_bias().with(|conv| {
            (conv.padding, conv.stride, conv.groups) = ([1, 0, 2, 1], [1, 2], 2);
            conv.pad_mode = PadMode::Reflect;
        }),
        Site::conv([1, 6, 6], 2, 2).with(|conv| conv.dilation = [2, 3]),
    ];
    for site in sites {
        let mut trial = Trial::<Backprop>::new(&site, &[]).unwrap();
        let x = Array::noise(1, &trial.input(2));
        let c = Array::noise(2, &trial.output(2));
        let grads = trial.backward(&x, &c, None).unwrap();
        let below = differences(&x, |x| objective(&trial, x, &c));
        assert!(grads.below.unwrap().distance(&below) < 1e-8, "{site:?}");
        assert_eq!(grads.own.len(), trial.state.len());
        for (name, grad) in &grads.own {
            let start = trial.get(name).unwrap().clone();
            let numeric = differences(&start, |value| {
                trial.set(name, value).unwrap();
                objective(&trial, &x, &c)
            });
            trial.set(name, &start).unwrap();
            assert!(grad.distance(&numeric) < 1e-8, "{name} of {site:?}");
        }
    }
}
