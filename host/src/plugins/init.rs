//! Initial values, drawn in f64 from the seed and the tensor's name: the same on
//! every device and for every element type.

use biorule_plugin_api::abi::root::init;
use biorule_plugin_api::abi::types::Code;
use biorule_plugin_api::sdk::name_key;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// `n` values of initialiser `kind` with its numbers `a` and `b`, or nothing if the
/// kind is unknown.
pub fn draw(kind: Code, a: f64, b: f64, n: usize, seed: u64, name: &str) -> Option<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ name_key(name));
    let mut normal = || rng.sample::<f64, _>(StandardNormal);
    Some(match kind {
        init::CONSTANT => vec![a; n],
        init::NORMAL => (0..n).map(|_| a + b * normal()).collect(),
        init::HALF_NORMAL => (0..n).map(|_| (b * normal()).abs()).collect(),
        init::TRUNCATED => (0..n)
            .map(|_| {
                loop {
                    let z = normal();
                    if z.abs() <= 2.0 {
                        return b * z;
                    }
                }
            })
            .collect(),
        init::UNIFORM => (0..n).map(|_| a + (b - a) * rng.random::<f64>()).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_moments_of_their_law() {
        let moments = |kind, a, b| {
            let v = draw(kind, a, b, 40_000, 7, "weight").expect("known");
            let mean = v.iter().sum::<f64>() / v.len() as f64;
            (
                mean,
                (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt(),
            )
        };
        let near = |(m, s): (f64, f64), mean: f64, std: f64| {
            assert!(
                (m - mean).abs() < 0.02 && (s - std).abs() < 0.02,
                "mean {m} std {s}, expected {mean} {std}"
            );
        };
        near(moments(init::NORMAL, 0.5, 1.0), 0.5, 1.0);
        near(moments(init::UNIFORM, -1.0, 1.0), 0.0, 1.0 / 3f64.sqrt());
        near(moments(init::TRUNCATED, 0.0, 1.0), 0.0, 0.879_625_66);
        near(
            moments(init::HALF_NORMAL, 0.0, 1.0),
            (2.0 / std::f64::consts::PI).sqrt(),
            (1.0 - 2.0 / std::f64::consts::PI).sqrt(),
        );
        assert_eq!(
            draw(init::CONSTANT, 3.0, 0.0, 2, 0, "b"),
            Some(vec![3.0; 2])
        );
        assert!(draw(Code(99), 0.0, 0.0, 1, 0, "b").is_none());
    }

    #[test]
    fn names_and_seeds_give_different_streams_and_the_same_ones_the_same() {
        let d = |seed, name| draw(init::NORMAL, 0.0, 1.0, 4, seed, name);
        assert_eq!(d(1, "weight"), d(1, "weight"));
        assert_ne!(d(1, "weight"), d(2, "weight"));
        assert_ne!(d(1, "weight"), d(1, "feedback"));
    }
}
