//! The Square attack (Andriushchenko et al. 2020) in the cube: random search that repaints one
//! square at a time with a corner of the ball and keeps what lowers the margin. It sees outputs
//! only, so that no gradient can mislead it.

use candle_core::Tensor;

use super::draw::Noise;
use super::target::{Target, values};
use super::victims::Victims;
use crate::data::random::{below, unit};
use crate::{Error, Result};

/// Share of the picture that the first squares cover.
const FIRST_SHARE: f64 = 0.8;
/// The share is halved once more after each of these queries, for 10,000 in all; other budgets are
/// stretched to that (the paper's schedule).
const HALVED_AFTER: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];

/// Side of the square at query `query` of `queries`, on a picture of `pixels` pixels.
fn side(query: usize, queries: usize, pixels: usize) -> usize {
    let stretched = (query as f64 / queries as f64 * 10_000.0) as usize;
    let halvings = HALVED_AFTER
        .iter()
        .filter(|after| stretched > **after)
        .count();
    let share = FIRST_SHARE / f64::from(1u32 << halvings);
    // To even, as the reference rounds.
    ((share * pixels as f64).sqrt().round_ties_even() as usize).max(1)
}

/// Perturbed pixels after at most `queries` answers for each sample; all `victims` are right before.
pub(super) fn square(
    target: &mut Target<'_>,
    victims: &Victims,
    queries: usize,
    epsilon: f64,
    noise: &dyn Noise,
) -> Result<Tensor> {
    let [c, h, w] = victims.pixels.dims()[1..] else {
        return Err(
            Error::usage("`square` paints squares, and these samples are vectors")
                .hint("give the network pictures, or use `pgd` and `apgd`"),
        );
    };
    let dims = [c, h, w];
    let (each, epsilon) = (c * h * w, epsilon as f32);
    let clean = values(&victims.pixels)?;
    let clean: Vec<&[f32]> = clean.chunks_exact(each).collect();
    let mut best: Vec<Vec<f32>> = clean.iter().map(|x| x.to_vec()).collect();
    for (best, sample) in best.iter_mut().zip(&victims.samples) {
        let mut rng = noise.stream(*sample, 0);
        for plane in best.chunks_exact_mut(h * w) {
            let stripe: Vec<f32> = (0..w).map(|_| sign(&mut rng) * epsilon).collect();
            for (at, v) in plane.iter_mut().enumerate() {
                *v = (*v + stripe[at % w]).clamp(0.0, 1.0);
            }
        }
    }
    let batch = target.batch(&best.concat(), &dims)?;
    let mut margins = target.logits(&batch)?.margins(&victims.labels);
    for query in 0..queries {
        target.go_on()?;
        let open: Vec<usize> = (0..margins.len()).filter(|i| margins[*i] > 0.0).collect();
        if open.is_empty() {
            break;
        }
        let size = side(query, queries, h * w).min(h.min(w));
        let mut tried = Vec::with_capacity(open.len() * each);
        for &i in &open {
            let mut rng = noise.stream(victims.samples[i], 1 + query as u64);
            let (top, left) = (below(&mut rng, h - size + 1), below(&mut rng, w - size + 1));
            let from = tried.len();
            tried.extend_from_slice(&best[i]);
            for channel in 0..c {
                let change = 2.0 * epsilon * sign(&mut rng);
                for row in top..top + size {
                    for column in left..left + size {
                        let at = (channel * h + row) * w + column;
                        let x = clean[i][at];
                        let v = (tried[from + at] + change).clamp(x - epsilon, x + epsilon);
                        tried[from + at] = v.clamp(0.0, 1.0);
                    }
                }
            }
        }
        let labels: Vec<u32> = open.iter().map(|i| victims.labels[*i]).collect();
        let found = target
            .logits(&target.batch(&tried, &dims)?)?
            .margins(&labels);
        for ((i, margin), tried) in open.iter().zip(found).zip(tried.chunks_exact(each)) {
            if margin < margins[*i] {
                margins[*i] = margin;
                best[*i].copy_from_slice(tried);
            }
        }
    }
    target.batch(&best.concat(), &dims)
}

fn sign(rng: &mut rand_chacha::ChaCha8Rng) -> f32 {
    if unit(rng) < 0.5 { -1.0 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_shrink_to_one_pixel() {
        let sides: Vec<usize> = (0..1000).map(|q| side(q, 1000, 1024)).collect();
        assert_eq!((sides[0], sides[999]), (29, 1));
        assert!(sides.windows(2).all(|pair| pair[0] >= pair[1]));
        // After a tenth of all queries the share is a sixteenth of the first.
        assert_eq!(sides[99], 7);
    }
}
