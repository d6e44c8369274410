//! Random search: each value is drawn evenly, by the seed, the trial's number and the parameter's
//! name alone.

use super::asked::{Past, Sampler, key};
use crate::Result;
use crate::search::draw::{Draw, Purpose};
use crate::sweep::domain::Value;
use crate::sweep::plan::Study;
use crate::sweep::space::{Assignment, Parameter, Space};

/// Draws values.
pub struct Random {
    space: Space,
    seed: u64,
}

impl Random {
    /// For the parameters of `study`.
    #[must_use]
    pub fn new(study: &Study) -> Self {
        Self {
            space: study.space.clone(),
            seed: study.seed,
        }
    }

    /// The value of one parameter in trial `number`.
    #[must_use]
    pub fn draw(&self, number: u64, parameter: &Parameter) -> Value {
        let mut draw = Draw::new(Purpose::Parameter, self.seed, number, key(&parameter.name));
        parameter.domain.at(draw.unit())
    }

    /// The values of trial `number`.
    #[must_use]
    pub fn trial(&self, number: u64) -> Assignment {
        self.space.fill(|parameter| self.draw(number, parameter))
    }
}

impl Sampler for Random {
    fn ask(&mut self, number: u64, _past: &Past<'_>) -> Result<Option<Assignment>> {
        Ok(Some(self.trial(number)))
    }
}
