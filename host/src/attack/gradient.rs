//! Attacks by steps along the gradient: FGSM (Goodfellow et al. 2015), PGD (Madry et al. 2018),
//! TPGD (Zhang et al. 2019, the inner maximisation of TRADES).

use candle_core::Tensor;

use super::ball::Norm;
use super::draw::Noise;
use super::method::Pgd;
use super::target::Target;
use super::victims::Victims;
use crate::Result;

/// Standard deviation of the noise that TPGD starts with: at the clean pixels its divergence is 0
/// and has no direction.
const TPGD_START: f64 = 0.001;

/// One step of length `epsilon`.
pub(super) fn fgsm(
    target: &mut Target<'_>,
    victims: &Victims,
    norm: Norm,
    epsilon: f64,
) -> Result<Tensor> {
    let x = &victims.pixels;
    let slope = target.slope(x, &|z| Ok(z.cross_entropy(&victims.labels)))?;
    let step = (norm.ascent(&slope.gradient)? * epsilon)?;
    Ok((x + step)?.clamp(0.0, 1.0)?)
}

/// Steps of `step_size`, each brought back into the ball.
pub(super) fn pgd(
    target: &mut Target<'_>,
    victims: &Victims,
    settings: &Pgd,
    epsilon: f64,
    noise: &dyn Noise,
) -> Result<Tensor> {
    let (x, norm) = (&victims.pixels, settings.norm);
    let mut moved = match settings.random_start {
        true => (x + start(target, victims, norm, epsilon, noise)?)?.clamp(0.0, 1.0)?,
        false => x.clone(),
    };
    let size = settings.step_size.of(epsilon);
    for _ in 0..settings.steps {
        target.go_on()?;
        let slope = target.slope(&moved, &|z| Ok(z.cross_entropy(&victims.labels)))?;
        let step = (norm.ascent(&slope.gradient)? * size)?;
        moved = norm.project(x, &(moved + step)?, epsilon)?;
    }
    Ok(moved)
}

/// Where PGD starts: uniform in the cube, or in a random direction at a length uniform in
/// [0, epsilon].
fn start(
    target: &Target<'_>,
    victims: &Victims,
    norm: Norm,
    epsilon: f64,
    noise: &dyn Noise,
) -> Result<Tensor> {
    let dims = &victims.pixels.dims()[1..];
    let each: usize = dims.iter().product();
    let mut all = vec![0f32; victims.len() * each];
    for (out, sample) in all.chunks_exact_mut(each).zip(&victims.samples) {
        match norm {
            Norm::Linf => {
                noise.uniform(*sample, out);
                out.iter_mut().for_each(|v| *v = 2.0 * *v - 1.0);
            }
            Norm::L2 => {
                noise.normal(*sample, out);
                let length = out
                    .iter()
                    .map(|v| f64::from(*v).powi(2))
                    .sum::<f64>()
                    .sqrt();
                let share = crate::data::random::unit(&mut noise.stream(*sample, 1));
                let factor = (f64::from(share) / length.max(f64::MIN_POSITIVE)) as f32;
                out.iter_mut().for_each(|v| *v *= factor);
            }
        }
    }
    Ok((target.batch(&all, dims)? * epsilon)?)
}

/// As PGD in the cube, away from what the network said of the clean pixels, whatever the label.
pub(super) fn tpgd(
    target: &mut Target<'_>,
    victims: &Victims,
    (steps, step_size): (usize, f64),
    epsilon: f64,
    noise: &dyn Noise,
) -> Result<Tensor> {
    let x = &victims.pixels;
    let clean = target.logits(x)?;
    let dims = &x.dims()[1..];
    let each: usize = dims.iter().product();
    let mut all = vec![0f32; victims.len() * each];
    for (out, sample) in all.chunks_exact_mut(each).zip(&victims.samples) {
        noise.normal(*sample, out);
    }
    let start = (target.batch(&all, dims)? * TPGD_START)?;
    let mut moved = (x + start)?.clamp(0.0, 1.0)?;
    for _ in 0..steps {
        target.go_on()?;
        let slope = target.slope(&moved, &|z| Ok(z.divergence(&clean)))?;
        let step = (slope.gradient.sign()? * step_size)?;
        moved = Norm::Linf.project(x, &(moved + step)?, epsilon)?;
    }
    Ok(moved)
}
