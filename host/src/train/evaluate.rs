//! Loss and accuracy on held-out samples, in large batches.

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::cache::Features;
use super::loss::score;
use super::meter::Meter;
use super::source::Samples;
use crate::device::budget::Budget;
use crate::nn::{Mode, Network, Pass};
use crate::plan::Loss;
use crate::run::StopFlag;
use crate::{Error, ExitCode, Result};

/// Samples in an evaluation batch.
pub const EVALUATION_BATCH: usize = 250;

/// Result of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Mean loss.
    pub loss: f64,
    /// Share right; `None` for regression.
    pub accuracy: Option<f64>,
    /// Samples seen.
    pub samples: usize,
}

/// [`Scores`] with its numbers as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedScores {
    loss: u64,
    accuracy: Option<u64>,
    samples: usize,
}

impl From<Scores> for SavedScores {
    fn from(s: Scores) -> Self {
        Self {
            loss: s.loss.to_bits(),
            accuracy: s.accuracy.map(f64::to_bits),
            samples: s.samples,
        }
    }
}

impl From<SavedScores> for Scores {
    fn from(s: SavedScores) -> Self {
        Self {
            loss: f64::from_bits(s.loss),
            accuracy: s.accuracy.map(f64::from_bits),
            samples: s.samples,
        }
    }
}

/// Where a network lives.
#[derive(Clone, Debug)]
pub struct Place {
    /// Device of the network.
    pub device: Device,
    /// Its arithmetic.
    pub dtype: DType,
    /// What data sets and kept features may still take on the device.
    pub budget: Budget,
    /// Looked at between batches where nothing learns, so that a stop does not wait for the end.
    pub stop: StopFlag,
}

impl Place {
    /// Whether to leave a loop over batches.
    ///
    /// # Errors
    /// [`ExitCode::Stopped`] where a stop was asked for; no failure, and told nobody.
    pub fn go_on(&self) -> Result<()> {
        match self.stop.stopped() {
            true => Err(Error::new(ExitCode::Stopped, "stopped on request")),
            false => Ok(()),
        }
    }
}

/// Scores of the whole network on `samples`, starting from kept features where
/// there are some. Leaves the network in evaluation mode.
///
/// # Errors
/// Failures of rules, data and tensor operations.
pub fn evaluate(
    network: &mut Network,
    samples: &dyn Samples,
    features: Option<&Features>,
    loss: Loss,
    place: &Place,
) -> Result<Scores> {
    let mut meter = Meter::new(&place.device)?;
    let mut classes = false;
    let n = samples.len();
    let blocks = network.len();
    each_batch(
        network,
        samples,
        features,
        place,
        |network, x, from, indices| {
            let y = network.forward(&mut Pass::inference(), x, from..blocks)?;
            let y = if y.rank() == 2 { y } else { y.flatten_from(1)? };
            let answers = samples.answers(indices)?.beside(&y)?;
            classes |= matches!(answers, super::loss::Answers::Classes(_));
            meter.add(&score(loss, &y, &answers)?.sums, indices.len())
        },
    )?;
    let (loss, accuracy) = meter.read()?;
    Ok(Scores {
        loss,
        accuracy: classes.then_some(accuracy),
        samples: n,
    })
}

/// Calls `see(network, x, from, indices)` for all samples in order, in large batches: `x` is
/// the input of block `from`, kept features where there are some. The network is in
/// evaluation mode, and stays so.
///
/// # Errors
/// Failures of rules, data and tensor operations, and those of `see`.
pub fn each_batch(
    network: &mut Network,
    samples: &dyn Samples,
    features: Option<&Features>,
    place: &Place,
    mut see: impl FnMut(&mut Network, &Tensor, usize, &[u32]) -> Result<()>,
) -> Result<()> {
    network.set_mode(&Mode::default());
    let n = samples.len();
    // A pass that changes the network is not left in the middle.
    let restless = network.is_restless();
    for start in (0..n).step_by(EVALUATION_BATCH) {
        if !restless {
            place.go_on()?;
        }
        let indices: Vec<u32> = (start as u32..(start + EVALUATION_BATCH).min(n) as u32).collect();
        let (x, from) = match features {
            Some(f) => (f.gather(&indices, None, place)?, f.prefix()),
            None => {
                let x = samples.read(&indices)?.x;
                (x.to_device(&place.device)?.to_dtype(place.dtype)?, 0)
            }
        };
        see(network, &x, from, &indices)?;
    }
    Ok(())
}
