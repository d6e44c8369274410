//! What a checkpoint holds beside tensors, and how it is restored.

use std::collections::HashMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::best::Best;
use super::run::SegmentResult;
use super::stop::StopState;
use crate::{Error, Result};

/// A checkpoint as it comes from the run folder.
#[derive(Debug)]
pub struct Checkpoint {
    /// Tensors by full name.
    pub tensors: HashMap<String, Tensor>,
    /// What [`Saved`] was written as.
    pub state: serde_json::Value,
}

/// Where a run stands: everything before this is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// 0 is the network, then the baselines.
    pub segment: usize,
    /// Phase of the segment.
    pub phase: usize,
    /// Finished epochs of the phase.
    pub epoch: u64,
    /// Finished batches of the next epoch.
    pub batch: u64,
    /// Steps of the phase.
    pub step: u64,
    /// Finished pieces of what comes before the next epoch.
    #[serde(default)]
    pub prepared: u64,
    /// Finished epochs of the segment.
    pub total_epoch: u64,
    /// Steps of the segment.
    pub total_step: u64,
}

impl Position {
    /// Nothing of the segment is done.
    pub fn is_segment_start(&self) -> bool {
        self.phase == 0 && self.is_phase_start()
    }

    /// Nothing of the phase is done.
    pub fn is_phase_start(&self) -> bool {
        self.epoch == 0 && self.batch == 0 && self.prepared == 0
    }

    /// The beginning of the next phase.
    #[must_use]
    pub fn next_phase(self) -> Self {
        Self {
            phase: self.phase + 1,
            epoch: 0,
            batch: 0,
            step: 0,
            prepared: 0,
            ..self
        }
    }

    /// The beginning of the next segment.
    #[must_use]
    pub fn next_segment(self) -> Self {
        Self {
            segment: self.segment + 1,
            ..Self::default()
        }
    }
}

/// The state beside the tensors. Floating-point numbers that must come back
/// exactly are stored as their bits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Layout of this structure.
    pub version: u32,
    /// Seed of the run.
    pub seed: u64,
    /// Where the run stands.
    pub position: Position,
    /// Steps of every layer and norm.
    pub counters: Vec<(String, u64)>,
    /// Steps of the optimiser.
    pub optimizer_steps: u64,
    /// Loss and accuracy of the unfinished epoch.
    pub meter: Option<[u64; 3]>,
    /// What the stop rule has seen.
    pub stop: StopState,
    /// Seconds spent in the unfinished epoch (informative only).
    pub seconds: f64,
    /// Results of finished segments.
    pub results: Vec<SegmentResult>,
    /// Value of the metric at the best epoch so far, as bits.
    pub best: Option<u64>,
    /// The best epoch so far.
    #[serde(default)]
    pub chosen: Option<Best>,
    /// Sum of the class weights in the unfinished epoch, as bits, where the loss has some.
    #[serde(default)]
    pub meter_weight: Option<u64>,
    /// Scores on the test set of exactly the tensors beside this, where they are known.
    #[serde(default)]
    pub current: Option<SegmentResult>,
    /// What the kind of step needs besides tensors.
    #[serde(default)]
    pub step: serde_json::Value,
}

/// The layout written now.
pub const VERSION: u32 = 1;

impl Saved {
    /// From a checkpoint's state.
    ///
    /// # Errors
    /// A usage error for another layout or seed, a storage error for a damaged state.
    pub fn read(state: &serde_json::Value, seed: u64) -> Result<Self> {
        let saved: Self = serde_json::from_value(state.clone())
            .map_err(|e| Error::storage(format!("the checkpoint's state cannot be read: {e}")))?;
        if saved.version != VERSION {
            return Err(Error::usage(format!(
                "the checkpoint has layout {}, this program reads {VERSION}",
                saved.version
            ))
            .hint("start a new run folder, or use the program that wrote it"));
        }
        if saved.seed != seed {
            return Err(Error::usage(format!(
                "the checkpoint belongs to seed {}, this run has {seed}",
                saved.seed
            )));
        }
        Ok(saved)
    }

    /// As a checkpoint's state.
    pub fn write(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(|e| Error::internal(format!("checkpoint state: {e}")))
    }
}
