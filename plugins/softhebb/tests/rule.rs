//! SoftHebb on layers of its own: its contract, and its two ways to the same step.
#![allow(clippy::unwrap_used)]

use biorule_plugin_api::sdk::ParamValue;
use biorule_plugin_api::testkit::{Array, Site, Trial, keeps_its_contract};
use biorule_softhebb::SoftHebb;

#[test]
fn it_keeps_its_contract() {
    keeps_its_contract::<SoftHebb>();
}

fn sites() -> [Site; 3] {
    [
        Site::dense(6, 5),
        Site::conv([3, 5, 4], 6, 3).with(|conv| conv.padding = [1; 4]),
        Site::conv([4, 6, 6], 8, 3).with(|conv| (conv.groups, conv.stride) = (2, [2, 1])),
    ]
}

/// The fused step and the plain operations, for every competition.
#[test]
fn the_fused_step_gives_what_tensor_operations_give() {
    for competition in ["hard", "hard-krotov", "soft", "soft-krotov"] {
        for site in sites() {
            let changes = |path: &str| {
                let params: [(&str, ParamValue); 3] = [
                    ("competition", competition.into()),
                    ("t_invert", 1.5.into()),
                    ("path", path.into()),
                ];
                let trial = Trial::<SoftHebb>::new(&site, &params).unwrap();
                let x = Array::noise(3, &trial.input(4));
                let changes = trial.learn(&x, None).unwrap();
                changes
                    .into_iter()
                    .find(|c| c.name == "weight")
                    .unwrap()
                    .value
            };
            let apart = changes("fused").distance(&changes("ops"));
            assert!(apart < 1e-12, "{competition} on {site:?}: {apart:e} apart");
        }
    }
}

/// `Δw ← Δw/max|Δw|`, once for each group, and the rate of a unit of radius 1 is nothing.
#[test]
fn the_largest_change_is_the_rate_and_units_at_radius_one_rest() {
    let site = Site::dense(6, 4);
    let constant = [("rate", "constant".into()), ("lr", 0.25.into())];
    let trial = Trial::<SoftHebb>::new(&site, &constant).unwrap();
    let change = &trial
        .learn(&Array::noise(1, &trial.input(8)), None)
        .unwrap()[0]
        .value;
    let largest = change.values().iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert!((largest - 0.25).abs() < 1e-12, "{largest}");

    let mut trial = Trial::<SoftHebb>::new(&site, &[("power_lr", 0.5.into())]).unwrap();
    let mut unit = vec![0.0; 24];
    (0..4).for_each(|k| unit[6 * k + k] = 1.0);
    trial.set("weight", &Array::new(&[4, 6], &unit)).unwrap();
    let change = &trial
        .learn(&Array::noise(1, &trial.input(8)), None)
        .unwrap()[0]
        .value;
    let largest = change.values().iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert!(largest <= 0.009 * 1e-5 * 1.001, "{largest}");
}
