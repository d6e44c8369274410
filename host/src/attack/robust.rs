//! How often a network is right on changed pixels, beside how often it is on clean ones.

use serde::{Deserialize, Serialize};

use super::ball::Norm;
use super::draw::Keyed;
use super::method::Attack;
use super::perturb::perturb;
use super::target::{Gradient, Target};
use super::victims::Victims;
use crate::data::Pixels;
use crate::device::Place;
use crate::nn::Network;
use crate::{Error, Result};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Each gives a row.
    pub attacks: Vec<Attack>,
    /// Of every random number.
    pub seed: u64,
    /// Samples attacked together. Changes no result beyond the rounding of sums.
    pub batch: usize,
}

/// How a network fares under one attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The attack, with its settings.
    #[serde(flatten)]
    pub attack: Attack,
    /// Samples seen.
    pub samples: usize,
    /// Right on clean pixels.
    pub clean: usize,
    /// Right on changed pixels.
    pub robust: usize,
    /// Right on both.
    pub both: usize,
    /// Mean over the samples of the largest change of a value.
    pub mean_linf: f64,
    /// Mean over the samples of the Euclidean length of the change.
    pub mean_l2: f64,
}

impl Row {
    /// Share right on clean pixels.
    #[must_use]
    pub fn clean_accuracy(&self) -> f64 {
        share(self.clean, self.samples)
    }

    /// Share right on changed pixels.
    #[must_use]
    pub fn robust_accuracy(&self) -> f64 {
        share(self.robust, self.samples)
    }

    /// Share still right of those that are right on clean pixels.
    #[must_use]
    pub fn accuracy_of_right(&self) -> f64 {
        share(self.both, self.clean)
    }
}

fn share(part: usize, all: usize) -> f64 {
    match all {
        0 => f64::NAN,
        _ => part as f64 / all as f64,
    }
}

/// Accuracies under every attack.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Samples seen.
    pub samples: usize,
    /// Right on clean pixels.
    pub clean: usize,
    /// One for each attack.
    pub rows: Vec<Row>,
}

/// What happens on the way.
#[derive(Debug)]
pub enum Event<'a> {
    /// The clean pixels are seen.
    Clean {
        /// How many were right.
        right: usize,
        /// Of how many.
        samples: usize,
    },
    /// So many samples of attack `index` are done.
    Samples {
        /// Position in the list of attacks.
        index: usize,
        /// Samples done.
        done: usize,
        /// Samples there are.
        of: usize,
    },
    /// An attack is done.
    Row(&'a Row),
}

/// Attacks `network` on all of `data` as `spec` says, telling `see` what is done. The network is
/// left in evaluation mode, its tensors as they were.
///
/// # Errors
/// Attacks that do not fit the samples or the rules, before anything is computed; failures of
/// rules and tensor operations; [`crate::ExitCode::Stopped`] where `place` is asked to stop.
pub fn robust_accuracy(
    network: &mut Network,
    data: &Pixels,
    spec: &Spec,
    place: &Place,
    see: &mut dyn FnMut(Event<'_>),
) -> Result<Report> {
    if network.outputs() < data.classes() {
        return Err(Error::usage(format!(
            "the network has {} outputs, and the data {} classes",
            network.outputs(),
            data.classes()
        )));
    }
    for attack in &spec.attacks {
        attack.method.check(attack.strength, &data.dims())?;
        let gradient = attack.gradient.unwrap_or_default();
        Target::new(network, data.space(), gradient, place)?;
    }
    let samples = data.len();
    let mut clean = Vec::with_capacity(samples);
    let mut target = Target::new(network, data.space(), Gradient::True, place)?;
    each(data, spec.batch, place, |victims| {
        clean.extend(target.logits(&victims.pixels)?.right(&victims.labels));
        Ok(())
    })?;
    let right = clean.iter().filter(|right| **right).count();
    see(Event::Clean { right, samples });
    let mut rows = Vec::with_capacity(spec.attacks.len());
    for (index, attack) in spec.attacks.iter().enumerate() {
        let gradient = attack.gradient.unwrap_or_default();
        let mut target = Target::new(network, data.space(), gradient, place)?;
        let noise = Keyed::new(spec.seed, &attack.method);
        let mut row = Row {
            attack: attack.clone(),
            samples,
            clean: right,
            robust: 0,
            both: 0,
            mean_linf: 0.0,
            mean_l2: 0.0,
        };
        let mut done = 0;
        let mut reach = [0.0, 0.0];
        each(data, spec.batch, place, |victims| {
            let changed = perturb(&mut target, attack, victims, &noise)?;
            let still = target.logits(&changed)?.right(&victims.labels);
            for (still, was) in still.iter().zip(&clean[done..]) {
                row.robust += usize::from(*still);
                row.both += usize::from(*still && *was);
            }
            for (sum, norm) in reach.iter_mut().zip([Norm::Linf, Norm::L2]) {
                // One after another: the sum is the same for every size of a batch.
                let sizes = norm.sizes(&victims.pixels, &changed)?;
                sizes.iter().for_each(|size| *sum += size);
            }
            done += still.len();
            see(Event::Samples {
                index,
                done,
                of: samples,
            });
            Ok(())
        })?;
        [row.mean_linf, row.mean_l2] = reach.map(|sum| sum / samples.max(1) as f64);
        see(Event::Row(&row));
        rows.push(row);
    }
    Ok(Report {
        samples,
        clean: right,
        rows,
    })
}

/// All of `data` in order, `batch` at a time.
fn each(
    data: &Pixels,
    batch: usize,
    place: &Place,
    mut see: impl FnMut(&Victims) -> Result<()>,
) -> Result<()> {
    for start in (0..data.len()).step_by(batch.max(1)) {
        place.go_on()?;
        let range = start..(start + batch.max(1)).min(data.len());
        let (pixels, labels) = data.read(range.clone())?;
        let pixels = pixels.to_dtype(place.dtype)?.to_device(&place.device)?;
        let samples = range.map(|i| i as u64).collect();
        see(&Victims {
            pixels,
            labels,
            samples,
        })?;
    }
    Ok(())
}
