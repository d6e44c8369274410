//! A search as plain data: what a configuration's `search` comes to.

use serde::{Deserialize, Serialize};

use super::pareto::Goal;
use super::space::{CellShape, Hyperparameters, Primitive, Skeleton, Space, sets};
use super::strategy::{Evolution, Halving, Random, Scene, Strategy};
use crate::plan::define::kinds;
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
    /// What is trained when the search is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_training: Option<FinalPlan>,
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
    }
}

impl StrategyPlan {
    /// The strategy in `scene`.
    ///
    /// # Errors
    /// Usage error for a budget of nothing.
    pub fn strategy(&self, scene: Scene) -> Result<Box<dyn Strategy>> {
        Ok(match *self {
            Self::Random { evaluations } => Box::new(Random::new(scene, evaluations)?),
            Self::Evolution {
                evaluations,
                population,
                sample,
            } => Box::new(Evolution::new(scene, evaluations, population, sample)?),
            Self::Halving { genotypes, keep } => Box::new(Halving::new(scene, genotypes, keep)?),
        })
    }
}

kinds! {
    /// How the values of a genotype are found.
    pub enum EvaluatorPlan at "search.evaluator", "`training`: the network of a genotype is trained as the configuration says, in a run folder of its own; `table`: its values are read from a file" {
        /// Its network is trained as the configuration says.
        Training = "training"
        /// They are in a file.
        Table = "table" {
            /// `table`: CSV or JSON with a column `architecture` (DARTS's text, a string of NAS-Bench-201 or a
            /// genotype's JSON) and one for each objective
            file: String;
        }
    }
}
