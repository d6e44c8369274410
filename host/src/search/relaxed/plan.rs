//! A search by relaxation as plain data.

use serde::{Deserialize, Serialize};

use crate::plan::OptimizerPlan;
use crate::search::relax::Relaxation;

/// How the architecture parameters of a supernet learn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Method {
    /// From the loss on their own samples at the present weights (Liu et al. 2019, with ξ = 0).
    FirstOrder,
    /// From that loss after a step of the weights (Liu et al. 2019, equations 7 and 8).
    SecondOrder,
    /// One candidate drawn for each edge and step (Dong and Yang 2019, GDAS), at a temperature that
    /// falls evenly over the epochs.
    Gdas {
        /// In the first epoch.
        hot: f64,
        /// In the last epoch.
        cold: f64,
    },
    /// Steps towards what an evolution strategy finds before each epoch (Cai et al. 2024, EG-NAS).
    Explore(ExplorePlan),
}

/// How an evolution strategy explores the neighbourhood of the architecture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplorePlan {
    /// Rounds before an epoch; the one whose winner is most accurate counts.
    pub rounds: u64,
    /// Individuals of a generation.
    pub population: usize,
    /// Generations of a round.
    pub generations: u64,
    /// Factor on the similarity in the fitness.
    pub similarity: f64,
    /// Length of the step of the architecture.
    pub step_size: f64,
    /// Share of the former direction in it.
    pub momentum: f64,
    /// Norms use their running statistics, those of another mixture, in place of the batch's.
    pub running_statistics: bool,
    /// As the released program does it for CIFAR-10: all rounds are one, of one generation whose
    /// numbers are the same before each epoch, from the deviation 1; individuals have rows of length 1,
    /// the winner goes through the softmax twice, and norms use running statistics.
    #[serde(default)]
    pub released: bool,
}

/// Derivation by perturbation, once the supernet has learned (Wang et al. 2021).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerturbPlan {
    /// Epochs before the first decision.
    pub after: u64,
    /// Epochs between two decisions.
    pub tune: u64,
    /// Learning rate of the weights in the first of them, from which half a cosine falls.
    pub lr: f64,
    /// Where it falls to.
    pub lr_floor: f64,
}

/// A search by relaxation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelaxedPlan {
    /// How architecture parameters learn.
    pub method: Method,
    /// Sigmoid in place of softmax (FairDARTS).
    pub sigmoid: bool,
    /// What changes the architecture parameters.
    pub optimizer: OptimizerPlan,
    /// Name of the samples that they learn from.
    pub data: String,
    /// Epochs in which the weights alone learn.
    pub warmup_epochs: u64,
    /// Whole edges have weights (PC-DARTS).
    pub edge_weights: bool,
    /// Evenly drawn noise on the candidates' weights while the network's weights learn, at most so
    /// large (Chen and Hsieh 2020, SDARTS-RS); 0 is none.
    pub perturbation: f64,
    /// Weight of an identity beside the mixture of each edge in the first epoch, which falls evenly to 0
    /// (Chu et al. 2021, DARTS-); 0 is none.
    #[serde(default)]
    pub auxiliary_skip: f64,
    /// Factor on FairDARTS's zero-one loss; 0 is none.
    #[serde(default)]
    pub zero_one: f64,
    /// How a genotype is derived by perturbation; `None`: from the weights of candidates.
    #[serde(default)]
    pub perturb: Option<PerturbPlan>,
    /// Architecture parameters stay as they are once the derived normal cell has so many skips
    /// (Liang et al. 2019, DARTS+).
    pub stop_on_skips: Option<usize>,
    /// Skips that the derived normal cell has at most.
    pub max_skips: Option<usize>,
    /// Candidates keep only their input for the backward pass.
    pub recompute: bool,
}

impl RelaxedPlan {
    /// The optimiser of the architecture in DARTS and BioNAS: Adam at 3e-4, β 0.5 and 0.999, decay
    /// 1e-3 added to the gradient.
    pub const ADAM: OptimizerPlan = OptimizerPlan::Adam {
        lr: 3e-4,
        betas: [0.5, 0.999],
        eps: 1e-8,
        weight_decay: 1e-3,
        decoupled_decay: 0.0,
    };

    /// The search of DARTS, first order, on the samples `data`.
    #[must_use]
    pub fn darts(data: &str) -> Self {
        Self {
            method: Method::FirstOrder,
            sigmoid: false,
            optimizer: Self::ADAM,
            data: data.to_owned(),
            warmup_epochs: 0,
            edge_weights: false,
            perturbation: 0.0,
            auxiliary_skip: 0.0,
            zero_one: 0.0,
            perturb: None,
            stop_on_skips: None,
            max_skips: None,
            recompute: true,
        }
    }

    /// How parameters become weights.
    #[must_use]
    pub fn relaxation(&self) -> Relaxation {
        match self.sigmoid {
            true => Relaxation::Sigmoid,
            false => Relaxation::Softmax,
        }
    }
}
