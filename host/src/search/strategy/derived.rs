//! The end of a strategy that trains a supernet: what it derived is evaluated, and nothing else.

use super::agenda::{Answer, Origin, Request, Strategy};
use crate::Result;
use crate::search::genotype::Genotype;

/// Asks about one genotype.
pub struct Derived {
    name: &'static str,
    genotype: Genotype,
}

impl Derived {
    /// Asks about `genotype`, which the strategy `name` derived.
    #[must_use]
    pub fn new(name: &'static str, genotype: Genotype) -> Self {
        Self { name, genotype }
    }
}

impl Strategy for Derived {
    fn name(&self) -> &'static str {
        self.name
    }

    fn next(&self, answers: &[Answer]) -> Result<Option<Request>> {
        let request = || Request {
            number: 0,
            genotype: self.genotype.clone(),
            share: 1.0,
            origin: Origin::Derived,
        };
        Ok(answers.is_empty().then(request))
    }

    fn requests(&self) -> u64 {
        1
    }
}
