//! What evaluations of all kinds give: a value for each goal, and what is left beside them.

use crate::Result;
use crate::config::DataShape;
use crate::run::search_folder::Spent;
use crate::search::network::{self, Counts};
use crate::search::pareto::{Goal, Objective};
use crate::search::{Genotype, Size};

/// What an evaluation left beside its values.
#[derive(Default)]
pub(super) struct Left {
    pub(super) folder: Option<String>,
    pub(super) note: Option<String>,
    pub(super) spent: Option<Spent>,
    /// It was evaluated now and not found evaluated.
    pub(super) now: bool,
}

impl Left {
    /// Of an evaluation that has no folder.
    pub(super) fn bare(now: bool) -> Self {
        Self {
            now,
            ..Self::default()
        }
    }
}

/// What the network of a genotype holds and costs.
pub(super) fn counts(genotype: &Genotype, size: &Size, data: &DataShape) -> Result<Counts> {
    Counts::of(&network::blocks(genotype, size)?, data)
}

/// What is left of a genotype whose network is larger than a goal allows: it is not evaluated.
pub(super) fn over(goals: &[Goal], counts: &Counts, now: bool) -> Option<Left> {
    let goal = goals.iter().find(|g| is_over(g, counts))?;
    Some(Left {
        note: Some(format!(
            "not trained: it misses the bound on `{}`",
            goal.objective
        )),
        now,
        ..Left::default()
    })
}

/// Whether a network is larger than a goal allows.
fn is_over(goal: &Goal, counts: &Counts) -> bool {
    let value = match goal.objective {
        Objective::Parameters => counts.parameters,
        Objective::MultiplyAdds => counts.multiply_adds,
        Objective::Accuracy | Objective::Robustness | Objective::Score => return false,
    };
    goal.missed(value as f64) > 0.0
}

/// A value for each goal; `accuracy` is the score where a proxy evaluates.
pub(super) fn values(goals: &[Goal], accuracy: f64, counts: &Counts) -> Vec<f64> {
    let value = |goal: &Goal| match goal.objective {
        Objective::Accuracy | Objective::Score => accuracy,
        Objective::Robustness => f64::NAN,
        Objective::Parameters => counts.parameters as f64,
        Objective::MultiplyAdds => counts.multiply_adds as f64,
    };
    goals.iter().map(value).collect()
}
