//! Segments of a run: the network of the plan, and the baselines set beside it.

use super::evaluate::EVALUATION_BATCH;
use super::run::Trainer;
use super::source::EpochSpec;
use crate::Result;
use crate::nn::{Mode, Pass};
use crate::plan::{Baseline, BlockPlan, Drive, LayerPlan, MapPlan, PhasePlan, RunPlan};

/// Steps that settle the running statistics of a network with random weights.
pub(super) const SETTLING_STEPS: u64 = 100;

/// A network and its phases.
pub struct Segment {
    /// `network`, or the baseline's name.
    pub name: String,
    /// In front of its tensor names in checkpoints.
    pub prefix: String,
    /// The network.
    pub blocks: Vec<BlockPlan>,
    /// What is trained.
    pub phases: Vec<PhasePlan>,
    /// Move running statistics over some batches before the first phase.
    pub settle: bool,
}

/// The network of the plan, then its baselines. A baseline that has no
/// gradient-driven phase to copy is left out.
pub fn segments(plan: &RunPlan) -> Vec<Segment> {
    let mut out = vec![Segment {
        name: "network".into(),
        prefix: String::new(),
        blocks: plan.blocks.clone(),
        phases: plan.phases.clone(),
        settle: false,
    }];
    let driven = plan.phases.iter().filter(|p| p.drive != Drive::Local);
    let driven: Vec<PhasePlan> = driven.cloned().collect();
    for baseline in &plan.baselines {
        let Some(last) = driven.last() else { continue };
        out.push(match baseline {
            Baseline::RandomWeights => random_weights(plan, &driven),
            Baseline::LinearPixels => linear_pixels(last),
        });
    }
    out
}

/// The same network; phases that learn locally are skipped, so the weights stay random.
fn random_weights(plan: &RunPlan, driven: &[PhasePlan]) -> Segment {
    let phases = driven.iter().cloned().map(|p| PhasePlan {
        drive: Drive::Gradient,
        ..p
    });
    Segment {
        name: "random-weights".into(),
        prefix: "baselines.random-weights.".into(),
        blocks: plan.blocks.clone(),
        phases: phases.collect(),
        settle: true,
    }
}

/// A dense layer on the flattened input, trained as the last phase of the plan.
fn linear_pixels(phase: &PhasePlan) -> Segment {
    let block = BlockPlan {
        flatten: true,
        layer: Some(LayerPlan {
            map: MapPlan::Dense,
            out: 0,
            bias: true,
            rule: "backprop".into(),
            params: Default::default(),
        }),
        ..BlockPlan::new("linear")
    };
    let phase = PhasePlan {
        blocks: vec![block.name.clone()],
        drive: Drive::Gradient,
        ..phase.clone()
    };
    Segment {
        name: "linear-pixels".into(),
        prefix: "baselines.linear-pixels.".into(),
        blocks: vec![block],
        phases: vec![phase],
        settle: false,
    }
}

/// Samples in a batch that settles statistics; no more than there are.
pub(super) fn settling_batch(phase: &PhasePlan, samples: usize) -> usize {
    phase.batch.max(EVALUATION_BATCH / 10).min(samples)
}

impl Trainer<'_> {
    /// Runs some batches of each local phase of the plan with no learning but
    /// that of running statistics: random weights deserve inputs on the same
    /// scale as trained ones.
    pub(super) fn settle_statistics(&mut self) -> Result<()> {
        let phases = self.plan.phases.iter().filter(|p| p.drive == Drive::Local);
        for phase in phases {
            self.network.set_mode(&Mode {
                blocks: phase.blocks.clone(),
                drive: None,
            });
            let first = self.network.first_active();
            if first == self.network.len() {
                continue;
            }
            let data = self.data;
            let spec = EpochSpec {
                seed: self.seed,
                epoch: 0,
                batch: settling_batch(phase, data.get(&phase.data)?.len()),
                shuffle: phase.shuffle,
                drop_last: phase.drop_last,
                augment: phase.augment,
                start: 0,
            };
            for batch in data
                .get(&phase.data)?
                .epoch(&spec)?
                .take(SETTLING_STEPS as usize)
            {
                self.place.go_on()?;
                let x = self.prefixed(&batch?.x, first)?;
                let mut pass = Pass::local(self.clock(phase, 0, 0, 0));
                self.network.forward_local(&mut pass, &x, first)?;
            }
        }
        Ok(())
    }
}
