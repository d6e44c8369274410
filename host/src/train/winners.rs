//! Who does the work in layers that learn locally: how often each unit answers loudest, over the first
//! test samples. One unit wins each place of a map; the first on ties.

use candle_core::{D, Device};

use super::evaluate::EVALUATION_BATCH;
use super::run::{Job, trained};
use crate::Result;
use crate::data::feed::Samples;
use crate::nn::{Mode, Network, Pass};
use crate::plan::Drive;
use crate::threads::in_pool;

/// Samples that are looked at.
const SAMPLES: usize = 2000;

/// Places won by each unit of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Winners {
    /// The layer's block.
    pub block: String,
    /// Places won by each unit, `[K]`.
    pub wins: Vec<u64>,
}

/// The winners of each layer of a finished run that a local phase trains, its values in `tensors`,
/// and the number of samples they are of. A layer inside another block is not looked at.
///
/// # Errors
/// As for [`super::score`].
pub fn winners(
    job: &Job<'_>,
    tensors: &std::collections::HashMap<String, candle_core::Tensor>,
    samples: &dyn Samples,
) -> Result<(usize, Vec<Winners>)> {
    let local = |name: &str| {
        let mut phases = job
            .plan
            .phases
            .iter()
            .filter(|p| p.drive != Drive::Gradient);
        phases.any(|p| p.blocks.iter().any(|b| b == name))
    };
    let blocks: Vec<usize> = (job.plan.blocks.iter().enumerate())
        .filter(|(_, b)| b.layer.is_some() && local(&b.name))
        .map(|(at, _)| at)
        .collect();
    if blocks.is_empty() {
        return Ok((0, Vec::new()));
    }
    let (mut network, place) = trained(job, tensors)?;
    network.hold_still();
    network.set_mode(&Mode::default());
    let n = samples.len().min(SAMPLES);
    let mut all: Vec<Winners> = (blocks.iter())
        .map(|at| Winners {
            block: job.plan.blocks[*at].name.clone(),
            wins: Vec::new(),
        })
        .collect();
    in_pool(|| -> Result<()> {
        for start in (0..n).step_by(EVALUATION_BATCH) {
            let indices: Vec<u32> =
                (start as u32..(start + EVALUATION_BATCH).min(n) as u32).collect();
            let x = samples.read(&indices)?.x;
            let mut x = x.to_device(&place.device)?.to_dtype(place.dtype)?;
            let mut from = 0;
            for (at, found) in blocks.iter().zip(&mut all) {
                x = network.forward(&mut Pass::inference(), &x, from..*at)?;
                from = *at;
                count(&mut network, &x, *at, &mut found.wins)?;
            }
        }
        Ok(())
    })?;
    Ok((n, all))
}

fn count(
    network: &mut Network,
    x: &candle_core::Tensor,
    at: usize,
    wins: &mut Vec<u64>,
) -> Result<()> {
    let y = network.forward_to_layer(&mut Pass::inference(), x, (at, at))?;
    let Some(y) = y else {
        return Ok(());
    };
    wins.resize(y.dim(1)?, 0);
    // Units last: `[B, ..., K]`.
    let y = match y.rank() {
        4 => y.permute((0, 2, 3, 1))?.contiguous()?,
        _ => y,
    };
    let loudest = y.argmax(D::Minus1)?.flatten_all()?;
    for unit in loudest.to_device(&Device::Cpu)?.to_vec1::<u32>()? {
        wins[unit as usize] += 1;
    }
    Ok(())
}
