//! Segments of a run: the network of the plan, and the baselines set beside it.

use super::evaluate::EVALUATION_BATCH;
use super::run::Trainer;
use crate::Result;
use crate::data::feed::EpochSpec;
use crate::nn::{Mode, Pass};
use crate::plan::read_out::read_out_phases;
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

/// The network of the plan, then its baselines. A baseline that no phase says how to train is
/// left out; `config::before_training` refuses it.
pub fn segments(plan: &RunPlan) -> Vec<Segment> {
    let mut out = vec![Segment {
        name: "network".into(),
        prefix: String::new(),
        blocks: plan.blocks.clone(),
        phases: plan.phases.clone(),
        settle: false,
    }];
    out.extend(plan.baselines.iter().filter_map(|baseline| match baseline {
        Baseline::RandomWeights => random_weights(plan),
        Baseline::LinearPixels => {
            let driven = plan.phases.iter().rfind(|p| p.drive != Drive::Local);
            driven.map(linear_pixels)
        }
    }));
    out
}

/// The same network, of which only the read-out learns: all other weights stay random.
fn random_weights(plan: &RunPlan) -> Option<Segment> {
    let phases = read_out_phases(plan);
    (!phases.is_empty()).then(|| Segment {
        name: "random-weights".into(),
        prefix: "baselines.random-weights.".into(),
        blocks: plan.blocks.clone(),
        phases,
        settle: true,
    })
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
    let stop = phase.stop.clone();
    let phase = PhasePlan {
        blocks: vec![block.name.clone()],
        drive: Drive::Gradient,
        stop: stop.filter(|s| s.epoch_metric().is_some() || phase.epochs == 0),
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
    /// Runs some batches of each phase of the plan with no learning but that of the running
    /// statistics of blocks that stay random: these deserve inputs on the same scale as trained
    /// ones. Local phases come first, whole; of the others the read-out is left out, as it learns.
    pub(super) fn settle_statistics(&mut self) -> Result<()> {
        let (local, driven): (Vec<_>, Vec<_>) = self
            .plan
            .phases
            .iter()
            .partition(|p| p.drive == Drive::Local);
        let learns: Vec<&String> = self.segment.phases.iter().flat_map(|p| &p.blocks).collect();
        for phase in local.into_iter().chain(driven) {
            let stays = |b: &&String| phase.drive == Drive::Local || !learns.contains(b);
            self.engine.network.set_mode(&Mode {
                blocks: phase.blocks.iter().filter(stays).cloned().collect(),
                drive: None,
            });
            let first = self.engine.network.first_active();
            if first == self.engine.network.len() {
                continue;
            }
            let data = self.data;
            let spec = EpochSpec {
                seed: phase.seed.unwrap_or(self.seed),
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
                self.engine.network.forward_local(&mut pass, &x, first)?;
            }
        }
        Ok(())
    }
}
