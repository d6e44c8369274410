//! What the commands need from plugins and trainer, so that the command line
//! can be read and tested without either.

use std::path::PathBuf;

use crate::config::{PlanContext, PluginInfo, RuleSchema, RunPlan};
use crate::run::identity::DeviceRecord;
use crate::run::{BestRecord, ClassRecord, Metrics, Outcome, Reporter, RunFolder, StopFlag};
use crate::{Error, Result};

/// Opens the plugins of these folders (and of the usual places); plugins that
/// are refused are reported by [`Host::refused`], not here.
pub type Open = fn(&[PathBuf]) -> Result<Box<dyn Host>>;

/// What to evaluate.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The checkpoint.
    pub checkpoint: PathBuf,
    /// `test`, `train` or `validation`.
    pub split: String,
    /// The checkpoint is a run's best.
    pub best: bool,
}

/// What an evaluation gives.
#[derive(Clone, Debug, Default)]
pub struct EvaluationResult {
    /// `test/loss`, `test/accuracy` … of the split.
    pub metrics: Metrics,
    /// The scores of each class; empty for regression.
    pub classes: Vec<ClassRecord>,
    /// Samples of each class by the class that they were taken for.
    pub confusion: Vec<Vec<u64>>,
    /// How the checkpoint was chosen, where it is the best one.
    pub best: Option<BestRecord>,
}

/// Loaded plugins, with a trainer on top.
pub trait Host: PlanContext {
    /// Every rule, by name.
    fn rules(&self) -> Vec<RuleSchema>;

    /// Plugins that are loaded.
    fn plugins(&self) -> Vec<PluginInfo>;

    /// Files that were refused, each with the reason and a hint.
    fn refused(&self) -> Vec<(PathBuf, Error)>;

    /// The device that `device` of a plan stands for here.
    ///
    /// # Errors
    /// Usage error for a device that is not there.
    fn device(&self, plan: &RunPlan) -> Result<DeviceRecord>;

    /// Trains `plan`, whose one seed is its only one, in `folder`.
    ///
    /// # Errors
    /// Whatever stops it other than a request.
    fn train(
        &self,
        plan: &RunPlan,
        folder: &RunFolder,
        reporter: &mut Reporter,
        stop: &StopFlag,
    ) -> Result<Outcome>;

    /// Evaluates the network of `plan`.
    ///
    /// # Errors
    /// Data error for an unreadable checkpoint or set.
    fn evaluate(&self, plan: &RunPlan, what: &Evaluation) -> Result<EvaluationResult>;
}

/// Opens nothing: configurations can be read, nothing can be trained.
///
/// # Errors
/// None.
pub fn open(folders: &[PathBuf]) -> Result<Box<dyn Host>> {
    let _ = folders;
    Ok(Box::new(crate::config::Offline))
}

impl Host for crate::config::Offline {
    fn rules(&self) -> Vec<RuleSchema> {
        Vec::new()
    }
    fn plugins(&self) -> Vec<PluginInfo> {
        Vec::new()
    }
    fn refused(&self) -> Vec<(PathBuf, Error)> {
        Vec::new()
    }
    fn device(&self, _plan: &RunPlan) -> Result<DeviceRecord> {
        Ok(DeviceRecord {
            name: "cpu".to_owned(),
            ..DeviceRecord::default()
        })
    }
    fn train(
        &self,
        _plan: &RunPlan,
        _folder: &RunFolder,
        _reporter: &mut Reporter,
        _stop: &StopFlag,
    ) -> Result<Outcome> {
        Err(Error::plugin("no plugins are loaded"))
    }
    fn evaluate(&self, _plan: &RunPlan, _what: &Evaluation) -> Result<EvaluationResult> {
        Err(Error::plugin("no plugins are loaded"))
    }
}
