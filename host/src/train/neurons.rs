//! Classes of neurons (SoftHebb, `engine.py`): a dense layer that
//! learned without labels is scored by giving each neuron the class that it wins
//! most often.
//!
//! The reference hears a neuron that never wins by the competition's factors, which
//! only the rule knows; here it is heard by the layer's output. Neurons that win are
//! labelled alike.

use std::collections::BTreeMap;

use candle_core::DType;

use super::cache::Features;
use super::evaluate::each_batch;
use super::phase::Running;
use super::run::Trainer;
use crate::data::Answers;
use crate::data::feed::Samples;
use crate::device::Place;
use crate::nn::{Network, Pass};
use crate::plan::{Drive, MapPlan, PhasePlan};
use crate::{Error, Result};

/// How often each neuron won a sample of each class, and how loud it was.
struct Votes {
    wins: Vec<f64>,
    heard: Vec<f64>,
    classes: usize,
}

impl Votes {
    fn new(neurons: usize, classes: usize) -> Self {
        Self {
            wins: vec![0.0; neurons * classes],
            heard: vec![0.0; neurons * classes],
            classes,
        }
    }

    /// A sample of class `class`, won by `winner`, with the activity of every neuron.
    fn add(&mut self, winner: u32, activity: &[f64], class: u32) {
        self.wins[winner as usize * self.classes + class as usize] += 1.0;
        for (k, y) in activity.iter().enumerate() {
            self.heard[k * self.classes + class as usize] += y;
        }
    }

    /// The class of each neuron; the first on ties.
    fn labels(&self) -> Vec<u32> {
        let rows = self
            .wins
            .chunks(self.classes)
            .zip(self.heard.chunks(self.classes));
        rows.map(|(won, heard)| {
            let silent = won.iter().all(|w| *w == 0.0);
            let row = if silent { heard } else { won };
            let best = (0..self.classes)
                .rev()
                .max_by(|&a, &b| row[a].total_cmp(&row[b]));
            best.unwrap_or(0) as u32
        })
        .collect()
    }
}

/// The class of each neuron, from `winners: [N]`, `activity: [N, K]` and the samples'
/// `classes: [N]`. A neuron that never wins takes the class with its largest summed
/// activity; the first class on ties.
pub fn label_neurons(
    winners: &[u32],
    activity: &[f64],
    classes: &[u32],
    neurons: usize,
    count: usize,
) -> Vec<u32> {
    let mut votes = Votes::new(neurons, count);
    for (sample, (&winner, &class)) in winners.iter().zip(classes).enumerate() {
        votes.add(winner, &activity[sample * neurons..][..neurons], class);
    }
    votes.labels()
}

/// Share of samples whose winner has their class.
pub fn neuron_accuracy(winners: &[u32], classes: &[u32], labels: &[u32]) -> f64 {
    let right = winners
        .iter()
        .zip(classes)
        .filter(|(w, c)| labels[**w as usize] == **c)
        .count();
    right as f64 / winners.len().max(1) as f64
}

/// The classes of the neurons of a block, and how many of the samples that gave them
/// are right.
#[derive(Clone, Debug, PartialEq)]
pub struct NeuronLabels {
    /// Class of each neuron, `[K]`.
    pub labels: Vec<u32>,
    /// Share of these samples whose winner has their class.
    pub accuracy: f64,
}

/// Labels the neurons of block `block`, which has a dense layer, by `samples`. Leaves the
/// network in evaluation mode.
///
/// # Errors
/// A usage error for targets that are no classes; failures of rules, data and tensors.
pub fn label_block(
    network: &mut Network,
    block: usize,
    samples: &dyn Samples,
    features: Option<&Features>,
    place: &Place,
) -> Result<NeuronLabels> {
    let (mut votes, mut winners, mut classes) = (None, Vec::new(), Vec::new());
    let count = samples.outputs();
    answers(
        network,
        block,
        samples,
        features,
        place,
        |activity, class| {
            let votes = votes.get_or_insert_with(|| Votes::new(activity.len(), count));
            let winner = first_largest(activity);
            votes.add(winner, activity, class);
            winners.push(winner);
            classes.push(class);
        },
    )?;
    let labels = votes.map_or_else(Vec::new, |votes| votes.labels());
    let accuracy = neuron_accuracy(&winners, &classes, &labels);
    Ok(NeuronLabels { labels, accuracy })
}

/// Share of `samples` whose winner in block `block` has their class, by `labels` of another set.
///
/// # Errors
/// As for [`label_block`].
pub fn score_block(
    network: &mut Network,
    block: usize,
    labels: &[u32],
    samples: &dyn Samples,
    features: Option<&Features>,
    place: &Place,
) -> Result<f64> {
    let (mut winners, mut classes) = (Vec::new(), Vec::new());
    answers(
        network,
        block,
        samples,
        features,
        place,
        |activity, class| {
            winners.push(first_largest(activity));
            classes.push(class);
        },
    )?;
    Ok(neuron_accuracy(&winners, &classes, labels))
}

/// Calls `hear(activity, class)` for every sample, in order.
fn answers(
    network: &mut Network,
    block: usize,
    samples: &dyn Samples,
    features: Option<&Features>,
    place: &Place,
    mut hear: impl FnMut(&[f64], u32),
) -> Result<()> {
    each_batch(
        network,
        samples,
        features,
        place,
        |network, x, from, indices| {
            let y = network.forward_to_layer(&mut Pass::inference(), x, (from, block))?;
            let y = y.ok_or_else(|| Error::internal("a block without a layer has no neurons"))?;
            let Answers::Classes(classes) = samples.answers(indices)? else {
                return Err(Error::usage(
                    "`neuron_labels` needs classes, and this data set has values",
                )
                .hint("remove `neuron_labels` from the phase"));
            };
            let y = y.to_dtype(DType::F64)?.to_vec2::<f64>()?;
            for (activity, class) in y.iter().zip(classes.to_vec1::<u32>()?) {
                hear(activity, class);
            }
            Ok(())
        },
    )
}

/// Place of the largest value, the first on ties.
pub(super) fn first_largest(values: &[f64]) -> u32 {
    let best = (0..values.len())
        .rev()
        .max_by(|&a, &b| values[a].total_cmp(&values[b]));
    best.unwrap_or(0) as u32
}

impl Trainer<'_> {
    /// Adds `neurons/train_accuracy` and the held-out one to `metrics`, where the phase asks
    /// for them and ends in a dense layer.
    pub(super) fn neuron_labels_if_due(
        &mut self,
        plan: &PhasePlan,
        running: &Running,
        metrics: &mut BTreeMap<String, f64>,
    ) -> Result<()> {
        let (every, epoch) = (plan.evaluate_every, self.position.epoch);
        let due = self.is_over(plan, running) || (every > 0 && epoch.is_multiple_of(every));
        if !plan.neuron_labels || plan.drive != Drive::Local || !due {
            return Ok(());
        }
        let blocks = &self.segment.blocks;
        let Some(block) = blocks.iter().rposition(|b| plan.blocks.contains(&b.name)) else {
            return Ok(());
        };
        let layer = blocks[block].layer.as_ref();
        if !layer.is_some_and(|layer| layer.map == MapPlan::Dense) {
            return Ok(());
        }
        let data = self.data;
        let (network, place) = (&mut self.engine.network, &self.place);
        let (first, samples) = (running.first, data.get(&plan.data)?);
        let kept = self.cache.peek(&plan.data, first);
        let found = label_block(network, block, samples, kept, place)?;
        let (name, held_out) = data.held_out();
        let kept = self.cache.peek(name, first);
        let score = score_block(network, block, &found.labels, held_out, kept, place)?;
        metrics.insert("neurons/train_accuracy".into(), found.accuracy);
        metrics.insert(format!("neurons/{name}_accuracy"), score);
        self.engine.network.set_mode(&Self::mode(plan));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_neuron_takes_the_class_it_hears_most() {
        let activity = [0.6, 0.3, 0.1, 0.1, 0.5, 0.4, 0.2, 0.7, 0.1];
        let labels = label_neurons(&[0, 1, 1], &activity, &[0, 2, 2], 3, 3);
        assert_eq!(labels, [0, 2, 2]);
        assert_eq!(neuron_accuracy(&[0, 1, 2], &[0, 2, 0], &labels), 2.0 / 3.0);
    }
}
