//! What the commands need from plugins and trainer, so that the command line
//! can be read and tested without either.

use std::path::{Path, PathBuf};

use crate::attack::{Event, Protocol, Report as Robustness, Spec};
use crate::config::{DataShape, PlanContext, PluginInfo, RuleSchema, RunPlan};
use crate::run::identity::{DataRecord, DeviceRecord};
use crate::run::{BestRecord, ClassRecord, Metrics, Outcome, Reporter, RunFolder, StopFlag};
use crate::search::evaluate::OneShot;
use crate::search::{Genotype, Size, Space};
use crate::train::longer::Began;
use crate::train::post_hoc;
use crate::train::predict::Speaks;
use crate::train::preflight::Report;
use crate::train::{Ascent, Fields, Steps};
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

/// What to ask a trained network of samples without answers.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The checkpoint.
    pub checkpoint: PathBuf,
    /// Pictures, arrays, and folders with these.
    pub paths: Vec<PathBuf>,
    /// Files that cannot be read or do not fit are told and left out.
    pub skip: bool,
    /// Pictures of other size or channels are brought to those of the network.
    pub convert: bool,
    /// Classes of each sample that are wanted, the likeliest first.
    pub top: usize,
    /// Asked to stop, it ends after the samples at hand.
    pub stop: StopFlag,
}

/// What is told of a prediction on the way.
#[derive(Debug)]
pub enum Predicted<'a> {
    /// Before all else: what the numbers beside classes are.
    Opened(Speaks),
    /// An answer to sample `index` of a file; `None` where the file is one sample.
    Sample {
        /// The file.
        file: &'a Path,
        /// Position in it, from 0.
        index: Option<usize>,
        /// Names of classes with their numbers and what speaks for them, or values.
        said: Said,
        /// Outputs of the network as they are.
        outputs: Vec<f64>,
    },
    /// A file that is left out.
    LeftOut {
        /// The file.
        file: &'a Path,
        /// Why.
        why: Error,
    },
}

/// An answer for people.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Name and number of a class, and what speaks for it, the likeliest first.
    Classes(Vec<(String, u32, f64)>),
    /// The values of a regression.
    Values(Vec<f64>),
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

/// What to attack, and how.
#[derive(Clone, Debug)]
pub struct Assault {
    /// The checkpoint.
    pub checkpoint: PathBuf,
    /// `test`, `train` or `validation`.
    pub split: String,
    /// Only so many samples, the first ones.
    pub limit: Option<usize>,
    /// The attacks.
    pub spec: Spec,
    /// The published protocol that they are of: what the network sees is attacked in place of pixels.
    pub protocol: Option<Protocol>,
    /// Asked to stop, the attack ends after the samples at hand.
    pub stop: StopFlag,
}

/// Which units to find pictures for.
#[derive(Clone, Debug)]
pub struct Fielded {
    /// The checkpoint.
    pub checkpoint: PathBuf,
    /// Positions of the blocks in the plan.
    pub blocks: Vec<usize>,
    /// How pictures are found.
    pub ascent: Ascent,
    /// Asked to stop, it ends within a layer; those before are done.
    pub stop: StopFlag,
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

    /// Looks at all that can be known of `plan` before training: opens its data, binds its rules,
    /// and holds batches, losses and memory against them. The data stay open for the training that
    /// follows, until [`Host::release`].
    ///
    /// # Errors
    /// What would end the run later.
    fn inspect(&self, plan: &RunPlan) -> Result<Report>;

    /// Lets go of data sets that were opened for a plan.
    fn release(&self) {}
    /// The files that the data of `plan` comes from, with their digests.
    ///
    /// # Errors
    /// Data error for files that are missing or cannot be read.
    fn data(&self, plan: &RunPlan) -> Result<Vec<DataRecord>> {
        let _ = plan;
        Ok(Vec::new())
    }

    /// Binds the rules of every candidate of `space` to its layers in networks of `size`, in the
    /// arithmetic of `plan`.
    ///
    /// # Errors
    /// What a rule says of a layer that it cannot serve, with the candidate's name.
    fn serves(&self, space: &Space, size: &Size, plan: &RunPlan) -> Result<()> {
        let _ = (space, size, plan);
        Ok(())
    }

    /// What `synflow` says of the network of `genotype` at its first weights under `seed`; see
    /// [`crate::search::evaluate::proxy`].
    ///
    /// # Errors
    /// Usage error for what is no network; plugin error without backpropagation.
    fn synflow(
        &self,
        genotype: &Genotype,
        size: &Size,
        data: &DataShape,
        seed: u64,
    ) -> Result<f64> {
        let _ = (genotype, size, data, seed);
        Err(Error::plugin("no plugins are loaded"))
    }

    /// The supernet of `plan` with the weights in `checkpoint`, beside the data of `plan`.
    ///
    /// # Errors
    /// Data error for an unreadable checkpoint or set.
    fn one_shot(&self, plan: &RunPlan, checkpoint: &Path) -> Result<OneShot> {
        let _ = (plan, checkpoint);
        Err(Error::plugin("no plugins are loaded"))
    }

    /// Refuses samples of the part `split` that no attack can change.
    ///
    /// # Errors
    /// Usage error for values that are no pixels, regression, and a part that is not there.
    fn attackable(&self, plan: &RunPlan, split: &str) -> Result<()> {
        let _ = (plan, split);
        Ok(())
    }

    /// Trains `plan`, whose one seed is its only one, in `folder`; `steps` are kinds of step in
    /// place of a phase's usual one, such as those of a supernet.
    ///
    /// # Errors
    /// Whatever stops it other than a request.
    fn train(
        &self,
        plan: &RunPlan,
        folder: &RunFolder,
        reporter: &mut Reporter,
        stop: &StopFlag,
        steps: Option<&dyn Steps>,
    ) -> Result<Outcome>;

    /// What would have been different in the part of the phase `of` that is done, had `plan` been
    /// trained from the start; `None` where nothing would.
    ///
    /// # Errors
    /// Failures of data and rules.
    fn what_differs(&self, plan: &RunPlan, of: &Began<'_>) -> Result<Option<String>> {
        let _ = (plan, of);
        Ok(None)
    }

    /// Evaluates the network of `plan`.
    ///
    /// # Errors
    /// Data error for an unreadable checkpoint or set.
    fn evaluate(&self, plan: &RunPlan, what: &Evaluation) -> Result<EvaluationResult>;

    /// Finds the pictures that excite units of the network of `plan`; each layer's go to `see`.
    ///
    /// # Errors
    /// Data error for an unreadable checkpoint or set, usage error for a layer that cannot be looked
    /// at, [`crate::ExitCode::Stopped`] on request, and those of `see`.
    fn fields(
        &self,
        plan: &RunPlan,
        what: &Fielded,
        see: &mut dyn FnMut(Fields) -> Result<()>,
    ) -> Result<()> {
        let _ = (plan, what, see);
        Err(Error::plugin("no plugins are loaded"))
    }

    /// Asks the network of `plan` what samples are; answers go to `see` as they come.
    ///
    /// # Errors
    /// Data error for an unreadable checkpoint, set or sample, usage error for samples that the
    /// network does not take, those of `see`, [`crate::ExitCode::Stopped`] on request.
    fn predict(
        &self,
        plan: &RunPlan,
        what: &Prediction,
        see: &mut dyn FnMut(Predicted<'_>) -> Result<()>,
    ) -> Result<()> {
        let _ = (plan, what, see);
        Err(Error::plugin("no plugins are loaded"))
    }

    /// Repeats a phase of local rules of the run of `plan` and scores the whole network before each
    /// step; see [`post_hoc`].
    ///
    /// # Errors
    /// Data error for an unreadable checkpoint or set, usage error where no phase learns locally,
    /// those of `see`, which hears the name of the phase with each step.
    fn post_hoc(
        &self,
        plan: &RunPlan,
        checkpoint: &Path,
        phase: Option<&str>,
        see: &mut (dyn FnMut(&str, post_hoc::Scored) -> Result<()> + Send),
    ) -> Result<()> {
        let _ = (plan, checkpoint, phase, see);
        Err(Error::plugin("no plugins are loaded"))
    }

    /// Attacks the network of `plan`; what is done on the way goes to `see`.
    ///
    /// # Errors
    /// Data error for an unreadable checkpoint or set, usage error for attacks that do not fit,
    /// [`crate::ExitCode::Stopped`] on request.
    fn attack(
        &self,
        plan: &RunPlan,
        what: &Assault,
        see: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Robustness> {
        let _ = (plan, what, see);
        Err(Error::plugin("no plugins are loaded"))
    }
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
    fn inspect(&self, _plan: &RunPlan) -> Result<Report> {
        Err(Error::plugin("no plugins are loaded"))
    }
    fn train(
        &self,
        _plan: &RunPlan,
        _folder: &RunFolder,
        _reporter: &mut Reporter,
        _stop: &StopFlag,
        _steps: Option<&dyn Steps>,
    ) -> Result<Outcome> {
        Err(Error::plugin("no plugins are loaded"))
    }
    fn evaluate(&self, _plan: &RunPlan, _what: &Evaluation) -> Result<EvaluationResult> {
        Err(Error::plugin("no plugins are loaded"))
    }
}
