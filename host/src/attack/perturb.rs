//! Each method on a batch.

use candle_core::Tensor;

use super::draw::Noise;
use super::method::{Attack, Method};
use super::target::Target;
use super::victims::{Victims, select};
use super::{apgd, corrupt, gradient, one_pixel, square};
use crate::Result;

/// `attack` on all of `victims`: their pixels afterwards. Methods that start from what the network
/// gets right leave the others as they are.
///
/// # Errors
/// Failures of rules and tensor operations; a method that does not fit the samples.
pub fn perturb(
    target: &mut Target<'_>,
    attack: &Attack,
    victims: &Victims,
    noise: &dyn Noise,
) -> Result<Tensor> {
    let strength = attack.strength;
    let space = &victims.pixels.dims()[1..];
    match &attack.method {
        Method::Fgsm { norm } => gradient::fgsm(target, victims, *norm, strength),
        Method::Pgd(settings) => gradient::pgd(target, victims, settings, strength, noise),
        Method::Tpgd { steps, step_size } => {
            let climb = (*steps, *step_size);
            gradient::tpgd(target, victims, climb, strength, noise)
        }
        Method::Apgd(settings) => on_right(target, victims, &mut |target, right| {
            apgd::apgd(target, right, settings, strength, noise)
        }),
        Method::Square { queries } => on_right(target, victims, &mut |target, right| {
            square::square(target, right, *queries, strength, noise)
        }),
        Method::OnePixel(settings) => on_right(target, victims, &mut |target, right| {
            one_pixel::one_pixel(target, right, settings, strength, noise)
        }),
        Method::Noise => corrupt::each(victims, |i, x| {
            corrupt::gaussian(x, strength as f32, &mut noise.stream(i, 0));
            Ok(())
        }),
        Method::Corruption { kind } => corrupt::each(victims, |i, x| {
            kind.apply(strength as u8, x, space, &mut noise.stream(i, 0))
        }),
    }
}

/// Attacks only those that the network gets right.
fn on_right(
    target: &mut Target<'_>,
    victims: &Victims,
    attack: &mut dyn FnMut(&mut Target<'_>, &Victims) -> Result<Tensor>,
) -> Result<Tensor> {
    let right = target.logits(&victims.pixels)?.right(&victims.labels);
    let positions: Vec<usize> = (0..right.len()).filter(|i| right[*i]).collect();
    if positions.is_empty() {
        return Ok(victims.pixels.clone());
    }
    let changed = attack(target, &victims.at(&positions)?)?;
    // Row `k` of the result stands for sample `positions[k]`.
    let all = Tensor::cat(&[&victims.pixels, &changed], 0)?;
    let mut rows: Vec<usize> = (0..right.len()).collect();
    for (k, at) in positions.iter().enumerate() {
        rows[*at] = right.len() + k;
    }
    select(&all, &rows)
}
