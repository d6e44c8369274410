//! The run plan: every setting of an experiment, checked, complete and
//! printable. Only this reaches the trainer, and it is stored with the results.
//!
//! What files, environment and flags say (with shorthands, presets and missing
//! values) is the raw configuration; `resolve` turns it into this.

pub mod data;
pub mod define;
mod experiment;
pub mod formula;
mod layer;
pub mod metric;
mod mixed;
mod network;
pub mod parts;
pub mod rates;
pub mod read_out;
pub mod setting;
pub mod shapes;
mod training;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use data::{Augment, ClassRef, DataPlan, Padding, ResizeMethod, Scaling};
pub use experiment::{ExperimentPlan, PublishedPlan};
pub use formula::{Formula, Moment, Variable};
pub use layer::*;
pub use metric::{EpochMetric, RuleMetrics};
pub use mixed::{DropPathPlan, RowPlan, TransformPlan};
pub use network::*;
pub use parts::{PartRange, PartsOrder};
pub use shapes::DataShape;
pub use training::*;

use define::{settings, words};

/// A whole experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPlan {
    /// Name of the experiment; names the run folder.
    pub name: String,
    /// Where it comes from and what was published of it; decides no result.
    #[serde(default)]
    pub experiment: Option<ExperimentPlan>,
    /// Seeds; one run for each.
    pub seeds: Vec<u64>,
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// Arithmetic of weights and activations.
    pub dtype: Precision,
    /// TF32 matrix products on CUDA (changes results at the 1e-3 level).
    pub tf32: bool,
    /// Share of the GPU's free memory that data sets and cached features may take, 0 to 1.
    pub gpu_memory_share: f64,
    /// Threads of kernels; 0 takes the cores there are.
    pub threads: usize,
    /// The data set and what is done to it.
    pub data: DataPlan,
    /// Further data sets by name, for phases that learn from another one.
    pub extra_data: BTreeMap<String, DataPlan>,
    /// The network, input first.
    pub blocks: Vec<BlockPlan>,
    /// Initial weights from elsewhere.
    #[serde(default)]
    pub init: Option<InitPlan>,
    /// What is trained, in order.
    pub phases: Vec<PhasePlan>,
    /// What is written, and how often.
    pub output: OutputPlan,
    /// Folders with rule plugins, searched in order.
    pub plugin_folders: Vec<PathBuf>,
    /// Baselines trained after the phases for comparison, each with the same read-out.
    pub baselines: Vec<Baseline>,
}

impl RunPlan {
    /// Whether `phase` trains block `name`: it lists the block, or one around it.
    #[must_use]
    pub fn trains(&self, phase: &PhasePlan, name: &str) -> bool {
        fn inside(blocks: &[BlockPlan], phase: &PhasePlan, name: &str, listed: bool) -> bool {
            blocks.iter().any(|block| {
                let listed = listed || phase.blocks.contains(&block.name);
                let mut inner = block.inside();
                (listed && block.name == name) || inner.any(|b| inside(b, phase, name, listed))
            })
        }
        inside(&self.blocks, phase, name, false)
    }
}

/// Initial weights from another run or file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitPlan {
    /// A run's folder, or a safetensors file.
    pub from: PathBuf,
    /// Blocks of the network with their names in the file; `None` takes all under their own names.
    pub blocks: Option<BTreeMap<String, String>>,
}

words! {
    /// Arithmetic of weights and activations.
    pub enum Precision {
        /// 32-bit floating point.
        F32 = "f32",
        /// 64-bit floating point.
        F64 = "f64",
    }
}

words! {
    /// What the quickstart sets beside the trained network.
    pub enum Baseline {
        /// The same network with its random initial weights, read-out trained.
        RandomWeights = "random-weights",
        /// A linear classifier on pixels.
        LinearPixels = "linear-pixels",
    }
}

settings! {
    /// What is written, and how often.
    pub struct OutputPlan at "output" {
        /// parent of run folders
        runs: PathBuf = "runs";
        /// checkpoint at least this often inside an epoch (always at its end); 0 only at epoch ends
        checkpoint_seconds: u64 = 300, unit "s";
        /// scalars of rules every N steps; 0 only at epoch ends
        log_every: u64 = 100, unit "steps";
        /// write TensorBoard event files
        tensorboard: bool = true;
        /// at the end, count who wins in local layers (over the first 2000 test samples), and draw filters, curves
        /// and mistakes into `pictures/`, the pixels also for TensorBoard
        pictures: bool = true;
        /// metric of an epoch that decides which checkpoint is `best.safetensors`, such as
        /// `validation/loss` or `validation/balanced_accuracy`; absent: the accuracy on what is evaluated
        /// between epochs, or for regression the loss
        #[serde(default)]
        best: Option<String>;
        /// angle to the true gradient on a held-out batch every N epochs; 0 never
        alignment_every: u64 = 0, unit "epochs";
    }
}

impl RunPlan {
    /// The further data sets that a phase learns from.
    pub fn extra_in_use(&self) -> impl Iterator<Item = (&String, &DataPlan)> {
        let used = |name: &str| self.phases.iter().any(|phase| phase.data == name);
        self.extra_data.iter().filter(move |(name, _)| used(name))
    }

    /// The data set whose training samples a phase calls `name`: `train` and parts are of `data`.
    #[must_use]
    pub fn data_of(&self, name: &str) -> Option<&DataPlan> {
        match name {
            "train" => Some(&self.data),
            part if self.data.parts.contains_key(part) => Some(&self.data),
            other => self.extra_data.get(other),
        }
    }
}
