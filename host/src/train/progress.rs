//! Who a run reports to, and who may ask it to stop.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::Tensor;

use super::init::Initial;
use crate::nn::network::BlockMetrics;
use crate::stop::StopFlag;
use crate::{Error, Result};

/// A phase begins (or goes on).
#[derive(Clone, Debug)]
pub struct PhaseEvent<'a> {
    /// `network`, or the baseline's name.
    pub segment: &'a str,
    /// Name in the plan.
    pub phase: &'a str,
    /// Index in the segment.
    pub index: usize,
    /// Phases of the segment.
    pub phases: usize,
    /// Finished epochs, 0 for a fresh phase.
    pub epoch: u64,
    /// Epochs; 0 where a stop rule ends it.
    pub epochs: u64,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
    /// Blocks in front that are frozen.
    pub frozen: usize,
    /// Their output is kept.
    pub cached: bool,
}

/// A step has ended.
#[derive(Clone, Debug)]
pub struct StepEvent {
    /// Epoch within the phase, from 0.
    pub epoch: u64,
    /// Steps done in this epoch.
    pub step: u64,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
    /// Samples in this step.
    pub samples: usize,
}

/// An epoch has ended.
#[derive(Clone, Debug)]
pub struct EpochEvent<'a> {
    /// `network`, or the baseline's name.
    pub segment: &'a str,
    /// Name of the phase.
    pub phase: &'a str,
    /// Finished epochs of the phase.
    pub epoch: u64,
    /// Epochs of the phase; 0 where a stop rule ends it.
    pub epochs: u64,
    /// Finished epochs of the segment, all phases together.
    pub total_epoch: u64,
    /// Steps of the segment, all phases together.
    pub step: u64,
    /// Wall time of the epoch.
    pub seconds: f64,
    /// `train/loss`, `train/accuracy`, `test/accuracy`, `rate`, `conv1/radius` …
    pub metrics: BTreeMap<String, f64>,
}

/// Reports and requests.
pub trait Progress: Send {
    /// A phase begins.
    fn phase(&mut self, event: &PhaseEvent<'_>) {
        let _ = event;
    }
    /// Something that does not end the run but should be known; `code` is a short fixed word
    /// for programs.
    fn warn(&mut self, code: &str, text: &str, hint: Option<&str>) {
        let _ = (code, text, hint);
    }
    /// The file of initial weights that `from`, a run's folder or a file, stands for, and its
    /// tensors by name.
    ///
    /// # Errors
    /// Usage error where there is none.
    fn initial_weights(&self, from: &Path) -> Result<(PathBuf, HashMap<String, Tensor>)> {
        let text = format!("no weights can be read from `{}` here", from.display());
        Err(Error::usage(text))
    }
    /// The network starts with weights from elsewhere.
    ///
    /// # Errors
    /// Failures to write.
    fn initialised(&mut self, initial: &Initial) -> Result<()> {
        let _ = initial;
        Ok(())
    }
    /// A step has ended.
    fn step(&mut self, event: &StepEvent) {
        let _ = event;
    }
    /// Numbers reported by rules after `step` steps of the segment.
    fn rules(&mut self, step: u64, metrics: &[BlockMetrics]) {
        let _ = (step, metrics);
    }
    /// An epoch has ended. A checkpoint follows.
    ///
    /// # Errors
    /// Failures to write.
    fn epoch(&mut self, event: &EpochEvent<'_>) -> Result<()>;
    /// Whether enough time has passed for a checkpoint inside an epoch.
    fn checkpoint_due(&mut self) -> bool {
        false
    }
    /// Makes tensors and state durable. The tensors change after this returns.
    ///
    /// # Errors
    /// Failures to write.
    fn checkpoint(
        &mut self,
        tensors: &[(String, Tensor)],
        state: &serde_json::Value,
        best: bool,
    ) -> Result<()>;
    /// All phases of the network are done; the last checkpoint is that of their end, from which a
    /// longer run can go on.
    ///
    /// # Errors
    /// Failures to write.
    fn phases_done(&mut self) -> Result<()> {
        Ok(())
    }
    /// Whether the run should checkpoint and end.
    fn should_stop(&self) -> bool {
        false
    }
    /// The flag behind [`Self::should_stop`], for loops that report nothing.
    fn stop_flag(&self) -> StopFlag {
        StopFlag::new()
    }
    /// Folder for files that may be deleted when the run ends (cached features).
    fn scratch(&self) -> Option<&Path> {
        None
    }
}
