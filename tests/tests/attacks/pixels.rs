//! What attacks do to pixels and to the accuracy, and the slopes that they follow.

use biorule::attack::{
    Attack, Gradient, Keyed, Method, Norm, Spec, Target, Victims, perturb, robust_accuracy,
};
use biorule::data::PixelSpace;
use biorule_tests::numbers::{noise, values};
use candle_core::{DType, Device, Tensor};

use crate::networks::{all, digits, network, place};

fn is_bounded(attack: &Attack) -> Option<Norm> {
    match attack.method.strength() {
        biorule::attack::method::Strength::Epsilon(norm) => Some(norm),
        _ => None,
    }
}

/// Pixels stay within [0, 1] and within the ball of their attack.
#[test]
fn nothing_leaves_the_ball_or_the_range_of_pixels() {
    let (mut network, data) = (network("backprop", &[1, 8, 8], DType::F32), digits(24));
    let place = place(DType::F32);
    for (norm, epsilons) in [
        (Norm::Linf, [0.003, 0.1, 0.7]),
        (Norm::L2, [0.01, 0.9, 6.0]),
    ] {
        for epsilon in epsilons {
            for attack in all(norm, |m| match m.strength() {
                biorule::attack::method::Strength::Epsilon(_) => epsilon,
                biorule::attack::method::Strength::Sigma => 0.3,
                _ => 3.0,
            }) {
                let (pixels, _) = data.read(0..24).expect("samples");
                // What the network answers, so that every sample is right before.
                let mut target = Target::new(&mut network, data.space(), Gradient::True, &place)
                    .expect("target");
                let logits = target.logits(&pixels).expect("answers");
                let labels = logits.rows().map(largest).collect();
                let victims = Victims {
                    pixels: pixels.clone(),
                    labels,
                    samples: (0..24).collect(),
                };
                let keyed = Keyed::new(3, &attack.method);
                let changed = perturb(&mut target, &attack, &victims, &keyed).expect("changed");
                let all = values(&changed).expect("numbers");
                let name = attack.method.name();
                assert!(all.iter().all(|v| (0.0..=1.0).contains(v)), "{name}");
                if let Some(norm) = is_bounded(&attack) {
                    let sizes = norm.sizes(&pixels, &changed).expect("sizes");
                    let largest = sizes.into_iter().fold(0.0, f64::max);
                    assert!(
                        largest <= epsilon * (1.0 + 1e-5) + 1e-6,
                        "{name}: {largest}"
                    );
                    // APGD gives back what it could not turn into another class.
                    let gives_back = matches!(attack.method, Method::Apgd(_));
                    assert!(
                        largest > 0.0 || gives_back,
                        "{name} at {epsilon} changes nothing"
                    );
                }
            }
        }
    }
}

fn largest(row: &[f64]) -> u32 {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter().position(|v| *v == top).unwrap_or(0) as u32
}

fn spec(attacks: Vec<Attack>, batch: usize) -> Spec {
    Spec {
        attacks,
        seed: 11,
        batch,
    }
}

/// A ball of radius 0, no noise and no pixel leave the clean accuracy.
#[test]
fn without_strength_the_accuracy_is_the_clean_one() {
    let (mut network, data) = (network("backprop", &[1, 8, 8], DType::F32), digits(60));
    for norm in [Norm::Linf, Norm::L2] {
        let mut attacks = all(norm, |_| 0.0);
        attacks.retain(|a| !matches!(a.method, Method::Corruption { .. }));
        let report = robust_accuracy(
            &mut network,
            &data,
            &spec(attacks, 25),
            &place(DType::F32),
            &mut |_| {},
        )
        .expect("a report");
        for row in report.rows {
            let name = row.attack.method.name();
            assert_eq!((row.robust, row.both), (row.clean, row.clean), "{name}");
            assert_eq!((row.mean_linf, row.mean_l2), (0.0, 0.0), "{name}");
        }
    }
}

/// Neither the size of a batch nor what else is in the list changes a row, through rules of every
/// kind.
#[test]
fn rows_do_not_depend_on_the_batch_or_on_the_list() {
    let data = digits(30);
    for rule in ["backprop", "feedback-alignment/brsf", "softhebb"] {
        let mut network = network(rule, &[1, 8, 8], DType::F64);
        let mut rows = |attacks: Vec<Attack>, batch| {
            let spec = spec(attacks, batch);
            let place = place(DType::F64);
            let report = robust_accuracy(&mut network, &data, &spec, &place, &mut |_| {});
            report.expect("a report").rows
        };
        let attacks = all(Norm::Linf, |m| match m.strength() {
            biorule::attack::method::Strength::Epsilon(_) => 0.2,
            biorule::attack::method::Strength::Sigma => 0.3,
            _ => 3.0,
        });
        let together = rows(attacks.clone(), 30);
        for (one, two) in together.iter().zip(rows(attacks.clone(), 7)) {
            let counts = |r: &biorule::attack::Row| (r.clean, r.robust, r.both);
            assert_eq!(counts(one), counts(&two), "{rule}: {:?}", one.attack);
            assert!((one.mean_l2 - two.mean_l2).abs() < 1e-9, "{:?}", one.attack);
        }
        assert_eq!(rows(attacks[5..6].to_vec(), 30), together[5..6]);
    }
}

/// The derivative by the pixels, through scaling and whitening, against differences.
#[test]
fn the_slope_is_that_of_differences() {
    biorule::threads::prepare();
    let dims = [2, 5, 4];
    let matrix: Vec<f64> = values(&noise(3, &[40, 40], DType::F64).expect("numbers"))
        .expect("numbers")
        .iter()
        .map(|v| 0.3 * v)
        .collect();
    let scaled = PixelSpace::scaled(&dims, &[0.4, 0.2], &[0.3, 0.9]);
    for rule in ["backprop", "feedback-alignment/fa", "softhebb", "krotov"] {
        for space in [
            PixelSpace::plain(&dims),
            scaled.clone(),
            scaled.clone().whitened(matrix.clone()),
        ] {
            let mut network = network(rule, &dims, DType::F64);
            let place = place(DType::F64);
            let mut target =
                Target::new(&mut network, &space, Gradient::True, &place).expect("target");
            let x = ((noise(8, &[3, 2, 5, 4], DType::F64).expect("numbers") * 0.4)
                .expect("scaled")
                + 0.5)
                .expect("pixels");
            let labels = [1u32, 7, 4];
            let slope = target
                .slope(&x, &|z| Ok(z.cross_entropy(&labels)))
                .expect("a slope");
            let gradient = values(&slope.gradient).expect("numbers");
            let pixels = values(&x).expect("numbers");
            let step = 1e-6;
            for i in (0..pixels.len()).step_by(7) {
                let mut at = |sign: f64| {
                    let mut moved = pixels.clone();
                    moved[i] += sign * step;
                    let moved = Tensor::from_vec(moved, x.shape(), &Device::Cpu).expect("pixels");
                    let z = target.logits(&moved).expect("answers");
                    z.cross_entropy(&labels).losses.iter().sum::<f64>()
                };
                let difference = (at(1.0) - at(-1.0)) / (2.0 * step);
                let apart = (difference - gradient[i]).abs();
                let scale = difference.abs().max(1e-2);
                assert!(
                    apart < 1e-5 * scale,
                    "{rule} {i}: {} {difference}",
                    gradient[i]
                );
            }
        }
    }
}

/// The rules' own gradient goes another way than the true one, and a local rule has none.
#[test]
fn the_rules_gradient_is_their_own() {
    let data = digits(8);
    let (pixels, labels) = data.read(0..8).expect("samples");
    let place = place(DType::F32);
    let slope = |rule: &str, gradient| {
        let mut network = network(rule, &[1, 8, 8], DType::F32);
        let mut target = Target::new(&mut network, data.space(), gradient, &place)?;
        target.slope(&pixels, &|z| Ok(z.cross_entropy(&labels)))
    };
    for (rule, same) in [
        ("backprop", true),
        ("feedback-alignment/fa", false),
        ("feedback-alignment/usf", false),
        ("kolen-pollack", false),
        ("direct-feedback-alignment/dfa", false),
    ] {
        let own = slope(rule, Gradient::Rule).expect("a slope");
        let truth = slope(rule, Gradient::True).expect("a slope");
        let apart = values(&(own.gradient - truth.gradient).expect("shapes")).expect("numbers");
        assert_eq!(apart.iter().all(|d| *d == 0.0), same, "{rule}");
        assert_eq!(own.losses, truth.losses, "{rule}");
    }
    let refused = slope("softhebb", Gradient::Rule).expect_err("a local rule");
    assert!(refused.text.contains("`features`") && refused.text.contains("`softhebb`"));
    slope("softhebb", Gradient::True).expect("the true gradient");
}
