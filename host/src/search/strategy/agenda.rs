//! What strategies ask, what they are told, and what all of them know.

use serde::{Deserialize, Serialize};

use crate::search::genotype::Genotype;
use crate::search::pareto::{Goal, score};
use crate::search::space::Space;
use crate::{Error, Result};

/// A genotype that a strategy wants to know more of.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its number among the requests, from 0.
    pub number: u64,
    /// The genotype.
    pub genotype: Genotype,
    /// Share of a whole training that it is worth, above 0 and at most 1.
    pub share: f64,
    /// Where it comes from, for the record.
    pub origin: Origin,
}

/// Where a genotype comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Drawn evenly.
    Drawn,
    /// A changed copy of the genotype of this request.
    Child(u64),
    /// Kept from this request, for a longer training.
    Kept(u64),
    /// Derived from a supernet.
    Derived,
    /// Named in a list.
    Listed,
}

/// A request and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What was asked.
    pub request: Request,
    /// A value for each goal, in the order of the goals.
    pub values: Vec<f64>,
}

/// Chooses genotypes to be evaluated.
pub trait Strategy {
    /// Its name in configurations.
    fn name(&self) -> &'static str;

    /// The next request after `answers`, which are those to the requests 0, 1, 2 … in this order.
    /// `None` ends the search.
    ///
    /// # Errors
    /// Internal error for answers to other requests.
    fn next(&self, answers: &[Answer]) -> Result<Option<Request>>;

    /// Requests of the whole search.
    fn requests(&self) -> u64;
}

/// What all strategies know.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Where genotypes come from.
    pub space: Space,
    /// What is asked of them, the first decides.
    pub goals: Vec<Goal>,
    /// Seed of the search.
    pub seed: u64,
}

impl Scene {
    /// The best of `answers`, the first of equal ones.
    pub(super) fn best<'a>(&self, answers: impl Iterator<Item = &'a Answer>) -> Option<&'a Answer> {
        let mut best: Option<(&Answer, (f64, f64))> = None;
        for answer in answers {
            let own = score(&self.goals, &answer.values);
            let better = |other: &(f64, f64)| {
                own.0
                    .total_cmp(&other.0)
                    .then(own.1.total_cmp(&other.1))
                    .is_gt()
            };
            if best.as_ref().is_none_or(|(_, other)| better(other)) {
                best = Some((answer, own));
            }
        }
        best.map(|(answer, _)| answer)
    }

    /// The best answer to a whole training; of searches whose trainings differ in length those of
    /// the longest count.
    #[must_use]
    pub fn winner<'a>(&self, answers: &'a [Answer]) -> Option<&'a Answer> {
        let longest = answers.iter().map(|a| a.request.share).fold(0.0, f64::max);
        self.best(answers.iter().filter(|a| a.request.share >= longest))
    }

    /// The request for a genotype that is drawn evenly.
    pub(super) fn drawn(&self, number: u64) -> Request {
        Request {
            number,
            genotype: self.space.random(self.seed, number),
            share: 1.0,
            origin: Origin::Drawn,
        }
    }
}

/// Refuses a number that has to be at least `least`.
pub(super) fn at_least(what: &str, value: u64, least: u64) -> Result<()> {
    match value < least {
        true => Err(Error::usage(format!("`{what}` is {value}"))
            .hint(format!("it has to be {least} or more"))),
        false => Ok(()),
    }
}
