//! The one-pixel attack (Su, Vargas, Sakurai 2019): a few pixels are set to any colour, chosen by
//! differential evolution from outputs alone.

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

use super::draw::Noise;
use super::method::OnePixel;
use super::target::{Target, values};
use super::victims::{Victims, choose};
use crate::data::random::{below, unit};
use crate::{Error, Result};

/// Weight of the difference in a mutant, as in the paper.
const DIFFERENCE: f32 = 0.5;

/// A candidate: row, column and colour of each pixel, all in [0, 1).
type Genes = Vec<f32>;

/// One sample under attack.
struct Evolution<'a> {
    clean: &'a [f32],
    dims: [usize; 3],
    members: Vec<Genes>,
    /// Probability of the label, the lower the better.
    scores: Vec<f64>,
}

impl Evolution<'_> {
    /// The sample with the pixels of `genes`.
    fn painted(&self, genes: &[f32]) -> Vec<f32> {
        let [c, h, w] = self.dims;
        let mut out = self.clean.to_vec();
        for pixel in genes.chunks_exact(2 + c) {
            let place = |v: f32, n: usize| ((v * n as f32) as usize).min(n - 1);
            let (row, column) = (place(pixel[0], h), place(pixel[1], w));
            for (channel, colour) in pixel[2..].iter().enumerate() {
                out[(channel * h + row) * w + column] = *colour;
            }
        }
        out
    }

    /// A mutant for each member: one drawn member and the difference of two others, none of them
    /// the same. What leaves [0, 1] is drawn anew.
    fn mutants(&self, rng: &mut ChaCha8Rng) -> Vec<Genes> {
        let n = self.members.len();
        let mutant = |own: usize, rng: &mut ChaCha8Rng| {
            let mut drawn = [own; 4];
            for at in 1..4 {
                while drawn[..at].contains(&drawn[at]) {
                    drawn[at] = below(rng, n);
                }
            }
            let [_, base, a, b] = drawn.map(|i| &self.members[i]);
            let one = |i: usize, rng: &mut ChaCha8Rng| {
                let v = base[i] + DIFFERENCE * (a[i] - b[i]);
                if (0.0..=1.0).contains(&v) {
                    v
                } else {
                    unit(rng)
                }
            };
            (0..base.len()).map(|i| one(i, rng)).collect()
        };
        (0..n).map(|own| mutant(own, rng)).collect()
    }
}

/// Perturbed pixels; samples for which nothing was found stay as they are. All `victims` are right
/// before. `pixels` is how many are set.
pub(super) fn one_pixel(
    target: &mut Target<'_>,
    victims: &Victims,
    settings: &OnePixel,
    pixels: f64,
    noise: &dyn Noise,
) -> Result<Tensor> {
    let [c, h, w] = victims.pixels.dims()[1..] else {
        return Err(Error::usage(
            "`one-pixel` sets pixels of pictures, and these samples are vectors",
        )
        .hint("give the network pictures, or use `pgd` and `apgd`"));
    };
    let dims = [c, h, w];
    let each = c * h * w;
    let genes = pixels as usize * (2 + c);
    let clean = values(&victims.pixels)?;
    let mut open: Vec<(usize, Evolution<'_>)> = Vec::new();
    for (i, x) in clean.chunks_exact(each).enumerate() {
        let mut rng = noise.stream(victims.samples[i], 0);
        let members = (0..settings.population)
            .map(|_| (0..genes).map(|_| unit(&mut rng)).collect())
            .collect();
        let scores = vec![f64::INFINITY; settings.population];
        let evolution = Evolution {
            clean: x,
            dims,
            members,
            scores,
        };
        open.push((i, evolution));
    }
    let mut fooled: Vec<Option<Vec<f32>>> = vec![None; victims.len()];
    if genes == 0 {
        open.clear();
    }
    for generation in 0..=settings.steps {
        target.go_on()?;
        let mut still = Vec::with_capacity(open.len());
        for (i, mut evolution) in open {
            let mut rng = noise.stream(victims.samples[i], generation as u64);
            let children = match generation {
                0 => evolution.members.clone(),
                _ => evolution.mutants(&mut rng),
            };
            let painted: Vec<f32> = children.iter().flat_map(|g| evolution.painted(g)).collect();
            let logits = target.logits(&target.batch(&painted, &dims)?)?;
            let labels = vec![victims.labels[i]; children.len()];
            let right = logits.right(&labels);
            if let Some(at) = right.iter().position(|right| !right) {
                fooled[i] = Some(painted[at * each..(at + 1) * each].to_vec());
                continue;
            }
            let scores = logits.probabilities(&labels);
            for (at, (child, score)) in children.into_iter().zip(scores).enumerate() {
                if score < evolution.scores[at] {
                    evolution.scores[at] = score;
                    evolution.members[at] = child;
                }
            }
            still.push((i, evolution));
        }
        open = still;
    }
    let found: Vec<bool> = fooled.iter().map(Option::is_some).collect();
    let painted = fooled.into_iter().zip(clean.chunks_exact(each));
    let painted: Vec<f32> = painted
        .flat_map(|(f, x)| f.unwrap_or_else(|| x.to_vec()))
        .collect();
    choose(&found, &target.batch(&painted, &dims)?, &victims.pixels)
}
