//! Samplers: which values the parameters of trial `n` have.

mod cma;
mod grid;
mod parzen;
mod random;
mod sobol;
mod tpe;

#[cfg(test)]
mod tests;

pub use cma::Cma;
pub use grid::{Grid, size as grid_size};
pub use random::Random;
pub use sobol::Sobol;
pub use tpe::Tpe;

use super::plan::{SamplerPlan, Study};
use super::rank::Told;
use super::space::Assignment;
use crate::{Error, Result};

/// What is known when a trial is to be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// The first trials, each ended; as many as [`Sampler::needs`] says.
    pub told: &'a [Told],
    /// Those between them and the trial, which may still run.
    pub pending: &'a [Assignment],
}

/// Chooses values. What it chooses is a function of the study, the number and what is told.
pub trait Sampler {
    /// Its name.
    fn name(&self) -> &'static str;

    /// How many of the first trials have to have ended before `number` can be chosen; they are all
    /// that its choice depends on.
    fn needs(&self, number: u64) -> u64 {
        let _ = number;
        0
    }

    /// The values of trial `number`; `None` where there is none left.
    ///
    /// # Errors
    /// Internal error for a past that does not fit; those of a program that is asked.
    fn ask(&mut self, number: u64, past: &Past<'_>) -> Result<Option<Assignment>>;
}

/// The sampler of `study`, where it is one of the program's own.
///
/// # Errors
/// Usage error for a space that it cannot serve, or one of another program.
pub fn own(study: &Study) -> Result<Box<dyn Sampler>> {
    Ok(match study.sampler {
        SamplerPlan::Random => Box::new(Random::new(study)),
        SamplerPlan::Grid => Box::new(Grid::new(study)?),
        SamplerPlan::Sobol => Box::new(Sobol::new(study)?),
        SamplerPlan::Tpe {
            startup,
            candidates,
        } => Box::new(Tpe::new(study, startup, candidates)),
        SamplerPlan::Cma { population, sigma } => Box::new(Cma::new(study, population, sigma)?),
        SamplerPlan::Command { .. } => {
            return Err(Error::usage("the sampler of this study is a program")
                .hint("give one of the program's own: `--set sampler=tpe`"));
        }
    })
}

/// A number for `name`, the same wherever it is computed (FNV-1a of 64 bits).
fn key(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
