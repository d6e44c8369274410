//! Direct random target projection on layers of its own, without the host.
#![allow(clippy::unwrap_used)]

use biorule_direct_feedback_alignment::Drtp;
use biorule_plugin_api::testkit::{Array, Site, Trial, keeps_its_contract};

#[test]
fn it_keeps_its_contract() {
    keeps_its_contract::<Drtp>();
}

/// Frenkel et al. 2021, eq. 3: whatever error arrives, minus the projection of the label goes below.
#[test]
fn below_goes_the_projected_label() {
    let mut trial = Trial::<Drtp>::new(&Site::dense(4, 2), &[]).unwrap();
    let labels = [2, 0, 1, 2, 1];
    trial.target = Some(Array::one_hot(&labels, 3));
    let x = Array::noise(1, &trial.input(5));
    let error = Array::noise(2, &trial.output(5));
    let grads = trial.backward(&x, &error, None).unwrap();
    let (below, b) = (grads.below.unwrap(), trial.get("projection").unwrap());
    for (n, label) in labels.iter().enumerate() {
        for d in 0..4 {
            let expected = -b.at(&[*label, d]) / 5.0;
            assert!((below.at(&[n, d]) - expected).abs() < 1e-15);
        }
    }
    let weight = &grads.own[0].1;
    let expected: f64 = (0..5).map(|n| error.at(&[n, 1]) * x.at(&[n, 3])).sum();
    assert!((weight.at(&[1, 3]) - expected).abs() < 1e-12);
}

#[test]
fn without_labels_it_says_what_it_needs() {
    let trial = Trial::<Drtp>::new(&Site::dense(4, 2), &[]).unwrap();
    let x = Array::noise(1, &trial.input(2));
    let failed = trial.backward(&x, &Array::noise(2, &trial.output(2)), None);
    assert!(failed.unwrap_err().to_string().contains("labels"));
}
