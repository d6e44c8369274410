//! Hebb, Oja, Sanger, BCM and `BioNAS`'s rule on layers of their own, without the host.
#![allow(clippy::unwrap_used)]

use biorule_hebbian::{Bcm, BioNas, Hebb, Oja, Sanger};
use biorule_plugin_api::testkit::{Array, Site, Trial, keeps_its_contract};

#[test]
fn hebb_keeps_its_contract() {
    keeps_its_contract::<Hebb>();
}

#[test]
fn oja_keeps_its_contract() {
    keeps_its_contract::<Oja>();
}

#[test]
fn sanger_keeps_its_contract() {
    keeps_its_contract::<Sanger>();
}

#[test]
fn bcm_keeps_its_contract() {
    keeps_its_contract::<Bcm>();
}

#[test]
fn bionas_keeps_its_contract() {
    keeps_its_contract::<BioNas>();
}

/// `ΔW = η·⟨y·x⟩`, written out for a dense layer.
#[test]
fn hebb_adds_the_mean_product_of_input_and_output() {
    let trial = Trial::<Hebb>::new(&Site::dense(3, 2), &[("lr", 0.5.into())]).unwrap();
    let x = Array::noise(1, &trial.input(4));
    let y = trial.forward(&x).unwrap().y;
    let changes = trial.learn(&x, None).unwrap();
    let [change] = &changes[..] else {
        panic!("one change, found {changes:?}")
    };
    assert!(change.name == "weight" && !change.replaces);
    for (k, d) in (0..2).flat_map(|k| (0..3).map(move |d| (k, d))) {
        let products = (0..4).map(|n| y.at(&[n, k]) * x.at(&[n, d]));
        let expected = 0.5 * products.sum::<f64>() / 4.0;
        assert!((change.value.at(&[k, d]) - expected).abs() < 1e-15);
    }
}

/// In a convolution every place counts as a sample: a 1×1 kernel is a dense layer on pixels.
#[test]
fn a_convolution_of_one_pixel_learns_as_a_dense_layer_on_pixels() {
    let conv = Trial::<Oja>::new(&Site::conv([3, 2, 2], 4, 1), &[]).unwrap();
    let mut dense = Trial::<Oja>::new(&Site::dense(3, 4), &[]).unwrap();
    let weight = conv.get("weight").unwrap().reshape(&[4, 3]).unwrap();
    dense.set("weight", &weight).unwrap();
    let images = Array::noise(1, &conv.input(5));
    let pixels: Vec<f64> = (0..20)
        .flat_map(|i| {
            let (n, row, col) = (i / 4, i / 2 % 2, i % 2);
            [0, 1, 2].map(|c| images.at(&[n, c, row, col]))
        })
        .collect();
    let a = &conv.learn(&images, None).unwrap()[0].value;
    let b = &dense.learn(&Array::new(&[20, 3], &pixels), None).unwrap()[0].value;
    assert!(a.reshape(&[4, 3]).unwrap().distance(b) < 1e-15);
}

/// Oja 1982: the weight turns to the first principal component, with length 1.
#[test]
fn oja_finds_the_first_principal_component() {
    let mut trial = Trial::<Oja>::new(&Site::dense(2, 1), &[("lr", 0.05.into())]).unwrap();
    // Most of the variance lies along (3, 4)/5.
    let noise = Array::noise(1, &[64, 2]);
    let samples: Vec<f64> = (0..64)
        .flat_map(|n| {
            let (long, short) = (2.0 * noise.at(&[n, 0]), 0.3 * noise.at(&[n, 1]));
            [0.6 * long - 0.8 * short, 0.8 * long + 0.6 * short]
        })
        .collect();
    let x = Array::new(&[64, 2], &samples);
    for _ in 0..2000 {
        trial.train(&x).unwrap();
    }
    let w = trial.get("weight").unwrap().values();
    let (length, along) = (w[0].hypot(w[1]), (0.6 * w[0] + 0.8 * w[1]).abs());
    assert!((length - 1.0).abs() < 1e-6, "length {length}");
    assert!(along > 0.999, "{along} along the first component");
    let reported = trial.metrics().unwrap();
    assert!((reported[0].value - length).abs() < 1e-12, "{reported:?}");
}

/// Sanger 1989: units turn to the principal components in their order, each with length 1.
#[test]
fn sanger_finds_the_principal_components_in_their_order() {
    let mut trial = Trial::<Sanger>::new(&Site::dense(3, 3), &[("lr", 0.3.into())]).unwrap();
    // Uncorrelated directions of falling variance, turned by a rotation with known columns.
    let (third, root) = (1.0 / 3.0f64, 1.0 / 2.0f64.sqrt());
    let length = third.sqrt();
    let axes = [
        [length, length, length],
        [root, -root, 0.0],
        [
            1.0 / 6.0f64.sqrt(),
            1.0 / 6.0f64.sqrt(),
            -2.0 / 6.0f64.sqrt(),
        ],
    ];
    // All eight corners, so that the directions are uncorrelated to the last bit.
    let samples: Vec<f64> = (0..8)
        .flat_map(|n| {
            let sign = |bit: usize| if n >> bit & 1 == 0 { 1.0 } else { -1.0 };
            let along = [1.5 * sign(0), 0.9 * sign(1), 0.5 * sign(2)];
            [0, 1, 2].map(|d| (0..3).map(|k| along[k] * axes[k][d]).sum::<f64>())
        })
        .collect();
    let x = Array::new(&[8, 3], &samples);
    for _ in 0..4000 {
        trial.train(&x).unwrap();
    }
    let w = trial.get("weight").unwrap();
    for (k, axis) in axes.iter().enumerate() {
        let along: f64 = (0..3).map(|d| w.at(&[k, d]) * axis[d]).sum();
        assert!(
            (along.abs() - 1.0).abs() < 1e-6,
            "unit {k}: {along} along its component"
        );
    }
    let grouped = Site::conv([4, 3, 3], 4, 1).with(|conv| conv.groups = 2);
    let refused = Trial::<Sanger>::new(&grouped, &[]).unwrap_err().to_string();
    assert!(refused.contains("group"), "{refused}");
}

/// Bienenstock, Cooper, Munro 1982: of `n` equally likely, linearly independent patterns a unit selects
/// one, which it answers with `n`, and the others with 0.
#[test]
fn bcm_becomes_selective() {
    let params = [("lr", 0.02.into()), ("tau", 4.0.into())];
    let mut trial = Trial::<Bcm>::new(&Site::dense(3, 4), &params).unwrap();
    let patterns = Array::new(&[3, 3], &[1.0, 0.2, 0.1, 0.1, 1.0, 0.3, 0.2, 0.1, 1.0]);
    let start: Vec<f64> = (0..12).map(|i| 0.3 + 0.1 * f64::from(i * 7 % 5)).collect();
    trial.set("weight", &Array::new(&[4, 3], &start)).unwrap();
    for _ in 0..20_000 {
        trial.train(&patterns).unwrap();
    }
    let y = trial.forward(&patterns).unwrap().y;
    for unit in 0..4 {
        let mut answers = [0, 1, 2].map(|n| y.at(&[n, unit]));
        answers.sort_by(f64::total_cmp);
        let [a, b, best] = answers;
        assert!((best - 3.0).abs() < 1e-3, "unit {unit} answers {answers:?}");
        assert!(
            a.abs() < 1e-3 && b.abs() < 1e-3,
            "unit {unit} answers {answers:?}"
        );
    }
}

#[test]
fn what_the_rules_cannot_serve_is_refused_with_the_reason() {
    let bias = Site::dense(3, 2).with_bias();
    let refused = Trial::<Hebb>::new(&bias, &[]).unwrap_err().to_string();
    assert!(refused.contains("bias"), "{refused}");
    let dilated = Site::conv([2, 5, 5], 2, 2).with(|conv| conv.dilation = [2, 2]);
    let refused = Trial::<BioNas>::new(&dilated, &[]).unwrap_err().to_string();
    assert!(refused.contains("corrected"), "{refused}");
    Trial::<BioNas>::new(&dilated, &[("mode", "corrected".into())]).unwrap();
    let refused = Trial::<Oja>::new(&Site::dense(3, 2), &[("lr", (-1.0).into())]).unwrap_err();
    assert!(refused.to_string().contains("`lr`"), "{refused}");
}
