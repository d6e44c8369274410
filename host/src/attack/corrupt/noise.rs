//! Noise on each value.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Poisson};

use crate::data::random::{normal, unit};
use crate::{Error, Result};

/// Adds normal noise of deviation `sigma` and brings the values back to [0, 1].
pub fn gaussian(x: &mut [f32], sigma: f32, rng: &mut ChaCha8Rng) {
    for v in x {
        *v = (*v + sigma * normal(rng)).clamp(0.0, 1.0);
    }
}

/// Each value as a count of photons, `full` of them for the value 1.
pub(super) fn shot(x: &mut [f32], full: f64, rng: &mut ChaCha8Rng) -> Result<()> {
    for v in x {
        let mean = f64::from(*v) * full;
        // None where there is no light.
        if mean > 0.0 {
            let photons = Poisson::new(mean).map_err(|e| Error::internal(e.to_string()))?;
            *v = ((photons.sample(rng) / full) as f32).min(1.0);
        }
    }
    Ok(())
}

/// A share `amount` of the values becomes 0 or 1, with equal chance.
pub(super) fn impulse(x: &mut [f32], amount: f32, rng: &mut ChaCha8Rng) {
    for v in x {
        let (hit, salt) = (unit(rng) < amount, unit(rng) < 0.5);
        if hit {
            *v = if salt { 1.0 } else { 0.0 };
        }
    }
}

/// Normal noise of deviation `sigma·v` on a value `v`.
pub(super) fn speckle(x: &mut [f32], sigma: f32, rng: &mut ChaCha8Rng) {
    for v in x {
        *v = (*v + *v * sigma * normal(rng)).clamp(0.0, 1.0);
    }
}
