//! The local prediction loss on layers of its own, without the host.
#![allow(clippy::unwrap_used)]

use biorule_local_loss::Pred;
use biorule_plugin_api::testkit::{Array, Site, Trial, keeps_its_contract};

#[test]
fn it_keeps_its_contract() {
    keeps_its_contract::<Pred>();
}

/// The mean cross-entropy of the layer's own classifier, as the paper writes it.
fn loss(trial: &Trial<Pred>, x: &Array, labels: &[usize]) -> f64 {
    let u = trial.forward(x).unwrap().y;
    let (head, units, classes) = (trial.get("head").unwrap(), u.shape()[1], 3);
    let places: usize = u.shape()[2..].iter().product();
    let each = labels.iter().enumerate().map(|(n, label)| {
        let feature = |k: usize| {
            let start = (n * units + k) * places;
            let over = &u.values()[start..start + places];
            over.iter().map(|v| v.max(0.0)).sum::<f64>() / places as f64
        };
        let logits: Vec<f64> = (0..classes)
            .map(|c| (0..units).map(|k| head.at(&[c, k]) * feature(k)).sum())
            .collect();
        let sum: f64 = logits.iter().map(|v: &f64| v.exp()).sum();
        sum.ln() - logits[*label]
    });
    each.sum::<f64>() / labels.len() as f64
}

/// Every change is minus the learning rate times the derivative of that loss.
#[test]
fn changes_descend_the_local_loss() {
    for site in [
        Site::dense(5, 4).with_bias(),
        Site::conv([2, 4, 5], 4, 3).with_bias(),
    ] {
        let mut trial = Trial::<Pred>::new(&site, &[("lr", 0.25.into())]).unwrap();
        let (x, labels) = (Array::noise(3, &trial.input(6)), [0, 2, 1, 1, 0, 2]);
        let target = Array::one_hot(&labels, 3);
        for change in trial.learn(&x, Some(&target)).unwrap() {
            let held = trial.get(&change.name).unwrap().clone();
            for i in 0..held.values().len() {
                let step = 1e-6;
                let mut at = |sign: f64| {
                    let mut moved = held.values().to_vec();
                    moved[i] += sign * step;
                    trial
                        .set(&change.name, &Array::new(held.shape(), &moved))
                        .unwrap();
                    loss(&trial, &x, &labels)
                };
                let slope = (at(1.0) - at(-1.0)) / (2.0 * step);
                let found = change.value.values()[i];
                assert!(
                    (found + 0.25 * slope).abs() < 1e-7,
                    "{} [{i}]: {found} and {slope}",
                    change.name
                );
            }
            trial.set(&change.name, &held).unwrap();
        }
    }
}

#[test]
fn the_loss_falls_and_samples_without_labels_change_nothing() {
    let mut trial = Trial::<Pred>::new(&Site::dense(5, 8), &[("lr", 0.5.into())]).unwrap();
    let (x, labels) = (Array::noise(3, &trial.input(6)), [0, 2, 1, 1, 0, 2]);
    let before = loss(&trial, &x, &labels);
    for _ in 0..200 {
        trial.train_with(&x, &Array::one_hot(&labels, 3)).unwrap();
    }
    assert!(loss(&trial, &x, &labels) < 0.2 * before);
    let none = trial.learn(&x, Some(&Array::full(&[6, 3], 0.0))).unwrap();
    assert!(
        none.iter()
            .all(|c| c.value.values().iter().all(|v| *v == 0.0))
    );
}
