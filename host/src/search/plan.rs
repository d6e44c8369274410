//! A search as plain data: what a configuration's `search` comes to.

use serde::{Deserialize, Serialize};

use super::evaluate::{Proxy, Statistics};
use super::network::Size;
use super::pareto::Goal;
use super::rank::{By, RankPlan};
use super::relaxed::{ExplorePlan, Method, PerturbPlan, RelaxedPlan};
use super::robustness::RobustnessPlan;
use super::space::{CellShape, Hyperparameters, Primitive, Skeleton, Space, sets};
use super::strategy::{Evolution, Halving, Listed, Random, Scene, Strategy};
use crate::plan::define::{kinds, settings, words};
use crate::plan::{GradientClip, OptimizerPlan, PhasePlan, SchedulePlan};
use crate::text::nearest;
use crate::{Error, Result};

/// A search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchPlan {
    /// What may be found.
    pub space: SpacePlan,
    /// How it is looked for.
    pub strategy: StrategyPlan,
    /// What is asked of a genotype; the first decides, the others and all bounds count where a
    /// strategy compares.
    pub objectives: Vec<Goal>,
    /// How a genotype's values are found.
    pub evaluator: EvaluatorPlan,
    /// How the objective `robustness` is measured, where networks are trained for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robustness: Option<RobustnessPlan>,
    /// The supernet of a strategy that trains one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supernet: Option<SupernetPlan>,
    /// What is trained when the search is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_training: Option<FinalPlan>,
    /// What the accuracies after training are compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<RankPlan>,
}

impl SearchPlan {
    /// The trained supernet that values come from, where some do.
    #[must_use]
    pub fn supernet_run(&self) -> Option<&str> {
        match (&self.evaluator, &self.rank) {
            (EvaluatorPlan::Supernet { run, .. }, _) => Some(run),
            (_, Some(rank)) => rank.supernet.as_deref(),
            _ => None,
        }
    }
}

/// Trainings after a search, to be compared on the test set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalPlan {
    /// So many times the epochs of an evaluation.
    pub epochs: f64,
    /// Random genotypes beside the winner.
    pub random: u64,
    /// Genotypes with the winner's operations and random rules.
    pub random_rules: u64,
}

/// A search space: a name, or operations and rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpacePlan {
    /// A named space.
    pub name: Option<String>,
    /// The network around the cells of a space without a name.
    pub network: Skeleton,
    /// Operations of a space without a name.
    pub operations: Vec<String>,
    /// Rules that fill the slots of operations.
    pub rules: Vec<String>,
    /// Hyperparameters of rules.
    pub params: Hyperparameters,
    /// Candidates that are left out.
    pub exclude: Vec<String>,
    /// Intermediate nodes of a cell.
    pub nodes: Option<usize>,
}

impl SpacePlan {
    /// The space.
    ///
    /// # Errors
    /// Usage error for unknown names and spaces in which nothing can be chosen.
    pub fn space(&self) -> Result<Space> {
        let mut space = match &self.name {
            Some(name) => sets::named(name)?,
            None => Space::product(self.network, &self.operations, &self.rules)?,
        };
        for name in &self.exclude {
            let out: Primitive = name.parse()?;
            // An operation stands for itself with any rule.
            let is_out =
                |p: &Primitive| *p == out || (out.rule.is_none() && p.operation == out.operation);
            let before = space.candidates.len();
            space.candidates.retain(|p| !is_out(p));
            if space.candidates.len() == before {
                let names: Vec<String> = space.candidates.iter().map(ToString::to_string).collect();
                let e = Error::usage(format!(
                    "`exclude` names `{name}`, no candidate of the space"
                ));
                return Err(match nearest(name, names.iter().map(String::as_str)) {
                    Some(near) => e.hint(format!("did you mean `{near}`?")),
                    None => e.hint(format!("there are `{}`", names.join("`, `"))),
                });
            }
        }
        if let Some(nodes) = self.nodes {
            space.cell = CellShape {
                nodes,
                ..space.cell
            };
        }
        space.params.clone_from(&self.params);
        space.check()?;
        Ok(space)
    }
}

words! {
    /// Which candidate of an edge is derived from a supernet.
    pub enum Discretise = Largest {
        /// That of the largest weight.
        Largest = "largest",
        /// That whose absence costs most accuracy.
        Perturbation = "perturbation",
    }
}

words! {
    /// Which EG-NAS.
    pub enum Variant = Intended {
        /// Rounds, generations and deviations as the paper means them.
        Intended = "intended",
        /// What the released program for CIFAR-10 computes.
        Released = "released",
    }
}

kinds! {
    /// How genotypes are chosen.
    pub enum StrategyPlan at "search.strategy", "how genotypes are chosen" {
        /// Each drawn evenly.
        Random = "random" {
            /// `random`: genotypes, each drawn evenly
            evaluations: u64 = 20, range 1.0 => 1e9, source "Li and Talwalkar 2019";
        }
        /// Regularised evolution.
        Evolution = "evolution" {
            /// `evolution`: genotypes in all, the first population included
            evaluations: u64 = 100, range 1.0 => 1e9, source "Real et al. 2019";
            /// `evolution`: genotypes that live at a time; the oldest dies
            population: u64 = 20, range 1.0 => 1e9, source "Real et al. 2019: 100";
            /// `evolution`: so many of them are drawn, and the best has a child with one change
            sample: u64 = 5, range 1.0 => 1e9, source "Real et al. 2019: 25";
        }
        /// Successive halving.
        Halving = "halving" {
            /// `halving`: genotypes that start, each drawn evenly
            genotypes: u64 = 27, range 1.0 => 1e9, source "Jamieson and Talwalkar 2016";
            /// `halving`: one in so many goes on, trained anew with so many times the epochs; the last with all
            /// that the phases say
            keep: u64 = 3, range 2.0 => 1e9;
        }
        /// Those of a file.
        List = "list" {
            /// `list`: genotypes of the space, the JSON of one a line, as `biorule genotype random --count` writes
            /// them, or a list of them
            file: String;
        }
        /// One supernet, its architecture parameters by gradients (Liu et al. 2019).
        Darts = "darts" {
            /// `darts`: the gradient after a step of the weights, by finite differences; off: at the weights as
            /// they are
            second_order: bool = false, source "Liu et al. 2019, equations 7 and 8";
            /// `darts`: each candidate's weight on its own in place of a softmax over them
            sigmoid: bool = false, source "Chu et al. 2020, FairDARTS";
            /// `darts`: epochs in which the weights alone learn
            warmup_epochs: u64 = 0, unit "epochs", source "Xu et al. 2020, PC-DARTS: 15";
            /// `darts`: evenly drawn noise on the weights of candidates while the network's weights learn, at most
            /// so large; 0 is none
            perturbation: f64 = 0.0, range 0.0 => 1.0, source "Chen and Hsieh 2020, SDARTS-RS";
            /// `darts`: weight of an identity beside the mixture of each edge in the first epoch, which falls evenly to
            /// 0 at the end; 0 is none
            auxiliary_skip: f64 = 0.0, range 0.0 => 1e6, source "Chu et al. 2021, DARTS-: 1";
            /// `darts`: factor on a loss that draws weights of candidates to 0 or 1, with `sigmoid`; 0 is none
            zero_one: f64 = 0.0, range 0.0 => 1e6, source "Chu et al. 2020, FairDARTS: 10";
            /// `darts`: the architecture stays as it is once the normal cell that would be derived has so many
            /// skips; absent: never
            stop_on_skips: Option<u64>, source "Liang et al. 2019, DARTS+: 2";
        }
        /// One supernet, of which each step runs one drawn candidate an edge (Dong and Yang 2019).
        Gdas = "gdas" {
            /// `gdas`: temperature of the first epoch
            hot: f64 = 10.0, range 0.001 => 1e6, source "Dong and Yang 2019";
            /// `gdas`: temperature of the last epoch
            cold: f64 = 0.1, range 0.001 => 1e6, source "Dong and Yang 2019";
            /// `gdas`: epochs in which the weights alone learn
            warmup_epochs: u64 = 0, unit "epochs";
        }
        /// One supernet, whose architecture steps towards what CMA-ES finds before each epoch (Cai et al. 2024,
        /// EG-NAS).
        Eg = "eg" {
            /// `eg`: as the paper means it, or as its released program for CIFAR-10 does it (`docs/search.md`)
            variant: Variant = "intended";
            /// `eg`: rounds before each epoch, of which the most accurate winner counts
            rounds: u64 = 3, range 1.0 => 1e6, source "EG-NAS: 3 on CIFAR-10, 5 on ImageNet";
            /// `eg`: individuals of a generation
            individuals: usize = 50, range 4.0 => 1e6, source "EG-NAS";
            /// `eg`: generations of a round
            generations: u64 = 3, range 1.0 => 1e6, source "EG-NAS `iterations`";
            /// `eg`: factor on the similarity to the present architecture, in the fitness
            similarity: f64 = 0.4, range 0.0 => 1e6, source "EG-NAS";
            /// `eg`: length of the step of the architecture towards the winner
            step_size: f64 = 0.1, range 0.0 => 1e6, source "EG-NAS";
            /// `eg`: share of the former direction in it
            direction_momentum: f64 = 0.0, range 0.0 => 1.0, source "EG-NAS `pop_momentum`";
            /// `eg`: individuals are scored with running statistics, which are those of another mixture, in place
            /// of the batch's
            running_statistics: bool = false, source "EG-NAS: on";
            /// `eg`: epochs in which the weights alone learn
            warmup_epochs: u64 = 15, unit "epochs", source "EG-NAS: 15";
        }
    }
}

settings! {
    /// A supernet and its training; the defaults are those of DARTS and BioNAS on CIFAR-10.
    pub struct SupernetPlan at "search.supernet" {
        /// channels of its first cells; even, and divisible by twice the parts of partial channels
        channels: usize = 16, range 1.0 => 1_048_576.0, source "Liu et al. 2019";
        /// its cells
        cells: usize = 8, range 1.0 => 1000.0, source "Liu et al. 2019";
        /// passes over the samples of the weights
        epochs: u64 = 50, range 1.0 => 1e9, source "Liu et al. 2019";
        /// samples per step, of the weights and of the architecture
        batch: usize = 64, range 1.0 => 1e9, source "Liu et al. 2019";
        /// samples that the weights learn from: `train`, or a name in `data.parts`
        weights: String = "weights";
        /// samples that the architecture learns from, others than those of the weights
        architecture: String = "architecture";
        /// learning rate of the weights in the first epoch
        lr: f64 = 0.025, range 0.0 => f64::INFINITY, source "Liu et al. 2019";
        /// where half a cosine takes it
        lr_floor: f64 = 0.001, range 0.0 => f64::INFINITY, source "Liu et al. 2019";
        /// of the weights
        momentum: f64 = 0.9, range 0.0 => 1.0, source "Liu et al. 2019";
        /// of the weights
        weight_decay: f64 = 3e-4, range 0.0 => f64::INFINITY, source "Liu et al. 2019";
        /// norm of all gradients of the weights together, at most; 0 is off
        clip: f64 = 5.0, range 0.0 => f64::INFINITY, source "Liu et al. 2019";
        /// learning rate of the architecture, by Adam with β 0.5 and 0.999
        architecture_lr: f64 = 3e-4, range 0.0 => f64::INFINITY, source "Liu et al. 2019";
        /// of the architecture, added to its gradient
        architecture_decay: f64 = 1e-3, range 0.0 => f64::INFINITY, source "Liu et al. 2019";
        /// one in so many channels passes through the candidates; absent: as the space has it
        partial: Option<u64>, source "Xu et al. 2020: 4";
        /// whole edges have weights
        edge_weights: bool = false, source "Xu et al. 2020, PC-DARTS";
        /// which candidate of an edge is derived: that of the largest weight, or that whose absence costs the
        /// supernet most accuracy on the samples of the architecture, edge by edge, once all epochs are over
        discretise: Discretise = "largest", source "Wang et al. 2021, DARTS-PT";
        /// with `discretise = "perturbation"`: epochs between two decisions, at a tenth of `lr`
        tune_epochs: u64 = 5, range 0.0 => 1e9, source "Wang et al. 2021";
        /// skips that the derived normal cell has at most; absent: any number
        max_skips: Option<u64>, source "Chen et al. 2019, P-DARTS: 2";
        /// candidates keep only their input for the backward pass and run again there: less memory, the same
        /// bits
        recompute: bool = true;
    }
}

impl SupernetPlan {
    /// Its size, beside networks of the size `of`.
    #[must_use]
    pub fn size(&self, of: &Size) -> Size {
        Size {
            auxiliary: None,
            drop_path: None,
            channels: self.channels,
            cells: self.cells,
            ..of.clone()
        }
    }

    /// `space` with its partial channels.
    ///
    /// # Errors
    /// Usage error for what is no space.
    pub fn space(&self, space: &Space) -> Result<Space> {
        let mut space = space.clone();
        if let Some(partial) = self.partial {
            space.partial = usize::try_from(partial).unwrap_or(usize::MAX).max(1);
        }
        space.check()?;
        Ok(space)
    }

    /// Makes `phase` the training of the supernet's weights; its blocks and what drives it stay.
    pub fn train(&self, phase: &mut PhasePlan) {
        phase.name = "supernet".to_owned();
        phase.data.clone_from(&self.weights);
        (phase.epochs, phase.batch) = (self.epochs, self.batch);
        phase.optimizer = OptimizerPlan::Sgd {
            lr: self.lr,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            decoupled_decay: 0.0,
        };
        phase.groups = Vec::new();
        phase.schedule = SchedulePlan::Cosine {
            floor: self.lr_floor,
        };
        phase.gradient_clip = GradientClip::Norm { norm: self.clip };
        (phase.warmup_epochs, phase.warmup_steps) = (0, 0);
        (phase.stop, phase.class_weights) = (None, None);
        phase.label_smoothing = 0.0;
    }
}

impl StrategyPlan {
    /// The strategy in `scene`.
    ///
    /// # Errors
    /// Usage error for a budget of nothing.
    pub fn strategy(&self, scene: Scene) -> Result<Box<dyn Strategy>> {
        Ok(match *self {
            Self::List { ref file } => Box::new(Listed::read(&scene, file.as_ref())?),
            Self::Random { evaluations } => Box::new(Random::new(scene, evaluations)?),
            Self::Evolution {
                evaluations,
                population,
                sample,
            } => Box::new(Evolution::new(scene, evaluations, population, sample)?),
            Self::Halving { genotypes, keep } => Box::new(Halving::new(scene, genotypes, keep)?),
            Self::Darts { .. } | Self::Gdas { .. } | Self::Eg { .. } => {
                return Err(Error::internal("a strategy that trains a supernet"));
            }
        })
    }

    /// Whether it trains a supernet and derives a genotype from it.
    #[must_use]
    pub fn trains_supernet(&self) -> bool {
        matches!(
            self,
            Self::Darts { .. } | Self::Gdas { .. } | Self::Eg { .. }
        )
    }

    /// How a supernet's architecture learns, of a strategy that trains one.
    #[must_use]
    pub fn relaxed(&self, supernet: &SupernetPlan) -> Option<RelaxedPlan> {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let base = RelaxedPlan {
            optimizer: OptimizerPlan::Adam {
                lr: supernet.architecture_lr,
                betas: [0.5, 0.999],
                eps: 1e-8,
                weight_decay: supernet.architecture_decay,
                decoupled_decay: 0.0,
            },
            edge_weights: supernet.edge_weights,
            perturb: (supernet.discretise == Discretise::Perturbation).then_some(PerturbPlan {
                after: supernet.epochs,
                tune: supernet.tune_epochs,
                lr: supernet.lr / 10.0,
                lr_floor: supernet.lr_floor.min(supernet.lr / 10.0),
            }),
            max_skips: supernet.max_skips.map(number),
            recompute: supernet.recompute,
            ..RelaxedPlan::darts(&supernet.architecture)
        };
        match *self {
            Self::Darts {
                second_order,
                sigmoid,
                warmup_epochs,
                perturbation,
                auxiliary_skip,
                zero_one,
                stop_on_skips,
            } => Some(RelaxedPlan {
                method: match second_order {
                    true => Method::SecondOrder,
                    false => Method::FirstOrder,
                },
                sigmoid,
                warmup_epochs,
                perturbation,
                auxiliary_skip,
                zero_one,
                stop_on_skips: stop_on_skips.map(number),
                ..base
            }),
            Self::Gdas {
                hot,
                cold,
                warmup_epochs,
            } => Some(RelaxedPlan {
                method: Method::Gdas { hot, cold },
                warmup_epochs,
                ..base
            }),
            Self::Eg {
                variant,
                rounds,
                individuals,
                generations,
                similarity,
                step_size,
                direction_momentum,
                running_statistics,
                warmup_epochs,
            } => Some(RelaxedPlan {
                method: Method::Explore(ExplorePlan {
                    rounds,
                    population: individuals,
                    generations,
                    similarity,
                    step_size,
                    momentum: direction_momentum,
                    running_statistics,
                    released: variant == Variant::Released,
                }),
                warmup_epochs,
                ..base
            }),
            _ => None,
        }
    }
}

kinds! {
    /// How the values of a genotype are found.
    pub enum EvaluatorPlan at "search.evaluator", "`training`: the network of a genotype is trained as the configuration says, in a run folder of its own; `table`: its values are read from a file; `proxy`: they are found without training; `supernet`: its accuracy inside a trained supernet" {
        /// Its network is trained as the configuration says.
        Training = "training"
        /// They are in a file.
        Table = "table" {
            /// `table`: CSV or JSON with a column `architecture` (DARTS's text, a string of NAS-Bench-201 or a
            /// genotype's JSON) and one for each objective
            file: String;
        }
        /// They are found without training.
        Proxy = "proxy" {
            /// `proxy`: the objective `score`, more of which is taken for better: `synflow` (weights by their absolute
            /// values, an input of ones), `parameters` or `multiply_adds`
            of: Proxy = "synflow", source "Abdelfattah et al. 2021";
        }
        /// Its accuracy inside a trained supernet.
        Supernet = "supernet" {
            /// `supernet`: the folder `supernet` of a search by `darts`, `gdas` or `eg` in the same space, on the same
            /// data
            run: String;
            /// `supernet`: norms take the statistics of each batch (`fresh`), or the running ones of all candidates
            /// mixed (`stale`)
            statistics: Statistics = "fresh";
        }
    }
}

impl EvaluatorPlan {
    /// The value that costs no training, where it is one.
    #[must_use]
    pub fn by(&self) -> Option<By> {
        match self {
            Self::Training | Self::Table { .. } => None,
            Self::Proxy { of } => Some(match of {
                Proxy::Synflow => By::Synflow,
                Proxy::Parameters => By::Parameters,
                Proxy::MultiplyAdds => By::MultiplyAdds,
            }),
            Self::Supernet { statistics, .. } => Some(match statistics {
                Statistics::Fresh => By::SupernetFresh,
                Statistics::Stale => By::SupernetStale,
            }),
        }
    }

    /// Whether a network is trained for each genotype.
    #[must_use]
    pub fn trains(&self) -> bool {
        matches!(self, Self::Training)
    }

    /// Whether there is a network of each genotype, trained or not.
    #[must_use]
    pub fn has_network(&self) -> bool {
        !matches!(self, Self::Table { .. })
    }
}
