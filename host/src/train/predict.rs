//! What a trained network says of samples without answers.

use std::collections::HashMap;

use candle_core::{DType, Tensor};

use super::baseline;
use super::evaluate::each_batch;
use super::neurons::{first_largest, label_block};
use super::run::{Job, trained};
use crate::data::feed::Samples;
use crate::device::Place;
use crate::nn::{Network, Pass};
use crate::plan::{Drive, Loss, MapPlan, RunPlan};
use crate::threads::in_pool;
use crate::{Error, Result};

/// What a network says of one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Outputs of the network as they are, or of the layer whose neurons have classes.
    pub outputs: Vec<f64>,
    /// What they mean.
    pub meaning: Meaning,
}

/// What outputs mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// Every class with what speaks for it, the likeliest first.
    Classes(Vec<(u32, f64)>),
    /// The values of a regression.
    Values(Vec<f64>),
}

/// What the number beside a class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Its probability, the softmax of the outputs.
    Probability,
    /// The output itself, of a network that learned classes by the squared error.
    Output,
    /// The activity of the class's most active neuron, where neurons were given classes.
    Activity,
    /// There are no classes.
    Nothing,
}

/// A trained network that answers.
pub struct Predictor {
    network: Network,
    place: Place,
    speaks: Speaks,
    /// A block and the classes of its neurons, where it answers.
    neurons: Option<(usize, Vec<u32>)>,
}

impl Predictor {
    /// The network of `job` with the values in `tensors`. Neurons without a read-out, of a phase
    /// with `neuron_labels`, get their classes by the phase's samples.
    ///
    /// # Errors
    /// A usage error for a network whose outputs are not what its data set has for answers.
    pub fn open(job: &Job<'_>, tensors: &HashMap<String, Tensor>) -> Result<Self> {
        let (mut network, place) = trained(job, tensors)?;
        if let Some((block, rule)) = network.eval_updates().first() {
            tell!(
                "warning: block `{block}`: its rule `{rule}` learns in evaluation too, and is held still here: answers do not depend on the order of the samples"
            );
        }
        network.hold_still();
        let train = &*job.data.train;
        if !train.classes() {
            return Ok(Self {
                network,
                place,
                speaks: Speaks::Nothing,
                neurons: None,
            });
        }
        if let Some((block, set)) = labelled(job.plan) {
            let samples = job.data.get(set)?;
            let found = in_pool(|| label_block(&mut network, block, samples, None, &place))?;
            return Ok(Self {
                network,
                place,
                speaks: Speaks::Activity,
                neurons: Some((block, found.labels)),
            });
        }
        let (outputs, classes) = (network.outputs(), train.outputs());
        let driven = job.plan.phases.iter().any(|p| p.drive != Drive::Local);
        // More outputs than classes were trained to be none of them.
        if outputs < classes || (outputs > classes && !driven) {
            return Err(Error::usage(format!(
                "the network has {outputs} outputs and the data set {classes} classes: which output means which class is not known"
            ))
            .hint("train a read-out, or set `neuron_labels = true` in the phase of the last layer"));
        }
        let segments = baseline::segments(job.plan);
        let phase = segments.first().and_then(|segment| segment.result_phase());
        let speaks = match phase.map_or(Loss::CrossEntropy, |phase| phase.loss_on(true)) {
            Loss::CrossEntropy => Speaks::Probability,
            Loss::Mse => Speaks::Output,
        };
        Ok(Self {
            network,
            place,
            speaks,
            neurons: None,
        })
    }

    /// What the numbers beside classes are.
    #[must_use]
    pub fn speaks(&self) -> Speaks {
        self.speaks
    }

    /// What it says of each of `samples`, in order.
    ///
    /// # Errors
    /// Failures of rules and tensor operations.
    pub fn answers(&mut self, samples: &dyn Samples) -> Result<Vec<Answer>> {
        let Self {
            network,
            place,
            speaks,
            neurons,
        } = self;
        let mut all = Vec::with_capacity(samples.len());
        let blocks = network.len();
        let outputs = samples.outputs();
        in_pool(|| {
            each_batch(network, samples, None, place, |network, x, from, _| {
                let y = match neurons {
                    Some((block, _)) => network
                        .forward_to_layer(&mut Pass::inference(), x, (from, *block))?
                        .ok_or_else(|| Error::internal("a block without a layer has no neurons"))?,
                    None => network.forward(&mut Pass::inference(), x, from..blocks)?,
                };
                let y = if y.rank() == 2 { y } else { y.flatten_from(1)? };
                for row in y.to_dtype(DType::F64)?.to_vec2::<f64>()? {
                    let meaning = match (&neurons, *speaks) {
                        (Some((_, labels)), _) => by_neurons(&row, labels, outputs),
                        (None, Speaks::Probability) => Meaning::Classes(ranked(&softmax(&row))),
                        (None, Speaks::Nothing) => Meaning::Values(row.clone()),
                        (None, _) => Meaning::Classes(ranked(&row)),
                    };
                    all.push(Answer {
                        outputs: row,
                        meaning,
                    });
                }
                Ok(())
            })
        })?;
        Ok(all)
    }
}

/// The block whose neurons have classes, and the samples that give them: where the last layer of the
/// network learned by a local rule in a phase that labels its neurons, and nothing else after.
fn labelled(plan: &RunPlan) -> Option<(usize, &str)> {
    let block = plan.blocks.iter().rposition(|b| b.layer.is_some())?;
    let name = &plan.blocks[block].name;
    let phase = plan.phases.iter().rfind(|p| p.blocks.contains(name))?;
    let is_dense = plan.blocks[block].layer.as_ref()?.map == MapPlan::Dense;
    (phase.neuron_labels && phase.drive == Drive::Local && is_dense)
        .then_some((block, phase.data.as_str()))
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|y| (y - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

/// Classes with their numbers, the largest first; the first class on ties.
fn ranked(row: &[f64]) -> Vec<(u32, f64)> {
    let mut all: Vec<(u32, f64)> = (0..).zip(row.iter().copied()).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

/// The class of the winner first, then classes by their most active neuron; classes without a
/// neuron last.
fn by_neurons(activity: &[f64], labels: &[u32], classes: usize) -> Meaning {
    let mut best = vec![f64::NEG_INFINITY; classes];
    for (y, class) in activity.iter().zip(labels) {
        let of = &mut best[*class as usize];
        *of = of.max(*y);
    }
    let mut all = ranked(&best);
    let winner = labels.get(first_largest(activity) as usize);
    if let Some(at) = winner.and_then(|class| all.iter().position(|(c, _)| c == class)) {
        let first = all.remove(at);
        all.insert(0, first);
    }
    Meaning::Classes(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_a_softmax_and_ties_go_to_the_first() {
        let p = softmax(&[1000.0, 1000.0 + 2f64.ln(), 0.0]);
        assert!((p[0] - 1.0 / 3.0).abs() < 1e-12 && p[2] == 0.0);
        let order: Vec<u32> = ranked(&[0.2, 0.5, 0.5])
            .into_iter()
            .map(|(c, _)| c)
            .collect();
        assert_eq!(order, [1, 2, 0]);
    }

    #[test]
    fn the_winner_decides_among_neurons() {
        // Two neurons of one class may both be active; the winner's class comes first on ties too.
        let Meaning::Classes(all) = by_neurons(&[0.4, 0.4, 0.2], &[2, 0, 2], 3) else {
            panic!("classes");
        };
        assert_eq!((all[0].0, all[1].0), (2, 0));
        assert_eq!(all[2], (1, f64::NEG_INFINITY));
    }
}
