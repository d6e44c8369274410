//! Attacks on a trained network and corruptions of what it sees: how often a network is right when
//! somebody, or the weather, changes its pictures.
//!
//! Everything is measured in pixel values from 0 to 1; scaling and whitening are repeated between
//! the attack and the network ([`crate::data::PixelSpace`]). Nothing is learned: a rule that changes
//! in evaluation too stays as it is. Each random number is keyed by seed, sample, method and step,
//! so that no result depends on the size of a batch or on where a list of attacks was taken up again.
//!
//! | file | what it does |
//! | --- | --- |
//! | `method` | which attacks there are, their settings, names and strengths |
//! | `target` | the network behind an attack, and its two gradients |
//! | `loss` | what is climbed: cross-entropy, difference of logits ratio, divergence, margin |
//! | `ball` | norms: projections, directions, distances |
//! | `draw` | random numbers by key |
//! | `gradient` | FGSM, PGD, TPGD |
//! | `apgd` | APGD |
//! | `square`, `one_pixel` | attacks that only see outputs |
//! | `corrupt` | noise, blur, weather, colour, compression |
//! | `robust` | accuracies over a part of a data set |

mod apgd;
pub mod ball;
pub mod corrupt;
pub mod draw;
mod gradient;
pub mod loss;
pub mod method;
mod one_pixel;
mod robust;
mod square;
pub mod target;

pub use ball::Norm;
pub use draw::{Keyed, Noise};
pub use method::{Attack, Method};
pub use robust::{Event, Report, Row, Spec, robust_accuracy};
pub use target::{Gradient, Target};

use candle_core::Tensor;

use crate::Result;

/// The samples that are attacked together.
#[derive(Clone, Debug)]
pub struct Victims {
    /// Pixels, `[B, C, H, W]` or `[B, D]`, in the arithmetic and on the device of the network.
    pub pixels: Tensor,
    /// Class of each.
    pub labels: Vec<u32>,
    /// Position of each in the part of the data: the key of its random numbers.
    pub samples: Vec<u64>,
}

impl Victims {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Those at `positions` of these.
    fn at(&self, positions: &[usize]) -> Result<Self> {
        Ok(Self {
            pixels: select(&self.pixels, positions)?,
            labels: positions.iter().map(|i| self.labels[*i]).collect(),
            samples: positions.iter().map(|i| self.samples[*i]).collect(),
        })
    }
}

/// Rows `positions` of `t`.
fn select(t: &Tensor, positions: &[usize]) -> Result<Tensor> {
    let index: Vec<u32> = positions.iter().map(|i| *i as u32).collect();
    let index = Tensor::from_vec(index, positions.len(), t.device())?;
    Ok(t.contiguous()?.index_select(&index, 0)?)
}

/// For each row the one of `yes` where `mask` holds, else that of `no`.
fn choose(mask: &[bool], yes: &Tensor, no: &Tensor) -> Result<Tensor> {
    let both = Tensor::cat(&[yes, no], 0)?;
    let from = |(i, yes): (usize, &bool)| if *yes { i } else { mask.len() + i };
    let rows: Vec<usize> = mask.iter().enumerate().map(from).collect();
    select(&both, &rows)
}

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
