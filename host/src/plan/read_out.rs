//! The read-out of a network: its last block with a layer and what follows it. The baseline
//! `random-weights` trains it alone.

use super::{BlockPlan, Drive, PhasePlan, RunPlan, every_block};

/// Position of the read-out's layer among `blocks`; `None` where no block has a layer.
#[must_use]
pub fn read_out(blocks: &[BlockPlan]) -> Option<usize> {
    blocks.iter().rposition(has_layer)
}

/// Whether `block` has a layer, of its own or inside.
fn has_layer(block: &BlockPlan) -> bool {
    every_block(std::slice::from_ref(block))
        .iter()
        .any(|b| b.layer.is_some())
}

/// The phases of `plan` that train the read-out by the loss, each with the blocks of the read-out
/// alone.
#[must_use]
pub fn read_out_phases(plan: &RunPlan) -> Vec<PhasePlan> {
    let Some(at) = read_out(&plan.blocks) else {
        return Vec::new();
    };
    let layer: Vec<&str> = names(&plan.blocks[at..=at]);
    let all: Vec<&str> = names(&plan.blocks[at..]);
    let driven = plan.phases.iter().filter(|p| p.drive != Drive::Local);
    driven
        .filter(|p| p.blocks.iter().any(|b| layer.contains(&b.as_str())))
        .map(|p| {
            let listed = p.blocks.iter().filter(|b| all.contains(&b.as_str()));
            let blocks: Vec<String> = listed.cloned().collect();
            // A metric of layers that no longer learn cannot end the phase.
            let frozen = blocks.len() < p.blocks.len() && p.epochs > 0;
            let stop = p.stop.clone();
            PhasePlan {
                drive: Drive::Gradient,
                stop: stop.filter(|s| !frozen || s.epoch_metric().is_some()),
                blocks,
                ..p.clone()
            }
        })
        .collect()
}

fn names(blocks: &[BlockPlan]) -> Vec<&str> {
    let all = every_block(blocks).into_iter();
    all.map(|b| b.name.as_str()).collect()
}

/// Names of the blocks that `listed` stands for: these, and those inside of them.
#[must_use]
pub fn with_inner<'a>(blocks: &'a [BlockPlan], listed: &[String]) -> Vec<&'a str> {
    let mut out = Vec::new();
    for block in every_block(blocks) {
        if listed.contains(&block.name) {
            out.extend(names(std::slice::from_ref(block)));
        }
    }
    out
}
