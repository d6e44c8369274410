//! APGD (Croce, Hein 2020): projected gradient ascent with momentum that halves a sample's step
//! where the loss no longer rises, and goes on from the best point found.

use candle_core::Tensor;

use super::ball::Norm;
use super::draw::Noise;
use super::loss::Logits;
use super::method::{Apgd, ApgdLoss};
use super::target::Target;
use super::victims::{Victims, choose};
use crate::Result;

/// Share of a window's steps that have to raise the loss.
const RISING: f64 = 0.75;
/// Share of the step in a move; the rest continues the move before.
const OF_STEP: f64 = 0.75;

/// Steps until the first look at the loss, how much sooner each later one comes, and the least.
fn windows(steps: usize) -> (usize, usize, usize) {
    let share = |f: f64| ((f * steps as f64) as usize).max(1);
    (share(0.22), share(0.03), share(0.06))
}

/// What is known of each sample on the way.
struct Watch {
    /// Loss after each step of the whole attack, `[steps][B]`.
    losses: Vec<Vec<f64>>,
    best: Vec<f64>,
    best_at_last_look: Vec<f64>,
    /// The step was halved at the last look; holds before the first.
    halved: Vec<bool>,
    /// Step size of each sample, in units of epsilon.
    size: Vec<f64>,
}

impl Watch {
    /// The samples whose step is now halved: the loss rose in too few of the last `window` steps,
    /// or its best value did not move since a look that left the step alone.
    fn look(&mut self, window: usize) -> Vec<bool> {
        let last = self.losses.len();
        let at = |step: usize, i: usize| match step {
            // Before the first step stands 0, as in the reference.
            0 => 0.0,
            step => self.losses[step - 1][i],
        };
        let halve: Vec<bool> = (0..self.best.len())
            .map(|i| {
                let rises = |step: &usize| at(*step, i) > at(*step - 1, i);
                let rises = (last - window + 1..=last).filter(rises).count();
                let stuck = !self.halved[i] && self.best_at_last_look[i] >= self.best[i];
                rises as f64 <= RISING * window as f64 || stuck
            })
            .collect();
        for (size, _) in self.size.iter_mut().zip(&halve).filter(|(_, h)| **h) {
            *size /= 2.0;
        }
        self.best_at_last_look.clone_from(&self.best);
        self.halved.clone_from(&halve);
        halve
    }
}

/// The last iterate of each sample that the network takes for another class, or the clean pixels
/// where none was found. All `victims` are right before.
pub(super) fn apgd(
    target: &mut Target<'_>,
    victims: &Victims,
    settings: &Apgd,
    epsilon: f64,
    noise: &dyn Noise,
) -> Result<Tensor> {
    let (x, labels, norm) = (&victims.pixels, &victims.labels, settings.norm);
    let loss = |z: &Logits| match settings.loss {
        ApgdLoss::CrossEntropy => Ok(z.cross_entropy(labels)),
        ApgdLoss::LogitRatio => z.logit_ratio(labels),
    };
    let n = victims.len();
    let mut now = start(target, victims, norm, epsilon, noise)?;
    let slope = target.slope(&now, &loss)?;
    let mut gradient = slope.gradient;
    let right = slope.logits.right(labels);
    let mut found = choose(&right, x, &now)?;
    let (mut best, mut best_gradient) = (now.clone(), gradient.clone());
    let mut before = now.clone();
    let mut watch = Watch {
        losses: Vec::with_capacity(settings.steps),
        best_at_last_look: slope.losses.clone(),
        best: slope.losses,
        halved: vec![true; n],
        size: vec![2.0; n],
    };
    let (mut window, sooner, least) = windows(settings.steps);
    let mut since = 0;
    for step in 0..settings.steps {
        target.go_on()?;
        let sizes = per_sample(&watch.size, epsilon, &now)?;
        let share = if step == 0 { 1.0 } else { OF_STEP };
        let ascent = norm.ascent(&gradient)?.broadcast_mul(&sizes)?;
        let moved = norm.project(x, &(&now + ascent)?, epsilon)?;
        let momentum = ((&now - &before)? * (1.0 - share))?;
        let moved = ((&now + ((moved - &now)? * share)?)? + momentum)?;
        let next = norm.project(x, &moved, epsilon)?;
        before = std::mem::replace(&mut now, next);
        let slope = target.slope(&now, &loss)?;
        gradient = slope.gradient;
        found = choose(&slope.logits.right(labels), &found, &now)?;
        let better: Vec<bool> = slope
            .losses
            .iter()
            .zip(&watch.best)
            .map(|(l, b)| l > b)
            .collect();
        best = choose(&better, &now, &best)?;
        best_gradient = choose(&better, &gradient, &best_gradient)?;
        for (held, new) in watch.best.iter_mut().zip(&slope.losses) {
            *held = if *new > *held { *new } else { *held };
        }
        watch.losses.push(slope.losses);
        since += 1;
        if since == window {
            let halve = watch.look(window);
            now = choose(&halve, &best, &now)?;
            gradient = choose(&halve, &best_gradient, &gradient)?;
            since = 0;
            window = window.saturating_sub(sooner).max(least);
        }
    }
    Ok(found)
}

/// On the surface of the ball around each sample, brought to [0, 1].
fn start(
    target: &Target<'_>,
    victims: &Victims,
    norm: Norm,
    epsilon: f64,
    noise: &dyn Noise,
) -> Result<Tensor> {
    let x = &victims.pixels;
    let dims = &x.dims()[1..];
    let each: usize = dims.iter().product();
    let mut all = vec![0f32; victims.len() * each];
    for (out, sample) in all.chunks_exact_mut(each).zip(&victims.samples) {
        let reach = match norm {
            Norm::Linf => {
                noise.uniform(*sample, out);
                out.iter_mut().for_each(|v| *v = 2.0 * *v - 1.0);
                out.iter().fold(0f32, |m, v| m.max(v.abs()))
            }
            Norm::L2 => {
                noise.normal(*sample, out);
                out.iter().map(|v| v * v).sum::<f32>().sqrt()
            }
        };
        let reach = reach.max(f32::MIN_POSITIVE);
        out.iter_mut().for_each(|v| *v /= reach);
    }
    let start = (target.batch(&all, dims)? * epsilon)?;
    Ok((x + start)?.clamp(0.0, 1.0)?)
}

/// `sizes·epsilon` as `[B, 1, …]` beside `like`.
fn per_sample(sizes: &[f64], epsilon: f64, like: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; like.rank()];
    shape[0] = sizes.len();
    let sizes: Vec<f64> = sizes.iter().map(|s| s * epsilon).collect();
    let t = Tensor::from_vec(sizes, shape, &candle_core::Device::Cpu)?;
    Ok(t.to_dtype(like.dtype())?.to_device(like.device())?)
}
